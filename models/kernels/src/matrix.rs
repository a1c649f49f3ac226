//! Matrix products on one thread, by the crate `gemm`.

/// A matrix to read: element (i, j) is `data[i * row + j * col]`.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) data: &'a [f32],
    pub(super) cols: usize,
    pub(super) row: usize,
    pub(super) col: usize,
}

impl<'a> Matrix<'a> {
    /// `[_, cols]`, row after row.
    pub(super) fn plain(data: &'a [f32], cols: usize) -> Self {
        Self::rows(data, cols, cols)
    }

    /// `[_, cols]`, rows `pitch` apart.
    pub(super) fn rows(data: &'a [f32], cols: usize, pitch: usize) -> Self {
        Self {
            data,
            cols,
            row: pitch,
            col: 1,
        }
    }

    /// The transposed of what is stored as rows `pitch` apart; it has `cols` columns.
    pub(super) fn transposed(data: &'a [f32], cols: usize, pitch: usize) -> Self {
        Self {
            data,
            cols,
            row: 1,
            col: pitch,
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
    assert!(a.data.len() > (rows - 1) * a.row + (inner - 1) * a.col);
    assert!(b.data.len() > (inner - 1) * b.row + (cols - 1) * b.col);
    // SAFETY: the asserts bound the last element of each matrix; the rows of `target` do not
    // overlap; `target` is borrowed alone.
    unsafe {
        gemm::gemm(
            rows,
            cols,
            inner,
            target.data.as_mut_ptr(),
            1,
            target.pitch as isize,
            target.add,
            a.data.as_ptr(),
            a.col as isize,
            a.row as isize,
            b.data.as_ptr(),
            b.col as isize,
            b.row as isize,
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
