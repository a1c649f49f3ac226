//! Max-pool with a square window, forward and backward.

use super::{memory, split};
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
    pub(super) fn output(&self) -> [usize; 2] {
        let out = |n: usize| (n + 2 * self.padding - self.size) / self.stride + 1;
        [out(self.height), out(self.width)]
    }

    /// The input rows that output row `oy` sees.
    #[inline(always)]
    fn rows(&self, oy: usize) -> std::ops::Range<usize> {
        let from = (oy * self.stride).saturating_sub(self.padding);
        from..(oy * self.stride + self.size - self.padding).min(self.height)
    }

    /// Columns of each phase of a padded row: those with the same remainder modulo the stride.
    fn pitch(&self) -> usize {
        (self.width + 2 * self.padding).div_ceil(self.stride)
    }

    /// Puts a row's columns apart by stride, so that those which neighbouring outputs see through
    /// one tap are neighbours.
    #[inline(always)]
    fn put_apart<T: Copy>(&self, row: &[T], phases: &mut [T]) {
        let pitch = self.pitch();
        if self.stride == 2 {
            let (even, odd) = phases.split_at_mut(pitch);
            return split::put_apart(row, self.padding, even, odd);
        }
        for (i, value) in row.iter().enumerate() {
            let column = i + self.padding;
            phases[column % self.stride * pitch + column / self.stride] = *value;
        }
    }

    /// What the outputs of a row see through tap `tap`.
    #[inline(always)]
    fn tap<'a, T>(&self, phases: &'a [T], tap: usize, width: usize) -> &'a [T] {
        &phases[tap % self.stride * self.pitch() + tap / self.stride..][..width]
    }

    /// The largest value of each window.
    pub(super) fn forward(&self, x: &[f32]) -> Vec<f32> {
        let [height, width] = self.output();
        let plane = self.height * self.width;
        let len = x.len() / plane * height * width;
        // Padding is never the largest.
        let phases = || vec![f32::NEG_INFINITY; self.pitch() * self.stride];
        let own = || (vec![0.0; self.width], phases());
        memory::pieces_with(len, height * width, own, |(best, phases), i, y| {
            let (pool, x) = (self, &x[i * plane..][..plane]);
            Arch::new().dispatch(Forward {
                pool,
                x,
                best,
                phases,
                y,
            });
        })
    }

    /// Each output's gradient goes to the first of its window's largest inputs, as in PyTorch.
    pub(super) fn backward(&self, x: &[f32], gy: &[f32]) -> Vec<f32> {
        let [height, width] = self.output();
        let plane = self.height * self.width;
        let own = || Scratch::new(self);
        memory::pieces_with(x.len(), plane, own, |scratch, i, gx| {
            let (pool, x) = (self, &x[i * plane..][..plane]);
            let gy = &gy[i * height * width..][..height * width];
            Arch::new().dispatch(Backward {
                pool,
                x,
                gy,
                scratch,
                gx,
            });
        })
    }
}

/// One plane forward.
struct Forward<'a> {
    pool: &'a Pool,
    x: &'a [f32],
    /// A row to work on, and one put apart.
    best: &'a mut [f32],
    phases: &'a mut [f32],
    y: &'a mut [f32],
}

impl NullaryFnOnce for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self {
            pool,
            x,
            best,
            phases,
            y,
        } = self;
        let [_, width] = pool.output();
        for (oy, y) in y.chunks_exact_mut(width).enumerate() {
            let rows = pool.rows(oy);
            best.copy_from_slice(&x[rows.start * pool.width..][..pool.width]);
            for row in rows.skip(1) {
                keep_larger(best, &x[row * pool.width..][..pool.width]);
            }
            pool.put_apart(best, phases);
            y.copy_from_slice(pool.tap(phases, 0, width));
            for tap in 1..pool.size {
                keep_larger(y, pool.tap(phases, tap, width));
            }
        }
    }
}

#[inline(always)]
fn keep_larger(best: &mut [f32], values: &[f32]) {
    for (best, value) in best.iter_mut().zip(values) {
        *best = if beats(*value, *best) { *value } else { *best };
    }
}

/// Rows to work on: values, and the places in the plane that they are from.
struct Scratch {
    best: Vec<f32>,
    from: Vec<u32>,
    best_phases: Vec<f32>,
    from_phases: Vec<u32>,
    winner: Vec<f32>,
    place: Vec<u32>,
}

impl Scratch {
    fn new(pool: &Pool) -> Self {
        let phases = pool.pitch() * pool.stride;
        let [_, width] = pool.output();
        Self {
            best: vec![0.0; pool.width],
            from: vec![0; pool.width],
            // Padding never wins, not even among equals.
            best_phases: vec![f32::NEG_INFINITY; phases],
            from_phases: vec![u32::MAX; phases],
            winner: vec![0.0; width],
            place: vec![0; width],
        }
    }
}

/// One plane backward.
struct Backward<'a> {
    pool: &'a Pool,
    x: &'a [f32],
    gy: &'a [f32],
    scratch: &'a mut Scratch,
    gx: &'a mut [f32],
}

impl NullaryFnOnce for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self {
            pool,
            x,
            gy,
            scratch,
            gx,
        } = self;
        let Scratch {
            best,
            from,
            best_phases,
            from_phases,
            winner,
            place,
        } = scratch;
        let [_, width] = pool.output();
        for (oy, gy) in gy.chunks_exact(width).enumerate() {
            let rows = pool.rows(oy);
            let start = rows.start * pool.width;
            best.copy_from_slice(&x[start..start + pool.width]);
            from.iter_mut()
                .zip(start as u32..)
                .for_each(|(f, p)| *f = p);
            for row in rows.skip(1) {
                let start = row * pool.width;
                let values = x[start..start + pool.width].iter().zip(start as u32..);
                for ((best, from), (value, place)) in best.iter_mut().zip(&mut *from).zip(values) {
                    let wins = beats(*value, *best);
                    *best = if wins { *value } else { *best };
                    *from = if wins { place } else { *from };
                }
            }
            pool.put_apart(best, best_phases);
            pool.put_apart(from, from_phases);
            winner.copy_from_slice(pool.tap(best_phases, 0, width));
            place.copy_from_slice(pool.tap(from_phases, 0, width));
            for tap in 1..pool.size {
                let values = pool.tap(best_phases, tap, width);
                let places = pool.tap(from_phases, tap, width).iter();
                let so_far = winner.iter_mut().zip(&mut *place);
                for ((winner, place), (v, p)) in so_far.zip(values.iter().zip(places)) {
                    // Among equals the earlier row's, which lies before the other.
                    let wins = beats(*v, *winner) | ((*v == *winner) & (*p < *place));
                    *winner = if wins { *v } else { *winner };
                    *place = if wins { *p } else { *place };
                }
            }
            for (place, gy) in place.iter().zip(gy) {
                gx[*place as usize] += gy;
            }
        }
    }
}

/// NaN wins, so that it shows.
#[inline(always)]
fn beats(value: f32, best: f32) -> bool {
    (value > best) | value.is_nan()
}
