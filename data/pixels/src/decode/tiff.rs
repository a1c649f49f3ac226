//! TIFF decoder (TIFF 6.0, BigTIFF), with PIL's pixels for every form that it takes.
//!
//! Own code: the crate `tiff` reads bit order, associated alpha and 16-bit white-is-zero differently from PIL
//! without saying so, and refuses palettes and YCbCr. A form that is not listed here is refused by its name.

mod chunks;
mod layout;
mod samples;

use super::ifd::Directory;
use super::{Limits, exif};
use crate::DecodedImage;
use chunks::Chunks;
use image::RgbImage;
use image::metadata::Orientation;
use layout::{Colours, Layout};

/// Contents of the first directory.
pub(super) struct Header {
    /// Of the stored pixels.
    pub(super) size: (u32, u32),
    pub(super) orientation: Orientation,
    pub(super) gray: bool,
    pub(super) cmyk: bool,
    pub(super) alpha: bool,
    pub(super) several_images: bool,
}

/// Whether the bytes begin as a TIFF or BigTIFF file.
pub(super) fn is_tiff(bytes: &[u8]) -> bool {
    [b"MM\0\x2a", b"II\x2a\0", b"MM\0\x2b", b"II\x2b\0"]
        .iter()
        .any(|start| bytes.starts_with(*start))
}

pub(super) fn header(bytes: &[u8]) -> Result<Header, String> {
    let directory = directory(bytes)?;
    let layout = Layout::read(&directory)?;
    Ok(Header {
        size: (layout.width, layout.height),
        orientation: orientation(&directory),
        gray: layout.colours == Colours::Gray,
        cmyk: layout.colours == Colours::Cmyk,
        alpha: layout.has_alpha,
        several_images: directory.has_next,
    })
}

/// Decodes the first image and turns it upright.
pub(super) fn decode(
    bytes: &[u8],
    with_alpha: bool,
    limits: &Limits,
) -> Result<DecodedImage, String> {
    let directory = directory(bytes)?;
    let layout = Layout::read(&directory)?;
    limits.check_pixels(layout.width, layout.height)?;
    let chunks = Chunks::read(&directory, &layout, limits)?;
    let samples = chunks.decode(bytes, &layout)?;
    let image =
        |values| RgbImage::from_raw(layout.width, layout.height, values).ok_or("too few pixels");
    let alpha = (with_alpha && layout.has_alpha).then(|| samples::alpha(&samples, &layout));
    let rgb = match layout.is_ycbcr_jpeg() {
        true => samples,
        false => samples::to_rgb(&samples, &layout),
    };
    let image = DecodedImage {
        rgb: image(rgb)?,
        alpha: alpha.map(image).transpose()?,
    };
    Ok(super::apply_orientation(image, orientation(&directory)))
}

fn directory(bytes: &[u8]) -> Result<Directory<'_>, String> {
    Directory::first(bytes).ok_or_else(|| "the file is truncated".into())
}

fn orientation(directory: &Directory<'_>) -> Orientation {
    /// Tag of an XMP packet.
    const XMP: u16 = 700;
    exif::from_directory(Some(directory), directory.bytes(XMP))
}
