//! Winograd's minimal filtering: wide 3 x 3 convolutions of stride 1 with fewer multiplications.
//!
//! Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016: tiles of E x E inputs give M x M outputs,
//! Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A with E = M + 2. The products of all tiles are E² matrix products over the channels,
//! one for each element of a tile. Large maps take F(4 x 4, 3 x 3), small ones F(2 x 2, 3 x 3). Knows no stride and no
//! other kernel size.
//!
//! Transformed tiles are stored as `[C, E², tiles]`, each channel by one pass over its rows.

mod filter;
mod kernels;
mod tiles;

use crate::geometry::Geometry;
use crate::matrix::{Matrix, Target, multiply};
use crate::memory;
use filter::{Filter, Matrices};
use kernels::{KernelGradient, KernelTransform};
use pulp::Arch;
use rayon::prelude::*;
use std::ops::Range;
use tiles::{Buffers, GradientTransform, InputTransform, OutputTransform, PAD};

/// Elements of the tiles of a forward block, for each channel: their transformed values stay in L2.
const BLOCK: usize = 2048;
/// Those of a block of the weight gradient. Its products are sums over the tiles, and `gemm` computes long sums at a
/// higher rate.
const LONG_BLOCK: usize = 16 * 1024;
/// Rows and columns of the smallest maps for tiles of 4 x 4 outputs. Smaller ones fill too few of them, and their many
/// channels make the transformed kernels large.
const LARGE_MAP: usize = 14;

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
struct Tiling<const M: usize, const E: usize> {
    /// Rows of tiles of an image.
    rows: usize,
    /// Tiles of a row.
    columns: usize,
    /// Images of a group, which share blocks. Small maps alone would not fill a block.
    group: usize,
    /// Rows of tiles of a block.
    block: usize,
}

impl<const M: usize, const E: usize> Tiling<M, E> {
    /// Elements of a transformed tile.
    const ELEMENTS: usize = E * E;

    /// Blocks of about so many elements.
    fn new(g: &Geometry, elements: usize) -> Self {
        let tiles = elements / Self::ELEMENTS;
        let [rows, columns] = g.output.map(|n| n.div_ceil(M));
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

    /// Distance between two channels of transformed tiles. They do not all begin in the same cache set.
    fn channel_stride(&self) -> usize {
        Self::ELEMENTS * self.element_stride() + PAD
    }

    /// The blocks of a group of `images`: ranges of its rows of tiles.
    fn blocks(&self, images: usize) -> impl Iterator<Item = Range<usize>> + use<M, E> {
        let (rows, block) = (images * self.rows, self.block);
        (0..rows)
            .step_by(block)
            .map(move |first| first..rows.min(first + block))
    }
}

/// Whether tiles of 4 x 4 outputs are the faster ones.
fn has_large_map(g: &Geometry) -> bool {
    g.output.iter().min() >= Some(&LARGE_MAP)
}

/// `[N, C_in, H, W]` to `[N, C_out, H', W']`.
pub(super) fn forward(g: &Geometry, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    if has_large_map(g) {
        convolve::<4, 6>(g, x, weight, bias)
    } else {
        convolve::<2, 4>(g, x, weight, bias)
    }
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
    forward(&backward, gy, &turned, &vec![0.0; g.in_channels])
}

/// Gradient of the weight, `[C_out, C_in, 3, 3]`.
pub(super) fn weight_gradient(g: &Geometry, x: &[f32], gy: &[f32]) -> Vec<f32> {
    if has_large_map(g) {
        correlate::<4, 6>(g, x, gy)
    } else {
        correlate::<2, 4>(g, x, gy)
    }
}

/// [`weight_gradient`] by tiles of M x M outputs.
fn correlate<const M: usize, const E: usize>(g: &Geometry, x: &[f32], gy: &[f32]) -> Vec<f32>
where
    Filter<M, E>: Matrices<M, E>,
{
    let tiling = Tiling::<M, E>::new(g, LONG_BLOCK);
    let pitch = tiling.channel_stride();
    let mut inputs = vec![0.0; g.in_channels * pitch];
    let mut outputs = vec![0.0; g.out_channels * pitch];
    let size = g.out_channels * g.in_channels;
    // `[E², C_out, C_in]`, each element a sum over all tiles.
    let mut sums = vec![0.0; E * E * size + PAD];
    let arch = Arch::new();
    let groups = x
        .chunks(tiling.group * g.image_len())
        .zip(gy.chunks(tiling.group * g.map_len()));
    for (x, gy) in groups {
        for rows in tiling.blocks(x.len() / g.image_len()) {
            let count = rows.len() * tiling.columns;
            let channels = inputs.par_chunks_exact_mut(pitch).enumerate();
            let buffers = || tiling.input_buffers();
            channels.for_each_init(buffers, |buffers, (channel, target)| {
                arch.dispatch(InputTransform {
                    g,
                    tiling,
                    rows: rows.clone(),
                    channel,
                    buffers,
                    x,
                    target,
                });
            });
            let channels = outputs.par_chunks_exact_mut(pitch).enumerate();
            let buffers = || tiling.output_buffers();
            channels.for_each_init(buffers, |buffers, (channel, target)| {
                arch.dispatch(GradientTransform {
                    g,
                    tiling,
                    rows: rows.clone(),
                    channel,
                    buffers,
                    gy,
                    target,
                });
            });
            sums.par_chunks_exact_mut(size)
                .take(E * E)
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
    memory::fill_chunks(size * 9, g.in_channels * 9, |out, row| {
        arch.dispatch(KernelGradient::<M, E> {
            sums: &sums[out * g.in_channels..],
            pitch: size,
            kernels: row.as_chunks_mut::<9>().0,
        });
    })
}

/// G g Gᵀ of each kernel, `[C_out, E², pitch]` with a pitch of C_in filled up to whole vectors.
fn transformed_kernels<const M: usize, const E: usize>(g: &Geometry, weight: &[f32]) -> Vec<f32>
where
    Filter<M, E>: Matrices<M, E>,
{
    let arch = Arch::new();
    let len = E * E * kernel_pitch(g);
    let rows = weight.as_chunks::<9>().0;
    memory::fill_chunks(g.out_channels * len, len, |out, target| {
        arch.dispatch(KernelTransform::<M, E> {
            kernels: &rows[out * g.in_channels..][..g.in_channels],
            target,
        });
    })
}

fn kernel_pitch(g: &Geometry) -> usize {
    g.in_channels.next_multiple_of(PAD)
}

/// What a thread of [`convolve`] reuses for its blocks.
struct Scratch {
    /// `[C_in, E², tiles]`.
    inputs: Vec<f32>,
    /// `[C_out, E², tiles]`.
    outputs: Vec<f32>,
    input_buffers: Buffers,
    output_buffers: Buffers,
}

/// [`forward`] by tiles of M x M outputs.
fn convolve<const M: usize, const E: usize>(
    g: &Geometry,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
) -> Vec<f32>
where
    Filter<M, E>: Matrices<M, E>,
{
    let kernels = transformed_kernels::<M, E>(g, weight);
    let tiling = Tiling::<M, E>::new(g, BLOCK);
    let pitch = tiling.channel_stride();
    let arch = Arch::new();
    let scratch = || Scratch {
        inputs: vec![0.0; g.in_channels * pitch],
        outputs: vec![0.0; g.out_channels * pitch],
        input_buffers: tiling.input_buffers(),
        output_buffers: tiling.output_buffers(),
    };
    let len = g.batch * g.map_len();
    memory::fill_chunks_with(
        len,
        tiling.group * g.map_len(),
        scratch,
        |scratch, i, out| {
            let (inputs, outputs) = (&mut scratch.inputs, &mut scratch.outputs);
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
                        buffers: &mut scratch.input_buffers,
                        x,
                        target,
                    });
                }
                for element in 0..E * E {
                    let from = element * tiling.element_stride();
                    let kernels = &kernels[element * kernel_pitch(g)..];
                    let kernels = Matrix::rows(kernels, g.in_channels, E * E * kernel_pitch(g));
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
                        buffers: &mut scratch.output_buffers,
                        source,
                        bias,
                        out,
                    });
                }
            }
        },
    )
}

#[cfg(test)]
mod tests;
