//! Clamp, number by number, forward and backward: ReLU, ReLU6 and their like. Knows no shapes.

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
        let Self { low, high } = self;
        values.par_chunks_mut(CHUNK).for_each(|chunk| {
            for value in chunk {
                // Not `f32::max` and `min`, which take the bound in place of NaN.
                let v = if *value < low { low } else { *value };
                *value = if v > high { high } else { v };
            }
        });
    }

    /// The gradient of the input in place of `gy`, that of the output `y`: zero where `y` is a bound.
    pub(super) fn backward(self, y: &[f32], gy: &mut [f32]) {
        let Self { low, high } = self;
        let chunks = gy.par_chunks_mut(CHUNK).zip(y.par_chunks(CHUNK));
        chunks.for_each(|(gy, y)| {
            for (gy, y) in gy.iter_mut().zip(y) {
                *gy = if *y <= low || *y >= high { 0.0 } else { *gy };
            }
        });
    }
}
