//! From bytes to the numbers that a network takes: scale, normalise, lay out.

use super::{Color, Order, Preprocess, Step};
use image::RgbImage;

/// PIL's `L` of an RGB pixel (ITU-R 601-2, 16-bit fixed point).
pub(super) fn luma([r, g, b]: [u8; 3]) -> u8 {
    let sum = u32::from(r) * 19_595 + u32::from(g) * 38_470 + u32::from(b) * 7_471;
    ((sum + 0x8000) >> 16) as u8
}

/// What each of the 256 bytes becomes in a channel, computed as torchvision computes it.
fn table(preprocess: &Preprocess, channel: usize) -> [f32; 256] {
    std::array::from_fn(|byte| {
        let mut value = byte as f32;
        for step in preprocess.steps() {
            match step {
                Step::Scale { factor } => value = (f64::from(value) * factor) as f32,
                Step::Normalize { mean, std } => value = (value - mean[channel]) / std[channel],
                _ => {}
            }
        }
        value
    })
}

/// Writes a picture of the right size into a buffer of the right length.
pub(super) fn write(preprocess: &Preprocess, image: &RgbImage, out: &mut [f32]) {
    let color = preprocess.color();
    let pixels: &[[u8; 3]] = image.as_raw().as_chunks().0;
    match (color, preprocess.layout().0) {
        (Color::Gray, _) => {
            let table = table(preprocess, 0);
            for (out, &pixel) in out.iter_mut().zip(pixels) {
                *out = table[usize::from(luma(pixel))];
            }
        }
        (_, order) => {
            // The place of red, green and blue among the channels.
            let place = if color == Color::Bgr {
                [2, 1, 0]
            } else {
                [0, 1, 2]
            };
            for (source, channel) in place.into_iter().enumerate() {
                let table = table(preprocess, channel);
                let values = pixels.iter().map(|pixel| table[usize::from(pixel[source])]);
                match order {
                    Order::Nchw => {
                        let plane = &mut out[channel * pixels.len()..][..pixels.len()];
                        plane
                            .iter_mut()
                            .zip(values)
                            .for_each(|(out, value)| *out = value);
                    }
                    Order::Nhwc => {
                        let own = out.iter_mut().skip(channel).step_by(3);
                        own.zip(values).for_each(|(out, value)| *out = value);
                    }
                }
            }
        }
    }
}
