//! Clamp, number by number, forward and backward: ReLU, ReLU6 and their like. Knows no shapes.

use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;

/// Values of a task: enough that handing it over costs little.
const CHUNK: usize = 1 << 16;

/// The bounds, either of which may be infinite.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClampArgs {
    pub(crate) low: f32,
    pub(crate) high: f32,
}

impl ClampArgs {
    /// Clamps in place. NaN stays NaN.
    pub(super) fn forward(self, values: &mut [f32]) {
        let arch = Arch::new();
        let chunks = values.par_chunks_mut(CHUNK);
        chunks.for_each(|values| arch.dispatch(Forward { args: self, values }));
    }

    /// The gradient of the input in place of `gy`, that of the output `y`: zero where `y` is a bound.
    pub(super) fn backward(self, y: &[f32], gy: &mut [f32]) {
        let arch = Arch::new();
        let chunks = gy.par_chunks_mut(CHUNK).zip(y.par_chunks(CHUNK));
        chunks.for_each(|(gy, y)| arch.dispatch(Backward { args: self, y, gy }));
    }
}

struct Forward<'a> {
    args: ClampArgs,
    values: &'a mut [f32],
}

impl NullaryFnOnce for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let ClampArgs { low, high } = self.args;
        for value in self.values {
            // Not `f32::max` and `min`, which take the bound in place of NaN.
            let v = if *value < low { low } else { *value };
            *value = if v > high { high } else { v };
        }
    }
}

struct Backward<'a> {
    args: ClampArgs,
    y: &'a [f32],
    gy: &'a mut [f32],
}

impl NullaryFnOnce for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let ClampArgs { low, high } = self.args;
        for (gy, y) in self.gy.iter_mut().zip(self.y) {
            // `|`, not `||`: without a branch the loop becomes SIMD.
            let is_bound = (*y <= low) | (*y >= high);
            *gy = if is_bound { 0.0 } else { *gy };
        }
    }
}
