//! Max-pool with a square window, forward and backward. Knows no channels: a batch is a list of planes.
//!
//! The largest value of a window is found by rows first, then by columns in polyphase layout, so that
//! both loops run over neighbouring values and the compiler makes vectors of them.

use crate::{memory, polyphase};
use pulp::{Arch, NullaryFnOnce};

/// A square window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolArgs {
    pub(crate) size: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
}

/// Max-pool over `[planes, H, W]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pool {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) window: PoolArgs,
}

impl Pool {
    /// Height and width of the output.
    pub(super) fn output(&self) -> [usize; 2] {
        let out =
            |n: usize| (n + 2 * self.window.padding - self.window.size) / self.window.stride + 1;
        [out(self.height), out(self.width)]
    }

    /// The input rows in the windows of output row `oy`, without padding.
    #[inline(always)]
    fn rows(&self, oy: usize) -> std::ops::Range<usize> {
        let from = (oy * self.window.stride).saturating_sub(self.window.padding);
        from..(oy * self.window.stride + self.window.size - self.window.padding).min(self.height)
    }

    /// Columns of each phase of a padded row.
    fn pitch(&self) -> usize {
        (self.width + 2 * self.window.padding).div_ceil(self.window.stride)
    }

    /// Copies a row to polyphase layout.
    #[inline(always)]
    fn split_phases<T: Copy>(&self, row: &[T], phases: &mut [T]) {
        let pitch = self.pitch();
        if self.window.stride == 2 {
            let (even, odd) = phases.split_at_mut(pitch);
            return polyphase::split_even_odd(row, self.window.padding, even, odd);
        }
        for (i, value) in row.iter().enumerate() {
            let column = i + self.window.padding;
            phases[column % self.window.stride * pitch + column / self.window.stride] = *value;
        }
    }

    /// The inputs of a row of outputs at column `tap` of their windows.
    #[inline(always)]
    fn tap<'a, T>(&self, phases: &'a [T], tap: usize, width: usize) -> &'a [T] {
        &phases[tap % self.window.stride * self.pitch() + tap / self.window.stride..][..width]
    }

    /// The largest value of each window.
    pub(super) fn forward(&self, x: &[f32]) -> Vec<f32> {
        let [height, width] = self.output();
        let plane = self.height * self.width;
        let len = x.len() / plane * height * width;
        // Padding is never the largest.
        let phases = || vec![f32::NEG_INFINITY; self.pitch() * self.window.stride];
        let scratch = || (vec![0.0; self.width], phases());
        memory::fill_chunks_with(len, height * width, scratch, |(best, phases), i, y| {
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

    /// The gradient of an output goes to the first of its window's largest inputs, as in PyTorch.
    pub(super) fn backward(&self, x: &[f32], gy: &[f32]) -> Vec<f32> {
        let [height, width] = self.output();
        let plane = self.height * self.width;
        let scratch = || Scratch::new(self);
        memory::fill_chunks_with(x.len(), plane, scratch, |scratch, i, gx| {
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
    /// The largest value of each input column over the window's rows.
    best: &'a mut [f32],
    /// `best` in polyphase layout.
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
            pool.split_phases(best, phases);
            y.copy_from_slice(pool.tap(phases, 0, width));
            for tap in 1..pool.window.size {
                keep_larger(y, pool.tap(phases, tap, width));
            }
        }
    }
}

#[inline(always)]
fn keep_larger(best: &mut [f32], values: &[f32]) {
    for (best, value) in best.iter_mut().zip(values) {
        *best = if is_larger(*value, *best) {
            *value
        } else {
            *best
        };
    }
}

/// Rows of the argmax: largest values with their indices in the plane.
struct Scratch {
    /// By input column, over the window's rows.
    best: Vec<f32>,
    best_index: Vec<u32>,
    /// The same in polyphase layout.
    phases: Vec<f32>,
    index_phases: Vec<u32>,
    /// By output column, over the whole window.
    max: Vec<f32>,
    argmax: Vec<u32>,
}

impl Scratch {
    fn new(pool: &Pool) -> Self {
        let phases = pool.pitch() * pool.window.stride;
        let [_, width] = pool.output();
        Self {
            best: vec![0.0; pool.width],
            best_index: vec![0; pool.width],
            // Padding is never the argmax: among values of -∞ its index is the last.
            phases: vec![f32::NEG_INFINITY; phases],
            index_phases: vec![u32::MAX; phases],
            max: vec![0.0; width],
            argmax: vec![0; width],
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
            best_index,
            phases,
            index_phases,
            max,
            argmax,
        } = scratch;
        let [_, width] = pool.output();
        for (oy, gy) in gy.chunks_exact(width).enumerate() {
            let rows = pool.rows(oy);
            let start = rows.start * pool.width;
            best.copy_from_slice(&x[start..start + pool.width]);
            best_index
                .iter_mut()
                .zip(start as u32..)
                .for_each(|(i, index)| *i = index);
            for row in rows.skip(1) {
                let start = row * pool.width;
                let values = x[start..start + pool.width].iter().zip(start as u32..);
                let slots = best.iter_mut().zip(&mut *best_index);
                for ((best, best_index), (value, index)) in slots.zip(values) {
                    let larger = is_larger(*value, *best);
                    *best = if larger { *value } else { *best };
                    *best_index = if larger { index } else { *best_index };
                }
            }
            pool.split_phases(best, phases);
            pool.split_phases(best_index, index_phases);
            max.copy_from_slice(pool.tap(phases, 0, width));
            argmax.copy_from_slice(pool.tap(index_phases, 0, width));
            for tap in 1..pool.window.size {
                let values = pool.tap(phases, tap, width).iter();
                let indices = pool.tap(index_phases, tap, width);
                let slots = max.iter_mut().zip(&mut *argmax);
                for ((max, argmax), (value, index)) in slots.zip(values.zip(indices)) {
                    // Each column was searched over its rows already: an equal value further to the
                    // right may be in an earlier row.
                    let larger = is_larger(*value, *max) | ((*value == *max) & (*index < *argmax));
                    *max = if larger { *value } else { *max };
                    *argmax = if larger { *index } else { *argmax };
                }
            }
            // Windows overlap: an input may be the largest of several.
            for (index, gy) in argmax.iter().zip(gy) {
                gx[*index as usize] += gy;
            }
        }
    }
}

/// Whether `value` replaces `best`. NaN counts as the largest, so that it shows in the output.
#[inline(always)]
fn is_larger(value: f32, best: f32) -> bool {
    // `|`, not `||`: without a branch the loop becomes vectors.
    (value > best) | value.is_nan()
}
