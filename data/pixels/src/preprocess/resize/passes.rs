//! The two passes over a picture: one into a strip that holds what the other needs, then the other.

#[cfg(target_arch = "x86_64")]
use super::avx2;
use super::weights::Weights;
use super::{ROWS, plain};

/// A picture and what becomes of it.
pub(super) struct Passes<'a> {
    /// From the first pixel of the part that is resized.
    pub(super) source: &'a [u8],
    /// Bytes per row of the source.
    pub(super) stride: usize,
    /// Bytes per row of the part.
    pub(super) row_bytes: usize,
    pub(super) horizontal: &'a Weights,
    pub(super) vertical: &'a Weights,
    pub(super) vertical_first: bool,
    /// Only where [`simd`] says yes.
    pub(super) simd: bool,
}

/// Whether there is code for this kind of processor.
pub(super) fn simd() -> bool {
    #[cfg(target_arch = "x86_64")]
    return avx2::is_there();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// What the first pass leaves to the second, kept from picture to picture.
#[derive(Debug, Default)]
pub(super) struct Strip {
    bytes: Vec<u8>,
    /// The last rows of a picture, with room behind them.
    edge: Vec<u8>,
}

impl Passes<'_> {
    /// Computes the output; `out` begins at its first pixel and has rows of `out_stride` bytes.
    pub(super) fn run(&self, strip: &mut Strip, out: &mut [u8], out_stride: usize) {
        if self.vertical_first {
            self.vertical_first(strip, out, out_stride);
        } else {
            self.horizontal_first(strip, out, out_stride);
        }
    }

    fn horizontal_first(&self, strip: &mut Strip, out: &mut [u8], out_stride: usize) {
        let rows = self.vertical.span();
        let bytes = self.horizontal.len() * 3;
        let reach = reach(self.horizontal, 0);
        let narrow = room(&mut strip.bytes, rows.len() * bytes);
        let blocks = rows.clone().step_by(ROWS);
        for (first, block) in blocks.zip(narrow.chunks_mut(ROWS * bytes)) {
            let count = block.len() / bytes;
            let row = |y: usize| &self.source[y * self.stride..];
            if row(first + count - 1).len() >= reach {
                self.across((row(first), self.stride), 0, (block, bytes));
            } else {
                let edge = room(&mut strip.edge, count * reach);
                for (y, target) in edge.chunks_exact_mut(reach).enumerate() {
                    let bytes = self.row_bytes.min(reach);
                    target[..bytes].copy_from_slice(&row(first + y)[..bytes]);
                }
                self.across((edge, reach), 0, (block, bytes));
            }
        }
        for (y, target) in (0..self.vertical.len()).zip(out.chunks_mut(out_stride)) {
            let above = (self.vertical.of(y).0 - rows.start) * bytes;
            self.down((&narrow[above..], bytes), y, &mut target[..bytes]);
        }
    }

    fn vertical_first(&self, strip: &mut Strip, out: &mut [u8], out_stride: usize) {
        let columns = self.horizontal.span();
        let bytes = columns.len() * 3;
        let reach = reach(self.horizontal, columns.start);
        let low = room(&mut strip.bytes, ROWS * reach);
        let blocks = (0..self.vertical.len()).step_by(ROWS);
        for (first, block) in blocks.zip(out.chunks_mut(ROWS * out_stride)) {
            let count = ROWS.min(self.vertical.len() - first);
            for (y, target) in (first..first + count).zip(low.chunks_exact_mut(reach)) {
                let above = self.vertical.of(y).0 * self.stride + columns.start * 3;
                self.down(
                    (&self.source[above..], self.stride),
                    y,
                    &mut target[..bytes],
                );
            }
            let end = block.len().min(count * out_stride);
            let low = &low[..count * reach];
            self.across((low, reach), columns.start, (&mut block[..end], out_stride));
        }
    }

    /// As many rows as the target has, at most [`ROWS`], horizontally; `first` is the column of
    /// their first pixels. Every slice comes with the bytes from one row to the next.
    fn across(&self, rows: (&[u8], usize), first: usize, target: (&mut [u8], usize)) {
        let ((rows, stride), (target, target_stride)) = (rows, target);
        let bytes = self.horizontal.len() * 3;
        #[cfg(target_arch = "x86_64")]
        if self.simd
            && let Some(targets) = four(target, target_stride, bytes)
        {
            let rows = [0, 1, 2, 3].map(|y| &rows[y * stride..]);
            return avx2::across(rows, self.horizontal, first, targets);
        }
        for (row, target) in rows.chunks(stride).zip(target.chunks_mut(target_stride)) {
            plain::across(row, self.horizontal, first, &mut target[..bytes]);
        }
    }

    /// The weighted sum of rows for the output row `index`.
    fn down(&self, (rows, stride): (&[u8], usize), index: usize, target: &mut [u8]) {
        #[cfg(target_arch = "x86_64")]
        if self.simd && target.len() >= avx2::BYTES {
            return avx2::down(rows, stride, self.vertical, index, target);
        }
        plain::down(rows, stride, self.vertical.of(index).1, target);
    }
}

/// Bytes from a row's column `first` on that may be read: whole loads of 16 bytes, 4 pixels each.
fn reach(horizontal: &Weights, first: usize) -> usize {
    let last = horizontal.span().end - horizontal.taps();
    (last - first + horizontal.taps().next_multiple_of(4)) * 3 + 4
}

/// The first `length` bytes of a buffer that only grows.
fn room(buffer: &mut Vec<u8>, length: usize) -> &mut [u8] {
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
    &mut buffer[..length]
}

/// Four whole rows, where there are so many.
#[cfg(target_arch = "x86_64")]
fn four(rows: &mut [u8], stride: usize, bytes: usize) -> Option<[&mut [u8]; ROWS]> {
    let mut rows = rows.chunks_mut(stride);
    let mut row = || rows.next()?.get_mut(..bytes);
    Some([row()?, row()?, row()?, row()?])
}
