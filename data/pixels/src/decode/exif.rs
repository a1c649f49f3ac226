//! Orientation of an image from EXIF or, where EXIF has none, from XMP, as in PIL.

use image::metadata::Orientation;

/// The transformation that makes the image upright.
pub(super) fn orientation(exif: Option<&[u8]>, xmp: Option<&[u8]>) -> Orientation {
    exif.map(without_prefix)
        .and_then(Orientation::from_exif_chunk)
        .or_else(|| xmp.and_then(from_xmp))
        .unwrap_or(Orientation::NoTransforms)
}

/// The TIFF block without its prefix `Exif\0\0`, which some writers repeat.
fn without_prefix(mut chunk: &[u8]) -> &[u8] {
    for _ in 0..2 {
        chunk = chunk.strip_prefix(b"Exif\0\0").unwrap_or(chunk);
    }
    chunk
}

/// `tiff:Orientation="6"` or `<tiff:Orientation>6`.
fn from_xmp(xmp: &[u8]) -> Option<Orientation> {
    // No XML parser: PIL searches for the same two patterns (`Image.getexif`).
    let key = b"tiff:Orientation";
    let mut rest = xmp;
    while let Some(start) = rest.windows(key.len()).position(|window| window == key) {
        rest = &rest[start + key.len()..];
        let value = rest
            .strip_prefix(b"=\"")
            .or_else(|| rest.strip_prefix(b">"));
        if let Some([digit @ b'0'..=b'9', ..]) = value {
            return Orientation::from_exif(digit - b'0');
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xmp_is_read_where_exif_is_silent() {
        let xmp = b"<x tiff:Orientation=\"6\"/>";
        assert_eq!(orientation(None, Some(xmp)), Orientation::Rotate90);
        let xmp = b"</tiff:Orientation><tiff:Orientation>3</tiff:Orientation>";
        assert_eq!(
            orientation(Some(b"junk"), Some(xmp)),
            Orientation::Rotate180
        );
        assert_eq!(
            orientation(None, Some(b"tiff:Orientation=")),
            Orientation::NoTransforms
        );
    }

    #[test]
    fn both_byte_orders_and_a_doubled_head() {
        let little = b"Exif\0\0Exif\0\0II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x08\0\0\0";
        assert_eq!(orientation(Some(little), None), Orientation::Rotate270);
        let big = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x02\0\0";
        assert_eq!(orientation(Some(big), None), Orientation::FlipHorizontal);
        assert_eq!(
            orientation(Some(b"MM\0\x2a\xff\xff\xff\xff"), None),
            Orientation::NoTransforms
        );
    }
}
