//! Matrix product on one thread, by the crate `gemm`. Knows nothing of convolutions.
//!
//! One thread, because the callers already split the work by image or by tile.

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
    let (inner, cols) = (a.cols, b.cols);
    if rows == 0 || inner == 0 || cols == 0 {
        return;
    }
    assert!(target.data.len() > (rows - 1) * target.pitch + cols - 1);
    assert!(target.pitch >= cols || rows == 1);
    assert!(a.data.len() > (rows - 1) * a.row_stride + (inner - 1) * a.col_stride);
    assert!(b.data.len() > (inner - 1) * b.row_stride + (cols - 1) * b.col_stride);
    // SAFETY: the asserts bound the last element of each matrix; the rows of `target` do not
    // overlap; `target` is borrowed alone.
    unsafe {
        gemm::gemm(
            rows,
            cols,
            inner,
            // Of each matrix the pointer, then the column stride, then the row stride.
            target.data.as_mut_ptr(),
            1,
            target.pitch as isize,
            target.add,
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
