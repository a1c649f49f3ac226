//! Max-pool with a square window, forward and backward.

use super::memory;
use pulp::{Arch, NullaryFnOnce};

/// Sizes of a max-pool over `[planes, H, W]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pool {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) size: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
}

impl Pool {
    /// Height and width of the output.
    #[inline(always)]
    pub(super) fn output(&self) -> [usize; 2] {
        let out = |n: usize| (n + 2 * self.padding - self.size) / self.stride + 1;
        [out(self.height), out(self.width)]
    }

    /// The inputs that output `i` of `n` inputs sees.
    #[inline(always)]
    fn window(&self, i: usize, n: usize) -> std::ops::Range<usize> {
        let from = (i * self.stride).saturating_sub(self.padding);
        from..(i * self.stride + self.size - self.padding).min(n)
    }

    /// The largest value of each window.
    pub(super) fn forward(&self, x: &[f32]) -> Vec<f32> {
        let [height, width] = self.output();
        let plane = self.height * self.width;
        let len = x.len() / plane * height * width;
        let own = || vec![0.0; self.width];
        memory::pieces_with(len, height * width, own, |best, i, y| {
            let x = &x[i * plane..][..plane];
            let pool = self;
            Arch::new().dispatch(Forward { pool, x, best, y });
        })
    }

    /// Per column, the largest value among the rows that output row `oy` sees.
    #[inline(always)]
    fn column_maxima(&self, x: &[f32], oy: usize, best: &mut [f32]) {
        let rows = self.window(oy, self.height);
        best.copy_from_slice(&x[rows.start * self.width..][..self.width]);
        for row in rows.skip(1) {
            let row = &x[row * self.width..][..self.width];
            best.iter_mut()
                .zip(row)
                .for_each(|(b, v)| *b = larger(*b, *v));
        }
    }

    /// Each output's gradient goes to the first of its window's largest inputs, as in PyTorch.
    pub(super) fn backward(&self, x: &[f32], gy: &[f32]) -> Vec<f32> {
        let [height, width] = self.output();
        let plane = self.height * self.width;
        let own = || (vec![0.0; self.width], vec![0u32; self.width]);
        memory::pieces_with(x.len(), plane, own, |(best, from), i, gx| {
            let x = &x[i * plane..][..plane];
            let gy = &gy[i * height * width..][..height * width];
            let pool = self;
            Arch::new().dispatch(Backward {
                pool,
                x,
                gy,
                best,
                from,
                gx,
            });
        })
    }

    /// As [`Self::column_maxima`], with the place in the plane that each maximum is from.
    #[inline(always)]
    fn column_winners(&self, x: &[f32], oy: usize, best: &mut [f32], from: &mut [u32]) {
        let rows = self.window(oy, self.height);
        best.copy_from_slice(&x[rows.start * self.width..][..self.width]);
        let place = |row: usize| (row * self.width) as u32..;
        from.iter_mut()
            .zip(place(rows.start))
            .for_each(|(f, p)| *f = p);
        for row in rows.skip(1) {
            let values = &x[row * self.width..][..self.width];
            let targets = best.iter_mut().zip(from.iter_mut());
            for ((best, from), (value, place)) in targets.zip(values.iter().zip(place(row))) {
                let wins = beats(*value, *best);
                *best = if wins { *value } else { *best };
                *from = if wins { place } else { *from };
            }
        }
    }

    /// The place that wins the window of output column `ox`: without branches, which nobody could
    /// predict.
    #[inline(always)]
    fn winner(&self, ox: usize, best: &[f32], from: &[u32]) -> usize {
        let columns = self.window(ox, self.width);
        let (mut value, mut place) = (best[columns.start], from[columns.start]);
        for (&v, &p) in best[columns.clone()].iter().zip(&from[columns]).skip(1) {
            // Among equals the earlier row's, which lies before the other.
            let wins = beats(v, value) | ((v == value) & (p < place));
            value = if wins { v } else { value };
            place = if wins { p } else { place };
        }
        place as usize
    }
}

/// One plane forward.
struct Forward<'a> {
    pool: &'a Pool,
    x: &'a [f32],
    /// A row to work on.
    best: &'a mut [f32],
    y: &'a mut [f32],
}

impl NullaryFnOnce for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let [_, width] = self.pool.output();
        for (oy, y) in self.y.chunks_exact_mut(width).enumerate() {
            self.pool.column_maxima(self.x, oy, self.best);
            for (ox, y) in y.iter_mut().enumerate() {
                let mut most = f32::NEG_INFINITY;
                for v in &self.best[self.pool.window(ox, self.pool.width)] {
                    most = larger(most, *v);
                }
                *y = most;
            }
        }
    }
}

/// One plane backward.
struct Backward<'a> {
    pool: &'a Pool,
    x: &'a [f32],
    gy: &'a [f32],
    /// Rows to work on.
    best: &'a mut [f32],
    from: &'a mut [u32],
    gx: &'a mut [f32],
}

impl NullaryFnOnce for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let [_, width] = self.pool.output();
        for (oy, gy) in self.gy.chunks_exact(width).enumerate() {
            self.pool.column_winners(self.x, oy, self.best, self.from);
            for (ox, gy) in gy.iter().enumerate() {
                self.gx[self.pool.winner(ox, self.best, self.from)] += gy;
            }
        }
    }
}

/// NaN wins, so that it shows.
#[inline(always)]
fn beats(value: f32, best: f32) -> bool {
    (value > best) | value.is_nan()
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if beats(b, a) { b } else { a }
}
