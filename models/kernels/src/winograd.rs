//! Winograd's minimal filtering F(2 x 2, 3 x 3): wide 3 x 3 convolutions of stride 1 with 2.25 times
//! fewer multiplications.
//!
//! Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016, section 4.1: tiles of
//! 4 x 4 inputs give 2 x 2 outputs, Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A. The products of all tiles are 16
//! matrix products over the channels, one for each element of a tile. Knows no stride and no other
//! kernel size.
//!
//! Transformed tiles are stored as `[C, 16, tiles]`, each channel by one pass over its rows. Even and
//! odd columns of a row are separated first, so that neighbouring tiles lie side by side.

use crate::geometry::Geometry;
use crate::matrix::{Matrix, Target, multiply};
use crate::{memory, polyphase};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// Elements of a transformed tile, 4 x 4.
const ELEMENTS: usize = 16;
/// Tiles of a forward block: their transformed values stay in L2.
const BLOCK: usize = 128;
/// Tiles of a block of the weight gradient. Its products are sums over the tiles, and `gemm` computes
/// long sums at a higher rate.
const LONG_BLOCK: usize = 1024;
/// Values after each element and each channel: a row's last vector may reach over its end, and the
/// channels do not all begin in the same cache set.
const PAD: usize = 16;

/// Whether this algorithm can compute the convolution.
pub(super) fn is_possible(g: &Geometry) -> bool {
    let paddings = g.padding.iter().chain(&g.end_padding);
    g.kernel == [3, 3] && g.stride == [1, 1] && paddings.max() <= Some(&2)
}

/// Whether this algorithm is the fastest one, too (measured with 16 to 512 channels).
pub(super) fn suits(g: &Geometry) -> bool {
    is_possible(g) && g.in_channels >= 32 && g.out_channels >= 32
}

/// The division of the output into tiles, and of the tiles into blocks.
#[derive(Clone, Copy)]
struct Tiling {
    /// Rows of tiles of an image.
    rows: usize,
    /// Tiles of a row.
    columns: usize,
    /// Images of a group, which share blocks. Small maps alone would not fill a block.
    group: usize,
    /// Rows of tiles of a block.
    block: usize,
}

impl Tiling {
    fn new(g: &Geometry, tiles: usize) -> Self {
        let [rows, columns] = g.output.map(|n| n.div_ceil(2));
        // At most a quarter of the batch, so that four threads have a group each.
        let group = (tiles / (rows * columns)).clamp(1, g.batch.div_ceil(4));
        let block = tiles.div_ceil(columns).min(group * rows);
        Self {
            rows,
            columns,
            group,
            block,
        }
    }

    /// Distance between two elements of transformed tiles.
    fn element_stride(&self) -> usize {
        self.block * self.columns + PAD
    }

    /// Distance between two channels of transformed tiles.
    fn channel_stride(&self) -> usize {
        ELEMENTS * self.element_stride() + PAD
    }

    /// The blocks of a group of `images`: ranges of its rows of tiles.
    fn blocks(&self, images: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let (rows, block) = (images * self.rows, self.block);
        (0..rows)
            .step_by(block)
            .map(move |first| first..rows.min(first + block))
    }
}

/// `[N, C_in, H, W]` to `[N, C_out, H', W']`.
pub(super) fn forward(g: &Geometry, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let kernels = transformed_kernels(g, weight);
    convolve(g, x, &kernels, bias)
}

/// Gradient of the input, `[N, C_in, H, W]`: a convolution with the kernels turned by 180 degrees.
pub(super) fn input_gradient(g: &Geometry, weight: &[f32], gy: &[f32]) -> Vec<f32> {
    let mut turned = vec![0.0; weight.len()];
    for (i, kernel) in weight.as_chunks::<9>().0.iter().enumerate() {
        let (out, channel) = (i / g.in_channels, i % g.in_channels);
        let target = &mut turned[(channel * g.out_channels + out) * 9..][..9];
        target
            .iter_mut()
            .zip(kernel.iter().rev())
            .for_each(|(t, v)| *t = *v);
    }
    // From H + 2p - 2 rows of the output, padding 2 - p leads back to the H rows of the input.
    let backward = Geometry {
        in_channels: g.out_channels,
        out_channels: g.in_channels,
        input: g.output,
        output: g.input,
        padding: g.padding.map(|p| 2 - p),
        end_padding: g.end_padding.map(|p| 2 - p),
        ..*g
    };
    let kernels = transformed_kernels(&backward, &turned);
    convolve(&backward, gy, &kernels, &vec![0.0; g.in_channels])
}

/// Gradient of the weight, `[C_out, C_in, 3, 3]`.
pub(super) fn weight_gradient(g: &Geometry, x: &[f32], gy: &[f32]) -> Vec<f32> {
    let tiling = Tiling::new(g, LONG_BLOCK);
    let pitch = tiling.channel_stride();
    let mut inputs = vec![0.0; g.in_channels * pitch];
    let mut outputs = vec![0.0; g.out_channels * pitch];
    let size = g.out_channels * g.in_channels;
    // `[16, C_out, C_in]`, each element a sum over all tiles.
    let mut sums = vec![0.0; ELEMENTS * size];
    let arch = Arch::new();
    let groups = x
        .chunks(tiling.group * g.image_len())
        .zip(gy.chunks(tiling.group * g.map_len()));
    for (x, gy) in groups {
        for rows in tiling.blocks(x.len() / g.image_len()) {
            let count = rows.len() * tiling.columns;
            let channels = inputs.par_chunks_exact_mut(pitch).enumerate();
            channels.for_each(|(channel, target)| {
                arch.dispatch(InputTransform {
                    g,
                    tiling,
                    rows: rows.clone(),
                    channel,
                    x,
                    target,
                });
            });
            let channels = outputs.par_chunks_exact_mut(pitch).enumerate();
            channels.for_each(|(channel, target)| {
                arch.dispatch(GradientTransform {
                    g,
                    tiling,
                    rows: rows.clone(),
                    channel,
                    gy,
                    target,
                });
            });
            sums.par_chunks_exact_mut(size)
                .enumerate()
                .for_each(|(element, sum)| {
                    let from = element * tiling.element_stride();
                    let outputs = Matrix::rows(&outputs[from..], count, pitch);
                    let inputs = Matrix::transposed(&inputs[from..], g.in_channels, pitch);
                    let target = Target {
                        data: sum,
                        pitch: g.in_channels,
                        add: true,
                    };
                    multiply(target, outputs, inputs, g.out_channels);
                });
        }
    }
    // Gᵀ u G of each kernel.
    memory::fill_chunks(size * 9, g.in_channels * 9, |out, row| {
        for (channel, kernel) in row.as_chunks_mut::<9>().0.iter_mut().enumerate() {
            let u = |element: usize| sums[element * size + out * g.in_channels + channel];
            let fold = |a: f32, b: f32, c: f32, d: f32| {
                [a + 0.5 * (b + c), 0.5 * (b - c), 0.5 * (b + c) + d]
            };
            let columns: [[f32; 3]; 4] =
                std::array::from_fn(|j| fold(u(j), u(4 + j), u(8 + j), u(12 + j)));
            for i in 0..3 {
                let row = fold(columns[0][i], columns[1][i], columns[2][i], columns[3][i]);
                kernel[i * 3..i * 3 + 3].copy_from_slice(&row);
            }
        }
    })
}

/// G g Gᵀ of each kernel, `[16, C_out, C_in]`.
fn transformed_kernels(g: &Geometry, weight: &[f32]) -> Vec<f32> {
    let size = g.out_channels * g.in_channels;
    let fold = |a: f32, b: f32, c: f32| {
        let (outer, middle) = (0.5 * (a + c), 0.5 * b);
        [a, outer + middle, outer - middle, c]
    };
    let kernels = weight.as_chunks::<9>().0;
    // A chunk is a row of four elements.
    memory::fill_chunks(ELEMENTS * size, 4 * size, |i, target| {
        for (index, k) in kernels.iter().enumerate() {
            let column = |j: usize| fold(k[j], k[3 + j], k[6 + j])[i];
            for (j, value) in fold(column(0), column(1), column(2))
                .into_iter()
                .enumerate()
            {
                target[j * size + index] = value;
            }
        }
    })
}

/// Convolution with kernels that are transformed already.
fn convolve(g: &Geometry, x: &[f32], kernels: &[f32], bias: &[f32]) -> Vec<f32> {
    let tiling = Tiling::new(g, BLOCK);
    let pitch = tiling.channel_stride();
    let size = g.out_channels * g.in_channels;
    let arch = Arch::new();
    let scratch = || {
        (
            vec![0.0; g.in_channels * pitch],
            vec![0.0; g.out_channels * pitch],
        )
    };
    let len = g.batch * g.map_len();
    memory::fill_chunks_with(
        len,
        tiling.group * g.map_len(),
        scratch,
        |(inputs, outputs), i, out| {
            let images = out.len() / g.map_len();
            let x = &x[i * tiling.group * g.image_len()..][..images * g.image_len()];
            for rows in tiling.blocks(images) {
                let count = rows.len() * tiling.columns;
                for (channel, target) in inputs.chunks_exact_mut(pitch).enumerate() {
                    arch.dispatch(InputTransform {
                        g,
                        tiling,
                        rows: rows.clone(),
                        channel,
                        x,
                        target,
                    });
                }
                for element in 0..ELEMENTS {
                    let from = element * tiling.element_stride();
                    let kernels = &kernels[element * size..][..size];
                    let kernels = Matrix::contiguous(kernels, g.in_channels);
                    let inputs = Matrix::rows(&inputs[from..], count, pitch);
                    let target = Target {
                        data: &mut outputs[from..],
                        pitch,
                        add: false,
                    };
                    multiply(target, kernels, inputs, g.out_channels);
                }
                for (channel, source) in outputs.chunks_exact(pitch).enumerate() {
                    let bias = bias[channel];
                    arch.dispatch(OutputTransform {
                        g,
                        tiling,
                        rows: rows.clone(),
                        channel,
                        source,
                        bias,
                        out,
                    });
                }
            }
        },
    )
}

/// Bᵀ d B of one channel's tiles.
struct InputTransform<'a> {
    g: &'a Geometry,
    tiling: Tiling,
    /// Rows of tiles of the group.
    rows: Range<usize>,
    channel: usize,
    /// The group's images.
    x: &'a [f32],
    /// `[16, tiles]`.
    target: &'a mut [f32],
}

impl WithSimd for InputTransform<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            g,
            tiling,
            rows,
            channel,
            x,
            target,
        } = self;
        let (columns, stride) = (tiling.columns, tiling.element_stride());
        let plane = PaddedPlane {
            size: g.input,
            padding: g.padding,
        };
        // A tile reads one even and one odd column beyond its own; the last vector reads beyond that.
        let half = columns + 1 + S::F32_LANES;
        let mut lines = vec![0.0; 4 * 2 * half];
        let mut next = usize::MAX;
        for (i, tile_row) in rows.enumerate() {
            let (image, row) = (tile_row / tiling.rows, tile_row % tiling.rows);
            let map = &x[(image * g.in_channels + channel) * g.input_pixels()..];
            // Tiles overlap by two lines: the row of tiles above has left two of the four.
            let ready = if row > 0 && next == tile_row { 2 } else { 0 };
            for line in 2 * row + ready..2 * row + 4 {
                plane.split_row(map, line, &mut lines[line % 4 * 2 * half..][..2 * half]);
            }
            next = tile_row + 1;
            let pairs = [0, 1, 2, 3].map(|k| {
                let start = (2 * row + k) % 4 * 2 * half;
                lines[start..start + 2 * half].split_at(half)
            });
            for column in (0..columns).step_by(S::F32_LANES) {
                let d = [
                    row_times_b(simd, pairs[0].0, pairs[0].1, column),
                    row_times_b(simd, pairs[1].0, pairs[1].1, column),
                    row_times_b(simd, pairs[2].0, pairs[2].1, column),
                    row_times_b(simd, pairs[3].0, pairs[3].1, column),
                ];
                let tile = i * columns + column;
                for j in 0..4 {
                    let [a, b, c, d] = [d[0][j], d[1][j], d[2][j], d[3][j]];
                    store::<S>(target, j * stride + tile, simd.sub_f32s(a, c));
                    store::<S>(target, (4 + j) * stride + tile, simd.add_f32s(b, c));
                    store::<S>(target, (8 + j) * stride + tile, simd.sub_f32s(c, b));
                    store::<S>(target, (12 + j) * stride + tile, simd.sub_f32s(b, d));
                }
            }
        }
    }
}

/// One row of `d B`, from the even and odd columns of a row of `d`.
#[inline(always)]
fn row_times_b<S: Simd>(simd: S, even: &[f32], odd: &[f32], column: usize) -> [S::f32s; 4] {
    let (a, b) = (load::<S>(even, column), load::<S>(odd, column));
    let (c, d) = (load::<S>(even, column + 1), load::<S>(odd, column + 1));
    [
        simd.sub_f32s(a, c),
        simd.add_f32s(b, c),
        simd.sub_f32s(c, b),
        simd.sub_f32s(b, d),
    ]
}

/// The vector that begins at `start`.
#[inline(always)]
fn load<S: Simd>(values: &[f32], start: usize) -> S::f32s {
    S::as_simd_f32s(&values[start..start + S::F32_LANES]).0[0]
}

/// Writes a vector that begins at `start`.
#[inline(always)]
fn store<S: Simd>(values: &mut [f32], start: usize, value: S::f32s) {
    S::as_mut_simd_f32s(&mut values[start..start + S::F32_LANES]).0[0] = value;
}

/// A y Aᵀ of one channel's output gradients: the adjoint of [`OutputTransform`].
struct GradientTransform<'a> {
    g: &'a Geometry,
    tiling: Tiling,
    rows: Range<usize>,
    channel: usize,
    /// Gradients of the group's outputs.
    gy: &'a [f32],
    /// `[16, tiles]`.
    target: &'a mut [f32],
}

impl WithSimd for GradientTransform<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            g,
            tiling,
            rows,
            channel,
            gy,
            target,
        } = self;
        let (columns, stride) = (tiling.columns, tiling.element_stride());
        let plane = PaddedPlane {
            size: g.output,
            padding: [0, 0],
        };
        let half = columns + S::F32_LANES;
        let mut lines = vec![0.0; 2 * 2 * half];
        for (i, tile_row) in rows.enumerate() {
            let (image, row) = (tile_row / tiling.rows, tile_row % tiling.rows);
            let map = &gy[(image * g.out_channels + channel) * g.output_pixels()..];
            for (k, line) in lines.chunks_exact_mut(2 * half).enumerate() {
                plane.split_row(map, 2 * row + k, line);
            }
            for column in (0..columns).step_by(S::F32_LANES) {
                let [a, b, c, d] = [0, 1, 2, 3].map(|line| line * half + column);
                let even = times_a(simd, load::<S>(&lines, a), load::<S>(&lines, c));
                let odd = times_a(simd, load::<S>(&lines, b), load::<S>(&lines, d));
                let tile = i * columns + column;
                for (k, (even, odd)) in even.into_iter().zip(odd).enumerate() {
                    for (j, value) in times_a(simd, even, odd).into_iter().enumerate() {
                        store::<S>(target, (4 * k + j) * stride + tile, value);
                    }
                }
            }
        }
    }
}

/// A · (a, b).
#[inline(always)]
fn times_a<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> [S::f32s; 4] {
    [
        a,
        simd.add_f32s(a, b),
        simd.sub_f32s(a, b),
        simd.neg_f32s(b),
    ]
}

/// Aᵀ m A of one channel's tiles, plus the bias.
struct OutputTransform<'a> {
    g: &'a Geometry,
    tiling: Tiling,
    rows: Range<usize>,
    channel: usize,
    /// `[16, tiles]`.
    source: &'a [f32],
    bias: f32,
    /// The group's outputs.
    out: &'a mut [f32],
}

impl WithSimd for OutputTransform<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            g,
            tiling,
            rows,
            channel,
            source,
            bias,
            out,
        } = self;
        let (columns, stride) = (tiling.columns, tiling.element_stride());
        let [height, width] = g.output;
        let bias = simd.splat_f32s(bias);
        let half = columns + S::F32_LANES;
        let mut lines = vec![0.0; 2 * 2 * half];
        for (i, tile_row) in rows.enumerate() {
            let (image, row) = (tile_row / tiling.rows, tile_row % tiling.rows);
            for column in (0..columns).step_by(S::F32_LANES) {
                let tile = i * columns + column;
                let [a0, a1] = transposed_a_times_column(simd, source, tile, stride, 0);
                let [b0, b1] = transposed_a_times_column(simd, source, tile, stride, 1);
                let [c0, c1] = transposed_a_times_column(simd, source, tile, stride, 2);
                let [d0, d1] = transposed_a_times_column(simd, source, tile, stride, 3);
                let m = [[a0, b0, c0, d0], [a1, b1, c1, d1]];
                for (k, m) in m.into_iter().enumerate() {
                    let [even, odd] = transposed_a_times(simd, m);
                    let start = 2 * k * half + column;
                    store::<S>(&mut lines, start, simd.add_f32s(even, bias));
                    store::<S>(&mut lines, start + half, simd.add_f32s(odd, bias));
                }
            }
            let map = &mut out[(image * g.out_channels + channel) * height * width..];
            for (k, line) in lines.chunks_exact(2 * half).enumerate() {
                // A map of odd height has a last row of tiles with one line.
                let y = 2 * row + k;
                if y < height {
                    interleave(line, &mut map[y * width..][..width]);
                }
            }
        }
    }
}

/// Column `j` of Aᵀ m, where the elements of `m` are `stride` apart.
#[inline(always)]
fn transposed_a_times_column<S: Simd>(
    simd: S,
    m: &[f32],
    tile: usize,
    stride: usize,
    j: usize,
) -> [S::f32s; 2] {
    let start = |i: usize| (4 * i + j) * stride + tile;
    let (a, b) = (load::<S>(m, start(0)), load::<S>(m, start(1)));
    let (c, d) = (load::<S>(m, start(2)), load::<S>(m, start(3)));
    transposed_a_times(simd, [a, b, c, d])
}

/// Aᵀ · m.
#[inline(always)]
fn transposed_a_times<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 2] {
    let sum = simd.add_f32s(simd.add_f32s(a, b), c);
    [sum, simd.sub_f32s(simd.sub_f32s(b, c), d)]
}

/// A channel of an image, and the width of the zeros around it.
struct PaddedPlane {
    size: [usize; 2],
    padding: [usize; 2],
}

impl PaddedPlane {
    /// Row `line` of the padded plane, even columns before odd ones, each filled up with zeros.
    #[inline(always)]
    fn split_row(&self, map: &[f32], line: usize, target: &mut [f32]) {
        let ([height, width], [top, left]) = (self.size, self.padding);
        target.fill(0.0);
        let Some(y) = line.checked_sub(top).filter(|y| *y < height) else {
            return;
        };
        let source = &map[y * width..][..width];
        let (even, odd) = target.split_at_mut(target.len() / 2);
        polyphase::split_even_odd(source, left, even, odd);
    }
}

/// Even and odd columns to a row.
#[inline(always)]
fn interleave(line: &[f32], row: &mut [f32]) {
    let (even, odd) = line.split_at(line.len() / 2);
    let (pairs, rest) = row.as_chunks_mut::<2>();
    let last = pairs.len();
    for ((pair, even), odd) in pairs.iter_mut().zip(even).zip(odd) {
        *pair = [*even, *odd];
    }
    if let [value] = rest {
        *value = even[last];
    }
}

#[cfg(test)]
mod tests;
