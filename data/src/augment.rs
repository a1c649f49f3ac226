//! Data augmentation: random crops, flips, colours, noise and distortions.
//!
//! Every operation is a pure function of an image and a random number generator. Knows nothing of files,
//! batches or tensors.

mod colour;
mod crop;
mod grammar;
mod sheet;
mod warp;

pub use sheet::contact_sheet;

use crate::preprocess::{Flip, Resizer};
use crate::{DecodedImage, ImageRef};
use image::{RgbImage, imageops};
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Help of `--augment`: every operation with its arguments and defaults.
pub const USAGE: &str = "\
operations, joined by `|` and applied in that order; `none` for none
  crop(0.08..1, 3/4..4/3)       a random part (share of the area, width / height), resized
  hflip(0.5)                    mirrored left to right, with that probability
  vflip(0.5)                    mirrored top to bottom
  rotate(15)                    turned by up to that many degrees either way
  color(0.4, 0.4, 0.4, 0.1)     brightness, contrast, saturation, hue, in random order
  noise(0.05)                   Gaussian noise, standard deviation of values in [0, 1]
  scale(0.8..1.2)               zoomed about its centre
  elastic(50, 5)                bent: displacement in pixels, smoothness in pixels
  cutout(1, 0.25)               squares blanked: how many, side as a share of the shorter side";

/// One random operation. Ranges are `(low, high)`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Op {
    /// Random resized crop.
    Crop {
        /// Area of the region as a share of the image's.
        scale: (f64, f64),
        /// Width / height of the region, uniform in its logarithm.
        ratio: (f64, f64),
    },
    /// Flip left to right with this probability.
    HFlip(f64),
    /// Flip top to bottom with this probability.
    VFlip(f64),
    /// Rotate about the centre by an angle from `-degrees` to `degrees`.
    Rotate(f64),
    /// Colour jitter, as torchvision's: factors from `1 - x` to `1 + x`; hue from `-x` to `x` turns.
    Color {
        /// Brightness.
        brightness: f64,
        /// Contrast.
        contrast: f64,
        /// Saturation.
        saturation: f64,
        /// Hue in turns, at most 0.5.
        hue: f64,
    },
    /// Gaussian noise; standard deviation of values in `[0, 1]`.
    Noise(f64),
    /// Zoom about the centre by a factor from this range.
    Scale(f64, f64),
    /// Random smooth displacement.
    Elastic {
        /// Displacement before smoothing, in pixels.
        alpha: f64,
        /// Standard deviation of the smoothing, in pixels.
        sigma: f64,
    },
    /// Squares filled with the image's mean colour.
    Cutout {
        /// Number of squares.
        holes: u32,
        /// Side as a share of the shorter side.
        size: f64,
    },
}

/// Random operations, applied in order. As text: `crop(0.08..1, 3/4..4/3)|hflip(0.5)`.
///
/// ```
/// use classifold_data::augment::Augment;
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
///
/// let augment: Augment = "crop(0.5..1)|hflip|rotate(10)".parse()?;
/// assert_eq!(augment.to_string(), "crop(0.5..1, 3/4..4/3)|hflip(0.5)|rotate(10)");
/// let image = classifold_data::RgbImage::from_pixel(40, 30, image::Rgb([90, 60, 30]));
/// let augmented = augment.apply(&image, (24, 16), &mut ChaCha8Rng::seed_from_u64(7));
/// assert_eq!(augmented.rgb.dimensions(), (24, 16));
/// # Ok::<(), classifold_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Augment {
    /// The operations, in order.
    pub ops: Vec<Op>,
}

/// Memory that one thread's augmentation reuses.
#[derive(Debug, Default)]
pub(crate) struct AugmentBuffers {
    resizer: Resizer,
    /// The result of the operations so far.
    image: RgbImage,
}

/// Random resized crop and horizontal flip.
impl Default for Augment {
    fn default() -> Self {
        let crop = Op::Crop {
            scale: crop::SCALE,
            ratio: crop::RATIO,
        };
        Augment {
            ops: vec![crop, Op::HFlip(0.5)],
        }
    }
}

impl Augment {
    /// Whether a crop produces the final size; otherwise preprocessing's geometry does.
    #[must_use]
    pub fn has_crop(&self) -> bool {
        self.ops.iter().any(|op| matches!(op, Op::Crop { .. }))
    }

    /// Applies the operations. The result has `size` (width, height).
    ///
    /// Without a crop in the list, an image of another size is first resized so that it covers
    /// 8/7 of `size`, and its centre is cropped. Alpha is moved as the colours are; `color` and `noise` leave
    /// it as it is.
    #[must_use]
    pub fn apply<'a>(
        &self,
        image: impl Into<ImageRef<'a>>,
        size: (u32, u32),
        rng: &mut ChaCha8Rng,
    ) -> DecodedImage {
        self.apply_with(image.into(), size, rng, &mut AugmentBuffers::default())
    }

    /// As [`apply`](Self::apply), in memory that is reused from image to image.
    pub(crate) fn apply_with(
        &self,
        image: ImageRef<'_>,
        size: (u32, u32),
        rng: &mut ChaCha8Rng,
        buffers: &mut AugmentBuffers,
    ) -> DecodedImage {
        let start = rng.serialize_state();
        let rgb = self.apply_to(image.rgb, false, size, rng, buffers);
        let alpha = |alpha| {
            // The same numbers once more.
            let mut rng = ChaCha8Rng::deserialize_state(&start);
            self.apply_to(alpha, true, size, &mut rng, buffers)
        };
        DecodedImage {
            rgb,
            alpha: image.alpha.map(alpha),
        }
    }

    /// The result for the colours of an image, or for its alpha.
    fn apply_to(
        &self,
        plane: &RgbImage,
        is_alpha: bool,
        size: (u32, u32),
        rng: &mut ChaCha8Rng,
        buffers: &mut AugmentBuffers,
    ) -> RgbImage {
        if self.write(plane, is_alpha, size, rng, buffers) {
            std::mem::take(&mut buffers.image)
        } else {
            plane.clone()
        }
    }

    /// Leaves the result in the buffers. Returns `false`, with that image undefined, when nothing changed.
    fn write(
        &self,
        image: &RgbImage,
        is_alpha: bool,
        size: (u32, u32),
        rng: &mut ChaCha8Rng,
        buffers: &mut AugmentBuffers,
    ) -> bool {
        let AugmentBuffers {
            resizer,
            image: out,
        } = buffers;
        let mut changed = !self.has_crop() && image.dimensions() != size;
        if changed {
            crop::resized(
                image,
                crop::centre(image.dimensions(), size),
                Flip::default(),
                size,
                resizer,
                out,
            );
        }
        let mut ops = self.ops.as_slice();
        while let Some((op, rest)) = ops.split_first() {
            ops = rest;
            // A crop is a resize and needs the buffers; every other operation allocates its result.
            if let Op::Crop { scale, ratio } = *op {
                let source = changed.then(|| std::mem::take(out));
                let source = source.as_ref().unwrap_or(image);
                let region = crop::random_region(source.dimensions(), scale, ratio, rng);
                let flip = flips(&mut ops, rng);
                crop::resized(source, region, flip, size, resizer, out);
                changed = true;
            } else if let Some(next) = op.apply(if changed { out } else { image }, rng)
                // Applied all the same, for its random numbers.
                && !(is_alpha && op.is_of_colours())
            {
                *out = next;
                changed = true;
            }
        }
        changed
    }
}

/// Removes the flips at the front of the list: the resize before them mirrors its result at no cost.
fn flips(ops: &mut &[Op], rng: &mut ChaCha8Rng) -> Flip {
    let mut flip = Flip::default();
    while let Some((op, rest)) = ops.split_first() {
        match *op {
            Op::HFlip(p) => flip.horizontal ^= rng.random::<f64>() < p,
            Op::VFlip(p) => flip.vertical ^= rng.random::<f64>() < p,
            _ => break,
        }
        *ops = rest;
    }
    flip
}

impl Op {
    /// Whether alpha stays as it is.
    fn is_of_colours(&self) -> bool {
        matches!(self, Op::Color { .. } | Op::Noise(_))
    }

    /// The result of every operation but a crop; `None` means that the image is unchanged.
    fn apply(&self, image: &RgbImage, rng: &mut ChaCha8Rng) -> Option<RgbImage> {
        match *self {
            Op::Crop { .. } => None,
            Op::HFlip(p) => (rng.random::<f64>() < p).then(|| imageops::flip_horizontal(image)),
            Op::VFlip(p) => (rng.random::<f64>() < p).then(|| imageops::flip_vertical(image)),
            Op::Rotate(degrees) => {
                let angle = between(-degrees, degrees, rng);
                Some(warp::affine(image, angle.to_radians(), 1.0))
            }
            Op::Scale(low, high) => Some(warp::affine(image, 0.0, between(low, high, rng))),
            Op::Elastic { alpha, sigma } => Some(warp::elastic(image, alpha, sigma, rng)),
            Op::Color {
                brightness,
                contrast,
                saturation,
                hue,
            } => Some(colour::jitter(
                image,
                [brightness, contrast, saturation, hue],
                rng,
            )),
            Op::Noise(sigma) => Some(colour::noise(image, sigma, rng)),
            Op::Cutout { holes, size } => Some(colour::cutout(image, holes, size, rng)),
        }
    }
}

/// Uniform in `[low, high]`.
fn between(low: f64, high: f64, rng: &mut ChaCha8Rng) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

#[cfg(test)]
mod tests {
    use super::{Augment, USAGE};
    use crate::DecodedImage;
    use image::{Rgb, RgbImage};
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    /// Every pixel differs: red tells the column, green the row.
    fn ramp(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| Rgb([x as u8 * 3, y as u8 * 3, 90]))
    }

    fn run(text: &str, image: &RgbImage, size: (u32, u32), seed: u64) -> RgbImage {
        let augment: Augment = text.parse().unwrap();
        augment
            .apply(image, size, &mut ChaCha8Rng::seed_from_u64(seed))
            .rgb
    }

    /// The operations as USAGE prints them.
    fn usage_ops() -> Vec<&'static str> {
        let lines = USAGE.lines().skip(1);
        lines
            .map(|line| line.trim().split_inclusive(')').next().unwrap())
            .collect()
    }

    #[test]
    fn usage_lists_every_operation_with_its_defaults() {
        let ops = usage_ops();
        assert_eq!(ops.len(), 9);
        for op in ops {
            let name = op.split('(').next().unwrap();
            assert_eq!(name.parse::<Augment>().unwrap().to_string(), op);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_image_and_another_seed_another() {
        let image = ramp(64, 48);
        for op in usage_ops() {
            let first = run(op, &image, (40, 32), 5);
            assert_eq!(first, run(op, &image, (40, 32), 5), "{op}");
            assert_eq!(first.dimensions(), (40, 32), "{op}");
            assert!(
                (0..20).any(|seed| run(op, &image, (40, 32), seed) != first),
                "{op}"
            );
        }
    }

    #[test]
    fn flips_mirror_and_none_leaves_the_image() {
        let image = ramp(7, 5);
        assert_eq!(run("none", &image, (7, 5), 0), image);
        assert_eq!(run("hflip(0)|vflip(0)", &image, (7, 5), 0), image);
        let both = run("hflip(1)|vflip(1)", &image, (7, 5), 0);
        assert_eq!(both.get_pixel(0, 0), image.get_pixel(6, 4));
        let flipped = (0..1000)
            .filter(|&s| run("hflip(0.25)", &image, (7, 5), s) != image)
            .count();
        assert!((200..300).contains(&flipped), "{flipped}");
    }

    #[test]
    fn flips_after_a_crop_mirror_what_it_gives() {
        let image = ramp(60, 50);
        for seed in 0..9 {
            let plain = run("crop", &image, (24, 16), seed);
            let both = run("crop|hflip(1)|vflip(1)", &image, (24, 16), seed);
            assert_eq!(both, image::imageops::rotate180(&plain));
            for twice in ["crop|hflip(1)|hflip(1)", "crop|vflip(1)|vflip(1)"] {
                assert_eq!(run(twice, &image, (24, 16), seed), plain);
            }
        }
    }

    /// Alpha that is equal to the colours stays so under whatever moves pixels, and keeps its values under the rest.
    #[test]
    fn alpha_moves_as_the_colours_do_and_keeps_its_values() {
        let rgb = ramp(64, 48);
        let image = DecodedImage {
            alpha: Some(rgb.clone()),
            rgb,
        };
        for op in usage_ops() {
            for text in [op.to_owned(), format!("crop|{op}|rotate(30)|vflip")] {
                let augment: Augment = text.parse().unwrap();
                let rng = || ChaCha8Rng::seed_from_u64(3);
                let DecodedImage { rgb, alpha } = augment.apply(&image, (40, 32), &mut rng());
                let alpha = alpha.unwrap();
                assert_eq!(rgb, augment.apply(&image.rgb, (40, 32), &mut rng()).rgb);
                let moves = !op.starts_with("color") && !op.starts_with("noise");
                assert_eq!(alpha == rgb, moves, "{text}");
                if !moves {
                    let without = text.replace(op, "hflip(0)").parse::<Augment>().unwrap();
                    let still = without.apply(&image, (40, 32), &mut rng());
                    assert!(text.contains('|') || still.alpha == Some(alpha), "{text}");
                }
            }
        }
    }

    #[test]
    fn a_list_without_a_crop_takes_the_centre() {
        let augmented = run("hflip(1)", &ramp(80, 40), (16, 16), 0);
        let middle = augmented.get_pixel(8, 8);
        assert!(
            middle[0].abs_diff(120) < 8 && middle[1].abs_diff(60) < 8,
            "{middle:?}"
        );
    }
}
