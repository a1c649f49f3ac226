//! Direct convolution of few channels by SIMD, any stride, without im2col.
//!
//! A vector is a run of neighbouring output pixels, read from the image in polyphase layout. Forward,
//! a block of 4 output channels by 2 vectors stays in registers during the loop over the taps. For the
//! weight gradient the block is 4 channels by 3 taps, and the loop is over the pixels. Vectors have
//! the width that `pulp` finds at run time. Computes no gradient of the input.

use crate::geometry::Geometry;
use crate::memory;
use crate::polyphase::Polyphase;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Output channels in a register block.
const CHANNELS: usize = 4;
/// Vectors in a register block, forward. 3 would need 12 sums, 3 inputs and a weight: all of AVX2's
/// 16 registers.
const VECTORS: usize = 2;
/// Taps in a register block of the weight gradient.
const TAPS: usize = 3;
/// Output rows of the weight gradient that are copied at a time, so that a block's rows stay in L1.
const ROWS: usize = 4;

/// Whether this algorithm is the fastest one: rows fill vectors, and the weights (16 KB) stay in L1.
pub(super) fn suits(g: &Geometry) -> bool {
    g.output[1] >= 16 && g.weight_len() <= 4096
}

/// `[N, C_in, H, W]` to `[N, C_out, H', W']`.
pub(super) fn forward(g: &Geometry, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let layout = Polyphase::new(g);
    let offsets = layout.tap_offsets();
    let packed = pack(g, weight);
    let arch = Arch::new();
    let scratch = || vec![0.0; layout.len()];
    let len = g.batch * g.map_len();
    memory::fill_chunks_with(len, g.map_len(), scratch, |buffer, i, out| {
        layout.fill(&x[i * g.image_len()..][..g.image_len()], buffer);
        arch.dispatch(Forward {
            g,
            row_stride: layout.pitch(),
            offsets: &offsets,
            packed: &packed,
            bias,
            x: buffer,
            out,
        });
    })
}

/// Weights as `[C_out / 4, taps, 4]`, filled up with zeros: a block reads them in order.
fn pack(g: &Geometry, weight: &[f32]) -> Vec<f32> {
    let taps = g.taps();
    let mut packed = vec![0.0; g.out_channels.div_ceil(CHANNELS) * taps * CHANNELS];
    for (channel, row) in weight.chunks_exact(taps).enumerate() {
        let (block, lane) = (channel / CHANNELS, channel % CHANNELS);
        for (tap, value) in row.iter().enumerate() {
            packed[(block * taps + tap) * CHANNELS + lane] = *value;
        }
    }
    packed
}

/// Convolution of one image.
struct Forward<'a> {
    g: &'a Geometry,
    /// Distance in `x` between the inputs of two output rows.
    row_stride: usize,
    offsets: &'a [usize],
    packed: &'a [f32],
    bias: &'a [f32],
    /// The image in polyphase layout.
    x: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let [height, width] = self.g.output;
        let wide = VECTORS * S::F32_LANES;
        for y in 0..height {
            for block in 0..self.g.out_channels.div_ceil(CHANNELS) {
                let mut column = 0;
                while column < width {
                    // One vector where the rest of the row needs no second.
                    match width - column {
                        rest if rest > S::F32_LANES => {
                            self.block::<S, VECTORS>(simd, y, block, column);
                        }
                        _ => self.block::<S, 1>(simd, y, block, column),
                    }
                    column += wide;
                }
            }
        }
    }
}

impl Forward<'_> {
    /// `V` vectors of output row `y` from `column` on, four channels.
    #[inline(always)]
    fn block<S: Simd, const V: usize>(&mut self, simd: S, y: usize, block: usize, column: usize) {
        let (taps, lanes) = (self.offsets.len(), S::F32_LANES);
        let first = block * CHANNELS;
        let mut sums = [[simd.splat_f32s(0.0); V]; CHANNELS];
        for (sums, bias) in sums.iter_mut().zip(&self.bias[first..]) {
            *sums = [simd.splat_f32s(*bias); V];
        }
        let weights = &self.packed[block * taps * CHANNELS..][..taps * CHANNELS];
        let (weights, _) = pulp::as_arrays::<CHANNELS, f32>(weights);
        let x = &self.x[y * self.row_stride + column..];
        for (weights, offset) in weights.iter().zip(self.offsets) {
            let (x, _) = S::as_simd_f32s(&x[*offset..*offset + V * lanes]);
            for (sums, weight) in sums.iter_mut().zip(weights) {
                let weight = simd.splat_f32s(*weight);
                for v in 0..V {
                    sums[v] = simd.mul_add_f32s(weight, x[v], sums[v]);
                }
            }
        }
        let [height, width] = self.g.output;
        for (channel, sums) in (first..self.g.out_channels).zip(&sums) {
            let row = &mut self.out[(channel * height + y) * width..][..width];
            for (v, sum) in sums.iter().enumerate() {
                let start = column + v * lanes;
                let end = width.min(start + lanes);
                simd.partial_store_f32s(&mut row[start..end], *sum);
            }
        }
    }
}

/// Gradient of the weight, `[C_out, C_in, KH, KW]`.
pub(super) fn weight_gradient(g: &Geometry, x: &[f32], gy: &[f32]) -> Vec<f32> {
    let layout = Polyphase::new(g);
    let offsets = layout.tap_offsets();
    let arch = Arch::new();
    let images = x
        .par_chunks_exact(g.image_len())
        .zip(gy.par_chunks_exact(g.map_len()));
    // One partial sum for each image, added in order: the same bits on any number of threads.
    let parts: Vec<Vec<f32>> = images
        .map_init(
            || vec![0.0; layout.len()],
            |buffer, (image, gy)| {
                layout.fill(image, buffer);
                arch.dispatch(WeightGradient {
                    g,
                    row_stride: layout.pitch(),
                    offsets: &offsets,
                    x: buffer,
                    gy,
                })
            },
        )
        .collect();
    memory::sum_in_order(parts, g.weight_len())
}

/// Weight gradient of one image.
struct WeightGradient<'a> {
    g: &'a Geometry,
    row_stride: usize,
    offsets: &'a [usize],
    x: &'a [f32],
    gy: &'a [f32],
}

impl WithSimd for WeightGradient<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let [height, width] = self.g.output;
        let taps = self.offsets.len();
        let (blocks, tap_blocks) = (self.g.out_channels.div_ceil(CHANNELS), taps.div_ceil(TAPS));
        let pitch = width.next_multiple_of(S::F32_LANES);
        let mut sums = vec![[[simd.splat_f32s(0.0); TAPS]; CHANNELS]; blocks * tap_blocks];
        // Rows of the output gradient, filled up with zeros to whole vectors.
        let mut rows = vec![0.0; blocks * CHANNELS * ROWS * pitch];
        for y in (0..height).step_by(ROWS) {
            let count = ROWS.min(height - y);
            for (i, row) in rows.chunks_exact_mut(pitch).enumerate() {
                let (channel, dy) = (i / ROWS, i % ROWS);
                if channel < self.g.out_channels && dy < count {
                    let start = (channel * height + y + dy) * width;
                    row[..width].copy_from_slice(&self.gy[start..start + width]);
                } else {
                    row.fill(0.0);
                }
            }
            for (block, gy) in rows.chunks_exact(CHANNELS * ROWS * pitch).enumerate() {
                for (i, offsets) in self.offsets.chunks(TAPS).enumerate() {
                    // A last block with fewer taps repeats one; its sum is not read.
                    let last = offsets.len() - 1;
                    let offsets =
                        [0, 1, 2].map(|t: usize| offsets[t.min(last)] + y * self.row_stride);
                    self.block(simd, gy, offsets, count, &mut sums[block * tap_blocks + i]);
                }
            }
        }
        let mut gradient = vec![0.0; self.g.weight_len()];
        for (channel, row) in gradient.chunks_exact_mut(taps).enumerate() {
            for (tap, value) in row.iter_mut().enumerate() {
                let block = &sums[channel / CHANNELS * tap_blocks + tap / TAPS];
                *value = simd.reduce_sum_f32s(block[channel % CHANNELS][tap % TAPS]);
            }
        }
        gradient
    }
}

impl WeightGradient<'_> {
    /// Adds the products of four gradient rows with three taps, over `count` rows.
    #[inline(always)]
    fn block<S: Simd>(
        &self,
        simd: S,
        gy: &[f32],
        offsets: [usize; TAPS],
        count: usize,
        sums: &mut [[S::f32s; TAPS]; CHANNELS],
    ) {
        let pitch = gy.len() / (CHANNELS * ROWS);
        // A local array stays in registers during the loops.
        let mut local = *sums;
        for dy in 0..count {
            let row = |channel: usize| {
                let start = (channel * ROWS + dy) * pitch;
                S::as_simd_f32s(&gy[start..start + pitch]).0
            };
            let tap = |t: usize| {
                let start = offsets[t] + dy * self.row_stride;
                S::as_simd_f32s(&self.x[start..start + pitch]).0
            };
            let (g, x) = ([row(0), row(1), row(2), row(3)], [tap(0), tap(1), tap(2)]);
            let vectors = pitch / S::F32_LANES;
            let (g, x) = (g.map(|g| &g[..vectors]), x.map(|x| &x[..vectors]));
            for v in 0..vectors {
                let x = [x[0][v], x[1][v], x[2][v]];
                for channel in 0..CHANNELS {
                    let g = g[channel][v];
                    for t in 0..TAPS {
                        local[channel][t] = simd.mul_add_f32s(g, x[t], local[channel][t]);
                    }
                }
            }
        }
        *sums = local;
    }
}

/// Forward and weight gradient of one image on `pulp`'s scalar path.
#[cfg(test)]
pub(super) fn scalar(g: &Geometry, x: &[f32], weight: &[f32], gy: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let layout = Polyphase::new(g);
    let (offsets, packed) = (layout.tap_offsets(), pack(g, weight));
    let (mut buffer, mut out) = (vec![0.0; layout.len()], vec![0.0; g.map_len()]);
    layout.fill(x, &mut buffer);
    let row_stride = layout.pitch();
    let bias = vec![0.0; g.out_channels];
    let (x, offsets) = (&buffer[..], &offsets[..]);
    let forward = Forward {
        g,
        row_stride,
        offsets,
        packed: &packed,
        bias: &bias,
        x,
        out: &mut out,
    };
    forward.with_simd(pulp::Scalar);
    let gradient = WeightGradient {
        g,
        row_stride,
        offsets,
        x,
        gy,
    }
    .with_simd(pulp::Scalar);
    (out, gradient)
}
