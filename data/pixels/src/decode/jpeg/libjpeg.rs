//! JPEG pixels by `mozjpeg`, with PIL's settings: slow integer DCT, fancy upsampling.

use image::RgbImage;
use mozjpeg::{ColorSpace, DctMethod, Decompress};
use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// Bytes in memory whose end is an error: libjpeg would fill the rest with gray and only warn.
struct Source<'a> {
    bytes: &'a [u8],
    ended: Rc<Cell<bool>>,
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(buffer)
    }
}

impl BufRead for Source<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.bytes.is_empty() {
            self.ended.set(true);
            return Err(io::Error::other("end of the JPEG data"));
        }
        Ok(self.bytes)
    }

    fn consume(&mut self, amount: usize) {
        self.bytes = &self.bytes[amount.min(self.bytes.len())..];
    }
}

/// Decodes to RGB; the EXIF orientation is not applied.
pub(super) fn decode(bytes: &[u8]) -> Result<RgbImage, String> {
    guarded(bytes, read)?.ok_or_else(|| "the JPEG decoder gave too few pixels".into())
}

/// The samples of a JPEG within a TIFF, which says itself what they mean. Only YCbCr becomes RGB.
pub(super) fn decode_samples(bytes: &[u8], ycbcr: bool) -> Result<Vec<u8>, String> {
    guarded(bytes, |decoder| {
        let stored = decoder.color_space();
        if !ycbcr {
            return decoder.to_colorspace(stored)?.read_scanlines();
        }
        // libjpeg guesses the colours from markers, and a TIFF may say otherwise.
        if stored != ColorSpace::JCS_YCbCr {
            return Err(io::Error::other("the TIFF says YCbCr, the JPEG does not"));
        }
        decoder.to_colorspace(ColorSpace::JCS_RGB)?.read_scanlines()
    })
}

/// Runs libjpeg with PIL's settings, and its fatal errors as an error.
fn guarded<T>(
    bytes: &[u8],
    read: impl FnOnce(Decompress<Source<'_>>) -> io::Result<T>,
) -> Result<T, String> {
    let ended = Rc::new(Cell::new(false));
    let source = Source {
        bytes,
        ended: Rc::clone(&ended),
    };
    // Fatal errors of libjpeg arrive as an unwinding that calls no panic hook (`resume_unwind`),
    // so nothing is printed; nothing that outlives the unwinding is touched but `ended`.
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut decoder = Decompress::new_reader(source)?;
        decoder.dct_method(DctMethod::IntegerSlow);
        decoder.do_fancy_upsampling(true);
        read(decoder)
    }));
    if ended.get() {
        return Err("the file is truncated".into());
    }
    match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(format!("not a valid JPEG: {error}")),
        Err(payload) => {
            let text = payload
                .downcast_ref::<String>()
                .map_or("unknown error", String::as_str);
            let text = text.strip_prefix("libjpeg fatal error: ").unwrap_or(text);
            Err(format!("not a valid JPEG: {text}"))
        }
    }
}

fn read(decoder: Decompress<Source<'_>>) -> io::Result<Option<RgbImage>> {
    // Gray and CMYK are converted below: libjpeg has no conversion from CMYK to RGB.
    let target = match decoder.color_space() {
        ColorSpace::JCS_GRAYSCALE => ColorSpace::JCS_GRAYSCALE,
        ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK => ColorSpace::JCS_CMYK,
        _ => ColorSpace::JCS_RGB,
    };
    let mut started = decoder.to_colorspace(target)?;
    let (width, height) = (started.width(), started.height());
    let pixels: Vec<u8> = started.read_scanlines()?;
    let rgb = match target {
        ColorSpace::JCS_GRAYSCALE => pixels.iter().flat_map(|&l| [l; 3]).collect(),
        ColorSpace::JCS_CMYK => pixels
            .as_chunks()
            .0
            .iter()
            .flat_map(|&c| inverted_cmyk(c))
            .collect(),
        _ => pixels,
    };
    Ok(RgbImage::from_raw(width as u32, height as u32, rgb))
}

/// CMYK to RGB. As in PIL all four inks are inverted, which is how Adobe writes them.
fn inverted_cmyk(inks: [u8; 4]) -> [u8; 3] {
    crate::decode::to_rgb::cmyk(inks.map(|ink| 255 - ink))
}
