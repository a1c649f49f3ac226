//! Convolutions, and products of matrices, with bf16 inputs and f32 sums, by the processor's own bf16 products.
//!
//! As in `im2col`, a convolution is a product of matrices, of a tile of output rows at a time. Images, weights and
//! gradients of outputs are rounded to bf16 once; sums, biases and results are f32. Where the stride is 1, the gradient
//! of the input is a convolution with the kernels turned by 180 degrees. Where Winograd's algorithm in f32 is faster than the
//! processor's bf16 products, it multiplies the rounded numbers.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(crate) mod matmul;
mod operands;
mod product;
#[cfg(test)]
mod tests;
mod unit;

pub(crate) use unit::Unit;

use crate::geometry::{ConvArgs, Geometry};
use crate::im2col::{columns_to_image, image_to_columns};
use crate::precision::Precision;
use crate::{memory, winograd};
use operands::{Left, Pairs, rounded_f32};
use rayon::prelude::*;

/// Values of a tile of columns: half a megabyte, which an L2 cache holds.
const TILE: usize = 256 * 1024;

/// Buffers of a thread.
#[derive(Default)]
struct Scratch {
    /// An image in bf16.
    image: Vec<u16>,
    /// The gradient of its output in bf16.
    gradient: Vec<u16>,
    /// Columns of a tile of the image `[taps, pixels]`.
    columns: Left,
    /// The right factor of a product.
    pairs: Pairs,
    /// Gradients of columns.
    sums: Vec<f32>,
}

/// `[N, C_in, H, W]` to `[N, C_out, H', W']`.
pub(super) fn forward(
    unit: Unit,
    g: &Geometry,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
) -> Vec<f32> {
    if unit.is_slower_than_winograd() && winograd::suits(g) {
        return winograd::forward(g, &rounded_f32(x), &rounded_f32(weight), bias);
    }
    let weight = Left::of_rows(weight, g.out_channels, g.taps());
    convolve(unit, g, x, &weight, bias)
}

fn convolve(unit: Unit, g: &Geometry, x: &[f32], weight: &Left, bias: &[f32]) -> Vec<f32> {
    let (len, pixels) = (g.batch * g.map_len(), g.output_pixels());
    memory::write_chunks_with(len, g.map_len(), Scratch::default, |scratch, i, out| {
        let out = memory::repeated(out, &[0.0]);
        let Scratch {
            image,
            columns,
            pairs,
            ..
        } = scratch;
        operands::round(&x[i * g.image_len()..][..g.image_len()], image);
        for tile in tiles(g) {
            let columns = tile_columns(g, image, columns, &tile);
            pairs.of_rows(columns, g.taps(), tile.pixels);
            let first = tile.row * g.output[1];
            product::multiply(unit, weight, pairs, |block| {
                for (row, values) in block.rows() {
                    let target = &mut out[row * pixels + first + block.column..][..values.len()];
                    let bias = bias[row];
                    target
                        .iter_mut()
                        .zip(values)
                        .for_each(|(t, v)| *t = v + bias);
                }
            });
        }
        out
    })
}

/// Gradient of the input, `[N, C_in, H, W]`.
pub(super) fn input_gradient(unit: Unit, g: &Geometry, weight: &[f32], gy: &[f32]) -> Vec<f32> {
    if unit.is_slower_than_winograd() && winograd::suits(g) {
        return winograd::input_gradient(g, &rounded_f32(weight), &rounded_f32(gy));
    }
    if let Some(turned) = turned(g) {
        let area = g.kernel[0] * g.kernel[1];
        // [C_out, C_in, KH, KW] to [C_in, C_out, KH, KW], each kernel backwards.
        let weight = Left::new(g.in_channels, turned.taps(), |channel, tap| {
            let (out, at) = (tap / area, tap % area);
            weight[(out * g.in_channels + channel) * area + area - 1 - at]
        });
        return convolve(unit, &turned, gy, &weight, &vec![0.0; g.in_channels]);
    }
    let taps = g.taps();
    let weight = Left::new(taps, g.out_channels, |tap, out| weight[out * taps + tap]);
    let (len, pixels) = (g.batch * g.image_len(), g.output_pixels());
    memory::write_chunks_with(len, g.image_len(), Scratch::default, |scratch, i, gx| {
        let gx = memory::repeated(gx, &[0.0]);
        let Scratch {
            gradient,
            pairs,
            sums,
            ..
        } = scratch;
        operands::round(&gy[i * g.map_len()..][..g.map_len()], gradient);
        for tile in tiles(g) {
            let rows = Columns {
                values: &gradient[tile.row * g.output[1]..],
                pitch: pixels,
            };
            pairs.of_rows(rows, g.out_channels, tile.pixels);
            sums.resize(taps * tile.pixels, 0.0);
            product::multiply(unit, &weight, pairs, |block| {
                for (row, values) in block.rows() {
                    sums[row * tile.pixels + block.column..][..values.len()]
                        .copy_from_slice(values);
                }
            });
            columns_to_image(g, sums, gx, tile.row, tile.rows);
        }
        gx
    })
}

/// Gradient of the weight, `[C_out, C_in, KH, KW]`.
pub(super) fn weight_gradient(unit: Unit, g: &Geometry, x: &[f32], gy: &[f32]) -> Vec<f32> {
    if unit.is_slower_than_winograd() && winograd::suits(g) {
        return winograd::weight_gradient(g, &rounded_f32(x), &rounded_f32(gy));
    }
    // As in `im2col`: runs of images by the shape alone, so that no bit depends on the threads.
    let parts = g.partial_sums();
    let run = g.batch.div_ceil(parts).max(1);
    let runs = x
        .par_chunks(run * g.image_len())
        .zip(gy.par_chunks(run * g.map_len()));
    let (taps, pixels) = (g.taps(), g.output_pixels());
    let parts = runs.map_init(Scratch::default, |scratch, (x, gy)| {
        let mut sum = vec![0.0; g.weight_len()]; // [taps, C_out]
        let images = x.chunks_exact(g.image_len());
        for (x, gy) in images.zip(gy.chunks_exact(g.map_len())) {
            let Scratch {
                image,
                gradient,
                columns,
                pairs,
                ..
            } = &mut *scratch;
            operands::round(x, image);
            operands::round(gy, gradient);
            for tile in tiles(g) {
                fill_columns(g, image, columns, &tile);
                let rows = Columns {
                    values: &gradient[tile.row * g.output[1]..],
                    pitch: pixels,
                };
                pairs.of_columns(rows, g.out_channels, tile.pixels);
                product::multiply(unit, columns, pairs, |block| {
                    for (row, values) in block.rows() {
                        let target =
                            &mut sum[row * g.out_channels + block.column..][..values.len()];
                        target.iter_mut().zip(values).for_each(|(t, v)| *t += v);
                    }
                });
            }
        }
        sum
    });
    let sum = memory::sum_in_order(parts.collect(), g.weight_len());
    let mut gradient = vec![0.0; g.weight_len()];
    for (out, row) in gradient.chunks_exact_mut(taps).enumerate() {
        let values = sum[out..].iter().step_by(g.out_channels);
        row.iter_mut().zip(values).for_each(|(t, v)| *t = *v);
    }
    gradient
}

/// The convolution of gradients of outputs that gives those of inputs, where there is one.
fn turned(g: &Geometry) -> Option<Geometry> {
    let rest = |padding: [usize; 2]| -> Option<[usize; 2]> {
        let [height, width] = [0, 1].map(|i| (g.kernel[i] - 1).checked_sub(padding[i]));
        Some([height?, width?])
    };
    if g.stride != [1, 1] {
        return None;
    }
    let args = ConvArgs {
        stride: [1, 1],
        padding: rest(g.padding)?,
        end_padding: rest(g.end_padding)?,
        precision: Precision::Bf16,
    };
    let [height, width] = g.output;
    let [kernel_height, kernel_width] = g.kernel;
    let input = [g.batch, g.out_channels, height, width];
    let weight = [g.in_channels, g.out_channels, kernel_height, kernel_width];
    Some(Geometry::new(input, weight, args))
}

/// Output rows that are computed together.
struct Tile {
    row: usize,
    rows: usize,
    pixels: usize,
}

fn tiles(g: &Geometry) -> impl Iterator<Item = Tile> + use<> {
    let [height, width] = g.output;
    let rows = (TILE / (g.taps() * width).max(1)).clamp(1, height);
    (0..height).step_by(rows).map(move |row| {
        let rows = rows.min(height - row);
        Tile {
            row,
            rows,
            pixels: rows * width,
        }
    })
}

/// Rows of bf16, `pitch` apart.
#[derive(Clone, Copy)]
struct Columns<'a> {
    values: &'a [u16],
    pitch: usize,
}

/// The columns of a tile `[taps, pixels]`. An image is its own columns where the kernel is 1 x 1 and its stride 1.
fn tile_columns<'a>(
    g: &Geometry,
    image: &'a [u16],
    columns: &'a mut Left,
    tile: &Tile,
) -> Columns<'a> {
    if g.is_pointwise() {
        return Columns {
            values: &image[tile.row * g.output[1]..],
            pitch: g.input_pixels(),
        };
    }
    fill_columns(g, image, columns, tile);
    columns.view()
}

/// The same as a left factor.
fn fill_columns(g: &Geometry, image: &[u16], columns: &mut Left, tile: &Tile) {
    let (values, pitch) = columns.unwritten(g.taps(), tile.pixels);
    if !g.is_pointwise() {
        return image_to_columns(g, image, (values, pitch), tile.row, tile.rows);
    }
    let maps = image.chunks_exact(g.input_pixels());
    for (target, map) in values.chunks_exact_mut(pitch).zip(maps) {
        target[..tile.pixels].copy_from_slice(&map[tile.row * g.output[1]..][..tile.pixels]);
    }
}
