//! Occlusion sensitivity: how far a score falls where a square hides a part of the image: the probability of a class,
//! or the similarity to another image.

use data::{DecodedImage, Preprocess, RgbImage};
use deploy::{Classifier, Verifier};
use image::Rgb;

use super::attention::Heat;
use crate::error::Result;

/// The square's side is this part of the image's shorter side, and the stride half of that: 32 and 16 of
/// 224 pixels.
const PARTS: u32 = 7;
/// Middle grey.
const GREY: Rgb<u8> = Rgb([128; 3]);
const OPAQUE: Rgb<u8> = Rgb([255; 3]);

/// Size and stride of the square.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch {
    pub size_px: u32,
    /// From one square to the next.
    pub stride_px: u32,
}

impl Patch {
    pub fn for_size(width: u32, height: u32) -> Patch {
        let size_px = (width.min(height) / PARTS).max(1);
        let stride_px = (size_px / 2).max(1);
        Patch { size_px, stride_px }
    }

    /// The left or upper edges of the squares along a side; the last one ends with the image.
    fn starts(self, side: u32) -> Vec<u32> {
        let last = side.saturating_sub(self.size_px);
        let mut starts: Vec<u32> = (0..last).step_by(self.stride_px as usize).collect();
        starts.push(last);
        starts
    }
}

/// How far the probability of `class` falls under the squares over a pixel, on average (Zeiler and
/// Fergus 2014, section 4.2): `[H, W]`, in `[-1, 1]`. `image` has the size that the network takes.
/// `progress` gets the number of squares done, and of all.
pub fn occlusion(
    classifier: &Classifier,
    image: &DecodedImage,
    class: usize,
    patch: Patch,
    progress: &dyn Fn(usize, usize),
) -> Result<Heat> {
    let score = |images: &[f32], count: usize| probabilities(classifier, images, count, class);
    let square = Square {
        patch,
        colour: GREY,
    };
    fall(classifier, image, square, &score, progress)
}

/// How far the similarity of two images ([`DistanceHead::similarity`](onnx::siamese::DistanceHead::similarity)) falls
/// under the squares over a pixel of `image`, the other one held fixed: above zero where they agree, below zero where
/// they differ. `[H, W]`; both have the size that the network takes. The squares have the mean colour of the image: gray
/// on white paper would be something to see.
pub fn pair_occlusion(
    verifier: &Verifier,
    image: &DecodedImage,
    other: &DecodedImage,
    patch: Patch,
    progress: &dyn Fn(usize, usize),
) -> Result<Heat> {
    let (encoder, head) = (verifier.encoder(), verifier.head());
    let other = encoder.run(&prepared(encoder.preprocess(), other)?, 1)?;
    let score = |images: &[f32], count: usize| {
        let features = encoder.run(images, count)?;
        let rows = features.chunks_exact(head.width);
        Ok(rows.map(|row| head.similarity(row, &other)).collect())
    };
    let square = Square {
        patch,
        colour: mean_colour(&image.rgb),
    };
    fall(encoder, image, square, &score, progress)
}

/// What hides a part of an image.
#[derive(Clone, Copy)]
struct Square {
    patch: Patch,
    colour: Rgb<u8>,
}

fn mean_colour(image: &RgbImage) -> Rgb<u8> {
    let mut sums = [0_u64; 3];
    for pixel in image.pixels() {
        for (sum, value) in sums.iter_mut().zip(pixel.0) {
            *sum += u64::from(value);
        }
    }
    let count = u64::from(image.width()) * u64::from(image.height());
    Rgb(sums.map(|sum| (sum / count.max(1)) as u8))
}

/// Scores of prepared images, of which there are so many.
type Score<'a> = dyn Fn(&[f32], usize) -> Result<Vec<f64>> + 'a;

/// How far a score falls under the squares over a pixel, on average.
fn fall(
    classifier: &Classifier,
    image: &DecodedImage,
    square: Square,
    score: &Score<'_>,
    progress: &dyn Fn(usize, usize),
) -> Result<Heat> {
    let Square { patch, colour } = square;
    let preprocess = classifier.preprocess();
    let (width, height) = image.rgb.dimensions();
    let whole = score(&prepared(preprocess, image)?, 1)?;
    let whole = whole.first().copied().unwrap_or_default();
    let (columns, rows) = (patch.starts(width), patch.starts(height));
    let squares: Vec<(u32, u32)> = rows
        .iter()
        .flat_map(|&top| columns.iter().map(move |&left| (left, top)))
        .collect();
    let mut fallen = vec![(0.0f64, 0u32); (width * height) as usize];
    for (done, batch) in squares.chunks(classifier.preferred_batch()).enumerate() {
        let mut images = Vec::with_capacity(batch.len() * preprocess.output_len());
        for &square in batch {
            let mut hidden = image.clone();
            for (x, y) in pixels(square, patch, (width, height)) {
                hidden.rgb.put_pixel(x, y, colour);
                if let Some(alpha) = &mut hidden.alpha {
                    alpha.put_pixel(x, y, OPAQUE);
                }
            }
            images.extend(prepared(preprocess, &hidden)?);
        }
        let hidden_scores = score(&images, batch.len())?;
        for (&square, hidden) in batch.iter().zip(hidden_scores) {
            for (x, y) in pixels(square, patch, (width, height)) {
                let (sum, count) = &mut fallen[(y * width + x) as usize];
                *sum += whole - hidden;
                *count += 1;
            }
        }
        progress(
            done * classifier.preferred_batch() + batch.len(),
            squares.len(),
        );
    }
    Ok(Heat {
        width: width as usize,
        height: height as usize,
        values: fallen
            .into_iter()
            .map(|(sum, count)| (sum / f64::from(count.max(1))) as f32)
            .collect(),
    })
}

fn pixels(
    (left, top): (u32, u32),
    patch: Patch,
    (width, height): (u32, u32),
) -> impl Iterator<Item = (u32, u32)> {
    let (right, bottom) = (
        (left + patch.size_px).min(width),
        (top + patch.size_px).min(height),
    );
    (top..bottom).flat_map(move |y| (left..right).map(move |x| (x, y)))
}

fn prepared(preprocess: &Preprocess, image: &DecodedImage) -> Result<Vec<f32>> {
    let mut out = vec![0.0; preprocess.output_len()];
    // Resized and cropped already: only the values are left to prepare.
    preprocess.tensor_into(image, &mut out)?;
    Ok(out)
}

fn probabilities(
    classifier: &Classifier,
    images: &[f32],
    count: usize,
    class: usize,
) -> Result<Vec<f64>> {
    let logits = classifier.logits(images, count)?;
    let rows = logits.chunks_exact(classifier.classes().len());
    rows.map(|row| Ok(classifier.probabilities(row)?[class]))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use data::card::OutputKind;
    use deploy::Classifier;
    use deploy::engine::FakeEngine;

    use super::{Patch, RgbImage, mean_colour, occlusion};

    #[test]
    fn squares_cover_the_image_to_its_last_pixel() {
        let patch = Patch::for_size(224, 300);
        assert_eq!((patch.size_px, patch.stride_px), (32, 16));
        assert_eq!(patch.starts(224).len(), 13);
        assert_eq!(patch.starts(230).last(), Some(&198));
        let tiny = Patch::for_size(3, 9);
        assert_eq!((tiny.size_px, tiny.stride_px), (1, 1));
        assert_eq!(tiny.starts(3), [0, 1, 2]);
    }

    #[test]
    fn the_mean_colour_is_that_of_each_channel() {
        let image = RgbImage::from_fn(4, 3, |x, _| {
            image::Rgb([if x < 1 { 200 } else { 0 }, 7, 255])
        });
        assert_eq!(mean_colour(&image), image::Rgb([50, 7, 255]));
    }

    #[test]
    fn what_is_hidden_counts_by_how_far_the_probability_falls() {
        // The engine's scores are 1 and 2 times the mean of the image: the brighter, the more of
        // the second class. White in a corner is all there is to see.
        let preprocess =
            "decode(gray, exif)|resize(14, 28, bilinear, antialias)|scale(1/255)|layout(nchw, f32)";
        let classifier = Classifier::from_engines(
            vec![Box::new(FakeEngine::new(2, Duration::ZERO))],
            vec!["dark".into(), "light".into()],
            preprocess.parse().unwrap(),
            OutputKind::Logits,
        )
        .unwrap();
        let image = RgbImage::from_fn(28, 14, |x, y| {
            let bright = x >= 24 && y < 4;
            image::Rgb([if bright { 255 } else { 0 }; 3])
        });
        let patch = Patch::for_size(28, 14);
        assert_eq!(patch.size_px, 2);
        let last = std::cell::Cell::new((0, 0));
        let heat = occlusion(&classifier, &image.into(), 1, patch, &|done, all| {
            last.set((done, all));
        })
        .unwrap();
        assert_eq!((heat.width, heat.height), (28, 14));
        assert_eq!(last.get(), (27 * 13, 27 * 13));
        let at = |x: usize, y: usize| heat.values[y * 28 + x];
        // Four pixels of 392 become gray: the mean moves by half of 4 / 392, and the probability,
        // the logistic function of the mean, by a quarter of that.
        let (light, dark) = (at(26, 1), at(3, 9));
        assert!((light - 1.27e-3).abs() < 1e-5, "hiding the light: {light}");
        // Gray over black is brighter than what was there.
        assert!((dark + 1.28e-3).abs() < 1e-5, "hiding the dark: {dark}");
    }
}
