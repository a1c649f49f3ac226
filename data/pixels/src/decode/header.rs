//! Image header: format, size and kind of colours, without decoding pixels.

use super::sniff::Content;
use super::{bmp, decoder, jpeg, png, pnm, sniff, tiff, webp_orientation};
use crate::{Error, Result};
use image::metadata::Orientation;
use image::{ImageDecoder, ImageFormat};

/// File format, determined by the content.
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
    /// File name extensions for it, in lower case.
    #[must_use]
    pub const fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Jpeg => &["jpg", "jpeg", "jpe", "jfif"],
            Self::Png => &["png"],
            Self::WebP => &["webp"],
            Self::Bmp => &["bmp"],
            Self::Tiff => &["tif", "tiff"],
            Self::Pnm => &["ppm", "pgm"],
        }
    }
}

/// Contents of an image's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent properties")]
pub struct ImageHeader {
    /// File format.
    pub format: Format,
    /// Width in pixels after the EXIF orientation is applied.
    pub width: u32,
    /// Height in pixels after the EXIF orientation is applied.
    pub height: u32,
    /// Whether the EXIF (or XMP) orientation rotates or mirrors it.
    pub rotated: bool,
    /// Whether all three channels will be equal.
    pub gray: bool,
    /// Whether it is in CMYK.
    pub cmyk: bool,
    /// Whether it has an alpha channel, which decoding drops.
    pub alpha: bool,
    /// Whether it has several frames or pages, of which decoding takes the first.
    pub several_images: bool,
}

/// Reads the header of an image.
///
/// # Errors
/// [`Error::Undecodable`] when the bytes are of another format, or a side has no pixels.
///
/// ```
/// let header = classifold_pixels::decode::read_header(b"P5 3 2 255 \x01\x02\x03\x04\x05\x06")?;
/// assert_eq!((header.width, header.height, header.gray), (3, 2, true));
/// # Ok::<(), classifold_pixels::Error>(())
/// ```
pub fn read_header(bytes: &[u8]) -> Result<ImageHeader> {
    let parse = || match sniff::content(bytes)? {
        Content::Jpeg => jpeg_header(bytes),
        Content::Pnm => {
            let (width, height, colours) = pnm::header(bytes)?;
            let header = header(Format::Pnm, (width, height), Orientation::NoTransforms);
            Ok(ImageHeader {
                gray: !colours,
                ..header
            })
        }
        Content::Tiff => tiff_header(bytes),
        Content::Png => png_header(bytes),
        Content::WebP => {
            let decoder = decoder(bytes, ImageFormat::WebP)?;
            let orientation = webp_orientation(bytes)?;
            Ok(ImageHeader {
                several_images: is_animated_webp(bytes),
                ..decoder_header(Format::WebP, &decoder, orientation)
            })
        }
        Content::Bmp => {
            let bytes = bmp::without_os2_header(bytes)?;
            let decoder = decoder(&bytes, ImageFormat::Bmp)?;
            Ok(decoder_header(
                Format::Bmp,
                &decoder,
                Orientation::NoTransforms,
            ))
        }
    };
    let header = parse().and_then(|header| match (header.width, header.height) {
        // So that histograms can divide by a side and take its logarithm.
        (0, _) | (_, 0) => Err("it has no pixels".into()),
        _ => Ok(header),
    });
    header.map_err(|reason| Error::Undecodable { path: None, reason })
}

fn jpeg_header(bytes: &[u8]) -> Result<ImageHeader, String> {
    let frame = jpeg::header(bytes)?;
    Ok(ImageHeader {
        gray: frame.components == 1,
        cmyk: frame.components == 4,
        ..header(Format::Jpeg, (frame.width, frame.height), frame.orientation)
    })
}

fn png_header(bytes: &[u8]) -> Result<ImageHeader, String> {
    let chunks = png::Chunks::read(bytes);
    let decoder = decoder(bytes, ImageFormat::Png)?;
    Ok(ImageHeader {
        several_images: chunks.animated,
        ..decoder_header(Format::Png, &decoder, chunks.orientation())
    })
}

fn tiff_header(bytes: &[u8]) -> Result<ImageHeader, String> {
    let tiff = tiff::header(bytes)?;
    Ok(ImageHeader {
        gray: tiff.gray,
        cmyk: tiff.cmyk,
        alpha: tiff.alpha,
        several_images: tiff.several_images,
        ..header(Format::Tiff, tiff.size, tiff.orientation)
    })
}

fn decoder_header(
    format: Format,
    decoder: &impl ImageDecoder,
    orientation: Orientation,
) -> ImageHeader {
    let colours = decoder.color_type();
    ImageHeader {
        gray: !colours.has_color(),
        alpha: colours.has_alpha(),
        ..header(format, decoder.dimensions(), orientation)
    }
}

/// The header of a colour image without alpha; `(width, height)` are those of the stored pixels.
fn header(format: Format, (width, height): (u32, u32), orientation: Orientation) -> ImageHeader {
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
    ImageHeader {
        format,
        width,
        height,
        rotated: orientation != Orientation::NoTransforms,
        gray: false,
        cmyk: false,
        alpha: false,
        several_images: false,
    }
}

/// The animation flag of an extended file (RFC 9649, section 2.7).
fn is_animated_webp(bytes: &[u8]) -> bool {
    bytes.get(12..16) == Some(b"VP8X") && bytes.get(20).is_some_and(|flags| flags & 2 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;
    use crate::decode::ifd::Directory;
    use fs_err as fs;
    use std::path::Path;

    #[test]
    fn headers_agree_with_what_decoding_gives() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/formats");
        let mut count = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            let Ok(image) = decode::decode(&bytes, &decode::Limits::default()) else {
                continue;
            };
            let header = read_header(&bytes).unwrap();
            assert_eq!(
                (header.width, header.height),
                image.dimensions(),
                "{path:?}"
            );
            if header.gray {
                let gray = image.pixels().all(|p| p[0] == p[1] && p[1] == p[2]);
                assert!(gray, "{path:?}");
            }
            count += 1;
        }
        assert!(count > 20, "{count}");
    }

    #[test]
    fn several_images_in_one_file_are_seen() {
        assert!(is_animated_webp(b"RIFF....WEBPVP8X\x0a\0\0\0\x02\0\0\0"));
        assert!(!is_animated_webp(b"RIFF....WEBPVP8X\x0a\0\0\0\x10\0\0\0"));
        let one = b"II\x2a\0\x08\0\0\0\x01\0............\0\0\0\0";
        let two = b"MM\0\x2a\0\0\0\x08\0\x01............\0\0\0\x50";
        let has_next = |bytes| Directory::first(bytes).map(|directory| directory.has_next);
        assert_eq!(has_next(one), Some(false));
        assert_eq!(has_next(two), Some(true));
        assert_eq!(has_next(b"II\x2a\0\xff\xff\xff\xff"), Some(false));
    }
}
