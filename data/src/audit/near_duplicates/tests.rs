use super::super::tests::drawn;
use super::*;
use crate::decode::{self, Limits};
use crate::{Dataset, RgbImage};
use image::imageops::{self, FilterType};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::path::Path;

/// Thumbnails of `images`, and whether the last of them is in a group with the first.
fn joined(first: &RgbImage, last: &RgbImage) -> bool {
    let thumbnails = [first, last].map(|image| Thumbnail::new(image).unwrap());
    !groups(&thumbnails.each_ref()).is_empty()
}

fn cropped(image: &RgbImage, share: f32, rng: &mut ChaCha8Rng) -> RgbImage {
    let side = |side: u32| (side as f32 * (1.0 - share)) as u32;
    let (width, height) = (side(image.width()), side(image.height()));
    let x = rng.random_range(0..=image.width() - width);
    let y = rng.random_range(0..=image.height() - height);
    imageops::crop_imm(image, x, y, width, height).to_image()
}

fn jpeg(image: &RgbImage, quality: u8) -> RgbImage {
    let mut bytes = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality);
    image.write_with_encoder(encoder).unwrap();
    decode::decode(&bytes, &Limits::default()).unwrap()
}

#[test]
fn copies_are_found_and_other_images_are_not() {
    let images: Vec<RgbImage> = (0..60).map(drawn).collect();
    let thumbnails: Vec<Thumbnail> = images.iter().map(|p| Thumbnail::new(p).unwrap()).collect();
    assert!(groups(&thumbnails.iter().collect::<Vec<_>>()).is_empty());
    for image in &images[..10] {
        let half = imageops::resize(image, 75, 55, FilterType::Triangle);
        assert!(joined(image, &half));
        assert!(joined(image, &jpeg(image, 30)));
        assert!(joined(image, &imageops::flip_horizontal(image)));
        assert!(joined(
            &imageops::resize(image, 60, 90, FilterType::Triangle),
            image
        ));
    }
}

#[test]
fn a_group_is_joined_by_its_pairs() {
    let (a, b) = (drawn(1), drawn(2));
    let half = imageops::resize(&a, 75, 55, FilterType::Triangle);
    let mirrored = imageops::flip_horizontal(&half);
    let thumbnails = [&b, &a, &half, &mirrored].map(|image| Thumbnail::new(image).unwrap());
    assert_eq!(groups(&thumbnails.each_ref()), [[1, 2, 3]]);
}

#[test]
fn many_copies_of_one_image_are_one_group() {
    let thumbnail = Thumbnail::new(&drawn(3)).unwrap();
    let thumbnails = vec![&thumbnail; 40];
    assert_eq!(groups(&thumbnails), [(0..40).collect::<Vec<_>>()]);
}

#[test]
fn images_of_few_pixels_have_thumbnails_and_blank_ones_none() {
    assert!(Thumbnail::new(&RgbImage::from_pixel(300, 200, image::Rgb([9, 200, 40]))).is_none());
    for (width, height) in [(1, 2), (33, 1), (2, 300)] {
        let image = RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([(200 * (x + y) % 256) as u8; 3])
        });
        assert!(Thumbnail::new(&image).is_some(), "{width} x {height}");
    }
}

/// The figures in the head of this module, on the images of ants and bees.
#[expect(clippy::print_stderr, reason = "says why it is skipped")]
#[test]
fn of_the_photos_no_two_are_alike_and_their_copies_are_found() {
    let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/hymenoptera");
    if !photos.is_dir() {
        assert!(std::env::var_os("CI").is_none(), "CI needs {photos:?}");
        eprintln!("skipped: needs ../shared/data/hymenoptera");
        return;
    }
    let dataset = Dataset::open(&photos, 0).unwrap();
    let samples: Vec<_> = dataset.all().collect();
    let images: Vec<RgbImage> = samples
        .par_iter()
        .map(|sample| decode::open(&sample.path, &Limits::default()).unwrap())
        .collect();
    let thumbnails: Vec<Thumbnail> = images
        .par_iter()
        .map(|p| Thumbnail::new(p).unwrap())
        .collect();
    let found = groups(&thumbnails.iter().collect::<Vec<_>>());
    let names = |group: &Vec<usize>| {
        group
            .iter()
            .map(|&at| &samples[at].relative)
            .collect::<Vec<_>>()
    };
    assert!(
        found.is_empty(),
        "{:?}",
        found.iter().map(names).collect::<Vec<_>>()
    );

    type Copy = fn(&RgbImage, &mut ChaCha8Rng) -> RgbImage;
    let copies: [(&str, Copy, f64); 10] = [
        (
            "a quarter of the size",
            |p, _| imageops::resize(p, p.width() / 4, p.height() / 4, FilterType::Triangle),
            1.0,
        ),
        ("quality 30", |p, _| jpeg(p, 30), 1.0),
        (
            "gray",
            |p, _| image::DynamicImage::ImageLuma8(imageops::grayscale(p)).into_rgb8(),
            1.0,
        ),
        (
            "brighter",
            |p, _| {
                RgbImage::from_fn(p.width(), p.height(), |x, y| {
                    image::Rgb(p.get_pixel(x, y).0.map(|v| (f32::from(v) * 1.2) as u8))
                })
            },
            0.99,
        ),
        ("mirrored", |p, _| imageops::flip_horizontal(p), 1.0),
        ("crop 5 %", |p, rng| cropped(p, 0.05, rng), 0.85),
        ("crop 10 %", |p, rng| cropped(p, 0.1, rng), 0.9),
        ("crop 15 %", |p, rng| cropped(p, 0.15, rng), 0.6),
        ("crop 20 %", |p, rng| cropped(p, 0.2, rng), 0.3),
        (
            "mirrored, crop 5 %",
            |p, rng| cropped(&imageops::flip_horizontal(p), 0.05, rng),
            0.8,
        ),
    ];
    // Every fourth image: those of one folder follow each other.
    let images: Vec<RgbImage> = images.into_iter().step_by(4).collect();
    for (what, copy, share) in copies {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let seeds: Vec<u64> = images.iter().map(|_| rng.random()).collect();
        let hits = images.par_iter().zip(&seeds).filter(|(image, seed)| {
            joined(image, &copy(image, &mut ChaCha8Rng::seed_from_u64(**seed)))
        });
        let found = hits.count() as f64 / images.len() as f64;
        eprintln!("{what}: {found:.3}");
        assert!(found >= share, "{what}: {found}");
    }
}
