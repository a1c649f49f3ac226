//! Samples of a TIFF to RGB, in PIL's arithmetic.

use super::super::to_rgb::{cmyk, ycbcr};
use super::layout::{Colours, Layout};

/// Axes [H, W, samples] of 8 bits to [H, W, 3].
pub(super) fn to_rgb(samples: &[u8], layout: &Layout) -> Vec<u8> {
    let white = if layout.inverted { 255 } else { 0 };
    let entry = |channel: usize, value: u8| {
        let index = (channel << layout.bits) + usize::from(value);
        (layout.palette[index] / 256.0) as u8
    };
    let rgb = |pixel: &[u8]| match layout.colours {
        Colours::Gray => [pixel[0] ^ white; 3],
        Colours::Palette => [0, 1, 2].map(|channel| entry(channel, pixel[0])),
        Colours::Rgb if layout.associated_alpha => {
            unassociated([pixel[0], pixel[1], pixel[2]], pixel[3])
        }
        Colours::Rgb => [pixel[0], pixel[1], pixel[2]],
        Colours::Cmyk => cmyk([pixel[0], pixel[1], pixel[2], pixel[3]]),
        Colours::YCbCr => ycbcr([pixel[0], pixel[1], pixel[2]]),
    };
    samples.chunks_exact(layout.samples).flat_map(rgb).collect()
}

/// Axes [H, W, samples] of 8 bits, with alpha behind the colours, to alpha [H, W, 3].
pub(super) fn alpha(samples: &[u8], layout: &Layout) -> Vec<u8> {
    let index = if layout.colours == Colours::Rgb { 3 } else { 1 };
    let pixels = samples.chunks_exact(layout.samples);
    pixels.flat_map(|pixel| [pixel[index]; 3]).collect()
}

/// Colours divided by alpha (PIL's `unpackRGBa`).
fn unassociated(colours: [u8; 3], alpha: u8) -> [u8; 3] {
    match alpha {
        0 => [0; 3],
        255 => colours,
        _ => colours.map(|value| (255 * u32::from(value) / u32::from(alpha)).min(255) as u8),
    }
}

/// One row of `count` samples to 8 bits each. Values of a palette keep their number.
pub(super) fn row_to_bytes(row: &[u8], count: usize, layout: &Layout, bytes: &mut Vec<u8>) {
    match layout.bits {
        8 => bytes.extend_from_slice(&row[..count]),
        16 => {
            let pairs: &[[u8; 2]] = row.as_chunks().0;
            let value = |&pair: &[u8; 2]| {
                let value = if layout.big_endian {
                    u16::from_be_bytes(pair)
                } else {
                    u16::from_le_bytes(pair)
                };
                match layout.colours {
                    Colours::Gray if layout.signed => (value as i16).clamp(0, 255) as u8,
                    Colours::Gray => super::super::to_rgb::clip(value),
                    _ => (value >> 8) as u8,
                }
            };
            bytes.extend(pairs.iter().take(count).map(value));
        }
        bits => {
            let top = (1_u16 << bits) - 1;
            let scale = if layout.colours == Colours::Palette {
                1
            } else {
                255 / top
            };
            let value = |index: usize| {
                let bit = index * bits;
                let shifted = u16::from(row[bit / 8]) >> (8 - bits - bit % 8);
                ((shifted & top) * scale) as u8
            };
            bytes.extend((0..count).map(value));
        }
    }
}

/// Undoes the differences of a row, sample by sample (TIFF 6.0, section 14).
pub(super) fn add_differences(row: &mut [u8], samples: usize, layout: &Layout) {
    if layout.bits == 8 {
        for index in samples..row.len() {
            row[index] = row[index].wrapping_add(row[index - samples]);
        }
        return;
    }
    let pairs: &mut [[u8; 2]] = row.as_chunks_mut().0;
    let read = |pair| {
        if layout.big_endian {
            u16::from_be_bytes(pair)
        } else {
            u16::from_le_bytes(pair)
        }
    };
    for index in samples..pairs.len() {
        let value = read(pairs[index]).wrapping_add(read(pairs[index - samples]));
        pairs[index] = if layout.big_endian {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        };
    }
}
