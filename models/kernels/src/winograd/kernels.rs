//! Kernels of 3 x 3 taps: transformed, and their gradients transformed back, by SIMD over the input channels.

use super::filter::{Filter, Matrices};
use super::tiles::{PAD, column, load, store};
use pulp::{Simd, WithSimd};

/// G g Gᵀ of the kernels of one output channel.
pub(super) struct KernelTransform<'a, const M: usize, const E: usize> {
    /// `[C_in]`.
    pub(super) kernels: &'a [[f32; 9]],
    /// `[E², pitch]`, with a pitch of C_in values and those that fill up the last vector.
    pub(super) target: &'a mut [f32],
}

impl<const M: usize, const E: usize> WithSimd for KernelTransform<'_, M, E>
where
    Filter<M, E>: Matrices<M, E>,
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let pitch = self.target.len() / (E * E);
        let mut taps = [0.0; 9 * PAD];
        let blocks = self.kernels.chunks(S::F32_LANES).enumerate();
        for (block, kernels) in blocks {
            for (channel, kernel) in kernels.iter().enumerate() {
                for (tap, value) in kernel.iter().enumerate() {
                    taps[tap * PAD + channel] = *value;
                }
            }
            let mut rows = [[simd.splat_f32s(0.0); E]; 3];
            for (i, row) in rows.iter_mut().enumerate() {
                let tap = |j: usize| load::<S>(&taps, (3 * i + j) * PAD);
                *row = Filter::<M, E>::kernel(simd, [tap(0), tap(1), tap(2)]);
            }
            for j in 0..E {
                let column = Filter::<M, E>::kernel(simd, column(&rows, j));
                for (i, value) in column.into_iter().enumerate() {
                    let start = (i * E + j) * pitch + block * S::F32_LANES;
                    store::<S>(self.target, start, value);
                }
            }
        }
    }
}

/// Gᵀ u G: the gradients of the kernels of one output channel.
pub(super) struct KernelGradient<'a, const M: usize, const E: usize> {
    /// For each element of the transformed kernels the channel's values from here on, `pitch` apart.
    pub(super) sums: &'a [f32],
    pub(super) pitch: usize,
    /// `[C_in]`.
    pub(super) kernels: &'a mut [[f32; 9]],
}

impl<const M: usize, const E: usize> WithSimd for KernelGradient<'_, M, E>
where
    Filter<M, E>: Matrices<M, E>,
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut taps = [0.0; 9 * PAD];
        let blocks = self.kernels.chunks_mut(S::F32_LANES).enumerate();
        for (block, kernels) in blocks {
            let mut rows = [[simd.splat_f32s(0.0); 3]; E];
            for (i, row) in rows.iter_mut().enumerate() {
                let mut u = [simd.splat_f32s(0.0); E];
                for (j, value) in u.iter_mut().enumerate() {
                    let start = (i * E + j) * self.pitch + block * S::F32_LANES;
                    *value = load::<S>(self.sums, start);
                }
                *row = Filter::<M, E>::kernel_gradient(simd, u);
            }
            for j in 0..3 {
                let column = Filter::<M, E>::kernel_gradient(simd, column(&rows, j));
                for (i, value) in column.into_iter().enumerate() {
                    store::<S>(&mut taps, (3 * i + j) * PAD, value);
                }
            }
            for (channel, kernel) in kernels.iter_mut().enumerate() {
                for (tap, value) in kernel.iter_mut().enumerate() {
                    *value = taps[tap * PAD + channel];
                }
            }
        }
    }
}
