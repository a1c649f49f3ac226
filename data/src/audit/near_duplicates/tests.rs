use super::super::tests::drawn;
use super::values::LEAST_CORRELATION;
use super::*;
use crate::decode::{self, Limits};
use crate::{Dataset, RgbImage, Sample};
use image::imageops::{self, FilterType};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::path::Path;

fn groups(thumbnails: &[&Thumbnail]) -> Vec<Vec<usize>> {
    Search::new(thumbnails).groups()
}

/// Whether two images are a group.
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

/// A bright blossom with soft edges and its own texture before a dark ground.
fn flower(number: u64) -> RgbImage {
    let mut rng = ChaCha8Rng::seed_from_u64(number);
    let texture: Vec<f32> = (0..20 * 15)
        .map(|_| rng.random_range(-40.0..40.0))
        .collect();
    let (x0, y0) = (78.0 + (number % 3) as f32, 60.0 - (number % 2) as f32);
    RgbImage::from_fn(160, 120, |x, y| {
        let distance = (x as f32 - x0).hypot(y as f32 - y0);
        let bright = 1.0 / (1.0 + ((distance - 36.0 - number as f32) / 12.0).exp());
        let texture = texture[(y / 8 * 20 + x / 8) as usize] * (0.3 + 0.7 * bright);
        image::Rgb([(30.0 + 190.0 * bright + texture) as u8; 3])
    })
}

#[test]
fn bright_things_before_dark_grounds_are_not_alike() {
    let flowers: Vec<RgbImage> = (0..8).map(flower).collect();
    let thumbnails: Vec<Thumbnail> = flowers.iter().map(|p| Thumbnail::new(p).unwrap()).collect();
    let thumbnails: Vec<&Thumbnail> = thumbnails.iter().collect();
    let values = |index: usize| Values::of_whole(thumbnails[index]);
    let close = (1..8).filter(|&i| values(0).correlation(&values(i)) >= LEAST_CORRELATION);
    assert_eq!(close.count(), 7, "they correlate, but for their details");
    assert_eq!(groups(&thumbnails), [[0; 0]; 0]);
    for flower in &flowers {
        assert!(joined(flower, &jpeg(flower, 30)));
        assert!(joined(flower, &imageops::flip_horizontal(flower)));
    }
}

/// Each is a crop of the one before: the last is too small a part of the first.
#[test]
fn a_group_does_not_grow_from_neighbour_to_neighbour() {
    let image = drawn(4);
    let (width, height) = image.dimensions();
    let crop = |share: f32| {
        let [w, h] = [width, height].map(|side| (side as f32 * share) as u32);
        imageops::crop_imm(&image, (width - w) / 2, (height - h) / 2, w, h).to_image()
    };
    let chain: Vec<RgbImage> = (0..5).map(|i| crop(0.9_f32.powi(i))).collect();
    let thumbnails: Vec<Thumbnail> = chain.iter().map(|p| Thumbnail::new(p).unwrap()).collect();
    let thumbnails: Vec<&Thumbnail> = thumbnails.iter().collect();
    let search = Search::new(&thumbnails);
    assert_eq!(search.similarity(0, 4), None);
    let groups = search.groups();
    assert!(groups.len() > 1, "{groups:?}");
    for group in &groups {
        for pair in group
            .iter()
            .flat_map(|a| group.iter().map(move |b| (*a, *b)))
        {
            assert!(search.similarity(pair.0, pair.1).is_some(), "{groups:?}");
        }
    }
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

/// The images below a folder in `../shared/data`, with their relative paths, where it is there.
#[expect(clippy::print_stderr, reason = "says why it is skipped")]
fn photos(name: &str) -> Option<Vec<(String, RgbImage)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data")
        .join(name);
    if !folder.is_dir() {
        assert!(std::env::var_os("CI").is_none(), "CI needs {folder:?}");
        eprintln!("skipped: needs ../shared/data/{name}");
        return None;
    }
    let dataset = Dataset::open(&folder, 0).unwrap();
    let samples: Vec<_> = dataset.all().collect();
    let image = |sample: &&Sample| {
        let image = decode::open(&sample.path, &Limits::default()).unwrap();
        (sample.relative.clone(), image)
    };
    Some(samples.par_iter().map(image).collect())
}

/// The paths of the near duplicates, group by group.
fn groups_of(photos: &[(String, RgbImage)]) -> Vec<Vec<&str>> {
    let thumbnails: Vec<Thumbnail> = photos
        .par_iter()
        .map(|(_, image)| Thumbnail::new(image).unwrap())
        .collect();
    let found = groups(&thumbnails.iter().collect::<Vec<_>>());
    let names = |group: Vec<usize>| {
        group
            .into_iter()
            .map(|index| photos[index].0.as_str())
            .collect()
    };
    found.into_iter().map(names).collect()
}

/// The figures in the head of this module: of 900 flowers, two show the same vase.
#[test]
fn of_the_flowers_two_are_alike() {
    let Some(flowers) = photos("flowers") else {
        return;
    };
    let vase = [
        "train/tulip/2333321040_3960b9d67e_n.jpg",
        "val/tulip/2344751399_71620039f2_n.jpg",
    ];
    assert_eq!(groups_of(&flowers), [vase]);
}

/// The figures in the head of this module, on the images of ants and bees.
#[expect(
    clippy::print_stderr,
    reason = "prints the shares that the documents name"
)]
#[test]
fn of_the_photos_no_two_are_alike_and_their_copies_are_found() {
    let Some(photos) = photos("hymenoptera") else {
        return;
    };
    assert_eq!(groups_of(&photos), [[""; 0]; 0]);

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
    let images = photos.into_iter().step_by(4).map(|(_, image)| image);
    let images: Vec<RgbImage> = images.collect();
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
