//! 1 x 1 convolutions of stride 1: matrix products without columns, of a weight `[C_out, C_in]` and maps `[C, pixels]`.
//!
//! A product with few columns leaves vectors half empty, and prepares the weight anew for each image. So small maps of
//! several images are put side by side, and maps of one pixel are one matrix `[N, C]`.
//! Knows no SIMD: `gemm` computes.

use crate::geometry::Geometry;
use crate::matrix::{Matrix, Target, multiply, write_product};
use crate::memory::{self, Unwritten};
use rayon::prelude::*;

/// Columns from which on a product gains nothing by more.
const COLUMNS: usize = 128;
/// Rows of the weight in one task, where tasks are rows.
const ROWS: usize = 64;

/// `[N, C_in, H, W]` to `[N, C_out, H, W]`.
pub(super) fn forward(g: &Geometry, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let weight = Matrix::contiguous(weight, g.in_channels);
    let bias = bias.iter().any(|b| *b != 0.0).then_some(bias);
    product(g, weight, g.out_channels, x, bias)
}

/// Gradient of the input, `[N, C_in, H, W]`.
pub(super) fn input_gradient(g: &Geometry, weight: &[f32], gy: &[f32]) -> Vec<f32> {
    let weight = Matrix::transposed(weight, g.out_channels, g.in_channels);
    product(g, weight, g.in_channels, gy, None)
}

/// Gradient of the weight, `[C_out, C_in, 1, 1]`.
pub(super) fn weight_gradient(g: &Geometry, x: &[f32], gy: &[f32]) -> Vec<f32> {
    let parts = g.partial_sums();
    // Either a task has some rows of the weight and all images, or some images and the whole weight; then the partial
    // sums are added up, which costs as much as they are long.
    if g.output_pixels() == 1 || parts * g.weight_len() > x.len() + gy.len() {
        return weight_gradient_by_rows(g, x, gy);
    }
    let run = g.batch.div_ceil(parts).max(1);
    let runs = x
        .par_chunks(run * g.image_len())
        .zip(gy.par_chunks(run * g.map_len()));
    let parts = runs.map(|(x, gy)| {
        let mut sum = vec![0.0; g.weight_len()];
        add_weight_gradient(g, x, gy, 0, &mut sum);
        sum
    });
    memory::sum_in_order(parts.collect(), g.weight_len())
}

fn weight_gradient_by_rows(g: &Geometry, x: &[f32], gy: &[f32]) -> Vec<f32> {
    let len = ROWS * g.in_channels;
    memory::fill_chunks(g.weight_len(), len, |index, gw| {
        let first = index * ROWS;
        if g.output_pixels() > 1 {
            return add_weight_gradient(g, x, gy, first, gw);
        }
        let rows = gw.len() / g.in_channels;
        let gy = Matrix::transposed(&gy[first..], g.batch, g.out_channels);
        let target = Target {
            data: gw,
            pitch: g.in_channels,
            add: false,
        };
        multiply(target, gy, Matrix::contiguous(x, g.in_channels), rows);
    })
}

/// Adds the gradient of the rows from `first` on, as many as `gw` has: a product for each image.
fn add_weight_gradient(g: &Geometry, x: &[f32], gy: &[f32], first: usize, gw: &mut [f32]) {
    let pixels = g.output_pixels();
    let rows = gw.len() / g.in_channels;
    let images = x.chunks_exact(g.image_len());
    for (x, gy) in images.zip(gy.chunks_exact(g.map_len())) {
        let target = Target {
            data: gw,
            pitch: g.in_channels,
            add: true,
        };
        let gy = Matrix::contiguous(&gy[first * pixels..], pixels);
        multiply(
            target,
            gy,
            Matrix::transposed(x, g.in_channels, pixels),
            rows,
        );
    }
}

/// `weight` `[rows, C]` times the maps `[N, C, H, W]`, plus a bias for each row: `[N, rows, H, W]`.
fn product(
    g: &Geometry,
    weight: Matrix,
    rows: usize,
    maps: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let pixels = g.output_pixels();
    if pixels == 1 {
        return product_of_pixels(g.batch, weight, rows, maps, bias);
    }
    let (in_len, out_len) = (weight.cols * pixels, rows * pixels);
    // Eight tasks or more, wherever there are as many images.
    let run = (COLUMNS / pixels.max(1)).clamp(1, (g.batch / 8).max(1));
    let len = g.batch * out_len;
    memory::write_chunks_with(
        len,
        run * out_len,
        Vec::new,
        |scratch: &mut Vec<f32>, i, out| {
            let maps = &maps[i * run * in_len..];
            match out.len() / out_len {
                1 => product_of_image(weight, &maps[..in_len], rows, bias, out),
                images => {
                    let maps = Maps {
                        values: &maps[..images * in_len],
                        images,
                        pixels,
                    };
                    product_side_by_side(weight, maps, rows, bias, (scratch, out))
                }
            }
        },
    )
}

/// The product for one image.
fn product_of_image<'a>(
    weight: Matrix,
    map: &[f32],
    rows: usize,
    bias: Option<&[f32]>,
    out: &'a mut Unwritten,
) -> &'a mut [f32] {
    let pixels = out.len() / rows;
    let map = Matrix::contiguous(map, pixels);
    let Some(bias) = bias else {
        return write_product(out, weight, map, rows);
    };
    // The product is added to the bias: no second pass over the output.
    let data = memory::repeated(out, bias);
    let target = Target {
        data: &mut *data,
        pitch: pixels,
        add: true,
    };
    multiply(target, weight, map, rows);
    data
}

/// Maps of several images, `[images, C, pixels]`.
struct Maps<'a> {
    values: &'a [f32],
    images: usize,
    pixels: usize,
}

/// One product for several images, whose maps are copied side by side: `[C, images · pixels]`.
fn product_side_by_side<'a>(
    weight: Matrix,
    maps: Maps,
    rows: usize,
    bias: Option<&[f32]>,
    (scratch, out): (&mut Vec<f32>, &'a mut Unwritten),
) -> &'a mut [f32] {
    let (channels, pixels) = (weight.cols, maps.pixels);
    let cols = maps.images * pixels;
    scratch.resize((channels + rows) * cols, 0.0);
    let (side_by_side, products) = scratch.split_at_mut(channels * cols);
    for (image, maps) in maps.values.chunks_exact(channels * pixels).enumerate() {
        for (row, map) in side_by_side
            .chunks_exact_mut(cols)
            .zip(maps.chunks_exact(pixels))
        {
            row[image * pixels..][..pixels].copy_from_slice(map);
        }
    }
    let target = Target {
        data: &mut *products,
        pitch: cols,
        add: false,
    };
    multiply(target, weight, Matrix::contiguous(side_by_side, cols), rows);
    memory::write_parts(out, pixels, |i, map| {
        let (image, row) = (i / rows, i % rows);
        let shift = bias.map_or(0.0, |bias| bias[row]);
        let product = &products[row * cols + image * pixels..][..pixels];
        memory::written(map, product.iter().map(|value| value + shift))
    })
}

/// The product for maps of one pixel: `[N, C]` to `[N, rows]`.
fn product_of_pixels(
    batch: usize,
    weight: Matrix,
    rows: usize,
    x: &[f32],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let x = Matrix::transposed(x, batch, weight.cols);
    // By rows of the weight, each of which is read once: `[rows, N]`.
    let products = memory::write_chunks(rows * batch, ROWS * batch, |i, out| {
        let weight = weight.skip_rows(i * ROWS);
        let rows = out.len() / batch;
        write_product(out, weight, x, rows)
    });
    let value = |i: usize| {
        let (image, row) = (i / rows, i % rows);
        products[row * batch + image] + bias.map_or(0.0, |bias| bias[row])
    };
    (0..batch * rows).map(value).collect()
}
