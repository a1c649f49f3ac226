//! Tiles of a channel's map: cut out and transformed, or transformed back and put together, by SIMD.
//!
//! The map is sorted into runs: the values with the same place in their tiles, tile by tile, over the ends of the rows
//! of tiles. A vector then holds one value of as many tiles as it has lanes, also where the map is small.

use super::Tiling;
use super::filter::{Filter, Matrices};
use crate::geometry::Geometry;
use crate::polyphase;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Values behind a run, since vectors are copied whole: the lanes of AVX-512.
pub(super) const PAD: usize = 16;

/// Where the runs of some rows of tiles are: `[M, width, rows · columns]`, one for each row (modulo M) and each column
/// of a tile.
struct Runs<const M: usize> {
    /// Tiles of a row.
    columns: usize,
    /// Columns of a tile, M or M + 2.
    width: usize,
    /// Distance between two runs.
    pitch: usize,
}

impl<const M: usize> Runs<M> {
    fn new(rows: usize, columns: usize, width: usize) -> Self {
        Self {
            columns,
            width,
            // The last two rows of a tile are the first two of the tile below.
            pitch: (rows + 1) * columns + PAD,
        }
    }

    /// Buffers for the runs, and for a line: its M phases, and its halves before they are split again.
    fn buffers(&self) -> Buffers {
        Buffers {
            runs: vec![0.0; M * self.width * self.pitch],
            line: vec![0.0; 2 * M * self.phase_len() + PAD],
        }
    }

    /// Every M-th value of a line, with those of a tile's last two columns.
    fn phase_len(&self) -> usize {
        self.columns + 1
    }

    /// Where the phase of column `j` is in a line: even ones first, and in each half again.
    fn phase(&self, j: usize) -> usize {
        let order = if M == 2 { [0, 1, 0, 1] } else { [0, 2, 1, 3] };
        order[j % 4] * self.phase_len()
    }

    /// Start of the run of row `i` and column `j` of the tiles.
    #[inline(always)]
    fn start(&self, i: usize, j: usize) -> usize {
        (i % M * self.width + j) * self.pitch + i / M * self.columns
    }

    /// Sorts so many lines of a plane into runs, from its line `first` on.
    #[inline(always)]
    fn fill(&self, plane: Plane, first: usize, lines: usize, buffers: &mut Buffers) {
        let Buffers { runs, line } = buffers;
        for i in 0..lines {
            self.split(plane, first + i, line);
            for j in 0..self.width {
                let (from, to) = (self.phase(j) + j / M, self.start(i, j));
                // Whole vectors: what they write behind the row is written again with the next one.
                for column in (0..self.columns).step_by(PAD) {
                    let source = &line[from + column..][..PAD];
                    runs[to + column..][..PAD].copy_from_slice(source);
                }
            }
        }
    }

    /// Line `y` of a padded plane as M phases.
    #[inline(always)]
    fn split(&self, plane: Plane, y: usize, line: &mut [f32]) {
        let Plane {
            map,
            size: [height, width],
            padding: [top, left],
        } = plane;
        let half = M / 2 * self.phase_len();
        // Otherwise the zeros beside the plane are there from the buffer's creation.
        let Some(y) = y.checked_sub(top).filter(|y| *y < height) else {
            return line.fill(0.0);
        };
        let source = &map[y * width..][..width];
        let (phases, halves) = line.split_at_mut(2 * half);
        let (even, odd) = phases.split_at_mut(half);
        if M == 2 {
            return polyphase::split_even_odd(source, left, even, odd);
        }
        let (even_half, odd_half) = halves.split_at_mut(half);
        polyphase::split_even_odd(source, left, even_half, odd_half);
        for (half, target) in [(&even_half[..half], even), (&odd_half[..half], odd)] {
            let (even, odd) = target.split_at_mut(self.phase_len());
            polyphase::split_even_odd(half, 0, even, odd);
        }
    }

    /// Puts line `i` of the tiles together, the reverse of [`split`](Self::split).
    #[inline(always)]
    fn join(&self, buffers: &mut Buffers, i: usize, target: &mut [f32]) {
        let Buffers { runs, line } = buffers;
        let run = |j: usize| &runs[self.start(i, j)..][..self.columns];
        if M == 2 {
            return polyphase::join_even_odd(run(0), run(1), 0, target);
        }
        let half = 2 * self.columns;
        let (even, odd) = line.split_at_mut(half);
        polyphase::join_even_odd(run(0), run(2), 0, even);
        polyphase::join_even_odd(run(1), run(3), 0, &mut odd[..half]);
        polyphase::join_even_odd(even, &odd[..half], 0, target);
    }
}

/// What a thread reuses for all channels of one convolution.
pub(super) struct Buffers {
    runs: Vec<f32>,
    line: Vec<f32>,
}

impl<const M: usize, const E: usize> Tiling<M, E> {
    fn input_runs(&self) -> Runs<M> {
        Runs::new(self.block, self.columns, E)
    }

    fn output_runs(&self) -> Runs<M> {
        Runs::new(self.block, self.columns, M)
    }

    /// Buffers of [`InputTransform`].
    pub(super) fn input_buffers(&self) -> Buffers {
        self.input_runs().buffers()
    }

    /// Buffers of [`GradientTransform`] or [`OutputTransform`].
    pub(super) fn output_buffers(&self) -> Buffers {
        self.output_runs().buffers()
    }
}

/// A channel of an image, and the width of the zeros above and to the left of it.
#[derive(Clone, Copy)]
struct Plane<'a> {
    map: &'a [f32],
    size: [usize; 2],
    padding: [usize; 2],
}

/// The parts of some rows of tiles of a group that lie in one image: the image, its rows of tiles, and the tiles before.
#[inline(always)]
fn images<const M: usize, const E: usize>(
    tiling: Tiling<M, E>,
    rows: &Range<usize>,
) -> impl Iterator<Item = (usize, Range<usize>, usize)> + use<M, E> {
    let Range { mut start, end } = *rows;
    let first = start;
    std::iter::from_fn(move || {
        let (image, row) = (start / tiling.rows, start % tiling.rows);
        let count = (tiling.rows - row).min(end.saturating_sub(start));
        let before = (start - first) * tiling.columns;
        start += count;
        (count > 0).then_some((image, row..row + count, before))
    })
}

/// Bᵀ d B of one channel's tiles.
pub(super) struct InputTransform<'a, const M: usize, const E: usize> {
    pub(super) g: &'a Geometry,
    pub(super) tiling: Tiling<M, E>,
    /// Rows of tiles of the group.
    pub(super) rows: Range<usize>,
    pub(super) channel: usize,
    pub(super) buffers: &'a mut Buffers,
    /// The group's images.
    pub(super) x: &'a [f32],
    /// `[E · E, tiles]`.
    pub(super) target: &'a mut [f32],
}

impl<const M: usize, const E: usize> WithSimd for InputTransform<'_, M, E>
where
    Filter<M, E>: Matrices<M, E>,
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (g, tiling) = (self.g, self.tiling);
        let (runs, buffers) = (tiling.input_runs(), self.buffers);
        for (image, rows, before) in images(tiling, &self.rows) {
            let plane = Plane {
                map: &self.x[(image * g.in_channels + self.channel) * g.input_pixels()..],
                size: g.input,
                padding: g.padding,
            };
            let lines = M * rows.len() + 2;
            runs.fill(plane, M * rows.start, lines, buffers);
            for tile in (0..rows.len() * tiling.columns).step_by(S::F32_LANES) {
                let mut elements = [[simd.splat_f32s(0.0); E]; E];
                for (i, row) in elements.iter_mut().enumerate() {
                    for (j, value) in row.iter_mut().enumerate() {
                        *value = load::<S>(&buffers.runs, runs.start(i, j) + tile);
                    }
                    *row = Filter::<M, E>::inputs(simd, *row);
                }
                for j in 0..E {
                    let column = Filter::<M, E>::inputs(simd, column(&elements, j));
                    for (i, value) in column.into_iter().enumerate() {
                        let element = (i * E + j) * tiling.element_stride();
                        store::<S>(self.target, element + before + tile, value);
                    }
                }
            }
        }
    }
}

/// A y Aᵀ of one channel's output gradients: the adjoint of [`OutputTransform`].
pub(super) struct GradientTransform<'a, const M: usize, const E: usize> {
    pub(super) g: &'a Geometry,
    pub(super) tiling: Tiling<M, E>,
    pub(super) rows: Range<usize>,
    pub(super) channel: usize,
    pub(super) buffers: &'a mut Buffers,
    /// Gradients of the group's outputs.
    pub(super) gy: &'a [f32],
    /// `[E · E, tiles]`.
    pub(super) target: &'a mut [f32],
}

impl<const M: usize, const E: usize> WithSimd for GradientTransform<'_, M, E>
where
    Filter<M, E>: Matrices<M, E>,
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (g, tiling) = (self.g, self.tiling);
        let (runs, buffers) = (tiling.output_runs(), self.buffers);
        for (image, rows, before) in images(tiling, &self.rows) {
            let plane = Plane {
                map: &self.gy[(image * g.out_channels + self.channel) * g.output_pixels()..],
                size: g.output,
                padding: [0, 0],
            };
            let lines = M * rows.len();
            runs.fill(plane, M * rows.start, lines, buffers);
            for tile in (0..rows.len() * tiling.columns).step_by(S::F32_LANES) {
                // Transformed along the rows: M x E.
                let mut elements = [[simd.splat_f32s(0.0); E]; M];
                for (i, row) in elements.iter_mut().enumerate() {
                    let mut y = [simd.splat_f32s(0.0); M];
                    for (j, value) in y.iter_mut().enumerate() {
                        *value = load::<S>(&buffers.runs, runs.start(i, j) + tile);
                    }
                    *row = Filter::<M, E>::output_gradients(simd, y);
                }
                for j in 0..E {
                    let column = Filter::<M, E>::output_gradients(simd, column(&elements, j));
                    for (i, value) in column.into_iter().enumerate() {
                        let element = (i * E + j) * tiling.element_stride();
                        store::<S>(self.target, element + before + tile, value);
                    }
                }
            }
        }
    }
}

/// Aᵀ m A of one channel's tiles, plus the bias.
pub(super) struct OutputTransform<'a, const M: usize, const E: usize> {
    pub(super) g: &'a Geometry,
    pub(super) tiling: Tiling<M, E>,
    pub(super) rows: Range<usize>,
    pub(super) channel: usize,
    pub(super) buffers: &'a mut Buffers,
    /// `[E · E, tiles]`.
    pub(super) source: &'a [f32],
    pub(super) bias: f32,
    /// The group's outputs.
    pub(super) out: &'a mut [f32],
}

impl<const M: usize, const E: usize> WithSimd for OutputTransform<'_, M, E>
where
    Filter<M, E>: Matrices<M, E>,
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (g, tiling) = (self.g, self.tiling);
        let [height, width] = g.output;
        let bias = simd.splat_f32s(self.bias);
        let (runs, buffers) = (tiling.output_runs(), self.buffers);
        for (image, rows, before) in images(tiling, &self.rows) {
            for tile in (0..rows.len() * tiling.columns).step_by(S::F32_LANES) {
                // Transformed along the rows: E x M.
                let mut elements = [[simd.splat_f32s(0.0); M]; E];
                for (i, row) in elements.iter_mut().enumerate() {
                    let mut products = [simd.splat_f32s(0.0); E];
                    for (j, value) in products.iter_mut().enumerate() {
                        let element = (i * E + j) * tiling.element_stride();
                        *value = load::<S>(self.source, element + before + tile);
                    }
                    *row = Filter::<M, E>::outputs(simd, products);
                }
                for j in 0..M {
                    let column = Filter::<M, E>::outputs(simd, column(&elements, j));
                    for (i, value) in column.into_iter().enumerate() {
                        let value = simd.add_f32s(value, bias);
                        store::<S>(&mut buffers.runs, runs.start(i, j) + tile, value);
                    }
                }
            }
            let map = (image * g.out_channels + self.channel) * height * width;
            // A map whose height M does not divide ends with fewer lines.
            let lines = M * rows.start..height.min(M * rows.end);
            for (i, y) in lines.enumerate() {
                let target = &mut self.out[map + y * width..][..width];
                runs.join(buffers, i, target);
            }
        }
    }
}

/// Column `j` of a tile.
#[inline(always)]
pub(super) fn column<T: Copy, const ROWS: usize, const COLUMNS: usize>(
    tile: &[[T; COLUMNS]; ROWS],
    j: usize,
) -> [T; ROWS] {
    let mut column = [tile[0][j]; ROWS];
    for (value, row) in column.iter_mut().zip(tile) {
        *value = row[j];
    }
    column
}

/// The vector that begins at `start`.
#[inline(always)]
pub(super) fn load<S: Simd>(values: &[f32], start: usize) -> S::f32s {
    S::as_simd_f32s(&values[start..start + S::F32_LANES]).0[0]
}

/// Writes a vector that begins at `start`.
#[inline(always)]
pub(super) fn store<S: Simd>(values: &mut [f32], start: usize, value: S::f32s) {
    S::as_mut_simd_f32s(&mut values[start..start + S::F32_LANES]).0[0] = value;
}
