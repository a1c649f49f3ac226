//! Random resized crop, as torchvision's `RandomResizedCrop`.

use super::between;
use crate::preprocess::{Filter, Flip, Region, Resize, Resizer, Window};
use image::RgbImage;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;

/// Share of the area in most training recipes, and in `crop` without arguments.
pub(super) const SCALE: (f64, f64) = (0.08, 1.0);
/// Width / height in most training recipes, and in `crop` without arguments.
pub(super) const RATIO: (f64, f64) = (3.0 / 4.0, 4.0 / 3.0);

/// Attempts to draw a region that fits, before the centre is used.
const TRIES: u32 = 10;

/// The centre that becomes `size` when the whole image is resized to cover 8/7 of it (256 for 224).
pub(super) fn centre((width, height): (u32, u32), size: (u32, u32)) -> Region {
    let factor = (f64::from(size.0) / f64::from(width)).max(f64::from(size.1) / f64::from(height));
    let shown = |target: u32, side: u32| {
        (f64::from(target) / factor * 7.0 / 8.0)
            .round()
            .clamp(1.0, f64::from(side)) as u32
    };
    let (w, h) = (shown(size.0, width), shown(size.1, height));
    Region {
        left: (width - w) / 2,
        top: (height - h) / 2,
        width: w,
        height: h,
    }
}

/// A random region of an image of `(width, height)`; `scale` and `ratio` are those of `Op::Crop`.
pub(super) fn random_region(
    (width, height): (u32, u32),
    scale: (f64, f64),
    ratio: (f64, f64),
    rng: &mut ChaCha8Rng,
) -> Region {
    let area = f64::from(width) * f64::from(height);
    for _ in 0..TRIES {
        let region_area = area * between(scale.0, scale.1, rng);
        let aspect = between(ratio.0.ln(), ratio.1.ln(), rng).exp();
        let w = (region_area * aspect).sqrt().round() as u32;
        let h = (region_area / aspect).sqrt().round() as u32;
        if (1..=width).contains(&w) && (1..=height).contains(&h) {
            let top = rng.random_range(0..=height - h);
            let left = rng.random_range(0..=width - w);
            return Region {
                left,
                top,
                width: w,
                height: h,
            };
        }
    }
    // torchvision's fallback: the centre, with the nearest allowed aspect.
    let aspect = f64::from(width) / f64::from(height);
    let (w, h) = if aspect < ratio.0 {
        (width, (f64::from(width) / ratio.0).round() as u32)
    } else if aspect > ratio.1 {
        ((f64::from(height) * ratio.1).round() as u32, height)
    } else {
        (width, height)
    };
    let (w, h) = (w.clamp(1, width), h.clamp(1, height));
    Region {
        left: (width - w) / 2,
        top: (height - h) / 2,
        width: w,
        height: h,
    }
}

/// Resizes a region to `size`. Only the region is read: the rest of a large image costs nothing.
pub(super) fn resized(
    image: &RgbImage,
    region: Region,
    flip: Flip,
    size: (u32, u32),
    resizer: &mut Resizer,
    out: &mut RgbImage,
) {
    let window = Window {
        x: 0,
        y: 0,
        width: size.0,
        height: size.1,
    };
    let to = Resize {
        size,
        window,
        filter: Filter::Bilinear,
        antialias: true,
    };
    resizer.resize_region(image, region, &to, flip, out);
}

#[cfg(test)]
mod tests {
    use super::random_region;
    use crate::augment::{Augment, Op};
    use image::{Rgb, RgbImage};
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    fn random(
        image: &RgbImage,
        size: (u32, u32),
        scale: (f64, f64),
        ratio: (f64, f64),
        rng: &mut ChaCha8Rng,
    ) -> RgbImage {
        let ops = vec![Op::Crop { scale, ratio }];
        Augment { ops }.apply(image, size, rng).rgb
    }

    #[test]
    fn regions_keep_to_their_share_and_shape_and_vary() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (mut smallest, mut largest, mut wide) = (1.0f64, 0.0f64, 0);
        for _ in 0..2000 {
            let region = random_region((400, 300), (0.08, 1.0), (0.75, 4.0 / 3.0), &mut rng);
            assert!(region.left + region.width <= 400 && region.top + region.height <= 300);
            let share = f64::from(region.width * region.height) / 120_000.0;
            let aspect = f64::from(region.width) / f64::from(region.height);
            assert!((0.078..=1.0).contains(&share), "{share}");
            assert!((0.74..1.36).contains(&aspect), "{aspect}");
            (smallest, largest) = (smallest.min(share), largest.max(share));
            wide += u32::from(aspect > 1.0);
        }
        assert!(smallest < 0.1 && largest > 0.9, "{smallest} {largest}");
        // Uniform in the logarithm: wide as often as tall, but for the large regions that do not fit.
        assert!((900..1250).contains(&wide), "{wide}");
    }

    #[test]
    fn a_image_too_long_for_any_region_gives_its_centre() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let wide = random_region((400, 30), (1.0, 1.0), (0.75, 4.0 / 3.0), &mut rng);
        assert_eq!(
            (wide.left, wide.top, wide.width, wide.height),
            (180, 0, 40, 30)
        );
        let tall = random_region((30, 400), (1.0, 1.0), (0.75, 4.0 / 3.0), &mut rng);
        assert_eq!(
            (tall.left, tall.top, tall.width, tall.height),
            (0, 180, 30, 40)
        );
    }

    #[test]
    fn the_region_fills_the_result() {
        let image = RgbImage::from_fn(100, 60, |x, y| Rgb([x as u8, y as u8, 0]));
        for seed in 0..20 {
            let shape = ((0.3, 0.3), (1.0, 1.0));
            let region = random_region(
                (100, 60),
                shape.0,
                shape.1,
                &mut ChaCha8Rng::seed_from_u64(seed),
            );
            let shown = random(
                &image,
                (21, 21),
                shape.0,
                shape.1,
                &mut ChaCha8Rng::seed_from_u64(seed),
            );
            let middle = shown.get_pixel(10, 10);
            assert!(middle[0].abs_diff((region.left + region.width / 2) as u8) <= 2);
            assert!(middle[1].abs_diff((region.top + region.height / 2) as u8) <= 2);
        }
    }

    #[test]
    fn tiny_images_survive() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for (width, height) in [(1, 1), (1, 9), (2, 1)] {
            let image = RgbImage::from_pixel(width, height, Rgb([9, 8, 7]));
            let shown = random(&image, (5, 4), (0.08, 1.0), (0.75, 4.0 / 3.0), &mut rng);
            assert!(shown.pixels().all(|p| p.0 == [9, 8, 7]));
        }
    }
}
