//! Conversion of 8-bit pixels to a tensor: scale, normalise, lay out.
//!
//! A pixel has 256 values, so each channel is a table of 256 results, or arithmetic that was checked to
//! give the same bits for all of them.

#[cfg(target_arch = "x86_64")]
mod avx2;

use super::{Color, Order, Preprocess, Step};
use crate::ImageRef;

/// Luma of an RGB pixel as PIL's mode `L`: ITU-R BT.601 in 16-bit fixed point.
///
/// ```
/// assert_eq!(classifold_pixels::preprocess::luma([10, 20, 40]), 19);
/// ```
#[must_use]
pub fn luma([r, g, b]: [u8; 3]) -> u8 {
    let sum = u32::from(r) * 19_595 + u32::from(g) * 38_470 + u32::from(b) * 7_471;
    ((sum + 0x8000) >> 16) as u8
}

/// Tables for all values of a pixel, computed once for many images.
#[derive(Clone, Debug)]
pub(super) struct ToTensor {
    color: Color,
    order: Order,
    /// Results by value, one table per channel of the network.
    tables: Vec<[f32; 256]>,
    /// Arithmetic of the colours in place of their tables, where all 256 results are equal to the last bit.
    #[cfg(target_arch = "x86_64")]
    affines: Option<[Affine; 3]>,
}

impl ToTensor {
    pub(super) fn new(preprocess: &Preprocess) -> Self {
        let color = preprocess.color();
        let tables: Vec<_> = (0..color.channels())
            .map(|channel| table(preprocess, channel))
            .collect();
        Self {
            color,
            order: preprocess.layout().0,
            #[cfg(target_arch = "x86_64")]
            affines: affines(preprocess, &tables).filter(|_| avx2::is_supported()),
            tables,
        }
    }

    /// Writes an image of the right size into a buffer of the right length.
    pub(super) fn write(&self, image: ImageRef<'_>, out: &mut [f32]) {
        let pixels: &[[u8; 3]] = image.rgb.as_raw().as_chunks().0;
        match (self.color, self.order) {
            (Color::Gray, _) => {
                for (out, &pixel) in out.iter_mut().zip(pixels) {
                    *out = self.tables[0][usize::from(luma(pixel))];
                }
            }
            (_, Order::Nchw) => self.write_planes(pixels, out),
            (_, Order::Nhwc) => {
                let channels = self.rgb_channels();
                for (out, pixel) in out.chunks_exact_mut(self.tables.len()).zip(pixels) {
                    for (&value, channel) in pixel.iter().zip(channels) {
                        out[channel] = self.tables[channel][usize::from(value)];
                    }
                }
            }
        }
        if self.color.has_alpha() {
            self.write_alpha(image, pixels.len(), out);
        }
    }

    fn write_alpha(&self, image: ImageRef<'_>, count: usize, out: &mut [f32]) {
        let (table, (start, stride)) = (
            &self.tables[3],
            match self.order {
                Order::Nchw => (3 * count, 1),
                Order::Nhwc => (3, 4),
            },
        );
        let out = out[start..].iter_mut().step_by(stride);
        match image.alpha {
            Some(alpha) => {
                for (out, pixel) in out.zip(alpha.pixels()) {
                    *out = table[usize::from(pixel[0])];
                }
            }
            None => out.for_each(|out| *out = table[255]),
        }
    }

    /// Writes the colours of `[C, H, W]`.
    fn write_planes(&self, pixels: &[[u8; 3]], out: &mut [f32]) {
        let done = self.write_simd(pixels, out);
        for (source, channel) in self.rgb_channels().into_iter().enumerate() {
            let table = &self.tables[channel];
            let plane = &mut out[channel * pixels.len()..][..pixels.len()];
            for (out, pixel) in plane[done..].iter_mut().zip(&pixels[done..]) {
                *out = table[usize::from(pixel[source])];
            }
        }
    }

    /// Writes a multiple of eight pixels by SIMD, where the processor has it, and returns how many.
    #[cfg(target_arch = "x86_64")]
    fn write_simd(&self, pixels: &[[u8; 3]], out: &mut [f32]) -> usize {
        let Some(affines) = &self.affines else {
            return 0;
        };
        let channels = self.rgb_channels();
        let affines = channels.map(|channel| &affines[channel]);
        let starts = channels.map(|channel| channel * pixels.len());
        avx2::write(pixels.as_flattened(), affines, out, starts)
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn write_simd(&self, _: &[[u8; 3]], _: &mut [f32]) -> usize {
        0
    }

    /// Indices of red, green and blue among the network's channels.
    fn rgb_channels(&self) -> [usize; 3] {
        match self.color {
            Color::Bgr => [2, 1, 0],
            _ => [0, 1, 2],
        }
    }
}

/// Results for the 256 values of a channel, in torchvision's order of operations and precision.
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

/// `(byte * scale - mean) / std` without a division: `scale` and `1 / std` are each the sum of two
/// single-precision numbers, the second being the rounding error of the first.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
struct Affine {
    scale: [f32; 2],
    mean: f32,
    inverse: [f32; 2],
}

#[cfg(target_arch = "x86_64")]
impl Affine {
    fn value(&self, byte: u8) -> f32 {
        let times = |value: f32, [large, small]: [f32; 2]| value.mul_add(large, value * small);
        times(times(f32::from(byte), self.scale) - self.mean, self.inverse)
    }
}

/// The arithmetic of the three colours, if it gives all 256 results of each table.
#[cfg(target_arch = "x86_64")]
fn affines(preprocess: &Preprocess, tables: &[[f32; 256]]) -> Option<[Affine; 3]> {
    if tables.len() < 3 {
        return None;
    }
    let parts = |factor: f64| [factor as f32, (factor - f64::from(factor as f32)) as f32];
    let affine = |channel: usize| {
        let mut affine = Affine {
            scale: [1.0, 0.0],
            mean: 0.0,
            inverse: [1.0, 0.0],
        };
        for step in preprocess.steps() {
            match step {
                Step::Scale { factor } => affine.scale = parts(*factor),
                Step::Normalize { mean, std } => {
                    affine.mean = mean[channel];
                    affine.inverse = parts(1.0 / f64::from(std[channel]));
                }
                _ => {}
            }
        }
        // Checked for every value, not proven: a mean or factor for which it fails keeps the table.
        let same =
            |byte: u8| affine.value(byte).to_bits() == tables[channel][usize::from(byte)].to_bits();
        (0..=255).all(same).then_some(affine)
    };
    Some([affine(0)?, affine(1)?, affine(2)?])
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use image::RgbImage;

    #[test]
    fn usual_numbers_are_computed_not_looked_up() {
        for text in [
            "normalize(imagenet)",
            "normalize(mean=0.5, std=0.5)",
            "layout(nchw, f32)",
        ] {
            let text = format!("center_crop(8)|scale(1/255)|{text}");
            let preprocess = text.parse::<Preprocess>().unwrap();
            let tables = ToTensor::new(&preprocess).tables;
            assert!(affines(&preprocess, &tables).is_some(), "{text}");
        }
    }

    /// Sizes with and without pixels that are left over from eight at a time.
    #[test]
    fn every_pixel_gets_its_tables_number() {
        for (width, height, color) in [(13, 7, "rgb"), (16, 5, "bgr"), (3, 1, "rgb"), (9, 1, "bgr")]
        {
            let text = format!(
                "decode({color}, exif)|center_crop({height}, {width})|scale(1/255)|normalize(imagenet)"
            );
            let to_tensor = ToTensor::new(&text.parse().unwrap());
            let image = RgbImage::from_fn(width, height, |x, y| {
                [x * 19 + y, x * 7 + y * 31, x * y * 11]
                    .map(|v| v as u8)
                    .into()
            });
            let count = (width * height) as usize;
            let mut out = vec![0.0; 3 * count];
            to_tensor.write((&image).into(), &mut out);
            for (index, pixel) in image.pixels().enumerate() {
                for (value, channel) in pixel.0.into_iter().zip(to_tensor.rgb_channels()) {
                    let expected = to_tensor.tables[channel][usize::from(value)];
                    assert_eq!(out[channel * count + index].to_bits(), expected.to_bits());
                }
            }
        }
    }
}
