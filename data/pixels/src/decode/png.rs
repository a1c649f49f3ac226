//! Chunks of a PNG file (PNG, third edition, section 5): what PIL reads from them beside the pixels.
//!
//! Own walk: the decoder of `image` stops at the pixels, while EXIF blocks often stand behind them.

use super::exif;
use flate2::read::ZlibDecoder;
use image::metadata::Orientation;
use std::borrow::Cow;
use std::io::Read;

const SIGNATURE: usize = 8;
/// PIL's bound on a text that is decompressed (`MAX_TEXT_CHUNK`).
const MAX_TEXT: u64 = 1 << 20;
/// Length 0, kind and checksum.
const END: [u8; 12] = *b"\0\0\0\0IEND\xae\x42\x60\x82";

/// What the chunks say.
#[derive(Default)]
pub(super) struct Chunks<'a> {
    pub(super) animated: bool,
    exif: Option<Cow<'a, [u8]>>,
    raw_profile: Option<Vec<u8>>,
    xmp: Option<Cow<'a, [u8]>>,
    /// Offset at which the end chunk is missing.
    missing_end: Option<usize>,
    /// The file ends within a chunk.
    truncated: bool,
}

impl<'a> Chunks<'a> {
    /// Walks the chunks of a file that begins with the signature.
    pub(super) fn read(bytes: &'a [u8]) -> Self {
        let mut chunks = Self::default();
        let (mut at, mut pixels) = (SIGNATURE, false);
        // Length (4 bytes), kind (4), data, checksum (4).
        while let Some(&[a, b, c, d, ref kind @ ..]) = bytes.get(at..at + 8) {
            if kind == b"IEND" {
                return chunks;
            }
            let length = u32::from_be_bytes([a, b, c, d]) as usize;
            let Some(data) = bytes.get(at + 8..).and_then(|rest| rest.get(..length)) else {
                // Junk behind the pixels is not read.
                chunks.truncated = kind.iter().all(u8::is_ascii_alphabetic);
                break;
            };
            match kind {
                b"IDAT" => pixels = true,
                b"acTL" if !pixels => chunks.animated = true,
                // The next frame of an animation, behind which PIL does not read.
                b"fcTL" if pixels && chunks.animated => return chunks,
                b"eXIf" => chunks.exif = Some(data.into()),
                b"tEXt" | b"zTXt" | b"iTXt" => chunks.text(kind, data),
                _ => {}
            }
            at += 12 + length;
        }
        if pixels && !chunks.truncated && at <= bytes.len() {
            chunks.missing_end = Some(at);
        }
        chunks
    }

    /// A text chunk: EXIF as a raw profile (ImageMagick, exiftool) or XMP.
    fn text(&mut self, kind: &[u8], data: &'a [u8]) {
        let Some((key, value)) = split(data) else {
            return;
        };
        let value = || match kind {
            b"tEXt" => Some(Cow::from(value)),
            // Compression method 0, then zlib data.
            b"zTXt" => inflate(value.strip_prefix(b"\0")?),
            _ => international_text(value),
        };
        match key {
            b"exif" if kind == b"tEXt" => self.exif = value(),
            b"Raw profile type exif" => self.raw_profile = value().and_then(|text| unhex(&text)),
            b"XML:com.adobe.xmp" => self.xmp = value(),
            _ => {}
        }
    }

    /// The orientation of the image.
    pub(super) fn orientation(&self) -> Orientation {
        let exif = self.exif.as_deref().or(self.raw_profile.as_deref());
        exif::orientation(exif, self.xmp.as_deref())
    }

    /// The file with its end chunk, which PIL does not miss as long as the other chunks are whole.
    pub(super) fn with_end(&self, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, String> {
        match self.missing_end {
            // A cut behind the pixels could take the orientation away.
            _ if self.truncated => Err("the file is truncated".into()),
            Some(at) => Ok([&bytes[..at], &END].concat().into()),
            None => Ok(bytes.into()),
        }
    }
}

/// The bytes in front of the first zero byte, and behind it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let zero = bytes.iter().position(|&byte| byte == 0)?;
    Some((&bytes[..zero], &bytes[zero + 1..]))
}

/// The text of an `iTXt` chunk behind its key: compression flag, method, language, translated key, text.
fn international_text(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let [compressed, method, rest @ ..] = value else {
        return None;
    };
    let (_, rest) = split(rest)?;
    let (_, text) = split(rest)?;
    match (compressed, method) {
        (0, _) => Some(text.into()),
        (_, 0) => inflate(text),
        _ => None,
    }
}

fn inflate(bytes: &[u8]) -> Option<Cow<'static, [u8]>> {
    let mut text = Vec::new();
    let mut limited = ZlibDecoder::new(bytes).take(MAX_TEXT);
    limited.read_to_end(&mut text).ok()?;
    Some(text.into())
}

/// The bytes of a raw profile: an empty line, its name, its length, then hexadecimal digits.
fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let mut lines = text.splitn(4, |&byte| byte == b'\n');
    let digits: Vec<u8> = lines
        .nth(3)?
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|&byte| Some((byte as char).to_digit(16)? as u8))
        .collect::<Option<_>>()?;
    let (pairs, []) = digits.as_chunks() else {
        return None;
    };
    Some(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::ZlibEncoder};
    use std::io::Write;

    /// An EXIF block with orientation 6.
    const TURNED: &[u8] = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";

    fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let length = (data.len() as u32).to_be_bytes();
        [&length[..], kind, data, &[0; 4]].concat()
    }

    fn png(chunks: &[Vec<u8>]) -> Vec<u8> {
        let head = chunk(b"IHDR", &[0; 13]);
        [b"\x89PNG\r\n\x1a\n".to_vec(), head, chunks.concat()].concat()
    }

    fn pixels() -> Vec<u8> {
        chunk(b"IDAT", b"xyz")
    }

    fn deflate(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn an_animation_is_told_by_the_chunk_in_front_of_the_pixels() {
        let control = chunk(b"acTL", &[0; 8]);
        assert!(Chunks::read(&png(&[control.clone(), pixels()])).animated);
        assert!(!Chunks::read(&png(&[pixels(), control])).animated);
    }

    #[test]
    fn exif_is_found_in_every_chunk_that_pil_reads_it_from() {
        let digits: String = TURNED.iter().map(|byte| format!("{byte:02x}")).collect();
        let profile = format!(
            "\nexif\n      {}\n{}\n{}\n",
            TURNED.len(),
            &digits[..8],
            &digits[8..]
        );
        let key = b"Raw profile type exif\0".to_vec();
        let text = [key.clone(), profile.clone().into_bytes()].concat();
        let compressed = [key, b"\0".to_vec(), deflate(profile.as_bytes())].concat();
        let other = [b"Raw profile type APP1\0".to_vec(), profile.into_bytes()].concat();
        let exif = || chunk(b"eXIf", TURNED);
        let xmp = b"XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation=\"6\"/>";
        for (chunks, expected) in [
            (vec![exif(), pixels()], Orientation::Rotate90),
            (vec![pixels(), exif()], Orientation::Rotate90),
            (vec![pixels(), chunk(b"tEXt", &text)], Orientation::Rotate90),
            (
                vec![chunk(b"zTXt", &compressed), pixels()],
                Orientation::Rotate90,
            ),
            (vec![chunk(b"iTXt", xmp), pixels()], Orientation::Rotate90),
            // PIL does not read the raw profile of a whole marker.
            (
                vec![chunk(b"tEXt", &other), pixels()],
                Orientation::NoTransforms,
            ),
            // A chunk stands above a profile, and the last chunk above the first.
            (
                vec![chunk(b"tEXt", &text), chunk(b"eXIf", b"junk"), pixels()],
                Orientation::NoTransforms,
            ),
            (
                vec![chunk(b"eXIf", b"junk"), pixels(), exif()],
                Orientation::Rotate90,
            ),
        ] {
            let file = png(&chunks);
            assert_eq!(Chunks::read(&file).orientation(), expected);
        }
    }

    #[test]
    fn a_missing_end_is_added_where_the_chunks_are_whole() {
        let file = png(&[pixels()]);
        let whole = [file.clone(), END.to_vec()].concat();
        let junk = [file.clone(), vec![0xff; 9]].concat();
        for bytes in [&file, &whole, &junk] {
            assert_eq!(*Chunks::read(bytes).with_end(bytes).unwrap(), whole[..]);
        }
        // Within a checksum the decoder says so, within a chunk we do.
        let part = &file[..file.len() - 1];
        assert_eq!(*Chunks::read(part).with_end(part).unwrap(), *part);
        let text = [file, chunk(b"tEXt", b"key\0text")].concat();
        let part = &text[..text.len() - 5];
        assert!(Chunks::read(part).with_end(part).is_err());
    }
}
