//! Orientation of an image from EXIF or, where EXIF has none, from XMP, as in PIL.

use super::ifd::Directory;
use image::metadata::Orientation;

/// Tag of the orientation, in EXIF and in TIFF.
const ORIENTATION: u16 = 274;

/// The transformation that makes the image upright.
pub(super) fn orientation(exif: Option<&[u8]>, xmp: Option<&[u8]>) -> Orientation {
    // A damaged block rotates nothing; PIL would refuse some of these files.
    let directory = exif.and_then(|chunk| Directory::first(without_prefix(chunk)));
    from_directory(directory.as_ref(), xmp)
}

/// As [`orientation`], from the directory of an EXIF block or of a TIFF file.
pub(super) fn from_directory(directory: Option<&Directory<'_>>, xmp: Option<&[u8]>) -> Orientation {
    let number = match directory {
        // An orientation in EXIF hides the one in XMP even where it is no number from 1 to 8.
        Some(directory) if directory.contains(ORIENTATION) => directory
            .numbers(ORIENTATION)
            .and_then(|numbers| numbers.first().copied())
            .filter(|number| number.fract() == 0.0 && (1.0..=8.0).contains(number))
            .map(|number| number as u8),
        _ => xmp.and_then(from_xmp),
    };
    number
        .and_then(Orientation::from_exif)
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
fn from_xmp(xmp: &[u8]) -> Option<u8> {
    // No XML parser: PIL searches for the same two patterns (`Image.getexif`).
    let key = b"tiff:Orientation";
    let mut rest = xmp;
    while let Some(start) = rest.windows(key.len()).position(|window| window == key) {
        rest = &rest[start + key.len()..];
        let value = rest
            .strip_prefix(b"=\"")
            .or_else(|| rest.strip_prefix(b">"));
        if let Some([digit @ b'0'..=b'9', ..]) = value {
            return Some(digit - b'0');
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

    /// An EXIF block in either byte order with one entry.
    fn block(big_endian: bool, kind: u16, count: u32, value: &[u8]) -> Vec<u8> {
        let number = |number: u32, length: usize| {
            let mut bytes = number.to_be_bytes()[4 - length..].to_vec();
            if !big_endian {
                bytes.reverse();
            }
            bytes
        };
        let head: &[u8] = if big_endian { b"MM" } else { b"II" };
        let mut field = value.to_vec();
        // More than four bytes lie behind the directory (8 + 2 + 12 + 4 bytes).
        if value.len() > 4 {
            field = number(26, 4);
        }
        field.resize(4, 0);
        let tail = if value.len() > 4 { value } else { &[] };
        [
            head,
            &number(42, 2),
            &number(8, 4),
            &number(1, 2),
            &number(ORIENTATION.into(), 2),
            &number(kind.into(), 2),
            &number(count, 4),
            &field,
            &number(0, 4),
            tail,
        ]
        .concat()
    }

    /// What PIL 13 makes of an orientation of every TIFF type, with more than one value and in either order.
    #[test]
    fn every_numeric_type_and_count_is_read_as_in_pil() {
        let (turned, same) = (Orientation::Rotate90, Orientation::NoTransforms);
        let rational = [0, 0, 0, 12, 0, 0, 0, 2];
        for (kind, count, value, expected) in [
            (1, 1, &[6][..], same),
            (2, 2, b"6\0", same),
            (3, 1, &[0, 6], turned),
            (3, 2, &[0, 6, 0, 1], turned),
            (3, 3, &[0, 6, 0, 1, 0, 1], turned),
            (4, 1, &[0, 0, 0, 6], turned),
            (4, 2, &[0, 0, 0, 6, 0, 0, 0, 3], turned),
            (5, 1, &rational, turned),
            (6, 1, &[6], turned),
            (7, 1, &[6], same),
            (8, 1, &[0, 6], turned),
            (8, 1, &[0xff, 0xfa], same),
            (9, 1, &[0, 0, 0, 6], turned),
            (10, 1, &rational, turned),
            (11, 1, &6_f32.to_be_bytes(), turned),
            (11, 1, &6.5_f32.to_be_bytes(), same),
            (12, 1, &6_f64.to_be_bytes(), turned),
            (13, 1, &[0, 0, 0, 6], turned),
            (14, 1, &[0, 0, 0, 6], same),
            (3, 0, &[], same),
        ] {
            let big = block(true, kind, count, value);
            assert_eq!(orientation(Some(&big), None), expected, "type {kind}");
            let width = [1, 1, 1, 2, 4, 4, 1, 1, 2, 4, 4, 4, 8, 4, 4][usize::from(kind)];
            let little: Vec<u8> = value
                .chunks(width)
                .flat_map(|chunk| chunk.iter().rev().copied())
                .collect();
            let little = block(false, kind, count, &little);
            assert_eq!(orientation(Some(&little), None), expected, "type {kind}");
        }
    }

    #[test]
    fn exif_hides_xmp_even_with_a_value_that_means_nothing() {
        let xmp = Some(&b"<x tiff:Orientation=\"8\"/>"[..]);
        for value in [[0, 0], [0, 1], [0, 9]] {
            let exif = block(true, 3, 1, &value);
            assert_eq!(orientation(Some(&exif), xmp), Orientation::NoTransforms);
        }
        // A tag without a value is no tag.
        let empty = block(true, 3, 0, &[]);
        assert_eq!(orientation(Some(&empty), xmp), Orientation::Rotate270);
    }
}
