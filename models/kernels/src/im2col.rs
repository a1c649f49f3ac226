//! im2col: convolution as a matrix product of the weight with a matrix of image patches.
//!
//! A tile of output rows is copied to columns at a time, so that the columns stay in the L2 cache.
//! Knows no SIMD: `gemm` computes.

use crate::geometry::Geometry;
use crate::matrix::{Matrix, Target, multiply};
use crate::{memory, norm};
use rayon::prelude::*;

/// Values of a tile of columns: a quarter of a megabyte, which an L2 cache holds.
const TILE: usize = 64 * 1024;

/// `[N, C_in, H, W]` to `[N, C_out, H', W']`.
pub(super) fn forward(g: &Geometry, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let scratch = || vec![0.0; tile_len(g)];
    let len = g.batch * g.map_len();
    memory::write_chunks_with(len, g.map_len(), scratch, |columns, i, out| {
        let image = &x[i * g.image_len()..][..g.image_len()];
        // The product is added to the bias: no second pass over the output.
        let out = memory::repeated(out, bias);
        let weight = Matrix::contiguous(weight, g.taps());
        for (first, rows) in tiles(g) {
            let count = rows * g.output[1];
            let columns = &mut columns[..g.taps() * count];
            image_to_columns(g, image, (columns, count), first, rows);
            let target = Target {
                data: &mut out[first * g.output[1]..],
                pitch: g.output_pixels(),
                add: true,
            };
            let columns = Matrix::contiguous(columns, count);
            multiply(target, weight, columns, g.out_channels);
        }
        out
    })
}

/// Gradient of the input, `[N, C_in, H, W]`.
pub(super) fn input_gradient(g: &Geometry, weight: &[f32], gy: &[f32]) -> Vec<f32> {
    let scratch = || vec![0.0; tile_len(g)];
    let len = g.batch * g.image_len();
    memory::write_chunks_with(len, g.image_len(), scratch, |columns, i, gx| {
        let gy = &gy[i * g.map_len()..][..g.map_len()];
        let weight = Matrix::transposed(weight, g.out_channels, g.taps());
        let gx = memory::repeated(gx, &[0.0]);
        for (first, rows) in tiles(g) {
            let count = rows * g.output[1];
            let columns = &mut columns[..g.taps() * count];
            let gy = Matrix::rows(&gy[first * g.output[1]..], count, g.output_pixels());
            let target = Target {
                data: columns,
                pitch: count,
                add: false,
            };
            multiply(target, weight, gy, g.taps());
            columns_to_image(g, columns, gx, first, rows);
        }
        gx
    })
}

/// Gradient of the weight, `[C_out, C_in, KH, KW]`.
pub(super) fn weight_gradient(g: &Geometry, x: &[f32], gy: &[f32]) -> Vec<f32> {
    // A partial sum for each run of images. The length of a run depends on the shape alone, so that
    // the order of the additions, and with it every bit, is the same on any number of threads.
    let parts = g.partial_sums();
    let run = g.batch.div_ceil(parts).max(1);
    let runs = x
        .par_chunks(run * g.image_len())
        .zip(gy.par_chunks(run * g.map_len()));
    let scratch = || vec![0.0; tile_len(g)];
    let parts = runs.map_init(scratch, |columns, (x, gy)| {
        let mut sum = vec![0.0; g.weight_len()];
        let images = x.chunks_exact(g.image_len());
        for (image, gy) in images.zip(gy.chunks_exact(g.map_len())) {
            let mut add_product = |gy: &[f32], columns: &[f32], count: usize| {
                let gy = Matrix::rows(gy, count, g.output_pixels());
                let columns = Matrix::transposed(columns, g.taps(), count);
                let target = Target {
                    data: &mut sum,
                    pitch: g.taps(),
                    add: true,
                };
                multiply(target, gy, columns, g.out_channels);
            };
            for (first, rows) in tiles(g) {
                let count = rows * g.output[1];
                let columns = &mut columns[..g.taps() * count];
                image_to_columns(g, image, (columns, count), first, rows);
                add_product(&gy[first * g.output[1]..], columns, count);
            }
        }
        sum
    });
    memory::sum_in_order(parts.collect(), g.weight_len())
}

/// Gradient of the bias, `[C_out]`: the sum over images and pixels.
pub(super) fn bias_gradient(g: &Geometry, gy: &[f32]) -> Vec<f32> {
    let pixels = g.output_pixels();
    let sum = |channel: usize| -> f64 {
        let maps = gy
            .chunks_exact(pixels)
            .skip(channel)
            .step_by(g.out_channels);
        maps.map(|map| f64::from(norm::sum(map))).sum()
    };
    (0..g.out_channels)
        .into_par_iter()
        .map(|channel| sum(channel) as f32)
        .collect()
}

/// Output rows of a tile; one at least, however wide.
fn tile_rows(g: &Geometry) -> usize {
    (TILE / (g.taps() * g.output[1]).max(1)).clamp(1, g.output[0])
}

fn tile_len(g: &Geometry) -> usize {
    g.taps() * tile_rows(g) * g.output[1]
}

/// First row and number of rows of each tile.
fn tiles(g: &Geometry) -> impl Iterator<Item = (usize, usize)> + use<> {
    let (height, rows) = (g.output[0], tile_rows(g));
    (0..height)
        .step_by(rows)
        .map(move |first| (first, rows.min(height - first)))
}

/// One tap in one output row: the outputs `from..to` whose input is not padding, and the index in
/// the image of the first such input.
struct TapRow {
    from: usize,
    to: usize,
    input: usize,
}

/// The outputs of a row whose input by the tap in column `dx` is not padding.
fn tap_columns(g: &Geometry, dx: usize) -> (usize, usize) {
    let (left, stride) = (g.padding[1], g.stride[1]);
    let from = left.saturating_sub(dx).div_ceil(stride).min(g.output[1]);
    let to = (g.input[1] + left)
        .saturating_sub(dx)
        .div_ceil(stride)
        .min(g.output[1])
        .max(from);
    (from, to)
}

/// Calls `visit(tap, row, inputs)` for every tap and every output row of a tile. No inputs: the whole row is padding.
fn for_each_tap_row(
    g: &Geometry,
    first: usize,
    rows: usize,
    mut visit: impl FnMut(usize, usize, Option<TapRow>),
) {
    let ([height, width], [kh, kw]) = (g.input, g.kernel);
    for tap in 0..g.taps() {
        let (channel, dy, dx) = (tap / (kh * kw), tap / kw % kh, tap % kw);
        // Once for all rows: a row takes less time than its divisions.
        let (from, to) = tap_columns(g, dx);
        for row in 0..rows {
            let y = ((first + row) * g.stride[0] + dy).checked_sub(g.padding[0]);
            let inputs = y.filter(|y| *y < height && from < to).map(|y| TapRow {
                from,
                to,
                input: (channel * height + y) * width + from * g.stride[1] + dx - g.padding[1],
            });
            visit(tap, row, inputs);
        }
    }
}

/// im2col: image to columns `[taps, rows · W']`, rows `pitch` apart.
pub(super) fn image_to_columns<T: Copy + Default>(
    g: &Geometry,
    image: &[T],
    (columns, pitch): (&mut [T], usize),
    first: usize,
    rows: usize,
) {
    let (width, stride) = (g.output[1], g.stride[1]);
    for_each_tap_row(g, first, rows, |tap, row, inputs| {
        let target = &mut columns[tap * pitch + row * width..][..width];
        let Some(TapRow { from, to, input }) = inputs else {
            return target.fill(T::default());
        };
        target[..from].fill(T::default());
        target[to..].fill(T::default());
        let source = &image[input..];
        match stride {
            // Neighbouring outputs read neighbouring inputs: one copy.
            1 => target[from..to].copy_from_slice(&source[..to - from]),
            2 => every_second(&mut target[from..to], source),
            _ => {
                let source = source.iter().step_by(stride);
                target[from..to]
                    .iter_mut()
                    .zip(source)
                    .for_each(|(t, s)| *t = *s);
            }
        }
    });
}

/// Copies the first of each two values. Not `step_by(2)`, which is no SIMD.
fn every_second<T: Copy>(target: &mut [T], source: &[T]) {
    let (pairs, rest) = source.as_chunks::<2>();
    for (target, [value, _]) in target.iter_mut().zip(pairs) {
        *target = *value;
    }
    if let ([value], Some(last)) = (rest, target.get_mut(pairs.len())) {
        *last = *value;
    }
}

/// Adds to the first of each two values.
fn add_to_every_second(target: &mut [f32], source: &[f32]) {
    let (pairs, rest) = target.as_chunks_mut::<2>();
    for ([target, _], value) in pairs.iter_mut().zip(source) {
        *target += *value;
    }
    if let ([last], Some(value)) = (rest, source.get(pairs.len())) {
        *last += *value;
    }
}

/// col2im: adds columns to the image that they come from.
pub(super) fn columns_to_image(
    g: &Geometry,
    columns: &[f32],
    image: &mut [f32],
    first: usize,
    rows: usize,
) {
    let (width, stride) = (g.output[1], g.stride[1]);
    for_each_tap_row(g, first, rows, |tap, row, inputs| {
        let Some(TapRow { from, to, input }) = inputs else {
            return;
        };
        let source = &columns[(tap * rows + row) * width..][from..to];
        if stride == 2 {
            return add_to_every_second(&mut image[input..], source);
        }
        let target = image[input..].iter_mut().step_by(stride);
        target.zip(source).for_each(|(t, s)| *t += *s);
    });
}
