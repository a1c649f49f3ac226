//! Image decoding: bytes to upright pixels, equal to PIL's `exif_transpose` and `convert("RGB")` or `convert("RGBA")`.
//!
//! The content determines the format, never the file name. Knows no labels and no network.

mod bmp;
mod exif;
mod header;
mod ifd;
mod jpeg;
mod png;
mod pnm;
mod sniff;
mod tiff;
mod to_rgb;

pub use header::{Format, ImageHeader, read_header};
pub use jpeg::JPEG_DECODER;
pub use sniff::unsupported;
pub use to_rgb::{alpha, to_rgb};

use crate::decoded_image::opaque;
use crate::preprocess::Color;
use crate::{DecodedImage, Error, Result};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};
use sniff::Content;
// Not `fs_err`: `files::Error` names the file.
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// Limits against decompression bombs, checked before any pixel is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Width times height.
    pub max_pixels: u64,
    /// Bytes of the file.
    pub max_bytes: u64,
}

impl Default for Limits {
    /// 178,956,970 pixels (twice `MAX_IMAGE_PIXELS`, where PIL raises `DecompressionBombError`), 256 MiB.
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
    /// The image file.
    pub path: PathBuf,
    /// The defect.
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

/// Decodes a JPEG, PNG, WebP, BMP, TIFF or PNM image, turned as its EXIF orientation says.
///
/// The result has three channels: alpha is dropped, gray is repeated, 16 bits become 8 as in PIL. An
/// animation gives its first frame.
///
/// # Errors
/// [`Error::Undecodable`] when the bytes are of another format, truncated, or over a limit.
///
/// ```
/// let image = classifold_pixels::decode::decode(b"P6 2 1 255 \x01\x02\x03\x04\x05\x06", &Default::default())?;
/// assert_eq!(image.dimensions(), (2, 1));
/// assert_eq!(image.into_raw(), [1, 2, 3, 4, 5, 6]);
/// # Ok::<(), classifold_pixels::Error>(())
/// ```
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<RgbImage> {
    Ok(decode_as(bytes, Color::Rgb, limits)?.rgb)
}

/// As [`decode`], with alpha where the network's channels have it: an image without alpha is opaque.
///
/// # Errors
/// As [`decode`].
///
/// ```
/// use classifold_pixels::{decode::decode_as, preprocess::Color};
/// let image = decode_as(b"P6 1 1 255 \x01\x02\x03", Color::Rgba, &Default::default())?;
/// assert_eq!(image.alpha.unwrap().into_raw(), [255; 3]);
/// # Ok::<(), classifold_pixels::Error>(())
/// ```
pub fn decode_as(bytes: &[u8], color: Color, limits: &Limits) -> Result<DecodedImage> {
    decode_image(bytes, color.has_alpha(), limits)
        .map_err(|reason| Error::Undecodable { path: None, reason })
}

/// Reads and decodes a file.
///
/// # Errors
/// [`Error::Files`] when it cannot be read, [`Error::Undecodable`] when it cannot be decoded.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("a.pgm");
/// std::fs::write(&path, b"P5 1 1 255 \x07")?;
/// assert_eq!(classifold_pixels::decode::open(&path, &Default::default())?.into_raw(), [7, 7, 7]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn open(path: &Path, limits: &Limits) -> Result<RgbImage> {
    Ok(open_as(path, Color::Rgb, limits)?.rgb)
}

/// As [`open`], with alpha where the network's channels have it: an image without alpha is opaque.
///
/// # Errors
/// As [`open`].
pub fn open_as(path: &Path, color: Color, limits: &Limits) -> Result<DecodedImage> {
    let bytes = read(path, limits)?;
    decode_image(&bytes, color.has_alpha(), limits).map_err(|reason| undecodable(path, reason))
}

/// The bytes of a file within the limits.
///
/// # Errors
/// [`Error::Files`] when it cannot be read, [`Error::Undecodable`] when it is too large.
pub fn read(path: &Path, limits: &Limits) -> Result<Vec<u8>> {
    let metadata = fs::metadata(path).map_err(files::Error::reading(path))?;
    limits
        .check_bytes(metadata.len())
        .map_err(|reason| undecodable(path, reason))?;
    Ok(fs::read(path).map_err(files::Error::reading(path))?)
}

fn undecodable(path: &Path, reason: String) -> Error {
    Error::Undecodable {
        path: Some(path.to_path_buf()),
        reason,
    }
}

fn decode_image(bytes: &[u8], with_alpha: bool, limits: &Limits) -> Result<DecodedImage, String> {
    limits.check_bytes(bytes.len() as u64)?;
    let mut image = match sniff::content(bytes)? {
        Content::Jpeg => {
            let header = jpeg::header(bytes)?;
            limits.check_pixels(header.width, header.height)?;
            apply_orientation(jpeg::decode(bytes)?.into(), header.orientation)
        }
        Content::Pnm => pnm::decode(bytes, limits)?.into(),
        Content::Tiff => tiff::decode(bytes, with_alpha, limits)?,
        Content::Png => {
            let chunks = png::Chunks::read(bytes);
            let bytes = chunks.with_end(bytes)?;
            let image = decode_other(&bytes, ImageFormat::Png, with_alpha, limits)?;
            apply_orientation(image, chunks.orientation())
        }
        Content::WebP => {
            let orientation = webp_orientation(bytes)?;
            let image = decode_other(bytes, ImageFormat::WebP, with_alpha, limits)?;
            apply_orientation(image, orientation)
        }
        Content::Bmp => bmp::decode(bytes, with_alpha, limits)?,
    };
    if with_alpha && image.alpha.is_none() {
        image.alpha = Some(opaque(&image.rgb));
    }
    Ok(image)
}

/// PNG, WebP and BMP, as they are stored.
fn decode_other(
    bytes: &[u8],
    format: ImageFormat,
    with_alpha: bool,
    limits: &Limits,
) -> Result<DecodedImage, String> {
    let mut decoder = decoder(bytes, format)?;
    let (width, height) = decoder.dimensions();
    limits.check_pixels(width, height)?;
    let mut allocation = image::Limits::no_limits();
    // Four channels of 16 bits take 8 bytes a pixel; as much again for the decoder's own buffers.
    allocation.max_alloc = Some(limits.max_pixels.saturating_mul(16));
    decoder.set_limits(allocation).map_err(decoder_message)?;
    // Byte 25 of a PNG is the colour type of its header; 0 is gray without alpha. Such a file may still
    // have a colour key (chunk `tRNS`), which the decoder shows as an alpha channel.
    let keyed = format == ImageFormat::Png && bytes.get(25) == Some(&0);
    match DynamicImage::from_decoder(decoder).map_err(decoder_message)? {
        DynamicImage::ImageRgb8(rgb) => Ok(rgb.into()),
        other => Ok(DecodedImage {
            alpha: alpha(&other).filter(|_| with_alpha),
            rgb: to_rgb::converted(&other, keyed)?.into_owned(),
        }),
    }
}

/// A decoder that has read the header.
fn decoder(bytes: &[u8], format: ImageFormat) -> Result<impl ImageDecoder, String> {
    ImageReader::with_format(Cursor::new(bytes), format)
        .into_decoder()
        .map_err(decoder_message)
}

fn webp_orientation(bytes: &[u8]) -> Result<Orientation, String> {
    let mut decoder = decoder(bytes, ImageFormat::WebP)?;
    // Bits 3 and 2 of an extended file's header: EXIF and XMP (RFC 9649, section 2.7). PIL, by libwebp,
    // does not see a block without its bit. A damaged block rotates nothing.
    let flags = bytes.get(20).copied().unwrap_or(0);
    let exif = decoder.exif_metadata().unwrap_or_default();
    let xmp = decoder.xmp_metadata().unwrap_or_default();
    Ok(exif::orientation(
        exif.as_deref().filter(|_| flags & 8 != 0),
        xmp.as_deref().filter(|_| flags & 4 != 0),
    ))
}

/// The decoder's message; truncation reads the same for every format.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn decoder_message(error: image::ImageError) -> String {
    if let image::ImageError::IoError(io) = &error
        && io.kind() == std::io::ErrorKind::UnexpectedEof
    {
        return "the file is truncated".into();
    }
    error.to_string()
}

fn apply_orientation(image: DecodedImage, orientation: Orientation) -> DecodedImage {
    if orientation == Orientation::NoTransforms {
        return image;
    }
    image.map(|plane| {
        let mut plane = DynamicImage::ImageRgb8(plane);
        plane.apply_orientation(orientation);
        plane.into_rgb8()
    })
}

#[cfg(test)]
mod tests;
