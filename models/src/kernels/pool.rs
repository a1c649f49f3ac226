//! Max-pool with a square window, forward and backward.

use rayon::prelude::*;

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

    /// The inputs that output `i` of `n` inputs sees.
    fn window(&self, i: usize, n: usize) -> std::ops::Range<usize> {
        let from = (i * self.stride).saturating_sub(self.padding);
        from..(i * self.stride + self.size - self.padding).min(n)
    }

    /// The largest value of each window.
    pub(super) fn forward(&self, x: &[f32]) -> Vec<f32> {
        let [height, width] = self.output();
        let plane = self.height * self.width;
        let mut y = vec![0.0; x.len() / plane * height * width];
        let planes = y
            .par_chunks_exact_mut(height * width)
            .zip(x.par_chunks_exact(plane));
        planes.for_each_init(
            || vec![0.0; self.width],
            |best, (y, x)| {
                for (oy, y) in y.chunks_exact_mut(width).enumerate() {
                    self.column_maxima(x, oy, best);
                    for (ox, y) in y.iter_mut().enumerate() {
                        let window = &best[self.window(ox, self.width)];
                        *y = window.iter().fold(f32::NEG_INFINITY, |m, v| larger(m, *v));
                    }
                }
            },
        );
        y
    }

    /// Per column, the largest value among the rows that output row `oy` sees.
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
        let mut gx = vec![0.0; x.len()];
        let planes = gx
            .par_chunks_exact_mut(plane)
            .zip(x.par_chunks_exact(plane));
        let planes = planes.zip(gy.par_chunks_exact(height * width));
        planes.for_each_init(
            || (vec![0.0; self.width], vec![0u32; self.width]),
            |(best, from), ((gx, x), gy)| {
                for (oy, gy) in gy.chunks_exact(width).enumerate() {
                    self.column_winners(x, oy, best, from);
                    for (ox, gy) in gy.iter().enumerate() {
                        let mut columns = self.window(ox, self.width);
                        let first = columns.next().unwrap_or_default();
                        let winner = columns.fold(first, |w, c| {
                            let tie = best[c] == best[w] && from[c] < from[w];
                            if beats(best[c], best[w]) || tie { c } else { w }
                        });
                        gx[from[winner] as usize * self.width + winner] += gy;
                    }
                }
            },
        );
        gx
    }

    /// As [`Self::column_maxima`], with the row that each maximum is from.
    fn column_winners(&self, x: &[f32], oy: usize, best: &mut [f32], from: &mut [u32]) {
        let rows = self.window(oy, self.height);
        best.copy_from_slice(&x[rows.start * self.width..][..self.width]);
        from.fill(rows.start as u32);
        for row in rows.skip(1) {
            let values = &x[row * self.width..][..self.width];
            for ((best, from), value) in best.iter_mut().zip(from.iter_mut()).zip(values) {
                let wins = beats(*value, *best);
                *best = if wins { *value } else { *best };
                *from = if wins { row as u32 } else { *from };
            }
        }
    }
}

/// NaN wins, so that it shows.
fn beats(value: f32, best: f32) -> bool {
    value > best || value.is_nan()
}

fn larger(a: f32, b: f32) -> f32 {
    if beats(b, a) { b } else { a }
}
