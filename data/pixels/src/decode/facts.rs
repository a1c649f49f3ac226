//! What a picture's header says, without its pixels.

use super::sniff::Content;
use super::{decoder, jpeg, orientation, pnm, sniff};
use crate::{Error, Result};
use image::metadata::Orientation;
use image::{ExtendedColorType, ImageDecoder, ImageFormat};

/// What is in a file, told by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Format {
    Jpeg,
    Png,
    WebP,
    Bmp,
    Tiff,
    Pnm,
}

impl Format {
    /// As people write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
            Self::Pnm => "PNM",
        }
    }

    /// File name extensions for it, in lower case.
    #[must_use]
    pub const fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Jpeg => &["jpg", "jpeg"],
            Self::Png => &["png"],
            Self::WebP => &["webp"],
            Self::Bmp => &["bmp"],
            Self::Tiff => &["tif", "tiff"],
            Self::Pnm => &["ppm", "pgm"],
        }
    }
}

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub struct Facts {
    /// What is in the file.
    pub format: Format,
    /// Pixels, as the picture is shown.
    pub width: u32,
    /// Pixels, as the picture is shown.
    pub height: u32,
    /// Whether its EXIF (or XMP) orientation turns or mirrors it.
    pub turned: bool,
    /// Whether it has no colours.
    pub gray: bool,
    /// Whether it is in printing inks.
    pub cmyk: bool,
    /// Whether it has transparency, which decoding drops.
    pub alpha: bool,
    /// Whether it is an animation or has several pages, of which decoding takes the first.
    pub several: bool,
}

/// Reads the header of a picture.
///
/// # Errors
/// [`Error::Undecodable`] when the bytes do not start a picture that is taken.
///
/// ```
/// let facts = pixels::decode::facts(b"P5 3 2 255 \x01\x02\x03\x04\x05\x06")?;
/// assert_eq!((facts.width, facts.height, facts.gray), (3, 2, true));
/// # Ok::<(), pixels::Error>(())
/// ```
pub fn facts(bytes: &[u8]) -> Result<Facts> {
    let read = || match sniff::content(bytes)? {
        Content::Jpeg => of_jpeg(bytes),
        Content::Pnm => {
            let (width, height, colours) = pnm::header(bytes)?;
            let plain = plain(Format::Pnm, (width, height), Orientation::NoTransforms);
            let gray = !colours;
            Ok(Facts { gray, ..plain })
        }
        Content::Other(format) => of_other(bytes, format),
    };
    let facts = read().and_then(|facts| match (facts.width, facts.height) {
        // Nothing that divides by a side, or takes its logarithm, need ask again.
        (0, _) | (_, 0) => Err("it has no pixels".into()),
        _ => Ok(facts),
    });
    facts.map_err(|reason| Error::Undecodable { reason })
}

fn of_jpeg(bytes: &[u8]) -> Result<Facts, String> {
    let header = jpeg::header(bytes)?;
    let size = (header.width, header.height);
    Ok(Facts {
        gray: header.components == 1,
        cmyk: header.components == 4,
        ..plain(Format::Jpeg, size, header.orientation)
    })
}

fn of_other(bytes: &[u8], image_format: ImageFormat) -> Result<Facts, String> {
    let mut decoder = decoder(bytes, image_format)?;
    let (format, several) = match image_format {
        ImageFormat::Png => (Format::Png, is_apng(bytes)),
        ImageFormat::WebP => (Format::WebP, is_animated_webp(bytes)),
        ImageFormat::Bmp => (Format::Bmp, false),
        _ => (Format::Tiff, has_pages(bytes).unwrap_or(false)),
    };
    let (size, colours) = (decoder.dimensions(), decoder.color_type());
    let cmyk = matches!(
        decoder.original_color_type(),
        ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16
    );
    Ok(Facts {
        gray: !colours.has_color(),
        cmyk,
        alpha: colours.has_alpha(),
        several,
        ..plain(format, size, orientation(&mut decoder, image_format))
    })
}

/// A picture in colours.
fn plain(format: Format, (width, height): (u32, u32), orientation: Orientation) -> Facts {
    let on_its_side = matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    );
    let (width, height) = if on_its_side {
        (height, width)
    } else {
        (width, height)
    };
    Facts {
        format,
        width,
        height,
        turned: orientation != Orientation::NoTransforms,
        gray: false,
        cmyk: false,
        alpha: false,
        several: false,
    }
}

/// Whether the chunk `acTL` (PNG, third edition, section 11.3.6.1) comes before the pixels.
fn is_apng(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(8..).unwrap_or_default();
    while let [a, b, c, d, kind @ ..] = rest {
        match kind.get(..4) {
            Some(b"acTL") => return true,
            Some(b"IDAT") | None => return false,
            Some(_) => {}
        }
        // Length, kind, data, checksum.
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        rest = rest.get(length.saturating_add(12)..).unwrap_or_default();
    }
    false
}

/// The animation flag of an extended file (RFC 9649, section 2.7).
fn is_animated_webp(bytes: &[u8]) -> bool {
    bytes.get(12..16) == Some(b"VP8X") && bytes.get(20).is_some_and(|flags| flags & 2 != 0)
}

/// Whether the first directory names a next one (TIFF 6.0, section 2).
fn has_pages(bytes: &[u8]) -> Option<bool> {
    let little = bytes.starts_with(b"II");
    let number = |at: usize, length: usize| {
        let mut number = bytes.get(at..at.checked_add(length)?)?.to_vec();
        if little {
            number.reverse();
        }
        let joined = number
            .iter()
            .fold(0, |sum, &byte| sum << 8 | usize::from(byte));
        Some(joined)
    };
    let directory = number(4, 4)?;
    let entries = number(directory, 2)?;
    Some(number(directory + 2 + 12 * entries, 4)? != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;
    use fs_err as fs;
    use std::path::Path;

    #[test]
    fn headers_agree_with_what_decoding_gives() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/formats");
        let mut count = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            let Ok(picture) = decode::decode(&bytes, &decode::Limits::default()) else {
                continue;
            };
            let facts = facts(&bytes).unwrap();
            assert_eq!(
                (facts.width, facts.height),
                picture.dimensions(),
                "{path:?}"
            );
            if facts.gray {
                let gray = picture.pixels().all(|p| p[0] == p[1] && p[1] == p[2]);
                assert!(gray, "{path:?}");
            }
            count += 1;
        }
        assert!(count > 20, "{count}");
    }

    #[test]
    fn several_pictures_in_one_file_are_seen() {
        let chunk = |kind: &[u8; 4], data: &[u8]| {
            let length = (data.len() as u32).to_be_bytes();
            [&length[..], kind, data, &[0; 4]].concat()
        };
        let png = |chunks: &[Vec<u8>]| [b"\x89PNG\r\n\x1a\n".to_vec(), chunks.concat()].concat();
        let (head, control) = (chunk(b"IHDR", &[0; 13]), chunk(b"acTL", &[0; 8]));
        let pixels = chunk(b"IDAT", b"xyz");
        assert!(is_apng(&png(&[
            head.clone(),
            control.clone(),
            pixels.clone()
        ])));
        assert!(!is_apng(&png(&[head, pixels, control])));
        assert!(is_animated_webp(b"RIFF....WEBPVP8X\x0a\0\0\0\x02\0\0\0"));
        assert!(!is_animated_webp(b"RIFF....WEBPVP8X\x0a\0\0\0\x10\0\0\0"));
        let one = b"II\x2a\0\x08\0\0\0\x01\0............\0\0\0\0";
        let two = b"MM\0\x2a\0\0\0\x08\0\x01............\0\0\0\x50";
        assert_eq!(has_pages(one), Some(false));
        assert_eq!(has_pages(two), Some(true));
        assert_eq!(has_pages(b"II\x2a\0\xff\xff\xff\xff"), None);
    }
}
