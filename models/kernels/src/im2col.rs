//! Convolutions as matrix products: a tile of output rows at a time is spread out (`im2col`) so
//! that the columns stay in cache, and multiplied by `gemm`.

use super::geometry::Geometry;
use super::matrix::{Matrix, Target, multiply};
use super::memory;
use rayon::prelude::*;

/// Values of a tile of columns: a quarter of a megabyte, which an L2 cache holds.
const TILE: usize = 64 * 1024;
/// Values of all partial sums of a weight gradient together.
const PARTIALS: usize = 16 * 1024 * 1024;

/// `[N, C_in, H, W]` to `[N, C_out, H', W']`.
pub(super) fn forward(g: &Geometry, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let own = || vec![0.0; tile_len(g)];
    let len = g.batch * g.map_len();
    memory::pieces_with(len, g.map_len(), own, |columns, i, out| {
        let image = &x[i * g.image_len()..][..g.image_len()];
        for (channel, bias) in out.chunks_exact_mut(g.output_pixels()).zip(bias) {
            channel.fill(*bias);
        }
        for (first, rows) in tiles(g) {
            let count = rows * g.output[1];
            let columns = &mut columns[..g.taps() * count];
            spread(g, image, columns, first, rows);
            let target = Target {
                data: &mut out[first * g.output[1]..],
                pitch: g.output_pixels(),
                add: true,
            };
            let weight = Matrix::plain(weight, g.taps());
            multiply(
                target,
                weight,
                Matrix::plain(columns, count),
                g.out_channels,
            );
        }
    })
}

/// Gradient of the input, `[N, C_in, H, W]`.
pub(super) fn input_gradient(g: &Geometry, weight: &[f32], gy: &[f32]) -> Vec<f32> {
    let own = || vec![0.0; tile_len(g)];
    let len = g.batch * g.image_len();
    memory::pieces_with(len, g.image_len(), own, |columns, i, gx| {
        let gy = &gy[i * g.map_len()..][..g.map_len()];
        for (first, rows) in tiles(g) {
            let count = rows * g.output[1];
            let columns = &mut columns[..g.taps() * count];
            let gy = Matrix::rows(&gy[first * g.output[1]..], count, g.output_pixels());
            let weight = Matrix::transposed(weight, g.out_channels, g.taps());
            let target = Target {
                data: columns,
                pitch: count,
                add: false,
            };
            multiply(target, weight, gy, g.taps());
            gather(g, columns, gx, first, rows);
        }
    })
}

/// Gradient of the weight, `[C_out, C_in, KH, KW]`.
pub(super) fn weight_gradient(g: &Geometry, x: &[f32], gy: &[f32]) -> Vec<f32> {
    // Partial sums over runs of images whose length depends on the shape alone.
    let parts = (PARTIALS / g.weight_len()).clamp(2, 16).min(g.batch.max(1));
    let run = g.batch.div_ceil(parts).max(1);
    let runs = x
        .par_chunks(run * g.image_len())
        .zip(gy.par_chunks(run * g.map_len()));
    let own = || vec![0.0; tile_len(g)];
    let parts = runs.map_init(own, |columns, (x, gy)| {
        let mut sum = vec![0.0; g.weight_len()];
        let images = x.chunks_exact(g.image_len());
        for (image, gy) in images.zip(gy.chunks_exact(g.map_len())) {
            for (first, rows) in tiles(g) {
                let count = rows * g.output[1];
                let columns = &mut columns[..g.taps() * count];
                spread(g, image, columns, first, rows);
                let gy = Matrix::rows(&gy[first * g.output[1]..], count, g.output_pixels());
                let columns = Matrix::transposed(columns, g.taps(), count);
                let target = Target {
                    data: &mut sum,
                    pitch: g.taps(),
                    add: true,
                };
                multiply(target, gy, columns, g.out_channels);
            }
        }
        sum
    });
    let parts: Vec<Vec<f32>> = parts.collect();
    let mut total = vec![0.0; g.weight_len()];
    for part in parts {
        total.iter_mut().zip(part).for_each(|(t, v)| *t += v);
    }
    total
}

/// Gradient of the bias, `[C_out]`: the sum over images and pixels.
pub(super) fn bias_gradient(g: &Geometry, gy: &[f32]) -> Vec<f32> {
    let pixels = g.output_pixels();
    let sum = |channel: usize| -> f64 {
        let maps = gy
            .chunks_exact(pixels)
            .skip(channel)
            .step_by(g.out_channels);
        maps.map(|map| f64::from(super::norm::sum(map))).sum()
    };
    (0..g.out_channels)
        .into_par_iter()
        .map(|channel| sum(channel) as f32)
        .collect()
}

/// Output rows of a tile.
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

/// What one kernel element sees in one output row: the outputs that are not padding, and the
/// input of the first of them.
struct Seen {
    from: usize,
    to: usize,
    input: usize,
}

/// `None` where the whole row is padding.
fn seen(g: &Geometry, channel: usize, dy: usize, dx: usize, y: usize) -> Option<Seen> {
    let [height, width] = g.input;
    let iy = (y * g.stride[0] + dy)
        .checked_sub(g.padding[0])
        .filter(|iy| *iy < height)?;
    let (left, stride) = (g.padding[1], g.stride[1]);
    let from = left.saturating_sub(dx).div_ceil(stride).min(g.output[1]);
    let to = (width + left)
        .saturating_sub(dx)
        .div_ceil(stride)
        .min(g.output[1])
        .max(from);
    if from == to {
        return None;
    }
    Some(Seen {
        from,
        to,
        input: (channel * height + iy) * width + from * stride + dx - left,
    })
}

/// Calls back for every row of columns: its index, the output row within the tile, what it sees.
fn each_row(
    g: &Geometry,
    first: usize,
    rows: usize,
    mut f: impl FnMut(usize, usize, Option<Seen>),
) {
    let [kh, kw] = g.kernel;
    for tap in 0..g.taps() {
        let (channel, dy, dx) = (tap / (kh * kw), tap / kw % kh, tap % kw);
        for row in 0..rows {
            f(tap, row, seen(g, channel, dy, dx, first + row));
        }
    }
}

/// Image to columns `[taps, rows · W']`.
fn spread(g: &Geometry, image: &[f32], columns: &mut [f32], first: usize, rows: usize) {
    let (width, stride) = (g.output[1], g.stride[1]);
    each_row(g, first, rows, |tap, row, seen| {
        let target = &mut columns[(tap * rows + row) * width..][..width];
        let Some(Seen { from, to, input }) = seen else {
            return target.fill(0.0);
        };
        target[..from].fill(0.0);
        target[to..].fill(0.0);
        let source = &image[input..];
        match stride {
            1 => target[from..to].copy_from_slice(&source[..to - from]),
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

/// Columns back to the image, adding.
fn gather(g: &Geometry, columns: &[f32], image: &mut [f32], first: usize, rows: usize) {
    let (width, stride) = (g.output[1], g.stride[1]);
    each_row(g, first, rows, |tap, row, seen| {
        let Some(Seen { from, to, input }) = seen else {
            return;
        };
        let source = &columns[(tap * rows + row) * width..][from..to];
        let target = image[input..].iter_mut().step_by(stride);
        target.zip(source).for_each(|(t, s)| *t += *s);
    });
}
