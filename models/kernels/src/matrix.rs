//! Matrix product on one thread, by the crate `gemm`. Knows nothing of convolutions.
//!
//! One thread, because the callers already split the work by image or by tile.

use crate::memory::{self, Unwritten};

/// A matrix to read: element (i, j) is `data[i * row_stride + j * col_stride]`.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) data: &'a [f32],
    pub(super) cols: usize,
    pub(super) row_stride: usize,
    pub(super) col_stride: usize,
}

impl<'a> Matrix<'a> {
    /// `[_, cols]`, row after row.
    pub(super) fn contiguous(data: &'a [f32], cols: usize) -> Self {
        Self::rows(data, cols, cols)
    }

    /// `[_, cols]`, rows `pitch` apart.
    pub(super) fn rows(data: &'a [f32], cols: usize, pitch: usize) -> Self {
        Self {
            data,
            cols,
            row_stride: pitch,
            col_stride: 1,
        }
    }

    /// The transpose `[_, cols]` of a matrix that is stored as `cols` rows, `pitch` apart.
    pub(super) fn transposed(data: &'a [f32], cols: usize, pitch: usize) -> Self {
        Self {
            data,
            cols,
            row_stride: 1,
            col_stride: pitch,
        }
    }

    #[inline(always)]
    pub(super) fn at(&self, row: usize, column: usize) -> f32 {
        self.data[row * self.row_stride + column * self.col_stride]
    }

    /// The same without its first rows.
    pub(super) fn skip_rows(self, rows: usize) -> Self {
        Self {
            data: &self.data[rows * self.row_stride..],
            ..self
        }
    }
}

/// A matrix to write: row i begins at `i * pitch`.
pub(super) struct Target<'a> {
    pub(super) data: &'a mut [f32],
    pub(super) pitch: usize,
    /// Whether the product is added to what is there.
    pub(super) add: bool,
}

/// target `[rows, b.cols]` = (target +) a `[rows, a.cols]` · b `[a.cols, b.cols]`.
#[expect(unsafe_code, reason = "`gemm` takes pointers")]
pub(super) fn multiply(target: Target, a: Matrix, b: Matrix, rows: usize) {
    if rows == 0 || a.cols == 0 || b.cols == 0 {
        return;
    }
    assert!(target.data.len() > (rows - 1) * target.pitch + b.cols - 1);
    assert!(target.pitch >= b.cols || rows == 1);
    // SAFETY: the asserts bound the last element of `target`; its rows do not overlap; it is borrowed alone.
    unsafe {
        product(
            target.data.as_mut_ptr(),
            target.pitch,
            target.add,
            a,
            b,
            rows,
        )
    };
}

/// target `[rows, b.cols]` = a `[rows, a.cols]` · b `[a.cols, b.cols]`, where `target` holds nothing yet.
#[expect(unsafe_code, reason = "`gemm` takes pointers")]
pub(super) fn write_product<'a>(
    target: &'a mut Unwritten,
    a: Matrix,
    b: Matrix,
    rows: usize,
) -> &'a mut [f32] {
    assert_eq!(target.len(), rows * b.cols);
    if target.is_empty() || a.cols == 0 {
        return memory::repeated(target, &[0.0]);
    }
    // SAFETY: `target` has as many elements as the product, is borrowed alone, and is not read. All of it is written.
    unsafe {
        product(target.as_mut_ptr().cast(), b.cols, false, a, b, rows);
        target.assume_init_mut()
    }
}

/// # Safety
/// `target` points to `rows` rows of `b.cols` elements that nobody else uses, `pitch` apart. None of the sizes is 0.
#[expect(unsafe_code, reason = "`gemm` takes pointers")]
unsafe fn product(target: *mut f32, pitch: usize, add: bool, a: Matrix, b: Matrix, rows: usize) {
    let (inner, cols) = (a.cols, b.cols);
    assert!(a.data.len() > (rows - 1) * a.row_stride + (inner - 1) * a.col_stride);
    assert!(b.data.len() > (inner - 1) * b.row_stride + (cols - 1) * b.col_stride);
    // SAFETY: the asserts bound the last element of `a` and `b`; the caller answers for `target`.
    unsafe {
        gemm::gemm(
            rows,
            cols,
            inner,
            // Of each matrix the pointer, then the column stride, then the row stride.
            target,
            1,
            pitch as isize,
            add,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            // Factors of the target and of the product; no conjugation.
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
