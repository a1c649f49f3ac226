//! Frames of C: pixels that the caller owns, with strides. They are not copied.

use deploy::{Frame, Nv12 as RustNv12, PixelFormat as RustFormat, Pixels as RustPixels};
use deploy::{Result, YuvMatrix as RustMatrix, YuvRange as RustRange};

use crate::arguments::{argument_error, slice};

/// Channels of a pixel.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub enum PixelFormat {
    /// Red, green, blue: 3 bytes.
    Rgb8 = 0,
    /// Blue, green, red: 3 bytes, as OpenCV has them.
    Bgr8 = 1,
    /// Red, green, blue, alpha: 4 bytes.
    Rgba8 = 2,
    /// Blue, green, red, alpha: 4 bytes.
    Bgra8 = 3,
    /// Gray: 1 byte.
    Gray8 = 4,
    /// Gray: 2 bytes in the machine's order; clipped at 255.
    Gray16 = 5,
}

/// Coefficients of luma and chroma.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub enum YuvMatrix {
    /// ITU-R BT.601: standard definition, JPEG, most webcams.
    Bt601 = 0,
    /// ITU-R BT.709: high definition.
    Bt709 = 1,
    /// ITU-R BT.2020: ultra-high definition.
    Bt2020 = 2,
}

/// Range of luma and chroma.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub enum YuvRange {
    /// Luma 16 to 235, chroma 16 to 240, as in video.
    Limited = 0,
    /// 0 to 255, as in JPEG.
    Full = 1,
}

/// Interleaved pixels, row by row from the upper left.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Pixels {
    /// The first row.
    pub bytes: *const u8,
    /// Bytes that may be read from there on: at least `row_stride * (height - 1)` and a row.
    pub len: usize,
    /// Bytes from the start of a row to the start of the next.
    pub row_stride: usize,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// A `ClassifoldPixelFormat`.
    pub format: u32,
}

/// A frame of a camera or a video decoder: a plane of luma, and one of chroma in half the width and height with Cb and
/// Cr in turns.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Nv12 {
    /// The first row of luma.
    pub luma: *const u8,
    /// Bytes that may be read from there on.
    pub luma_len: usize,
    /// Bytes from a row of luma to the next.
    pub luma_stride: usize,
    /// The first row of chroma.
    pub chroma: *const u8,
    /// Bytes that may be read from there on.
    pub chroma_len: usize,
    /// Bytes from a row of chroma to the next.
    pub chroma_stride: usize,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// A `ClassifoldYuvMatrix`.
    pub matrix: u32,
    /// A `ClassifoldYuvRange`.
    pub range: u32,
}

fn unknown(name: &str, found: u32) -> deploy::Error {
    argument_error(format!(
        "`{name}` is {found}, which the header does not know"
    ))
}

impl Pixels {
    /// # Safety
    /// `bytes` is valid for `len` bytes for `'a`.
    pub(crate) unsafe fn frame<'a>(&self) -> Result<Frame<'a>> {
        // An integer, not the enum: C may write any number into it.
        let format = match self.format {
            0 => RustFormat::Rgb8,
            1 => RustFormat::Bgr8,
            2 => RustFormat::Rgba8,
            3 => RustFormat::Bgra8,
            4 => RustFormat::Gray8,
            5 => RustFormat::Gray16,
            other => return Err(unknown("format", other)),
        };
        Ok(Frame::Pixels(RustPixels {
            // SAFETY: as the caller promises.
            bytes: unsafe { slice(self.bytes, self.len, "bytes") }?,
            width: self.width,
            height: self.height,
            row_stride: self.row_stride,
            format,
        }))
    }
}

impl Nv12 {
    /// # Safety
    /// The planes are valid for their lengths for `'a`.
    pub(crate) unsafe fn frame<'a>(&self) -> Result<Frame<'a>> {
        let matrix = match self.matrix {
            0 => RustMatrix::Bt601,
            1 => RustMatrix::Bt709,
            2 => RustMatrix::Bt2020,
            other => return Err(unknown("matrix", other)),
        };
        let range = match self.range {
            0 => RustRange::Limited,
            1 => RustRange::Full,
            other => return Err(unknown("range", other)),
        };
        Ok(Frame::Nv12(RustNv12 {
            // SAFETY: as the caller promises.
            luma: unsafe { slice(self.luma, self.luma_len, "luma") }?,
            // SAFETY: the same.
            chroma: unsafe { slice(self.chroma, self.chroma_len, "chroma") }?,
            width: self.width,
            height: self.height,
            luma_stride: self.luma_stride,
            chroma_stride: self.chroma_stride,
            matrix,
            range,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_the_header_are_those_that_are_read() {
        let formats = [
            (PixelFormat::Rgb8, RustFormat::Rgb8),
            (PixelFormat::Bgr8, RustFormat::Bgr8),
            (PixelFormat::Rgba8, RustFormat::Rgba8),
            (PixelFormat::Bgra8, RustFormat::Bgra8),
            (PixelFormat::Gray8, RustFormat::Gray8),
            (PixelFormat::Gray16, RustFormat::Gray16),
        ];
        let bytes = [0; 12];
        let pixels = |format| Pixels {
            bytes: bytes.as_ptr(),
            len: 12,
            row_stride: 4,
            width: 1,
            height: 3,
            format,
        };
        for (written, read) in formats {
            // SAFETY: the bytes live until the end of the test.
            let frame = unsafe { pixels(written as u32).frame() }.unwrap();
            assert!(matches!(frame, Frame::Pixels(pixels) if pixels.format == read));
        }
        // SAFETY: the same.
        let error = unsafe { pixels(6).frame() }.unwrap_err();
        assert_eq!(
            error.to_string(),
            "`format` is 6, which the header does not know"
        );
    }
}
