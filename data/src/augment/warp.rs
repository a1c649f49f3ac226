//! Geometric augmentations: rotation, zoom, elastic deformation. Pixels from outside are black.

use super::between;
use image::{Rgb, RgbImage};
use rand::rngs::ChaCha8Rng;

/// Rotates by `angle` (radians, counter-clockwise) and zooms by `zoom` about the centre.
pub(super) fn affine(image: &RgbImage, angle: f64, zoom: f64) -> RgbImage {
    // The inverse transformation: from a pixel of the result to its position in the source.
    let (sin, cos) = angle.sin_cos();
    let (sin, cos) = ((sin / zoom) as f32, (cos / zoom) as f32);
    let middle = [
        image.width() as f32 / 2.0 - 0.5,
        image.height() as f32 / 2.0 - 0.5,
    ];
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let (dx, dy) = (x as f32 - middle[0], y as f32 - middle[1]);
        sample(
            image,
            middle[0] + dx * cos - dy * sin,
            middle[1] + dx * sin + dy * cos,
        )
    })
}

/// Elastic deformation: displaces every pixel by smoothed random offsets, uniform in `[-alpha, alpha]` pixels before a
/// Gaussian blur of `sigma` pixels (Simard, Steinkraus and Platt 2003).
pub(super) fn elastic(image: &RgbImage, alpha: f64, sigma: f64, rng: &mut ChaCha8Rng) -> RgbImage {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let mut field = || {
        let raw: Vec<f32> = (0..width * height)
            .map(|_| between(-alpha, alpha, rng) as f32)
            .collect();
        smooth(&raw, width, sigma)
    };
    let (dx, dy) = (field(), field());
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let index = y as usize * width + x as usize;
        sample(image, x as f32 + dx[index], y as f32 + dy[index])
    })
}

/// Bilinear sample; black beyond the edge.
fn sample(image: &RgbImage, x: f32, y: f32) -> Rgb<u8> {
    let (column, row) = (x.floor(), y.floor());
    let (fx, fy) = (x - column, y - row);
    let (column, row) = (column as i64, row as i64);
    let (width, height) = (i64::from(image.width()), i64::from(image.height()));
    // One half: the cast below truncates, so the result is rounded.
    let mut sum = [0.5f32; 3];
    for (dx, dy, weight) in [
        (0, 0, (1.0 - fx) * (1.0 - fy)),
        (1, 0, fx * (1.0 - fy)),
        (0, 1, (1.0 - fx) * fy),
        (1, 1, fx * fy),
    ] {
        let (x, y) = (column + dx, row + dy);
        if weight > 0.0 && (0..width).contains(&x) && (0..height).contains(&y) {
            let pixel = image.get_pixel(x as u32, y as u32);
            for (total, value) in sum.iter_mut().zip(pixel.0) {
                *total += weight * f32::from(value);
            }
        }
    }
    Rgb(sum.map(|v| v as u8))
}

/// Separable Gaussian blur of a field `[H, W]`, edges repeated.
fn smooth(field: &[f32], width: usize, sigma: f64) -> Vec<f32> {
    if sigma <= 0.0 {
        return field.to_vec();
    }
    // Beyond three standard deviations lies 0.3 % of the weight.
    let radius = (sigma * 3.0).ceil() as usize;
    let mut kernel: Vec<f32> = (0..=2 * radius)
        .map(|i| (-(i as f64 - radius as f64).powi(2) / (2.0 * sigma * sigma)).exp() as f32)
        .collect();
    let total: f32 = kernel.iter().sum();
    kernel.iter_mut().for_each(|k| *k /= total);

    let height = field.len() / width;
    let blurred_rows: Vec<f32> = field
        .chunks(width)
        .flat_map(|row| convolve_row(row, &kernel))
        .collect();
    let mut out = vec![0.0; field.len()];
    for (y, target) in out.chunks_mut(width).enumerate() {
        for (i, k) in kernel.iter().enumerate() {
            let source = (y + i).saturating_sub(radius).min(height - 1) * width;
            for (o, v) in target.iter_mut().zip(&blurred_rows[source..source + width]) {
                *o += k * v;
            }
        }
    }
    out
}

/// Convolution of one row, its ends repeated.
fn convolve_row(row: &[f32], kernel: &[f32]) -> Vec<f32> {
    let (Some(&first), Some(&last)) = (row.first(), row.last()) else {
        return Vec::new();
    };
    let radius = kernel.len() / 2;
    let mut padded = vec![first; radius];
    padded.extend_from_slice(row);
    padded.resize(row.len() + 2 * radius, last);
    padded
        .windows(kernel.len())
        .map(|w| w.iter().zip(kernel).map(|(a, b)| a * b).sum())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{affine, elastic, smooth};
    use image::{Rgb, RgbImage};
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;
    use std::f64::consts::FRAC_PI_2;

    fn image() -> RgbImage {
        RgbImage::from_fn(31, 31, |x, y| Rgb([x as u8 * 8, y as u8 * 8, 50]))
    }

    #[test]
    fn a_quarter_turn_is_exact() {
        let turned = affine(&image(), FRAC_PI_2, 1.0);
        for (x, y) in [(0, 0), (5, 20), (30, 7)] {
            // Counter-clockwise: the right edge comes to the top.
            let expected = image().get_pixel(30 - y, x).0;
            let found = turned.get_pixel(x, y).0;
            assert!(
                found.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 1),
                "{x} {y}"
            );
        }
    }

    #[test]
    fn an_eighth_of_a_turn_blackens_the_corners() {
        let turned = affine(&image(), FRAC_PI_2 / 2.0, 1.0);
        assert_eq!(turned.get_pixel(0, 0).0, [0; 3]);
        assert_eq!(turned.get_pixel(15, 15), image().get_pixel(15, 15));
    }

    #[test]
    fn zoom_moves_pixels_away_from_the_centre() {
        let larger = affine(&image(), 0.0, 2.0);
        assert_eq!(larger.get_pixel(25, 15), image().get_pixel(20, 15));
        let smaller = affine(&image(), 0.0, 0.5);
        assert_eq!(smaller.get_pixel(20, 15), image().get_pixel(25, 15));
        assert_eq!(smaller.get_pixel(1, 1).0, [0; 3]);
    }

    #[test]
    fn bending_moves_neighbours_alike() {
        let image = RgbImage::from_fn(64, 64, |x, y| Rgb([x as u8 * 4, y as u8 * 4, 0]));
        let bent = elastic(&image, 40.0, 5.0, &mut ChaCha8Rng::seed_from_u64(2));
        let shift = |x: u32, y: u32| i32::from(bent.get_pixel(x, y)[0]) - x as i32 * 4;
        let moved: Vec<i32> = (20..44).map(|x| shift(x, 32)).collect();
        assert!(moved.iter().any(|m| m.abs() > 2), "{moved:?}");
        assert!(
            moved.windows(2).all(|w| (w[0] - w[1]).abs() < 8),
            "{moved:?}"
        );
        assert_eq!(
            elastic(&image, 0.0, 5.0, &mut ChaCha8Rng::seed_from_u64(2)),
            image
        );
    }

    #[test]
    fn smoothing_keeps_a_constant_and_the_sum() {
        let flat = smooth(&[2.0; 35], 7, 1.5);
        assert!(flat.iter().all(|v| (v - 2.0).abs() < 1e-5));
        let mut spike = vec![0.0; 41 * 41];
        spike[20 * 41 + 20] = 1.0;
        let spread = smooth(&spike, 41, 2.0);
        assert!((spread.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        // The middle of a two-dimensional Gaussian: 1 / (2 pi sigma^2).
        assert!((spread[20 * 41 + 20] - 0.0398).abs() < 1e-3);
    }
}
