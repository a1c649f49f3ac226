//! Baseline JPEG files of gray or YCbCr, which are nearly all: pixels equal to libjpeg's, to the last bit.
//!
//! Own code, since a small network waits for its images, and a decoder waits for Huffman codes: here a lookup
//! tells two of them with their values. Any other file, also a damaged one, is left to another decoder.

mod color;
mod frame;
mod huffman;
mod idct;
mod plane;
mod scan;
mod upsample;
mod zigzag;

use frame::Frame;
use idct::Block;
use image::RgbImage;
use plane::Plane;
use scan::{EntropyCoded, Scan};
use upsample::Upsampled;

/// Blocks of an MCU at most: four of luma, one of each color.
const MAX_BLOCKS: usize = 6;

/// Decodes to RGB; the EXIF orientation is not applied. `None` if another decoder must read the file.
pub(super) fn decode(bytes: &[u8]) -> Option<RgbImage> {
    let frame = Frame::read(bytes)?;
    let data = EntropyCoded::new(frame.data)?;
    let scan = Scan::new(&frame, &data)?;
    #[cfg(target_arch = "x86_64")]
    if has_vectors() {
        #[expect(unsafe_code, reason = "code for one kind of processor")]
        // SAFETY: the processor was just asked.
        return unsafe { decode_avx2(scan) };
    }
    decode_portable(scan)
}

/// Whether there is code for the vectors of this processor.
pub(super) fn has_vectors() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        has!("avx2") && has!("bmi1") && has!("bmi2")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

fn decode_portable(scan: Scan<'_>) -> Option<RgbImage> {
    decode_with(scan, idct::inverse, color::to_rgb)
}

/// For AVX2 and, to shift by any number of bits in one instruction, BMI.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn decode_avx2(scan: Scan<'_>) -> Option<RgbImage> {
    let transform = idct::avx2::Transform::new();
    decode_with(
        scan,
        |block, quantization, out, stride| transform.inverse(block, quantization, out, stride),
        |luma, blue, red, out| color::avx2::to_rgb(luma, blue, red, out),
    )
}

/// Always inlined, as all that it calls for each sample, and so compiled for the processor of its caller.
#[inline(always)]
fn decode_with(
    scan: Scan<'_>,
    inverse: impl Fn(&Block, &Block, &mut [u8], usize),
    to_rgb: impl Fn(&[u8], &[u8], &[u8], &mut [u8]),
) -> Option<RgbImage> {
    let frame = scan.frame;
    let mut planes: Vec<_> = frame
        .components
        .iter()
        .map(|c| Plane::new(c, frame))
        .collect();
    decode_planes(&mut planes, scan, inverse)?;
    let mut pixels = vec![0; frame.width * frame.height * 3];
    let rows = pixels.chunks_exact_mut(frame.width * 3).enumerate();
    match planes.as_slice() {
        [gray] => {
            for (y, out) in rows {
                for (pixel, sample) in out.as_chunks_mut().0.iter_mut().zip(gray.row(y)) {
                    *pixel = [*sample; 3];
                }
            }
        }
        [luma, blue, red] => {
            let (mut blue, mut red) = (Upsampled::new(blue), Upsampled::new(red));
            for (y, out) in rows {
                to_rgb(luma.row(y), blue.row(y), red.row(y), out);
            }
        }
        _ => return None,
    }
    RgbImage::from_raw(frame.width as u32, frame.height as u32, pixels)
}

/// Decodes and transforms MCU by MCU: a processor transforms one while it waits for the codes of the next.
#[inline(always)]
fn decode_planes(
    planes: &mut [Plane],
    mut scan: Scan<'_>,
    inverse: impl Fn(&Block, &Block, &mut [u8], usize),
) -> Option<()> {
    let mut blocks = [Block::ZERO; MAX_BLOCKS];
    let blocks = blocks.get_mut(..scan.slots.len())?;
    let [mcus_across, mcus_down] = scan.frame.num_mcus();
    for mcu_row in 0..mcus_down {
        for mcu_column in 0..mcus_across {
            blocks.fill(Block::ZERO);
            scan.read_mcu(blocks)?;
            for (block, slot) in blocks.iter().zip(&scan.slots) {
                let component = &scan.frame.components[slot.component];
                let x = 8 * (mcu_column * component.across + slot.column);
                let y = 8 * (mcu_row * component.down + slot.row);
                let plane = &mut planes[slot.component];
                let (stride, out) = plane.from(x, y);
                inverse(block, &component.quantization, out, stride);
            }
        }
    }
    scan.finish()
}

/// As [`decode`] on a processor without vectors.
#[cfg(test)]
pub(super) fn decode_without_vectors(bytes: &[u8]) -> Option<RgbImage> {
    let frame = Frame::read(bytes)?;
    let data = EntropyCoded::new(frame.data)?;
    decode_portable(Scan::new(&frame, &data)?)
}
