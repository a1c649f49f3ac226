//! Frames: pixels in memory that someone else owns, in the layouts of cameras and video decoders. Knows no files.
//!
//! A frame is never copied as a whole. Rows of RGB are resized where they lie; rows of other formats become RGB a few
//! at a time, while they are in the processor's caches.

use image::RgbImage;

use super::luma;
use crate::{Error, Kind, Result};

/// Order and size of the channels of a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PixelFormat {
    /// Red, green, blue: 3 bytes.
    Rgb8,
    /// Blue, green, red: 3 bytes.
    Bgr8,
    /// Red, green, blue, alpha: 4 bytes.
    Rgba8,
    /// Blue, green, red, alpha: 4 bytes.
    Bgra8,
    /// Gray: 1 byte.
    Gray8,
    /// Gray: 2 bytes in the machine's order. Clipped at 255, as PIL's mode `I;16` is and as
    /// [`decode`](crate::decode) does with a file of 16-bit gray.
    Gray16,
}

impl PixelFormat {
    /// Bytes of a pixel.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Gray8 => 1,
            Self::Gray16 => 2,
            Self::Rgb8 | Self::Bgr8 => 3,
            Self::Rgba8 | Self::Bgra8 => 4,
        }
    }

    const fn has_alpha(self) -> bool {
        matches!(self, Self::Rgba8 | Self::Bgra8)
    }
}

/// Pixels on loan, row by row from the upper left.
///
/// ```
/// use classifold_pixels::{PixelFormat, Pixels, Preprocess};
///
/// // Two rows of three pixels, padded to 16 bytes.
/// let bytes = [7; 32];
/// let frame = Pixels { bytes: &bytes, width: 3, height: 2, row_stride: 16, format: PixelFormat::Bgra8 };
/// let tensor = Preprocess::imagenet().apply_frame(frame)?; // [3, 224, 224]
/// assert_eq!(tensor.len(), 3 * 224 * 224);
/// # Ok::<(), classifold_pixels::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'a> {
    /// At least `row_stride * (height - 1) + width * format.bytes()` bytes.
    pub bytes: &'a [u8],
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Bytes from the start of a row to the start of the next.
    pub row_stride: usize,
    /// Channels of a pixel.
    pub format: PixelFormat,
}

/// Coefficients of luma and chroma.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum YuvMatrix {
    /// ITU-R BT.601: standard definition, JPEG, most webcams.
    #[default]
    Bt601,
    /// ITU-R BT.709: high definition.
    Bt709,
    /// ITU-R BT.2020 with constant luminance off: ultra-high definition.
    Bt2020,
}

/// Range of luma and chroma.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum YuvRange {
    /// Luma 16 to 235, chroma 16 to 240, as in video.
    #[default]
    Limited,
    /// 0 to 255, as in JPEG.
    Full,
}

/// A frame of a camera or a video decoder on loan: a plane of luma, and a plane of chroma in half the width and height
/// with Cb and Cr in turns. Chroma is repeated, not interpolated.
#[derive(Clone, Copy, Debug)]
pub struct Nv12<'a> {
    /// At least `luma_stride * (height - 1) + width` bytes.
    pub luma: &'a [u8],
    /// Rows of `Cb Cr` for two pixels of two rows each; odd sides are rounded up.
    pub chroma: &'a [u8],
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Bytes from a row of luma to the next.
    pub luma_stride: usize,
    /// Bytes from a row of chroma to the next.
    pub chroma_stride: usize,
    /// Coefficients.
    pub matrix: YuvMatrix,
    /// Range of the numbers.
    pub range: YuvRange,
}

/// A frame of either kind, checked when it is used.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Frame<'a> {
    /// Interleaved channels.
    Pixels(Pixels<'a>),
    /// Luma and chroma.
    Nv12(Nv12<'a>),
}

impl<'a> From<Pixels<'a>> for Frame<'a> {
    fn from(pixels: Pixels<'a>) -> Self {
        Self::Pixels(pixels)
    }
}

impl<'a> From<Nv12<'a>> for Frame<'a> {
    fn from(frame: Nv12<'a>) -> Self {
        Self::Nv12(frame)
    }
}

impl<'a> From<&'a RgbImage> for Frame<'a> {
    fn from(image: &'a RgbImage) -> Self {
        Self::Pixels(Pixels {
            bytes: image.as_raw(),
            width: image.width(),
            height: image.height(),
            row_stride: image.width() as usize * 3,
            format: PixelFormat::Rgb8,
        })
    }
}

/// Pixels `[H, W, C]` in RGB, RGBA (4 channels) or gray (1), without gaps in memory.
///
/// ```
/// # #[cfg(feature = "ndarray")] {
/// let image = ndarray::Array3::<u8>::zeros((48, 64, 3));
/// assert_eq!(classifold_pixels::Frame::try_from(image.view())?.dimensions(), (64, 48));
/// # }
/// # Ok::<(), classifold_pixels::Error>(())
/// ```
#[cfg(feature = "ndarray")]
impl<'a> TryFrom<ndarray::ArrayView3<'a, u8>> for Frame<'a> {
    type Error = Error;

    fn try_from(view: ndarray::ArrayView3<'a, u8>) -> Result<Self> {
        let (height, width, channels) = view.dim();
        let format = match channels {
            1 => Some(PixelFormat::Gray8),
            3 => Some(PixelFormat::Rgb8),
            4 => Some(PixelFormat::Rgba8),
            _ => None,
        };
        let side = |side: usize| u32::try_from(side).ok();
        // Gaps may belong to another view, which may write them.
        match (format, side(width), side(height), view.to_slice()) {
            (Some(format), Some(width), Some(height), Some(bytes)) => Ok(Self::Pixels(Pixels {
                bytes,
                width,
                height,
                row_stride: width as usize * format.bytes(),
                format,
            })),
            _ => Err(Error::Invalid {
                kind: Kind::Argument,
                message: format!(
                    "the array is no image\n  expected: [H, W, C] without gaps, C of 1, 3 or 4\n  found:    \
                     [{height}, {width}, {channels}], strides {:?}",
                    view.strides()
                ),
                hint: Some("`as_standard_layout` copies an array without gaps"),
            }),
        }
    }
}

impl<'a> Frame<'a> {
    /// Width and height.
    #[must_use]
    pub const fn dimensions(&self) -> (u32, u32) {
        match self {
            Self::Pixels(frame) => (frame.width, frame.height),
            Self::Nv12(frame) => (frame.width, frame.height),
        }
    }

    /// A copy of the colours.
    ///
    /// # Errors
    /// The frame has fewer bytes than its size and strides ask for ([`Kind::Argument`]).
    pub fn to_rgb(&self) -> Result<RgbImage> {
        self.check()?;
        let (width, height) = self.dimensions();
        let mut image = RgbImage::new(width, height);
        let rows = self.rows(false);
        let bytes = (width as usize * 3).max(1);
        for (y, row) in image.chunks_exact_mut(bytes).enumerate() {
            rows.write(y, row);
        }
        Ok(image)
    }

    /// A copy of alpha, repeated in three channels, where the format has it. The frame must be checked.
    pub(crate) fn alpha(&self) -> Option<RgbImage> {
        let Self::Pixels(pixels) = self else {
            return None;
        };
        pixels.format.has_alpha().then(|| {
            RgbImage::from_fn(pixels.width, pixels.height, |x, y| {
                let offset = y as usize * pixels.row_stride + x as usize * 4;
                [pixels.bytes[offset + 3]; 3].into()
            })
        })
    }

    /// Refuses a frame whose bytes are too few for its size and strides.
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Self::Pixels(frame) => {
                let row = frame.width as usize * frame.format.bytes();
                check_plane("", frame.bytes.len(), frame.row_stride, row, frame.height)
            }
            Self::Nv12(frame) => {
                let (luma, chroma) = (frame.width, frame.width.div_ceil(2) * 2);
                let [luma, chroma] = [luma, chroma].map(|bytes| bytes as usize);
                let rows = frame.height.div_ceil(2);
                check_plane(
                    " of luma",
                    frame.luma.len(),
                    frame.luma_stride,
                    luma,
                    frame.height,
                )?;
                check_plane(
                    " of chroma",
                    frame.chroma.len(),
                    frame.chroma_stride,
                    chroma,
                    rows,
                )
            }
        }
    }

    /// Its bytes and their stride, where the pixels are three interleaved colours, and whether these begin with blue.
    pub(crate) fn three_colours(&self) -> Option<(&'a [u8], usize, bool)> {
        match self {
            Self::Pixels(frame)
                if matches!(frame.format, PixelFormat::Rgb8 | PixelFormat::Bgr8) =>
            {
                let is_bgr = frame.format == PixelFormat::Bgr8;
                Some((frame.bytes, frame.row_stride, is_bgr))
            }
            _ => None,
        }
    }

    /// Its rows as RGB, or as gray in three channels. The frame must be checked.
    pub(crate) fn rows(&self, gray: bool) -> FrameRows<'a> {
        FrameRows {
            frame: *self,
            yuv: match self {
                Self::Nv12(frame) => Some(YuvTables::new(frame.matrix, frame.range)),
                Self::Pixels(_) => None,
            },
            gray,
        }
    }
}

fn check_plane(what: &str, bytes: usize, stride: usize, row: usize, rows: u32) -> Result<()> {
    let last = (rows as usize).saturating_sub(1);
    let needed = stride
        .checked_mul(last)
        .and_then(|start| start.checked_add(row));
    let fits = row > 0 && rows > 0 && stride >= row && needed.is_some_and(|needed| needed <= bytes);
    if fits {
        return Ok(());
    }
    let message = format!(
        "the frame's rows{what} do not lie in its bytes\n  expected: {rows} rows of {row} bytes, one every {stride}\n  \
         found:    {bytes} bytes"
    );
    Err(Error::Invalid {
        kind: Kind::Argument,
        message,
        hint: Some("a stride is in bytes and at least as long as a row"),
    })
}

/// Rows of a frame, converted one at a time.
#[derive(Debug)]
pub(crate) struct FrameRows<'a> {
    frame: Frame<'a>,
    yuv: Option<YuvTables>,
    gray: bool,
}

impl FrameRows<'_> {
    /// Writes the row `y`, three bytes a pixel.
    pub(crate) fn write(&self, y: usize, out: &mut [u8]) {
        let out_pixels = out.as_chunks_mut::<3>().0;
        match (&self.frame, &self.yuv) {
            (Frame::Nv12(frame), Some(tables)) => tables.write(frame, y, out_pixels),
            (Frame::Pixels(frame), _) => frame.write(y, out_pixels),
            (Frame::Nv12(_), None) => {}
        }
        if self.gray {
            for pixel in out_pixels {
                *pixel = [luma(*pixel); 3];
            }
        }
    }
}

impl Pixels<'_> {
    fn write(&self, y: usize, out: &mut [[u8; 3]]) {
        let row = &self.bytes[y * self.row_stride..];
        match self.format {
            PixelFormat::Rgb8 => out.copy_from_slice(&row.as_chunks::<3>().0[..out.len()]),
            PixelFormat::Bgr8 => {
                for (out, [b, g, r]) in out.iter_mut().zip(row.as_chunks().0) {
                    *out = [*r, *g, *b];
                }
            }
            PixelFormat::Rgba8 => {
                for (out, [r, g, b, _]) in out.iter_mut().zip(row.as_chunks().0) {
                    *out = [*r, *g, *b];
                }
            }
            PixelFormat::Bgra8 => {
                for (out, [b, g, r, _]) in out.iter_mut().zip(row.as_chunks().0) {
                    *out = [*r, *g, *b];
                }
            }
            PixelFormat::Gray8 => {
                for (out, value) in out.iter_mut().zip(row) {
                    *out = [*value; 3];
                }
            }
            PixelFormat::Gray16 => {
                for (out, value) in out.iter_mut().zip(row.as_chunks().0) {
                    *out = [u16::from_ne_bytes(*value).min(255) as u8; 3];
                }
            }
        }
    }
}

/// Bits behind the point in [`YuvTables`].
const BITS: u32 = 16;

/// What every value of luma and chroma adds to a colour, in fixed point.
#[derive(Debug)]
struct YuvTables {
    luma: [i32; 256],
    red_of_cr: [i32; 256],
    green_of_cb: [i32; 256],
    green_of_cr: [i32; 256],
    blue_of_cb: [i32; 256],
}

impl YuvTables {
    /// The inverse of the recommendation's matrix, from its weights of red and blue in luma.
    fn new(matrix: YuvMatrix, range: YuvRange) -> Self {
        let (red, blue) = match matrix {
            YuvMatrix::Bt601 => (0.299, 0.114),
            YuvMatrix::Bt709 => (0.2126, 0.0722),
            YuvMatrix::Bt2020 => (0.2627, 0.0593),
        };
        let green = 1.0 - red - blue;
        let (offset, luma_scale, chroma_scale) = match range {
            YuvRange::Limited => (16.0, 255.0 / 219.0, 255.0 / 224.0),
            YuvRange::Full => (0.0, 1.0, 1.0),
        };
        let table = |offset: f64, factor: f64| -> [i32; 256] {
            std::array::from_fn(|value| {
                let product = (value as f64 - offset) * factor * f64::from(1 << BITS);
                product.round() as i32
            })
        };
        let chroma = |factor: f64| table(128.0, factor * chroma_scale);
        Self {
            luma: table(offset, luma_scale),
            red_of_cr: chroma(2.0 * (1.0 - red)),
            green_of_cb: chroma(-2.0 * (1.0 - blue) * blue / green),
            green_of_cr: chroma(-2.0 * (1.0 - red) * red / green),
            blue_of_cb: chroma(2.0 * (1.0 - blue)),
        }
    }

    fn write(&self, frame: &Nv12<'_>, y: usize, out: &mut [[u8; 3]]) {
        let luma = &frame.luma[y * frame.luma_stride..];
        let chroma = &frame.chroma[y / 2 * frame.chroma_stride..];
        let pairs = out.chunks_mut(2).zip(luma.chunks(2));
        for ((out, luma), [cb, cr]) in pairs.zip(chroma.as_chunks().0) {
            let (cb, cr) = (usize::from(*cb), usize::from(*cr));
            let colours = [
                self.red_of_cr[cr],
                self.green_of_cb[cb] + self.green_of_cr[cr],
                self.blue_of_cb[cb],
            ];
            for (out, luma) in out.iter_mut().zip(luma) {
                let luma = self.luma[usize::from(*luma)] + (1 << (BITS - 1));
                *out = colours.map(|colour| ((luma + colour) >> BITS).clamp(0, 255) as u8);
            }
        }
    }
}
