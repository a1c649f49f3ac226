//! Conversion of gray, 16-bit, alpha and CMYK pixels to RGB, as PIL's `convert("RGB")`.

use crate::{Error, Result};
use image::{DynamicImage, RgbImage};
use std::borrow::Cow;

/// Pixels of a decoded image as [`decode`](super::decode) makes them of a file with the same ones.
///
/// Alpha is dropped without blending, gray is repeated. 16 bits per colour keep the upper 8, but 16-bit gray
/// without alpha is clipped at 255, as in PIL's mode `I;16`.
///
/// # Errors
/// [`Error::Undecodable`] for floating-point pixels, whose range is not known.
///
/// ```
/// use image::{DynamicImage, ImageBuffer, Luma};
/// let gray = DynamicImage::ImageLuma16(ImageBuffer::from_pixel(1, 1, Luma([300])));
/// assert_eq!(classifold_pixels::decode::to_rgb(&gray)?.as_raw(), &[255; 3]);
/// # Ok::<(), classifold_pixels::Error>(())
/// ```
pub fn to_rgb(image: &DynamicImage) -> Result<Cow<'_, RgbImage>> {
    converted(image, false).map_err(|reason| Error::Undecodable { path: None, reason })
}

/// Alpha of a decoded image, repeated in three channels; none where it has no alpha channel.
///
/// ```
/// use image::{DynamicImage, RgbaImage};
/// let image = DynamicImage::ImageRgba8(RgbaImage::from_pixel(1, 1, [1, 2, 3, 4].into()));
/// assert_eq!(classifold_pixels::decode::alpha(&image).unwrap().into_raw(), [4; 3]);
/// ```
#[must_use]
pub fn alpha(image: &DynamicImage) -> Option<RgbImage> {
    let alpha = match image {
        DynamicImage::ImageLumaA8(p) => p.pixels().flat_map(|p| [p[1]; 3]).collect(),
        DynamicImage::ImageRgba8(p) => p.pixels().flat_map(|p| [p[3]; 3]).collect(),
        DynamicImage::ImageLumaA16(p) => p.pixels().flat_map(|p| [high_byte(p[1]); 3]).collect(),
        DynamicImage::ImageRgba16(p) => p.pixels().flat_map(|p| [high_byte(p[3]); 3]).collect(),
        _ => return None,
    };
    RgbImage::from_raw(image.width(), image.height(), alpha)
}

/// As [`to_rgb`]; with `keyed`, the alpha channel is only a colour key.
pub(super) fn converted(image: &DynamicImage, keyed: bool) -> Result<Cow<'_, RgbImage>, String> {
    let (width, height) = (image.width(), image.height());
    let rgb = match image {
        DynamicImage::ImageRgb8(rgb) => return Ok(Cow::Borrowed(rgb)),
        DynamicImage::ImageLuma8(p) => p.pixels().flat_map(|p| [p[0]; 3]).collect(),
        DynamicImage::ImageLumaA8(p) => p.pixels().flat_map(|p| [p[0]; 3]).collect(),
        DynamicImage::ImageRgba8(p) => p.pixels().flat_map(|p| [p[0], p[1], p[2]]).collect(),
        DynamicImage::ImageLuma16(p) => p.pixels().flat_map(|p| [clip(p[0]); 3]).collect(),
        DynamicImage::ImageLumaA16(p) if keyed => {
            p.pixels().flat_map(|p| [clip(p[0]); 3]).collect()
        }
        DynamicImage::ImageLumaA16(p) => p.pixels().flat_map(|p| [high_byte(p[0]); 3]).collect(),
        DynamicImage::ImageRgb16(p) => p.as_raw().iter().map(|&v| high_byte(v)).collect(),
        DynamicImage::ImageRgba16(p) => p
            .pixels()
            .flat_map(|p| [p[0], p[1], p[2]].map(high_byte))
            .collect(),
        _ => {
            return Err(
                "floating-point pixels are not supported: scale them to 8 bits per colour".into(),
            );
        }
    };
    let rgb = RgbImage::from_raw(width, height, rgb).ok_or("too few pixels")?;
    Ok(Cow::Owned(rgb))
}

/// PIL's clip of 16-bit gray.
pub(super) fn clip(value: u16) -> u8 {
    value.min(255) as u8
}

fn high_byte(value: u16) -> u8 {
    (value >> 8) as u8
}

/// CMYK to RGB in PIL's integer arithmetic (`MULDIV255`: a product over 255, rounded).
pub(super) fn cmyk([c, m, y, k]: [u8; 4]) -> [u8; 3] {
    let white = 255 - i32::from(k);
    [c, m, y].map(|ink| {
        let product = i32::from(ink) * white + 128;
        (white - ((product + (product >> 8)) >> 8)).clamp(0, 255) as u8
    })
}

/// YCbCr to RGB in PIL's fixed point of 6 bits (`ConvertYCbCr.c`).
pub(super) fn ycbcr([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    // Coefficient times 64, plus a half, cut off towards zero.
    let term = |coefficient: f64, chroma: u8| {
        (coefficient * 64.0 * (f64::from(chroma) - 128.0) + 0.5).trunc() as i32
    };
    let red = term(1.402, cr);
    let green = term(-0.344_14, cb) + term(-0.714_14, cr);
    let blue = term(1.772, cb);
    [red, green, blue].map(|chroma| (i32::from(y) + (chroma >> 6)).clamp(0, 255) as u8)
}
