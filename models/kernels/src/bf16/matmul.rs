//! Products of matrices with bf16 inputs and f32 sums. Knows no convolutions.

use super::operands::{BLOCK, Left, Pairs};
use super::product;
use super::unit::Unit;
use crate::matrix::Matrix;
use crate::memory;

/// Rows of one product that a task computes.
const ROWS: usize = 64;

/// Sizes of `count` products of `[rows, inner]` with `[inner, columns]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) count: usize,
    pub(crate) rows: usize,
    pub(crate) inner: usize,
    pub(crate) columns: usize,
}

impl Sizes {
    /// Of the shapes `[..., rows, inner]` and `[..., inner, columns]` with the same axes before the last two.
    pub(crate) fn of(a: &[usize], b: &[usize]) -> Self {
        let ([before @ .., rows, inner], [.., columns]) = (a, b) else {
            panic!("matrices have two axes, not {a:?} and {b:?}");
        };
        Self {
            count: before.iter().product(),
            rows: *rows,
            inner: *inner,
            columns: *columns,
        }
    }

    /// Whether there is enough to multiply: with fewer rows, reading and rounding the right factor takes most of the time.
    pub(crate) fn suit(self) -> bool {
        self.rows >= BLOCK && self.inner > 0
    }
}

/// Matrices one after the other, row after row: either they or their transposes.
#[derive(Clone, Copy)]
pub(crate) struct Stack<'a> {
    values: &'a [f32],
    is_transposed: bool,
}

impl<'a> Stack<'a> {
    pub(crate) fn new(values: &'a [f32]) -> Self {
        Self {
            values,
            is_transposed: false,
        }
    }

    pub(crate) fn transposed(values: &'a [f32]) -> Self {
        Self {
            values,
            is_transposed: true,
        }
    }

    fn matrix(self, index: usize, rows: usize, columns: usize) -> Matrix<'a> {
        let values = &self.values[index * rows * columns..][..rows * columns];
        match self.is_transposed {
            true => Matrix::transposed(values, columns, rows),
            false => Matrix::contiguous(values, columns),
        }
    }
}

/// `[count, rows, inner]` · `[count, inner, columns]`.
pub(crate) fn multiply(unit: Unit, a: Stack<'_>, b: Stack<'_>, sizes: Sizes) -> Vec<f32> {
    let Sizes {
        count,
        rows,
        inner,
        columns,
    } = sizes;
    let len = count * rows * columns;
    if inner == 0 {
        return vec![0.0; len];
    }
    let right_of = |index: usize, right: &mut Pairs| {
        right.of_matrix(b.matrix(index, inner, columns), inner);
    };
    // All tasks of a single product read the same right factor; several products have a task each.
    let mut shared = Pairs::default();
    if count == 1 {
        right_of(0, &mut shared);
    }
    let run = if count == 1 { ROWS.min(rows) } else { rows };
    let scratch = <(Left, Pairs)>::default;
    memory::write_chunks_with(len, run * columns, scratch, |(left, right), task, out| {
        let out = memory::repeated(out, &[0.0]);
        let (index, first) = (task * run / rows, task * run % rows);
        let own_rows = a.matrix(index, rows, inner).skip_rows(first);
        left.of_matrix(own_rows, out.len() / columns);
        if count > 1 {
            right_of(index, right);
        }
        let right = if count > 1 { right } else { &shared };
        product::multiply(unit, left, right, |block| {
            for (row, values) in block.rows() {
                out[row * columns + block.column..][..values.len()].copy_from_slice(values);
            }
        });
        out
    })
}
