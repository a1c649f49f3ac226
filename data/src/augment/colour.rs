//! Augmentations of pixel values: colour jitter, noise, cutout.

use super::between;
use crate::preprocess::luma;
use image::{Rgb, RgbImage};
use rand::RngExt;
use rand::rngs::ChaCha8Rng;

/// Brightness, contrast, saturation and hue changed in random order, as torchvision's
/// `ColorJitter`; a strength of 0 leaves that one out.
pub(super) fn jitter(image: &RgbImage, strength: [f64; 4], rng: &mut ChaCha8Rng) -> RgbImage {
    let mut order = [0, 1, 2, 3];
    // Fisher-Yates by hand, as in `loader::order`: independent of `rand`'s version.
    for i in (1..order.len()).rev() {
        order.swap(i, rng.random_range(0..=i));
    }
    let factors = [0, 1, 2].map(|i| between((1.0 - strength[i]).max(0.0), 1.0 + strength[i], rng));
    let turn = between(-strength[3], strength[3], rng);
    let mut out = image.clone();
    for step in order {
        if strength[step] == 0.0 {
            continue;
        }
        match step {
            0 => brightness(&mut out, factors[0]),
            1 => contrast(&mut out, factors[1]),
            2 => saturation(&mut out, factors[2]),
            _ => hue(&mut out, turn),
        }
    }
    out
}

/// `ImageEnhance`'s blend: `from` at factor 0, `to` at 1, extrapolated beyond; truncated as in PIL.
fn blend(from: f32, to: u8, factor: f32) -> u8 {
    (from + factor * (f32::from(to) - from)).clamp(0.0, 255.0) as u8
}

fn brightness(image: &mut RgbImage, factor: f64) {
    let table: Vec<u8> = (0..=255).map(|v| blend(0.0, v, factor as f32)).collect();
    for value in image.as_mut() {
        *value = table[usize::from(*value)];
    }
}

fn contrast(image: &mut RgbImage, factor: f64) {
    let count = u64::from(image.width()) * u64::from(image.height());
    let sum: u64 = image.pixels().map(|p| u64::from(luma(p.0))).sum();
    // PIL's grey level for contrast is the mean luma, rounded to a whole number.
    let mean = (sum as f64 / count.max(1) as f64 + 0.5).floor() as f32;
    let table: Vec<u8> = (0..=255).map(|v| blend(mean, v, factor as f32)).collect();
    for value in image.as_mut() {
        *value = table[usize::from(*value)];
    }
}

fn saturation(image: &mut RgbImage, factor: f64) {
    for pixel in image.pixels_mut() {
        let grey = f32::from(luma(pixel.0));
        pixel.0 = pixel.0.map(|v| blend(grey, v, factor as f32));
    }
}

/// Rotates the hue (HSV) by `turn` of the circle; value and saturation stay.
fn hue(image: &mut RgbImage, turn: f64) {
    let turn = turn as f32 * 6.0;
    for pixel in image.pixels_mut() {
        let [r, g, b] = pixel.0.map(f32::from);
        let (high, low) = (r.max(g).max(b), r.min(g).min(b));
        let chroma = high - low;
        if chroma == 0.0 {
            continue;
        }
        // Hue in sixths of a turn, from red.
        let sector = if high == r {
            (g - b) / chroma
        } else if high == g {
            (b - r) / chroma + 2.0
        } else {
            (r - g) / chroma + 4.0
        };
        // A channel is a trapezoid over the hue, shifted by a third of a turn for green and blue.
        pixel.0 = [0.0, 4.0, 2.0].map(|shift: f32| {
            let wave = ((sector + turn + shift).rem_euclid(6.0) - 3.0).abs() - 1.0;
            (low + chroma * wave.clamp(0.0, 1.0) + 0.5) as u8
        });
    }
}

/// Gaussian noise with this standard deviation (of values in `[0, 1]`) on every value.
pub(super) fn noise(image: &RgbImage, sigma: f64, rng: &mut ChaCha8Rng) -> RgbImage {
    let mut out = image.clone();
    let scale = sigma as f32 * 255.0;
    for pair in out.as_mut().chunks_mut(2) {
        // Box and Muller 1958: two uniform numbers give two normal ones. `1 -` keeps 0 from the logarithm.
        let radius = (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt() * scale;
        let (sin, cos) = (std::f32::consts::TAU * rng.random::<f32>()).sin_cos();
        for (value, normal) in pair.iter_mut().zip([cos, sin]) {
            *value = (f32::from(*value) + radius * normal + 0.5).clamp(0.0, 255.0) as u8;
        }
    }
    out
}

/// `holes` squares, `size` of the shorter side, filled with the image's mean colour. Their
/// centres lie anywhere in the image, so squares may reach beyond it (DeVries and Taylor 2017).
pub(super) fn cutout(image: &RgbImage, holes: u32, size: f64, rng: &mut ChaCha8Rng) -> RgbImage {
    let (width, height) = image.dimensions();
    let count = (u64::from(width) * u64::from(height)).max(1);
    let mut sums = [0u64; 3];
    for pixel in image.pixels() {
        for (sum, value) in sums.iter_mut().zip(pixel.0) {
            *sum += u64::from(value);
        }
    }
    let mean = Rgb(sums.map(|sum| ((sum + count / 2) / count) as u8));
    let side = (size * f64::from(width.min(height))).round() as i64;
    let mut out = image.clone();
    for _ in 0..holes {
        let left = i64::from(rng.random_range(0..width)) - side / 2;
        let top = i64::from(rng.random_range(0..height)) - side / 2;
        let cut =
            |low: i64, end: u32| (low.max(0) as u32)..((low + side).clamp(0, end.into()) as u32);
        for y in cut(top, height) {
            for x in cut(left, width) {
                out.put_pixel(x, y, mean);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{brightness, contrast, cutout, hue, jitter, noise, saturation};
    use image::{Rgb, RgbImage};
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    fn pair() -> RgbImage {
        RgbImage::from_vec(2, 1, vec![200, 100, 50, 10, 20, 240]).unwrap()
    }

    /// Expected values: PIL's `ImageEnhance` on the same two pixels.
    #[test]
    fn factors_do_what_pil_does() {
        type Change = fn(&mut RgbImage, f64);
        let cases: [(Change, f64, [u8; 6]); 6] = [
            (brightness, 0.5, [100, 50, 25, 5, 10, 120]),
            (brightness, 1.5, [255, 150, 75, 15, 30, 255]),
            (contrast, 0.5, [141, 91, 66, 46, 51, 161]),
            (contrast, 1.5, [255, 108, 33, 0, 0, 255]),
            (saturation, 0.5, [162, 112, 87, 26, 31, 141]),
            (saturation, 1.5, [238, 88, 13, 0, 9, 255]),
        ];
        for (change, factor, expected) in cases {
            let mut image = pair();
            change(&mut image, factor);
            assert_eq!(image.as_raw(), &expected, "factor {factor}");
        }
    }

    #[test]
    fn a_third_of_a_turn_of_hue_moves_the_channels() {
        for (turn, expected) in [
            (1.0 / 3.0, [50, 200, 100, 240, 10, 20]),
            (-1.0 / 3.0, [100, 50, 200, 20, 240, 10]),
        ] {
            let mut image = pair();
            hue(&mut image, turn);
            assert_eq!(image.as_raw(), &expected);
        }
    }

    #[test]
    fn jitter_stays_within_its_strength_and_skips_zeros() {
        let grey = RgbImage::from_pixel(8, 8, Rgb([100; 3]));
        let mut seen = [255u8, 0];
        for seed in 0..200 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let value = jitter(&grey, [0.4, 0.0, 0.0, 0.0], &mut rng).get_pixel(3, 3)[0];
            assert!((59..=140).contains(&value), "{value}");
            seen = [seen[0].min(value), seen[1].max(value)];
        }
        assert!(seen[0] < 70 && seen[1] > 130, "{seen:?}");
        assert_eq!(
            jitter(&pair(), [0.0; 4], &mut ChaCha8Rng::seed_from_u64(0)),
            pair()
        );
    }

    #[test]
    fn noise_has_its_mean_and_deviation() {
        let grey = RgbImage::from_pixel(100, 100, Rgb([128; 3]));
        let noisy = noise(&grey, 0.1, &mut ChaCha8Rng::seed_from_u64(4));
        let values: Vec<f64> = noisy
            .as_raw()
            .iter()
            .map(|&v| f64::from(v) - 128.0)
            .collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 0.6, "{mean}");
        assert!((variance.sqrt() - 25.5).abs() < 0.6, "{}", variance.sqrt());
    }

    #[test]
    fn cutout_blanks_at_most_its_squares_with_the_mean() {
        let image = RgbImage::from_fn(40, 20, |x, y| Rgb([(x * 6) as u8, (y * 12) as u8, 255]));
        for seed in 0..50 {
            let cut = cutout(&image, 2, 0.25, &mut ChaCha8Rng::seed_from_u64(seed));
            let blank: Vec<_> = cut
                .pixels()
                .zip(image.pixels())
                .filter(|(a, b)| a != b)
                .map(|(a, _)| *a)
                .collect();
            assert!((4..=50).contains(&blank.len()), "{}", blank.len());
            assert!(blank.iter().all(|p| p.0 == [117, 114, 255]));
        }
    }
}
