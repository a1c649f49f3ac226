//! From bytes to the numbers that a network takes: scale, normalise, lay out.

#[cfg(target_arch = "x86_64")]
mod avx2;

use super::{Color, Order, Preprocess, Step};
use image::RgbImage;

/// PIL's `L` of an RGB pixel: ITU-R 601-2 luma in 16-bit fixed point.
///
/// ```
/// assert_eq!(pixels::preprocess::luma([10, 20, 40]), 19);
/// ```
#[must_use]
pub fn luma([r, g, b]: [u8; 3]) -> u8 {
    let sum = u32::from(r) * 19_595 + u32::from(g) * 38_470 + u32::from(b) * 7_471;
    ((sum + 0x8000) >> 16) as u8
}

/// What bytes become, computed once for many pictures.
#[derive(Clone, Debug)]
pub(super) struct Tail {
    color: Color,
    order: Order,
    /// One per channel.
    tables: Vec<[f32; 256]>,
    /// What computes the tables' numbers, where all of them come out equal to the last bit.
    #[cfg(target_arch = "x86_64")]
    lines: Option<[Line; 3]>,
}

impl Tail {
    pub(super) fn new(preprocess: &Preprocess) -> Self {
        let color = preprocess.color();
        let tables: Vec<_> = (0..color.channels())
            .map(|channel| table(preprocess, channel))
            .collect();
        Self {
            color,
            order: preprocess.layout().0,
            #[cfg(target_arch = "x86_64")]
            lines: lines(preprocess, &tables).filter(|_| avx2::is_there()),
            tables,
        }
    }

    /// Writes a picture of the right size into a buffer of the right length.
    pub(super) fn write(&self, image: &RgbImage, out: &mut [f32]) {
        let pixels: &[[u8; 3]] = image.as_raw().as_chunks().0;
        match (self.color, self.order) {
            (Color::Gray, _) => {
                for (out, &pixel) in out.iter_mut().zip(pixels) {
                    *out = self.tables[0][usize::from(luma(pixel))];
                }
            }
            (_, Order::Nchw) => self.write_planes(pixels, out),
            (_, Order::Nhwc) => {
                let places = self.places();
                for (out, pixel) in out.as_chunks_mut::<3>().0.iter_mut().zip(pixels) {
                    for (&value, place) in pixel.iter().zip(places) {
                        out[place] = self.tables[place][usize::from(value)];
                    }
                }
            }
        }
    }

    /// One channel after the other.
    fn write_planes(&self, pixels: &[[u8; 3]], out: &mut [f32]) {
        let done = self.write_fast(pixels, out);
        for (source, channel) in self.places().into_iter().enumerate() {
            let table = &self.tables[channel];
            let plane = &mut out[channel * pixels.len()..][..pixels.len()];
            for (out, pixel) in plane[done..].iter_mut().zip(&pixels[done..]) {
                *out = table[usize::from(pixel[source])];
            }
        }
    }

    /// Writes as many pixels as the code for this kind of processor takes, where there is any.
    #[cfg(target_arch = "x86_64")]
    fn write_fast(&self, pixels: &[[u8; 3]], out: &mut [f32]) -> usize {
        let Some(lines) = &self.lines else {
            return 0;
        };
        let places = self.places();
        let lines = places.map(|place| &lines[place]);
        let starts = places.map(|place| place * pixels.len());
        avx2::write(pixels.as_flattened(), lines, out, starts)
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn write_fast(&self, _: &[[u8; 3]], _: &mut [f32]) -> usize {
        0
    }

    /// The place of red, green and blue among the channels.
    fn places(&self) -> [usize; 3] {
        match self.color {
            Color::Bgr => [2, 1, 0],
            _ => [0, 1, 2],
        }
    }
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

/// A table's numbers computed without divisions: every factor in two parts, the second of which is
/// what rounding took from the first.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
struct Line {
    scale: [f32; 2],
    mean: f32,
    inverse: [f32; 2],
}

#[cfg(target_arch = "x86_64")]
impl Line {
    fn value(&self, byte: u8) -> f32 {
        let times = |value: f32, [large, small]: [f32; 2]| value.mul_add(large, value * small);
        times(times(f32::from(byte), self.scale) - self.mean, self.inverse)
    }
}

/// The lines of three channels, if they give all 256 numbers of each table.
#[cfg(target_arch = "x86_64")]
fn lines(preprocess: &Preprocess, tables: &[[f32; 256]]) -> Option<[Line; 3]> {
    if tables.len() != 3 {
        return None;
    }
    let parts = |factor: f64| [factor as f32, (factor - f64::from(factor as f32)) as f32];
    let line = |channel: usize| {
        let mut line = Line {
            scale: [1.0, 0.0],
            mean: 0.0,
            inverse: [1.0, 0.0],
        };
        for step in preprocess.steps() {
            match step {
                Step::Scale { factor } => line.scale = parts(*factor),
                Step::Normalize { mean, std } => {
                    line.mean = mean[channel];
                    line.inverse = parts(1.0 / f64::from(std[channel]));
                }
                _ => {}
            }
        }
        let same =
            |byte: u8| line.value(byte).to_bits() == tables[channel][usize::from(byte)].to_bits();
        (0..=255).all(same).then_some(line)
    };
    Some([line(0)?, line(1)?, line(2)?])
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn usual_numbers_are_computed_not_looked_up() {
        for text in [
            "normalize(imagenet)",
            "normalize(mean=0.5, std=0.5)",
            "layout(nchw, f32)",
        ] {
            let text = format!("center_crop(8)|scale(1/255)|{text}");
            let preprocess = text.parse::<Preprocess>().unwrap();
            let tables = Tail::new(&preprocess).tables;
            assert!(lines(&preprocess, &tables).is_some(), "{text}");
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
            let tail = Tail::new(&text.parse().unwrap());
            let picture = RgbImage::from_fn(width, height, |x, y| {
                [x * 19 + y, x * 7 + y * 31, x * y * 11]
                    .map(|v| v as u8)
                    .into()
            });
            let count = (width * height) as usize;
            let mut out = vec![0.0; 3 * count];
            tail.write(&picture, &mut out);
            for (at, pixel) in picture.pixels().enumerate() {
                for (value, place) in pixel.0.into_iter().zip(tail.places()) {
                    let expected = tail.tables[place][usize::from(value)];
                    assert_eq!(out[place * count + at].to_bits(), expected.to_bits());
                }
            }
        }
    }
}
