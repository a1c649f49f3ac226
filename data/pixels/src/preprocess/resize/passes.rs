//! The two passes of a resize: the first fills an intermediate buffer with what the second needs.

#[cfg(target_arch = "x86_64")]
use super::avx2;
use super::weights::Weights;
use super::{ROWS, scalar};
use crate::preprocess::frame::FrameRows;
use std::ops::Range;

/// Where the rows of a region are.
pub(super) enum Source<'a> {
    /// RGB bytes from the first pixel of the region on, and bytes per row.
    Rgb(&'a [u8], usize),
    /// Rows of a frame, converted when they are needed.
    Frame(&'a FrameRows<'a>),
}

/// Source, weights and order of a resize.
pub(super) struct Passes<'a> {
    pub(super) source: Source<'a>,
    /// Bytes per row of the region.
    pub(super) row_bytes: usize,
    pub(super) horizontal: &'a Weights,
    pub(super) vertical: &'a Weights,
    pub(super) vertical_first: bool,
    /// Requires [`has_simd`].
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "other processors have no such code")
    )]
    pub(super) simd: bool,
}

/// Whether the processor has AVX2.
pub(super) fn has_simd() -> bool {
    #[cfg(target_arch = "x86_64")]
    return avx2::is_supported();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Output of the first pass, memory reused from image to image.
#[derive(Debug, Default)]
pub(super) struct Intermediate {
    bytes: Vec<u8>,
    /// Copies of an image's last rows, padded for loads of 16 bytes; converted rows of a frame.
    rows: Vec<u8>,
}

impl Passes<'_> {
    /// Computes the output; `out` begins at its first pixel and has rows of `out_stride` bytes.
    pub(super) fn run(&self, intermediate: &mut Intermediate, out: &mut [u8], out_stride: usize) {
        if self.vertical_first {
            self.vertical_first(intermediate, out, out_stride);
        } else {
            self.horizontal_first(intermediate, out, out_stride);
        }
    }

    fn horizontal_first(&self, intermediate: &mut Intermediate, out: &mut [u8], out_stride: usize) {
        // Only the source rows that the vertical pass will read.
        let rows = self.vertical.span();
        let bytes = self.horizontal.len() * 3;
        let readable_bytes = readable_bytes(self.horizontal, 0);
        let resampled = first_bytes(&mut intermediate.bytes, rows.len() * bytes);
        let blocks = rows.clone().step_by(ROWS);
        for (first, block) in blocks.zip(resampled.chunks_mut(ROWS * bytes)) {
            let count = block.len() / bytes;
            match self.source {
                // The loads of 16 bytes may read past a row's end, but not past the end of the image.
                Source::Rgb(source, stride)
                    if source.len() >= (first + count - 1) * stride + readable_bytes =>
                {
                    self.horizontal_pass(&source[first * stride..], stride, 0, block, bytes);
                }
                _ => {
                    let stride = readable_bytes.max(self.row_bytes);
                    let rows =
                        self.copied_rows(&mut intermediate.rows, first..first + count, stride);
                    self.horizontal_pass(rows, stride, 0, block, bytes);
                }
            }
        }
        for (y, target) in (0..self.vertical.len()).zip(out.chunks_mut(out_stride)) {
            let offset = (self.vertical.taps_of(y).0 - rows.start) * bytes;
            self.vertical_pass(&resampled[offset..], bytes, y, &mut target[..bytes]);
        }
    }

    fn vertical_first(&self, intermediate: &mut Intermediate, out: &mut [u8], out_stride: usize) {
        let columns = self.horizontal.span();
        let bytes = columns.len() * 3;
        let readable_bytes = readable_bytes(self.horizontal, columns.start);
        let resampled = first_bytes(&mut intermediate.bytes, ROWS * readable_bytes);
        let blocks = (0..self.vertical.len()).step_by(ROWS);
        for (first, block) in blocks.zip(out.chunks_mut(ROWS * out_stride)) {
            // A block of rows goes through both passes while it is in the cache.
            let count = ROWS.min(self.vertical.len() - first);
            for (y, target) in
                (first..first + count).zip(resampled.chunks_exact_mut(readable_bytes))
            {
                let (first, taps) = self.vertical.taps_of(y);
                let (rows, stride) = match self.source {
                    Source::Rgb(source, stride) => (&source[first * stride..], stride),
                    Source::Frame(_) => {
                        let range = first..first + taps.len();
                        let rows = self.copied_rows(&mut intermediate.rows, range, self.row_bytes);
                        (rows, self.row_bytes)
                    }
                };
                self.vertical_pass(&rows[columns.start * 3..], stride, y, &mut target[..bytes]);
            }
            let end = block.len().min(count * out_stride);
            let resampled = &resampled[..count * readable_bytes];
            let block = &mut block[..end];
            self.horizontal_pass(resampled, readable_bytes, columns.start, block, out_stride);
        }
    }

    /// A copy of source rows, `stride` bytes each.
    fn copied_rows<'b>(
        &self,
        buffer: &'b mut Vec<u8>,
        rows: Range<usize>,
        stride: usize,
    ) -> &'b [u8] {
        let copies = first_bytes(buffer, rows.len() * stride);
        for (y, target) in rows.zip(copies.chunks_exact_mut(stride)) {
            let target = &mut target[..self.row_bytes];
            match self.source {
                Source::Rgb(source, stride) => {
                    target.copy_from_slice(&source[y * stride..][..self.row_bytes]);
                }
                Source::Frame(rows) => rows.write(y, target),
            }
        }
        copies
    }

    /// Resamples as many rows as the target has, at most [`ROWS`]; `first` is the column of their first
    /// pixels. Strides are in bytes.
    fn horizontal_pass(
        &self,
        rows: &[u8],
        stride: usize,
        first: usize,
        target: &mut [u8],
        target_stride: usize,
    ) {
        let bytes = self.horizontal.len() * 3;
        #[cfg(target_arch = "x86_64")]
        if self.simd
            && let Some(targets) = four_rows(target, target_stride, bytes)
        {
            let rows = [0, 1, 2, 3].map(|y| &rows[y * stride..]);
            return avx2::resample_horizontal(rows, self.horizontal, first, targets);
        }
        for (row, target) in rows.chunks(stride).zip(target.chunks_mut(target_stride)) {
            scalar::resample_horizontal(row, self.horizontal, first, &mut target[..bytes]);
        }
    }

    /// Weighted sum of rows for the output row `index`.
    fn vertical_pass(&self, rows: &[u8], stride: usize, index: usize, target: &mut [u8]) {
        #[cfg(target_arch = "x86_64")]
        if self.simd && target.len() >= avx2::BYTES {
            return avx2::resample_vertical(rows, stride, self.vertical, index, target);
        }
        scalar::resample_vertical(rows, stride, self.vertical.taps_of(index).1, target);
    }
}

/// Bytes that may be read of a row from column `first` on: a load of 16 bytes for every 4 pixels.
fn readable_bytes(horizontal: &Weights, first: usize) -> usize {
    let last = horizontal.span().end - horizontal.taps();
    (last - first + horizontal.taps().next_multiple_of(4)) * 3 + 4
}

/// The first `length` bytes of a buffer that only grows.
fn first_bytes(buffer: &mut Vec<u8>, length: usize) -> &mut [u8] {
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
    &mut buffer[..length]
}

/// The rows of a whole block; `None` for the last block of fewer rows.
#[cfg(target_arch = "x86_64")]
fn four_rows(rows: &mut [u8], stride: usize, bytes: usize) -> Option<[&mut [u8]; ROWS]> {
    let mut rows = rows.chunks_mut(stride);
    let mut row = || rows.next()?.get_mut(..bytes);
    Some([row()?, row()?, row()?, row()?])
}
