//! Bytes to RGB pixels, equal to PIL's `exif_transpose` and `convert("RGB")`.
//!
//! The format is told by the content, never by the name. This room knows nothing of labels.

mod exif;
mod facts;
mod jpeg;
#[cfg(feature = "libjpeg")]
#[path = "decode/jpeg_mozjpeg.rs"]
mod jpeg_pixels;
#[cfg(not(feature = "libjpeg"))]
#[path = "decode/jpeg_zune.rs"]
mod jpeg_pixels;
mod pnm;
mod sniff;
mod to_rgb;

pub use facts::{Facts, Format, facts};

use crate::{Error, Result};
use fs_err as fs;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};
use sniff::Content;
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// What decodes JPEG files in this build: another one may give slightly other pixels.
pub const JPEG_DECODER: &str = if cfg!(feature = "libjpeg") {
    "mozjpeg 0.10"
} else {
    "zune-jpeg 0.5"
};

/// The largest picture that is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Width times height, checked before any pixel is decoded.
    pub max_pixels: u64,
    /// Size of the file.
    pub max_bytes: u64,
}

impl Default for Limits {
    /// 178,956,970 pixels (where PIL speaks of a decompression bomb), 256 MiB.
    fn default() -> Self {
        Self {
            max_pixels: 178_956_970,
            max_bytes: 256 << 20,
        }
    }
}

/// An image that was left out because it could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// What was wrong with it.
    pub reason: String,
}

impl Limits {
    fn check_pixels(&self, width: u32, height: u32) -> Result<(), String> {
        if width == 0 || height == 0 {
            return Err(format!("it has {width} x {height} pixels"));
        }
        if u64::from(width) * u64::from(height) > self.max_pixels {
            let max = self.max_pixels;
            return Err(format!(
                "{width} x {height} pixels are more than the limit of {max}"
            ));
        }
        Ok(())
    }

    fn check_bytes(&self, found: u64) -> Result<(), String> {
        if found > self.max_bytes {
            return Err(format!(
                "{found} bytes are more than the limit of {}",
                self.max_bytes
            ));
        }
        Ok(())
    }
}

/// Decodes a JPEG, PNG, WebP, BMP, TIFF or PNM picture, turned as its EXIF orientation says.
///
/// Alpha is dropped; 16 bits become 8 as in PIL; of an animation the first picture is taken.
///
/// # Errors
/// [`Error::Undecodable`] when the bytes are no such picture, truncated, or over a limit.
///
/// ```
/// let picture = pixels::decode::decode(b"P6 2 1 255 \x01\x02\x03\x04\x05\x06", &Default::default())?;
/// assert_eq!(picture.dimensions(), (2, 1));
/// assert_eq!(picture.into_raw(), [1, 2, 3, 4, 5, 6]);
/// # Ok::<(), pixels::Error>(())
/// ```
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<RgbImage> {
    pixels(bytes, limits).map_err(|reason| Error::Undecodable { reason })
}

/// Reads and decodes a file.
///
/// # Errors
/// [`Error::Read`] when it cannot be read, [`Error::UnreadableImage`] when it cannot be decoded.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("a.pgm");
/// std::fs::write(&path, b"P5 1 1 255 \x07")?;
/// assert_eq!(pixels::decode::open(&path, &Default::default())?.into_raw(), [7, 7, 7]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn open(path: &Path, limits: &Limits) -> Result<RgbImage> {
    let bytes = read(path, limits)?;
    pixels(&bytes, limits).map_err(|reason| unreadable(path, reason))
}

/// The bytes of a file within the limits.
///
/// # Errors
/// [`Error::Read`] when it cannot be read, [`Error::UnreadableImage`] when it is too large.
pub fn read(path: &Path, limits: &Limits) -> Result<Vec<u8>> {
    let failed = |source| Error::Read {
        path: path.to_path_buf(),
        source,
    };
    limits
        .check_bytes(fs::metadata(path).map_err(failed)?.len())
        .map_err(|reason| unreadable(path, reason))?;
    fs::read(path).map_err(failed)
}

fn unreadable(path: &Path, reason: String) -> Error {
    Error::UnreadableImage {
        path: path.to_path_buf(),
        reason,
    }
}

fn pixels(bytes: &[u8], limits: &Limits) -> Result<RgbImage, String> {
    limits.check_bytes(bytes.len() as u64)?;
    match sniff::content(bytes)? {
        Content::Jpeg => {
            let header = jpeg::header(bytes)?;
            limits.check_pixels(header.width, header.height)?;
            Ok(turn(jpeg_pixels::decode(bytes)?, header.orientation))
        }
        Content::Pnm => pnm::decode(bytes, limits),
        Content::Other(format) => other(bytes, format, limits),
    }
}

/// Everything but JPEG.
fn other(bytes: &[u8], format: ImageFormat, limits: &Limits) -> Result<RgbImage, String> {
    let mut decoder = decoder(bytes, format)?;
    let (width, height) = decoder.dimensions();
    limits.check_pixels(width, height)?;
    let mut allocation = image::Limits::no_limits();
    // Four channels of 16 bits, and the decoder's own buffers.
    allocation.max_alloc = Some(limits.max_pixels.saturating_mul(16));
    decoder.set_limits(allocation).map_err(said)?;
    let orientation = orientation(&mut decoder, format);
    // The colour type in a PNG's header: gray without alpha.
    let keyed = format == ImageFormat::Png && bytes.get(25) == Some(&0);
    let picture = DynamicImage::from_decoder(decoder).map_err(said)?;
    Ok(turn(to_rgb::to_rgb(picture, keyed)?, orientation))
}

/// A decoder that has read the header.
fn decoder(bytes: &[u8], format: ImageFormat) -> Result<impl ImageDecoder, String> {
    ImageReader::with_format(Cursor::new(bytes), format)
        .into_decoder()
        .map_err(said)
}

fn orientation(decoder: &mut impl ImageDecoder, format: ImageFormat) -> Orientation {
    if format == ImageFormat::Tiff {
        return decoder.orientation().unwrap_or(Orientation::NoTransforms);
    }
    let exif = decoder.exif_metadata().unwrap_or_default();
    let xmp = decoder.xmp_metadata().unwrap_or_default();
    exif::orientation(exif.as_deref(), xmp.as_deref())
}

/// The decoder's message, in this house's manner.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn said(error: image::ImageError) -> String {
    if let image::ImageError::IoError(io) = &error
        && io.kind() == std::io::ErrorKind::UnexpectedEof
    {
        return "the file is truncated".into();
    }
    error.to_string()
}

fn turn(picture: RgbImage, orientation: Orientation) -> RgbImage {
    if orientation == Orientation::NoTransforms {
        return picture;
    }
    let mut picture = DynamicImage::ImageRgb8(picture);
    picture.apply_orientation(orientation);
    picture.into_rgb8()
}

#[cfg(all(test, feature = "libjpeg"))]
#[path = "decode/jpeg_zune.rs"]
mod jpeg_zune;
#[cfg(test)]
mod tests;
