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
use upsample::Upsampler;

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
    mut scan: Scan<'_>,
    inverse: impl Fn(&Block, &Block, &mut [u8], usize),
    to_rgb: impl Fn(&[u8], &[u8], &[u8], &mut [u8]),
) -> Option<RgbImage> {
    let frame = scan.frame;
    let mut planes: Vec<_> = frame
        .components
        .iter()
        .map(|c| Plane::new(c, frame))
        .collect();
    let mut upsamplers = planes.iter().map(Upsampler::new).collect::<Vec<_>>();
    let mut pixels = Vec::with_capacity(frame.width * frame.height * 3);
    let mut row = vec![0; frame.width * 3];
    let (_, mcus_down) = frame.num_mcus();
    for mcu_row in 0..mcus_down {
        decode_mcu_row(&mut planes, &mut scan, mcu_row, &inverse)?;
        for y in pixels.len() / row.len()..frame.num_rows_ready(mcu_row) {
            match (planes.as_slice(), upsamplers.as_mut_slice()) {
                ([gray], _) => {
                    for (pixel, sample) in row.as_chunks_mut().0.iter_mut().zip(gray.row(y)) {
                        *pixel = [*sample; 3];
                    }
                }
                ([luma, blue, red], [_, to_blue, to_red]) => {
                    let (blue, red) = (to_blue.row(blue, y), to_red.row(red, y));
                    to_rgb(luma.row(y), blue, red, &mut row);
                }
                _ => return None,
            }
            pixels.extend_from_slice(&row);
        }
    }
    scan.finish()?;
    RgbImage::from_raw(frame.width as u32, frame.height as u32, pixels)
}

/// Decodes and transforms MCU by MCU: a processor transforms one while it waits for the codes of the next.
#[inline(always)]
fn decode_mcu_row(
    planes: &mut [Plane],
    scan: &mut Scan<'_>,
    mcu_row: usize,
    inverse: &impl Fn(&Block, &Block, &mut [u8], usize),
) -> Option<()> {
    let mut blocks = [Block::ZERO; MAX_BLOCKS];
    let blocks = blocks.get_mut(..scan.slots.len())?;
    let (mcus_across, _) = scan.frame.num_mcus();
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
    Some(())
}

/// As [`decode`] on a processor without vectors.
#[cfg(all(test, feature = "libjpeg"))]
pub(super) fn decode_without_vectors(bytes: &[u8]) -> Option<RgbImage> {
    let frame = Frame::read(bytes)?;
    let data = EntropyCoded::new(frame.data)?;
    decode_portable(Scan::new(&frame, &data)?)
}
