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
    let ended = Rc::new(Cell::new(false));
    let source = Source {
        bytes,
        ended: Rc::clone(&ended),
    };
    // Fatal errors of libjpeg arrive as an unwinding that calls no panic hook (`resume_unwind`),
    // so nothing is printed; nothing that outlives the unwinding is touched but `ended`.
    let result = catch_unwind(AssertUnwindSafe(|| read(source)));
    if ended.get() {
        return Err("the file is truncated".into());
    }
    match result {
        Ok(Ok(image)) => image.ok_or_else(|| "the JPEG decoder gave too few pixels".into()),
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

fn read(source: Source<'_>) -> io::Result<Option<RgbImage>> {
    let mut decoder = Decompress::new_reader(source)?;
    decoder.dct_method(DctMethod::IntegerSlow);
    decoder.do_fancy_upsampling(true);
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
    super::to_rgb::cmyk(inks.map(|ink| 255 - ink))
}
