//! The two factors of a product in bf16: rows, and pairs of rows beside each other.

use super::Columns;
use crate::matrix::Matrix;
use crate::memory;
use rayon::prelude::*;

/// Rows and columns of a block of the product.
pub(super) const BLOCK: usize = 32;

/// Values that a thread rounds at a time.
const CHUNK: usize = 16 * 1024;

/// bf16 is the upper half of f32, rounded to the nearest, to even where two are as near.
fn rounded(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        // Rounding might turn it into infinity. The highest bit of the mantissa keeps it a number that is none.
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16
}

/// Rounds all values to bf16.
pub(super) fn round(values: &[f32], target: &mut Vec<u16>) {
    target.resize(values.len(), 0);
    for (target, value) in target.iter_mut().zip(values) {
        *target = rounded(*value);
    }
}

/// The values of bf16 that are nearest to all values, as f32.
pub(super) fn rounded_f32(values: &[f32]) -> Vec<f32> {
    memory::fill_chunks(values.len(), CHUNK, |index, chunk| {
        for (target, value) in chunk.iter_mut().zip(&values[index * CHUNK..]) {
            *target = f32::from_bits(u32::from(rounded(*value)) << 16);
        }
    })
}

/// The left factor `[rows, inner]`, row after row, padded with zeros to whole blocks.
#[derive(Default)]
pub(super) struct Left {
    values: Vec<u16>,
    pub(super) rows: usize,
    /// Products of each sum, padded.
    pub(super) inner: usize,
    /// Distance between two rows.
    pub(super) pitch: usize,
}

impl Left {
    /// Of the values of a function of row and column.
    pub(super) fn new(rows: usize, inner: usize, value: impl Fn(usize, usize) -> f32) -> Self {
        let mut left = Self::default();
        let (values, pitch) = left.unwritten(rows, inner);
        for (row, target) in values.chunks_exact_mut(pitch).take(rows).enumerate() {
            for (column, target) in target[..inner].iter_mut().enumerate() {
                *target = rounded(value(row, column));
            }
        }
        left
    }

    /// Of `[rows, inner]` in f32.
    pub(super) fn of_rows(values: &[f32], rows: usize, inner: usize) -> Self {
        Self::new(rows, inner, |row, column| values[row * inner + column])
    }

    /// The first `rows` rows of a matrix.
    pub(super) fn of_matrix(&mut self, source: Matrix<'_>, rows: usize) {
        let (values, pitch) = self.unwritten(rows, source.cols);
        let at = |row, column| rounded(source.at(row, column));
        if source.col_stride == 1 {
            for (row, target) in values.chunks_exact_mut(pitch).take(rows).enumerate() {
                for (column, target) in target[..source.cols].iter_mut().enumerate() {
                    *target = at(row, column);
                }
            }
        } else {
            // What lies side by side is read together.
            for column in 0..source.cols {
                for row in 0..rows {
                    values[row * pitch + column] = at(row, column);
                }
            }
        }
    }

    /// The values of a factor of another size, with their pitch, for the caller to write: so many rows of `inner`.
    pub(super) fn unwritten(&mut self, rows: usize, inner: usize) -> (&mut [u16], usize) {
        self.rows = rows;
        self.inner = inner.next_multiple_of(BLOCK);
        // Rows a power of two apart would share few sets of a cache.
        self.pitch = self.inner + BLOCK;
        let len = rows.next_multiple_of(BLOCK) * self.pitch;
        self.values.resize(len, 0);
        for (row, values) in self.values.chunks_exact_mut(self.pitch).enumerate() {
            let written = if row < rows { inner } else { 0 };
            values[written..].fill(0);
        }
        (&mut self.values, self.pitch)
    }

    pub(super) fn view(&self) -> Columns<'_> {
        Columns {
            values: &self.values,
            pitch: self.pitch,
        }
    }

    /// A row, and all that follow.
    pub(super) fn row(&self, row: usize) -> &[u16] {
        &self.values[row * self.pitch..]
    }
}

/// The right factor `[inner, columns]`: of each 32 columns all pairs of rows, one 32-bit number for each column, the
/// first row in its lower half. Padded with zeros to whole blocks.
#[derive(Default)]
pub(super) struct Pairs {
    values: Vec<u32>,
    pub(super) columns: usize,
    /// Products of each sum, padded.
    pub(super) inner: usize,
}

impl Pairs {
    /// Another size, with zeros where the caller writes nothing: behind the last column and the last row.
    fn resize(&mut self, inner: usize, columns: usize) {
        self.inner = inner.next_multiple_of(BLOCK);
        self.columns = columns;
        let panel_len = self.inner / 2 * BLOCK;
        self.values.resize(columns.div_ceil(BLOCK) * panel_len, 0);
        let written = inner.div_ceil(2) * BLOCK;
        for panel in self.values.chunks_exact_mut(panel_len) {
            panel[written..].fill(0);
        }
        if !columns.is_multiple_of(BLOCK)
            && let Some(last) = self.values.rchunks_exact_mut(panel_len).next()
        {
            last.fill(0);
        }
    }

    /// Of `inner` rows with so many columns.
    pub(super) fn of_rows(&mut self, source: Columns<'_>, inner: usize, columns: usize) {
        self.resize(inner, columns);
        let panels = self.values.chunks_exact_mut(self.inner / 2 * BLOCK);
        for (panel, first) in panels.zip((0..columns).step_by(BLOCK)) {
            let width = BLOCK.min(columns - first);
            let row = |row: usize| &source.values[row * source.pitch + first..][..width];
            for (pair, target) in panel.chunks_exact_mut(BLOCK).enumerate().take(inner / 2) {
                interleave(&mut target[..width], row(2 * pair), row(2 * pair + 1));
            }
            if inner % 2 == 1 {
                let target = &mut panel[inner / 2 * BLOCK..][..width];
                let last = row(inner - 1);
                target
                    .iter_mut()
                    .zip(last)
                    .for_each(|(t, v)| *t = u32::from(*v));
            }
        }
    }

    /// Of a matrix with `inner` rows, by all threads.
    pub(super) fn of_matrix(&mut self, source: Matrix<'_>, inner: usize) {
        self.resize(inner, source.cols);
        let panels = self.values.par_chunks_exact_mut(self.inner / 2 * BLOCK);
        panels.enumerate().for_each(|(index, panel)| {
            let first = index * BLOCK;
            let width = BLOCK.min(source.cols - first);
            let at = |row: usize, column: usize| match row < inner {
                true => u32::from(rounded(source.at(row, first + column))),
                false => 0,
            };
            let pairs = panel.chunks_exact_mut(BLOCK).take(inner.div_ceil(2));
            for (pair, targets) in pairs.enumerate() {
                for (column, target) in targets[..width].iter_mut().enumerate() {
                    *target = at(2 * pair, column) | at(2 * pair + 1, column) << 16;
                }
            }
        });
    }

    /// Of the transpose: `columns` rows of `inner` values each.
    pub(super) fn of_columns(&mut self, source: Columns<'_>, columns: usize, inner: usize) {
        self.resize(inner, columns);
        let panel_len = self.inner / 2 * BLOCK;
        for column in 0..columns {
            let row = &source.values[column * source.pitch..][..inner];
            let (pairs, rest) = row.as_chunks::<2>();
            let panel = &mut self.values[column / BLOCK * panel_len..][..panel_len];
            let targets = panel[column % BLOCK..].iter_mut().step_by(BLOCK);
            let last = rest.iter().map(|value| u32::from(*value));
            let pairs = pairs
                .iter()
                .map(|[a, b]| u32::from(*a) | u32::from(*b) << 16);
            targets.zip(pairs.chain(last)).for_each(|(t, v)| *t = v);
        }
    }

    /// The pairs of 32 columns.
    pub(super) fn panel(&self, column: usize) -> &[u32] {
        let len = self.inner / 2 * BLOCK;
        &self.values[column / BLOCK * len..][..len]
    }
}

fn interleave(target: &mut [u32], first: &[u16], second: &[u16]) {
    for ((target, a), b) in target.iter_mut().zip(first).zip(second) {
        *target = u32::from(*a) | u32::from(*b) << 16;
    }
}
