//! Depthwise convolution by SIMD: every channel has a kernel of its own. Any kernel size and any stride.
//!
//! A channel is padded and stored in polyphase layout. The inputs of one kernel element are then one run of values for
//! all outputs, across the ends of the rows: an output row is as long as a padded one, and what lies behind its end is
//! not used. So all three passes are sums or products of shifted runs, in whole vectors also where the maps are small.

use crate::geometry::Geometry;
use crate::memory;
use crate::polyphase::Polyphase;
use pulp::{Arch, Simd, WithSimd};

/// Vectors in a register block of a sum of runs.
const VECTORS: usize = 4;
/// Values that every vector width divides in blocks of `VECTORS`: four times the 16 lanes of AVX-512.
const BLOCK: usize = 64;
/// Taps in a register block of the weight gradient: a 3 x 3 kernel.
const TAPS: usize = 9;

/// `[N, C, H, W]` to `[N, C, H', W']`.
pub(super) fn forward(g: &Geometry, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let layout = Polyphase::new(&g.channel());
    let offsets = layout.tap_offsets();
    let arch = Arch::new();
    let scratch = || (vec![0.0; layout.len()], vec![0.0; outputs(g, &layout)]);
    let len = g.batch * g.map_len();
    memory::write_chunks_with(len, g.output_pixels(), scratch, |(input, sums), i, out| {
        let channel = i % g.out_channels;
        layout.fill(plane(x, i, g.input_pixels()), input);
        arch.dispatch(SumOfRuns {
            offsets: &offsets,
            weights: plane(weight, channel, g.taps()),
            bias: bias[channel],
            x: input,
            out: sums,
        });
        memory::write_parts(out, g.output[1], |y, row| {
            row.write_copy_of_slice(&sums[y * layout.pitch()..][..g.output[1]])
        })
    })
}

/// Gradient of the input, `[N, C, H, W]`.
///
/// The inputs of one phase are a sum of runs, too: of the output's gradient, shifted back by the taps of that phase.
pub(super) fn input_gradient(g: &Geometry, weight: &[f32], gy: &[f32]) -> Vec<f32> {
    let layout = Polyphase::new(&g.channel());
    let [kh, kw] = g.kernel;
    // No tap shifts further back than the last one.
    let front = layout.shift(kh - 1, kw - 1);
    let phase_taps: Vec<(Vec<usize>, Vec<usize>)> = (0..g.stride[0] * g.stride[1])
        .map(|phase| {
            (0..kh * kw)
                .filter(|tap| layout.phase(tap / kw, tap % kw) == phase)
                .map(|tap| (front - layout.shift(tap / kw, tap % kw), tap))
                .unzip()
        })
        .collect();
    let arch = Arch::new();
    let scratch = || {
        let rows = vec![0.0; front + layout.phase_len() + BLOCK];
        (rows, vec![0.0; layout.len()], vec![0.0; kh * kw])
    };
    let len = g.batch * g.image_len();
    memory::fill_chunks_with(len, g.input_pixels(), scratch, |scratch, i, gx| {
        let (rows, input, weights) = scratch;
        let weight = plane(weight, i % g.in_channels, kh * kw);
        spread(
            g,
            plane(gy, i, g.output_pixels()),
            &layout,
            &mut rows[front..],
        );
        let phases = phase_taps.iter().enumerate();
        for (phase, (offsets, taps)) in phases {
            let weights = &mut weights[..taps.len()];
            weights
                .iter_mut()
                .zip(taps)
                .for_each(|(w, tap)| *w = weight[*tap]);
            // What a last block writes behind its phase is written again with the next phase.
            let len = layout.phase_len().next_multiple_of(BLOCK);
            arch.dispatch(SumOfRuns {
                offsets,
                weights,
                bias: 0.0,
                x: rows,
                out: &mut input[phase * layout.phase_len()..][..len],
            });
        }
        layout.read(input, gx);
    })
}

/// Gradient of the weight, `[C, 1, KH, KW]`.
pub(super) fn weight_gradient(g: &Geometry, x: &[f32], gy: &[f32]) -> Vec<f32> {
    let layout = Polyphase::new(&g.channel());
    let offsets = layout.tap_offsets();
    let arch = Arch::new();
    let scratch = || (vec![0.0; layout.len()], vec![0.0; outputs(g, &layout)]);
    // One thread for all images of a channel, in order: the same bits on any number of threads.
    memory::fill_chunks_with(g.weight_len(), g.taps(), scratch, |scratch, channel, gw| {
        let (input, rows) = scratch;
        for image in 0..g.batch {
            let i = image * g.out_channels + channel;
            layout.fill(plane(x, i, g.input_pixels()), input);
            spread(g, plane(gy, i, g.output_pixels()), &layout, rows);
            for (offsets, gw) in offsets.chunks(TAPS).zip(gw.chunks_mut(TAPS)) {
                // A last block with fewer taps repeats one; its sum is not used.
                let offsets = std::array::from_fn(|t| offsets[t.min(offsets.len() - 1)]);
                let products = arch.dispatch(ProductsOfRuns {
                    offsets,
                    x: input,
                    gy: rows,
                });
                gw.iter_mut().zip(products).for_each(|(gw, p)| *gw += p);
            }
        }
    })
}

/// Values of all output rows, each as long as a padded one.
fn outputs(g: &Geometry, layout: &Polyphase) -> usize {
    (g.output[0] * layout.pitch()).next_multiple_of(BLOCK)
}

fn plane(values: &[f32], index: usize, len: usize) -> &[f32] {
    &values[index * len..][..len]
}

/// Writes the rows of an output plane at the distance of padded rows. What lies between them stays zero.
fn spread(g: &Geometry, plane: &[f32], layout: &Polyphase, rows: &mut [f32]) {
    let plane = plane.chunks_exact(g.output[1]);
    for (row, source) in rows.chunks_exact_mut(layout.pitch()).zip(plane) {
        row[..source.len()].copy_from_slice(source);
    }
}

/// `out[i] = bias + Σ weight · x[offset + i]`.
struct SumOfRuns<'a> {
    offsets: &'a [usize],
    weights: &'a [f32],
    bias: f32,
    x: &'a [f32],
    /// A multiple of `BLOCK` values.
    out: &'a mut [f32],
}

impl WithSimd for SumOfRuns<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let block = VECTORS * S::F32_LANES;
        for (i, out) in self.out.chunks_exact_mut(block).enumerate() {
            let mut sums = [simd.splat_f32s(self.bias); VECTORS];
            for (offset, weight) in self.offsets.iter().zip(self.weights) {
                let (x, _) = S::as_simd_f32s(&self.x[offset + i * block..][..block]);
                let weight = simd.splat_f32s(*weight);
                for (sum, x) in sums.iter_mut().zip(x) {
                    *sum = simd.mul_add_f32s(weight, *x, *sum);
                }
            }
            let (out, _) = S::as_mut_simd_f32s(out);
            out.copy_from_slice(&sums);
        }
    }
}

/// `Σ gy[i] · x[offset + i]` for each offset.
struct ProductsOfRuns<'a> {
    offsets: [usize; TAPS],
    x: &'a [f32],
    /// A multiple of `BLOCK` values.
    gy: &'a [f32],
}

impl WithSimd for ProductsOfRuns<'_> {
    type Output = [f32; TAPS];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> [f32; TAPS] {
        let (gy, _) = S::as_simd_f32s(self.gy);
        let runs = self.offsets.map(|offset| {
            let (run, _) = S::as_simd_f32s(&self.x[offset..][..self.gy.len()]);
            &run[..gy.len()]
        });
        let mut sums = [simd.splat_f32s(0.0); TAPS];
        for (i, gy) in gy.iter().enumerate() {
            for (sum, run) in sums.iter_mut().zip(&runs) {
                *sum = simd.mul_add_f32s(*gy, run[i], *sum);
            }
        }
        // Not `map`: its closure would be compiled without SIMD.
        let mut products = [0.0; TAPS];
        for (product, sum) in products.iter_mut().zip(sums) {
            *product = simd.reduce_sum_f32s(sum);
        }
        products
    }
}
