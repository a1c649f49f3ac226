use super::*;
use image::imageops;
use proptest::prelude::*;

/// Noise, so that every pixel counts.
fn noise(width: u32, height: u32) -> RgbImage {
    let mut state = 12_345_u32;
    RgbImage::from_fn(width, height, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [_, r, g, b] = state.to_le_bytes();
        [r, g, b].into()
    })
}

fn whole(size: (u32, u32), filter: Filter) -> Resize {
    Resize {
        size,
        window: centered(size, size, false),
        filter,
        antialias: true,
    }
}

fn filter() -> impl Strategy<Value = Filter> {
    use Filter::{Bicubic, Bilinear, Lanczos, Nearest};
    prop::sample::select(vec![Nearest, Bilinear, Bicubic, Lanczos])
}

proptest! {
    #[test]
    fn with_and_without_simd(
        from in (1u32..90, 1u32..90), size in (1u32..90, 1u32..90),
        window in (-20i64..40, -20i64..40, 1u32..60, 1u32..60),
        filter in filter(), antialias: bool,
    ) {
        let image = noise(from.0, from.1);
        let (x, y, width, height) = window;
        let window = Window { x, y, width, height };
        let to = Resize { size, window, filter, antialias };
        let mut plain = RgbImage::new(0, 0);
        let mut resizer = Resizer { simd: false, ..Resizer::default() };
        resizer.resize(&image, &to, &mut plain);
        prop_assert_eq!(resize(&image, &to), plain);
    }

    #[test]
    fn a_part_turned_over_is_what_a_copy_of_it_turned_over_would_be(
        left in 0u32..30, top in 0u32..30, width in 1u32..30, height in 1u32..30,
        size in (1u32..50, 1u32..50), window in (-9i64..9, -9i64..9),
        horizontal: bool, vertical: bool, filter in filter(),
    ) {
        let image = noise(60, 60);
        let region = Region { left, top, width, height };
        let mut to = whole(size, filter);
        (to.window.x, to.window.y) = window;
        let mut found = RgbImage::new(0, 0);
        let mut resizer = Resizer::default();
        // What is left in the memory from another image does not matter.
        resizer.resize(&noise(33, 44), &whole((40, 60), filter), &mut found);
        resizer.resize_region(&image, region, &to, Flip { horizontal, vertical }, &mut found);
        let copy = imageops::crop_imm(&image, left, top, width, height).to_image();
        let mut expected = resize(&copy, &to);
        if horizontal {
            imageops::flip_horizontal_in_place(&mut expected);
        }
        if vertical {
            imageops::flip_vertical_in_place(&mut expected);
        }
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn without_antialias_a_smaller_image_samples() {
    let stripes = RgbImage::from_fn(64, 4, |x, _| [if x % 4 == 0 { 255 } else { 0 }; 3].into());
    let shrink = |antialias| {
        let to = Resize {
            antialias,
            ..whole((16, 4), Filter::Bilinear)
        };
        resize(&stripes, &to).get_pixel(8, 2)[0]
    };
    assert_eq!(shrink(false), 0);
    assert!((50..80).contains(&shrink(true)));
}
