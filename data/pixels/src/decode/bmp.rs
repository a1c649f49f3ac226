//! BMP where the decoder of `image` and PIL differ: the header of OS/2 2.x, and colours of 5 and 6 bits.

use super::Limits;
use crate::DecodedImage;
use image::ImageFormat;
use std::borrow::Cow;

/// Bytes of the file header, of Windows' information header, and of the one of OS/2 2.x.
const FILE: usize = 14;
const WINDOWS: usize = 40;
const OS2: usize = 64;

pub(super) fn decode(
    bytes: &[u8],
    with_alpha: bool,
    limits: &Limits,
) -> Result<DecodedImage, String> {
    let bytes = without_os2_header(bytes)?;
    let mut image = super::decode_other(&bytes, ImageFormat::Bmp, with_alpha, limits)?;
    // Bits of a pixel, compression (3: bit fields) and the mask of green, in Windows' header; the header of
    // OS/2 1.x has 12 bytes.
    if bytes.get(14) != Some(&12) && bytes.get(28..30) == Some(&[16, 0]) {
        let fields = bytes.get(30) == Some(&3);
        let wide_green = fields && bytes.get(58..62) == Some(&[0xe0, 0x07, 0, 0]);
        let tops = [31, if wide_green { 63 } else { 31 }, 31];
        for pixel in image.rgb.pixels_mut() {
            for (value, top) in pixel.0.iter_mut().zip(tops) {
                // `image` rounds, PIL cuts off.
                let stored = (u32::from(*value) * top + 127) / 255;
                *value = (stored * 255 / top) as u8;
            }
        }
    }
    Ok(image)
}

/// The file with Windows' header in place of OS/2's, whose first 40 bytes mean the same.
pub(super) fn without_os2_header(bytes: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    let Some((head, rest)) = bytes.split_at_checked(FILE + OS2) else {
        return Ok(bytes.into());
    };
    if head[FILE..FILE + 4] != (OS2 as u32).to_le_bytes() {
        return Ok(bytes.into());
    }
    // 3 and 4 are Huffman coding and 24-bit runs there, bit fields and JPEG in Windows' header.
    let number =
        |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if number(30) > 2 {
        return Err("an OS/2 BMP with this compression is not supported: convert it to PNG".into());
    }
    let (offset, removed) = (number(10), (OS2 - WINDOWS) as u32);
    let mut file = [&head[..FILE + WINDOWS], rest].concat();
    file[10..14].copy_from_slice(&offset.saturating_sub(removed).to_le_bytes());
    file[FILE..FILE + 4].copy_from_slice(&(WINDOWS as u32).to_le_bytes());
    Ok(file.into())
}
