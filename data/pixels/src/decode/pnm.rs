//! Netpbm decoder (P1 to P6), with PIL's scaling where the largest value is not 255.
//!
//! Own code: the crate `image` scales in single precision and rounds halves away from zero, and so differs
//! from PIL.

use super::{Limits, to_rgb};
use image::RgbImage;

/// Width, height, and whether it is a colour image (P3, P6).
pub(super) fn header(bytes: &[u8]) -> Result<(u32, u32, bool), String> {
    let mut reader = Reader { rest: &bytes[2..] };
    let colours = matches!(bytes[1], b'3' | b'6');
    Ok((reader.number()?, reader.number()?, colours))
}

/// Decodes bytes that begin with `P1` to `P6`.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<RgbImage, String> {
    let mut reader = Reader { rest: &bytes[2..] };
    let kind = bytes[1];
    let (width, height) = (reader.number()?, reader.number()?);
    limits.check_pixels(width, height)?;
    let bitmap = matches!(kind, b'1' | b'4');
    let max = if bitmap { 1 } else { reader.number()? };
    if !(1..=65_535).contains(&max) {
        return Err(format!(
            "its largest value, {max}, is not between 1 and 65535"
        ));
    }
    let channels = if matches!(kind, b'3' | b'6') { 3 } else { 1 };
    let count = width as usize * height as usize * channels;
    let values = match kind {
        b'1' => reader.digits(count)?,
        b'2' | b'3' => reader.decimals(count)?,
        b'4' => {
            // Exactly one white-space byte: the next may be a pixel that looks like white space.
            reader.skip_one();
            reader.bits(width as usize, height as usize)?
        }
        _ => {
            reader.skip_one();
            reader.raw(count, max > 255)?
        }
    };
    // Axes [H, W, C], as the samples lie in the file.
    let bytes: Vec<u8> = if bitmap {
        // In a bitmap 1 is black.
        values
            .iter()
            .map(|&value| if value == 0 { 255 } else { 0 })
            .collect()
    } else if channels == 1 && max > 255 {
        // PIL reads these as 16-bit gray (`I`), and its conversion from there to RGB clips at 255.
        values
            .iter()
            .map(|&value| to_rgb::clip(scaled(value, max, 65_535)))
            .collect()
    } else {
        values
            .iter()
            .map(|&value| scaled(value, max, 255) as u8)
            .collect()
    };
    let rgb = if channels == 3 {
        bytes
    } else {
        bytes.iter().flat_map(|&l| [l; 3]).collect()
    };
    RgbImage::from_raw(width, height, rgb).ok_or_else(|| "the file is truncated".into())
}

/// `round(value / max * top)` in double precision, halves to even, as Python.
fn scaled(value: u16, max: u32, top: u16) -> u16 {
    let scaled = f64::from(value) / f64::from(max) * f64::from(top);
    scaled.round_ties_even().min(top.into()) as u16
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    /// Skips white space and comments.
    fn skip_space(&mut self) {
        loop {
            self.rest = self.rest.trim_ascii_start();
            if self.rest.first() != Some(&b'#') {
                return;
            }
            let end = self
                .rest
                .iter()
                .position(|byte| matches!(byte, b'\n' | b'\r'));
            self.rest = &self.rest[end.unwrap_or(self.rest.len())..];
        }
    }

    fn skip_one(&mut self) {
        self.rest = self.rest.split_first().map_or(&[], |(_, rest)| rest);
    }

    fn number(&mut self) -> Result<u32, String> {
        self.skip_space();
        let length = self
            .rest
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        match std::str::from_utf8(digits).map(str::parse) {
            Ok(Ok(number)) => Ok(number),
            _ if rest.is_empty() => Err("the file is truncated".into()),
            _ => Err("a number is expected in the PNM file".into()),
        }
    }

    fn decimals(&mut self, count: usize) -> Result<Vec<u16>, String> {
        // A number takes a byte at least: never a larger buffer than the file can fill.
        let mut values = Vec::with_capacity(count.min(self.rest.len()));
        for _ in 0..count {
            let number = self.number()?;
            values.push(u16::try_from(number).map_err(|_| format!("{number} is too large"))?);
        }
        Ok(values)
    }

    /// Zeros and ones, which need no space in between.
    fn digits(&mut self, count: usize) -> Result<Vec<u16>, String> {
        let mut values = Vec::with_capacity(count.min(self.rest.len()));
        for _ in 0..count {
            self.skip_space();
            match self.rest.first() {
                Some(digit @ (b'0' | b'1')) => values.push(u16::from(digit - b'0')),
                Some(_) => return Err("0 or 1 is expected in the PNM file".into()),
                None => return Err("the file is truncated".into()),
            }
            self.skip_one();
        }
        Ok(values)
    }

    /// Rows of bits, the first in the highest position, each row filled up to whole bytes.
    fn bits(&self, width: usize, height: usize) -> Result<Vec<u16>, String> {
        let stride = width.div_ceil(8);
        let rows = self
            .take(stride.saturating_mul(height))?
            .chunks_exact(stride);
        let row = |row: &[u8]| {
            (0..width)
                .map(|x| u16::from(row[x / 8] >> (7 - x % 8) & 1))
                .collect::<Vec<_>>()
        };
        Ok(rows.flat_map(row).collect())
    }

    /// Bytes, or 16-bit numbers with the high byte first.
    fn raw(&self, count: usize, wide: bool) -> Result<Vec<u16>, String> {
        if wide {
            let pairs: &[[u8; 2]] = self.take(count.saturating_mul(2))?.as_chunks().0;
            return Ok(pairs.iter().map(|&pair| u16::from_be_bytes(pair)).collect());
        }
        Ok(self.take(count)?.iter().map(|&byte| byte.into()).collect())
    }

    fn take(&self, count: usize) -> Result<&[u8], String> {
        self.rest
            .get(..count)
            .ok_or_else(|| "the file is truncated".into())
    }
}
