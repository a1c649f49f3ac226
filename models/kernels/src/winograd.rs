//! Wide 3 x 3 convolutions of stride 1 with 2.25 times fewer multiplications.
//!
//! Winograd's F(2 x 2, 3 x 3), Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks",
//! 2016, section 4.1: tiles of 4 x 4 inputs give 2 x 2 outputs, Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A. The
//! products of all tiles are 16 matrix products over the channels, one per place in a tile.
//!
//! Transformed tiles are stored as `[C, 16, tiles]`: each channel's by one pass over its rows, whose
//! even and odd columns are first put apart so that neighbouring tiles lie side by side.

use super::geometry::Geometry;
use super::matrix::{Matrix, Target, multiply};
use super::{memory, split};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// Places in a tile.
const PLACES: usize = 16;
/// Tiles of a forward block: their transformed values stay in L2.
const BLOCK: usize = 128;
/// Tiles of a block of the weight gradient, whose products are summed over the tiles.
const LONG_BLOCK: usize = 1024;
/// Values after each place and each channel: a row's last vector may reach over its end, and the
/// channels do not all begin in the same cache set.
const PAD: usize = 16;

/// Whether a convolution can be computed this way.
pub(super) fn possible(g: &Geometry) -> bool {
    g.kernel == [3, 3] && g.stride == [1, 1] && g.padding.iter().all(|p| *p <= 2)
}

/// Whether this way is the faster one, too (measured on 16 to 512 channels).
pub(super) fn suits(g: &Geometry) -> bool {
    possible(g) && g.in_channels >= 32 && g.out_channels >= 32
}

/// How the output is cut into tiles.
#[derive(Clone, Copy)]
struct Tiling {
    /// Rows of tiles of an image.
    rows: usize,
    /// Tiles of a row.
    columns: usize,
    /// Images of a group, which share blocks.
    group: usize,
    /// Rows of tiles of a block.
    block: usize,
}

impl Tiling {
    fn new(g: &Geometry, tiles: usize) -> Self {
        let [rows, columns] = g.output.map(|n| n.div_ceil(2));
        // Small maps share a block, as long as there are groups enough for threads.
        let group = (tiles / (rows * columns)).clamp(1, g.batch.div_ceil(4));
        let block = tiles.div_ceil(columns).min(group * rows);
        Self {
            rows,
            columns,
            group,
            block,
        }
    }

    /// Distance between two places of transformed tiles.
    fn place(&self) -> usize {
        self.block * self.columns + PAD
    }

    /// Distance between two channels of transformed tiles.
    fn channel(&self) -> usize {
        PLACES * self.place() + PAD
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

/// Gradient of the input, `[N, C_in, H, W]`: a convolution with the kernels turned round.
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
    let back = Geometry {
        in_channels: g.out_channels,
        out_channels: g.in_channels,
        input: g.output,
        output: g.input,
        padding: g.padding.map(|p| 2 - p),
        ..*g
    };
    let kernels = transformed_kernels(&back, &turned);
    convolve(&back, gy, &kernels, &vec![0.0; g.in_channels])
}

/// Gradient of the weight, `[C_out, C_in, 3, 3]`.
pub(super) fn weight_gradient(g: &Geometry, x: &[f32], gy: &[f32]) -> Vec<f32> {
    let tiling = Tiling::new(g, LONG_BLOCK);
    let pitch = tiling.channel();
    let mut inputs = vec![0.0; g.in_channels * pitch];
    let mut outputs = vec![0.0; g.out_channels * pitch];
    let size = g.out_channels * g.in_channels;
    let mut sums = vec![0.0; PLACES * size];
    let arch = Arch::new();
    let groups = x
        .chunks(tiling.group * g.image_len())
        .zip(gy.chunks(tiling.group * g.map_len()));
    for (x, gy) in groups {
        for rows in tiling.blocks(x.len() / g.image_len()) {
            let count = rows.len() * tiling.columns;
            let spread = |transform: &(dyn Fn(usize, &mut [f32]) + Sync), target: &mut [f32]| {
                let channels = target.par_chunks_exact_mut(pitch).enumerate();
                channels.for_each(|(channel, target)| transform(channel, target));
            };
            let of_input = |channel: usize, target: &mut [f32]| {
                arch.dispatch(Spread {
                    g,
                    tiling,
                    rows: rows.clone(),
                    channel,
                    x,
                    target,
                });
            };
            let of_output = |channel: usize, target: &mut [f32]| {
                arch.dispatch(Adjoint {
                    g,
                    tiling,
                    rows: rows.clone(),
                    channel,
                    gy,
                    target,
                });
            };
            spread(&of_input, &mut inputs);
            spread(&of_output, &mut outputs);
            sums.par_chunks_exact_mut(size)
                .enumerate()
                .for_each(|(place, sum)| {
                    let from = place * tiling.place();
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
    memory::pieces(size * 9, g.in_channels * 9, |out, row| {
        for (channel, kernel) in row.as_chunks_mut::<9>().0.iter_mut().enumerate() {
            let u = |place: usize| sums[place * size + out * g.in_channels + channel];
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
    // A piece is a row of four places.
    memory::pieces(PLACES * size, 4 * size, |i, target| {
        for (at, k) in kernels.iter().enumerate() {
            let column = |j: usize| fold(k[j], k[3 + j], k[6 + j])[i];
            for (j, value) in fold(column(0), column(1), column(2))
                .into_iter()
                .enumerate()
            {
                target[j * size + at] = value;
            }
        }
    })
}

fn convolve(g: &Geometry, x: &[f32], kernels: &[f32], bias: &[f32]) -> Vec<f32> {
    let tiling = Tiling::new(g, BLOCK);
    let pitch = tiling.channel();
    let size = g.out_channels * g.in_channels;
    let arch = Arch::new();
    let own = || {
        (
            vec![0.0; g.in_channels * pitch],
            vec![0.0; g.out_channels * pitch],
        )
    };
    let len = g.batch * g.map_len();
    memory::pieces_with(
        len,
        tiling.group * g.map_len(),
        own,
        |(inputs, outputs), i, out| {
            let images = out.len() / g.map_len();
            let x = &x[i * tiling.group * g.image_len()..][..images * g.image_len()];
            for rows in tiling.blocks(images) {
                let count = rows.len() * tiling.columns;
                for (channel, target) in inputs.chunks_exact_mut(pitch).enumerate() {
                    arch.dispatch(Spread {
                        g,
                        tiling,
                        rows: rows.clone(),
                        channel,
                        x,
                        target,
                    });
                }
                for place in 0..PLACES {
                    let from = place * tiling.place();
                    let kernels = Matrix::plain(&kernels[place * size..][..size], g.in_channels);
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
                    arch.dispatch(Join {
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
struct Spread<'a> {
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

impl WithSimd for Spread<'_> {
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
        let (columns, place) = (tiling.columns, tiling.place());
        let plane = Plane {
            size: g.input,
            padding: g.padding,
        };
        let half = columns + 1 + S::F32_LANES;
        let mut lines = vec![0.0; 4 * 2 * half];
        let mut next = usize::MAX;
        for (i, tile_row) in rows.enumerate() {
            let (image, row) = (tile_row / tiling.rows, tile_row % tiling.rows);
            let map = &x[(image * g.in_channels + channel) * g.input_pixels()..];
            // The row of tiles above has left two of the four lines.
            let ready = if row > 0 && next == tile_row { 2 } else { 0 };
            for line in 2 * row + ready..2 * row + 4 {
                plane.put_apart(map, line, &mut lines[line % 4 * 2 * half..][..2 * half]);
            }
            next = tile_row + 1;
            let pairs = [0, 1, 2, 3].map(|k| {
                let start = (2 * row + k) % 4 * 2 * half;
                lines[start..start + 2 * half].split_at(half)
            });
            for column in (0..columns).step_by(S::F32_LANES) {
                let d = [
                    across(simd, pairs[0], column),
                    across(simd, pairs[1], column),
                    across(simd, pairs[2], column),
                    across(simd, pairs[3], column),
                ];
                let at = i * columns + column;
                for j in 0..4 {
                    let [a, b, c, d] = [d[0][j], d[1][j], d[2][j], d[3][j]];
                    store::<S>(target, j * place + at, simd.sub_f32s(a, c));
                    store::<S>(target, (4 + j) * place + at, simd.add_f32s(b, c));
                    store::<S>(target, (8 + j) * place + at, simd.sub_f32s(c, b));
                    store::<S>(target, (12 + j) * place + at, simd.sub_f32s(b, d));
                }
            }
        }
    }
}

/// One row of `d B`.
#[inline(always)]
fn across<S: Simd>(simd: S, (even, odd): (&[f32], &[f32]), column: usize) -> [S::f32s; 4] {
    let (a, b) = (load::<S>(even, column), load::<S>(odd, column));
    let (c, d) = (load::<S>(even, column + 1), load::<S>(odd, column + 1));
    [
        simd.sub_f32s(a, c),
        simd.add_f32s(b, c),
        simd.sub_f32s(c, b),
        simd.sub_f32s(b, d),
    ]
}

/// A vector from `at` on.
#[inline(always)]
fn load<S: Simd>(values: &[f32], at: usize) -> S::f32s {
    S::as_simd_f32s(&values[at..at + S::F32_LANES]).0[0]
}

/// Writes a vector from `at` on.
#[inline(always)]
fn store<S: Simd>(values: &mut [f32], at: usize, value: S::f32s) {
    S::as_mut_simd_f32s(&mut values[at..at + S::F32_LANES]).0[0] = value;
}

/// A y Aᵀ of one channel's gradients: [`Join`] the other way round.
struct Adjoint<'a> {
    g: &'a Geometry,
    tiling: Tiling,
    rows: Range<usize>,
    channel: usize,
    /// Gradients of the group's outputs.
    gy: &'a [f32],
    /// `[16, tiles]`.
    target: &'a mut [f32],
}

impl WithSimd for Adjoint<'_> {
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
        let (columns, place) = (tiling.columns, tiling.place());
        let plane = Plane {
            size: g.output,
            padding: [0, 0],
        };
        let half = columns + S::F32_LANES;
        let mut lines = vec![0.0; 2 * 2 * half];
        for (i, tile_row) in rows.enumerate() {
            let (image, row) = (tile_row / tiling.rows, tile_row % tiling.rows);
            let map = &gy[(image * g.out_channels + channel) * g.output_pixels()..];
            for (k, line) in lines.chunks_exact_mut(2 * half).enumerate() {
                plane.put_apart(map, 2 * row + k, line);
            }
            for column in (0..columns).step_by(S::F32_LANES) {
                let [a, b, c, d] = [0, 1, 2, 3].map(|line| line * half + column);
                let even = fan(simd, load::<S>(&lines, a), load::<S>(&lines, c));
                let odd = fan(simd, load::<S>(&lines, b), load::<S>(&lines, d));
                let at = i * columns + column;
                for (k, (even, odd)) in even.into_iter().zip(odd).enumerate() {
                    for (j, value) in fan(simd, even, odd).into_iter().enumerate() {
                        store::<S>(target, (4 * k + j) * place + at, value);
                    }
                }
            }
        }
    }
}

/// A · (a, b).
#[inline(always)]
fn fan<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> [S::f32s; 4] {
    [
        a,
        simd.add_f32s(a, b),
        simd.sub_f32s(a, b),
        simd.neg_f32s(b),
    ]
}

/// Aᵀ m A of one channel's tiles, and the bias.
struct Join<'a> {
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

impl WithSimd for Join<'_> {
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
        let (columns, place) = (tiling.columns, tiling.place());
        let [height, width] = g.output;
        let bias = simd.splat_f32s(bias);
        let half = columns + S::F32_LANES;
        let mut lines = vec![0.0; 2 * 2 * half];
        for (i, tile_row) in rows.enumerate() {
            let (image, row) = (tile_row / tiling.rows, tile_row % tiling.rows);
            for column in (0..columns).step_by(S::F32_LANES) {
                let at = i * columns + column;
                let tile = [at, place];
                let [a0, a1] = down(simd, source, tile, 0);
                let [b0, b1] = down(simd, source, tile, 1);
                let [c0, c1] = down(simd, source, tile, 2);
                let [d0, d1] = down(simd, source, tile, 3);
                let m = [[a0, b0, c0, d0], [a1, b1, c1, d1]];
                for (k, m) in m.into_iter().enumerate() {
                    let [even, odd] = fold(simd, m);
                    let at = 2 * k * half + column;
                    store::<S>(&mut lines, at, simd.add_f32s(even, bias));
                    store::<S>(&mut lines, at + half, simd.add_f32s(odd, bias));
                }
            }
            let map = &mut out[(image * g.out_channels + channel) * height * width..];
            for (k, line) in lines.chunks_exact(2 * half).enumerate() {
                let y = 2 * row + k;
                if y < height {
                    put_together(line, &mut map[y * width..][..width]);
                }
            }
        }
    }
}

/// Column `j` of Aᵀ m.
#[inline(always)]
fn down<S: Simd>(simd: S, m: &[f32], [at, place]: [usize; 2], j: usize) -> [S::f32s; 2] {
    let place_of = |i: usize| (4 * i + j) * place + at;
    let (a, b) = (load::<S>(m, place_of(0)), load::<S>(m, place_of(1)));
    let (c, d) = (load::<S>(m, place_of(2)), load::<S>(m, place_of(3)));
    fold(simd, [a, b, c, d])
}

/// Aᵀ · m.
#[inline(always)]
fn fold<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 2] {
    let sum = simd.add_f32s(simd.add_f32s(a, b), c);
    [sum, simd.sub_f32s(simd.sub_f32s(b, c), d)]
}

/// A map and the zeros around it.
struct Plane {
    size: [usize; 2],
    padding: [usize; 2],
}

impl Plane {
    /// Row `line` of the padded map, even columns before odd ones, each filled up with zeros.
    #[inline(always)]
    fn put_apart(&self, map: &[f32], line: usize, target: &mut [f32]) {
        let ([height, width], [top, left]) = (self.size, self.padding);
        target.fill(0.0);
        let Some(y) = line.checked_sub(top).filter(|y| *y < height) else {
            return;
        };
        let source = &map[y * width..][..width];
        let (even, odd) = target.split_at_mut(target.len() / 2);
        split::put_apart(source, left, even, odd);
    }
}

/// Even and odd columns to a row.
#[inline(always)]
fn put_together(line: &[f32], row: &mut [f32]) {
    let (even, odd) = line.split_at(line.len() / 2);
    let (pairs, rest) = row.as_chunks_mut::<2>();
    let last = pairs.len();
    for ((pair, even), odd) in pairs.iter_mut().zip(even).zip(odd) {
        *pair = [*even, *odd];
    }
    if let [place] = rest {
        *place = even[last];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every transform on the vectors of this machine and on `pulp`'s scalar path.
    #[test]
    fn simd_and_scalar_agree() {
        let g = &Geometry::new([2, 3, 9, 37], [4, 3, 3, 3], [1, 1], [1, 1]);
        let tiling = Tiling::new(g, 60);
        let rows = 0..tiling.block;
        let values = |n: usize| -> Vec<f32> { (0..n).map(|i| (i as f32).sin()).collect() };
        let (x, gy) = (&values(2 * g.image_len())[..], &values(2 * g.map_len())[..]);
        // What lies behind a place's last tile is not looked at.
        let tiles = |mut spread: Vec<f32>| -> Vec<f32> {
            let count = tiling.block * tiling.columns;
            let places = spread.chunks_exact_mut(tiling.place());
            places.for_each(|place| place[count..].fill(0.0));
            spread
        };
        let run = |scalar: bool| {
            let [mut a, mut b] = [(); 2].map(|()| vec![0.0; tiling.channel()]);
            let mut out = vec![0.0; 2 * g.map_len()];
            let source = &values(tiling.channel())[..];
            let channel = 2;
            let rows = || rows.clone();
            let spread = Spread {
                g,
                tiling,
                rows: rows(),
                channel,
                x,
                target: &mut a,
            };
            let adjoint = Adjoint {
                g,
                tiling,
                rows: rows(),
                channel,
                gy,
                target: &mut b,
            };
            let join = Join {
                g,
                tiling,
                rows: rows(),
                channel,
                source,
                bias: 0.5,
                out: &mut out,
            };
            if scalar {
                spread.with_simd(pulp::Scalar);
                adjoint.with_simd(pulp::Scalar);
                join.with_simd(pulp::Scalar);
            } else {
                let arch = Arch::new();
                arch.dispatch(spread);
                arch.dispatch(adjoint);
                arch.dispatch(join);
            }
            (tiles(a), tiles(b), out)
        };
        assert_eq!(run(false), run(true));
    }
}
