//! Other kinds of pixels to RGB, as PIL's `convert("RGB")`.

use image::{DynamicImage, RgbImage};

/// Alpha is dropped, not blended. Of 16 bits per colour the upper 8 stay, but 16-bit gray without
/// alpha is clipped at 255, which is what PIL does to its `I;16`; with `keyed`, alpha is only a
/// colour key.
pub(super) fn to_rgb(picture: DynamicImage, keyed: bool) -> Result<RgbImage, String> {
    let (width, height) = (picture.width(), picture.height());
    let rgb = match picture {
        DynamicImage::ImageRgb8(rgb) => return Ok(rgb),
        DynamicImage::ImageLuma8(p) => p.pixels().flat_map(|p| [p[0]; 3]).collect(),
        DynamicImage::ImageLumaA8(p) => p.pixels().flat_map(|p| [p[0]; 3]).collect(),
        DynamicImage::ImageRgba8(p) => p.pixels().flat_map(|p| [p[0], p[1], p[2]]).collect(),
        DynamicImage::ImageLuma16(p) => p.pixels().flat_map(|p| [clip(p[0]); 3]).collect(),
        DynamicImage::ImageLumaA16(p) if keyed => {
            p.pixels().flat_map(|p| [clip(p[0]); 3]).collect()
        }
        DynamicImage::ImageLumaA16(p) => p.pixels().flat_map(|p| [upper(p[0]); 3]).collect(),
        DynamicImage::ImageRgb16(p) => p.as_raw().iter().map(|&v| upper(v)).collect(),
        DynamicImage::ImageRgba16(p) => p
            .pixels()
            .flat_map(|p| [p[0], p[1], p[2]].map(upper))
            .collect(),
        _ => return Err("floating point pixels are not taken".into()),
    };
    RgbImage::from_raw(width, height, rgb).ok_or_else(|| "too few pixels".into())
}

pub(super) fn clip(value: u16) -> u8 {
    value.min(255) as u8
}

fn upper(value: u16) -> u8 {
    (value >> 8) as u8
}

/// PIL's integer CMYK to RGB.
pub(super) fn cmyk([c, m, y, k]: [u8; 4]) -> [u8; 3] {
    let white = 255 - i32::from(k);
    [c, m, y].map(|ink| {
        let product = i32::from(ink) * white + 128;
        (white - ((product + (product >> 8)) >> 8)).clamp(0, 255) as u8
    })
}
