#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use image::Rgb;
use mozjpeg::{ColorSpace, Compress};
use proptest::prelude::*;
use std::path::{Path, PathBuf};

fn formats() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/formats")
}

/// All JPEG files below the folder of the photos, which has a GIF, too.
fn jpegs(folder: &Path) -> Vec<PathBuf> {
    let paths = fs_err::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let is_gif = |path: &Path| path.extension().is_some_and(|e| e == "gif");
    paths
        .filter(|path| !is_gif(path))
        .flat_map(|path| {
            if path.is_dir() {
                jpegs(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// What [`decode`] gives with vectors, and what it gives without.
fn both(bytes: &[u8]) -> [Option<RgbImage>; 2] {
    [
        baseline::decode(bytes),
        baseline::decode_without_vectors(bytes),
    ]
}

/// Also what the documents say of a build without C.
#[expect(clippy::print_stderr, reason = "says why it is skipped")]
#[test]
fn baseline_photos_are_equal_and_progressive_ones_by_zune_jpeg_at_most_7_of_255_off() {
    let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/hymenoptera");
    if !photos.is_dir() {
        assert!(std::env::var_os("CI").is_none(), "CI needs {photos:?}");
        eprintln!("skipped: needs ../shared/data/hymenoptera");
        return;
    }
    let (mut num_baseline, mut num_others, mut most) = (0, 0, 0);
    for path in jpegs(&photos) {
        let bytes = fs_err::read(&path).unwrap();
        let expected = libjpeg::decode(&bytes).unwrap();
        for image in both(&bytes) {
            match image {
                Some(image) => {
                    assert!(image == expected, "{}", path.display());
                    num_baseline += 1;
                }
                None => num_others += 1,
            }
        }
        let zune = zune::decode(&bytes).unwrap();
        let pairs = expected.as_raw().iter().zip(zune.as_raw());
        most = most.max(pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap());
    }
    assert_eq!((num_baseline, num_others), (2 * 395, 2 * 2));
    assert!((1..=7).contains(&most), "{most}");
}

#[test]
fn baseline_reads_what_it_says() {
    for (name, is_baseline) in [
        ("s420.jpg", true),
        ("s422.jpg", true),
        ("s444.jpg", true),
        ("gray.jpg", true),
        ("restart.jpg", true),
        ("exif2.jpg", true),
        ("cmyk.jpg", false),
        // Components of RGB.
        ("rgb.jpg", false),
        ("progressive420.jpg", false),
        ("arithmetic.jpg", false),
    ] {
        let bytes = fs_err::read(formats().join(name)).unwrap();
        let expected = libjpeg::decode(&bytes).unwrap();
        for image in both(&bytes) {
            let expected = is_baseline.then_some(&expected);
            assert!(image.as_ref() == expected, "{name}");
        }
    }
}

/// A pattern of edges and shades, with noise.
fn pattern(width: u32, height: u32, noise: u8) -> RgbImage {
    let mut state = 12_345_u32;
    RgbImage::from_fn(width, height, |x, y| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [_, _, random, _] = state.to_le_bytes();
        let random = if noise == 0 { 0 } else { random % noise };
        let edge = if (x / 5 + y / 7).is_multiple_of(2) {
            0
        } else {
            90
        };
        let shade = (x * 3 + y * 2) as u8;
        Rgb([edge | random, shade.saturating_add(random), shade ^ edge])
    })
}

/// How many pixels a sample of color has, across and down; none is gray.
type Sampling = Option<(u8, u8)>;

/// A baseline file. Below `quality` 25 quantization would take 16 bits.
fn encoded(image: &RgbImage, sampling: Sampling, quality: u8, own_codes: bool) -> Vec<u8> {
    let (color, samples) = match sampling {
        Some(_) => (ColorSpace::JCS_RGB, image.to_vec()),
        None => {
            let greens = image.pixels().map(|pixel| pixel.0[1]).collect();
            (ColorSpace::JCS_GRAYSCALE, greens)
        }
    };
    let mut encoder = Compress::new(color);
    encoder.set_fastest_defaults();
    encoder.set_size(image.width() as usize, image.height() as usize);
    encoder.set_quality(quality.into());
    encoder.set_optimize_coding(own_codes);
    if let Some(sampling) = sampling {
        encoder.set_chroma_sampling_pixel_sizes(sampling, sampling);
    }
    let mut started = encoder.start_compress(vec![]).unwrap();
    started.write_scanlines(&samples).unwrap();
    started.finish().unwrap()
}

/// Headers, and the data of the scan without the end of the image.
fn split(file: &[u8]) -> (&[u8], &[u8]) {
    let start = file.windows(3).position(|w| w == [0xff, 0xda, 0]).unwrap();
    let length = usize::from(file[start + 3]);
    let (headers, data) = file.split_at(start + 2 + length);
    (headers, data.strip_suffix(&[0xff, 0xd9]).unwrap())
}

/// A file with a restart behind each MCU: those of images that have one MCU each.
fn restarting(across: u32, down: u32, sampling: Sampling, quality: u8) -> Vec<u8> {
    let (pixels_across, pixels_down) = sampling.unwrap_or((1, 1));
    let (width, height) = (8 * u32::from(pixels_across), 8 * u32::from(pixels_down));
    let image = pattern(width * across, height * down, 40);
    let mut file = vec![];
    for number in 0..across * down {
        let (x, y) = (number % across * width, number / across * height);
        let mcu = image::imageops::crop_imm(&image, x, y, width, height).to_image();
        let mcu = encoded(&mcu, sampling, quality, false);
        let (headers, data) = split(&mcu);
        if number == 0 {
            file = headers.to_vec();
            let frame = file.windows(3).position(|w| w == [0xff, 0xc0, 0]).unwrap();
            let [w, h] = [image.width(), image.height()].map(|side| (side as u16).to_be_bytes());
            file[frame + 5..frame + 9].copy_from_slice(&[h[0], h[1], w[0], w[1]]);
            file.splice(frame..frame, [0xff, 0xdd, 0, 4, 0, 1]);
        } else {
            file.extend([0xff, 0xd0 + ((number - 1) % 8) as u8]);
        }
        file.extend(data);
    }
    file.extend([0xff, 0xd9]);
    file
}

fn sampling() -> impl Strategy<Value = Sampling> {
    let all = [(1, 1), (2, 1), (1, 2), (2, 2)].map(Some);
    prop::sample::select([&all[..], &[None]].concat())
}

proptest! {
    #[test]
    fn baseline_is_equal_to_libjpeg(
        size in (1_u32..70, 1_u32..50), sampling in sampling(), quality in 25_u8..=100,
        noise: u8, own_codes: bool,
    ) {
        let file = encoded(&pattern(size.0, size.1, noise), sampling, quality, own_codes);
        let expected = libjpeg::decode(&file).unwrap();
        for image in both(&file) {
            prop_assert!(image.as_ref() == Some(&expected));
        }
    }

    #[test]
    fn restarts_are_equal_to_libjpeg(
        across in 1_u32..5, down in 1_u32..5, sampling in sampling(), quality in 25_u8..=100,
    ) {
        let file = restarting(across, down, sampling, quality);
        let expected = libjpeg::decode(&file).unwrap();
        for image in both(&file) {
            prop_assert!(image.as_ref() == Some(&expected));
        }
    }

    /// The pixels of absurd values may differ: libjpeg's own versions do not agree on them.
    #[test]
    fn damage_that_libjpeg_refuses_is_left_to_it(
        noise in 0_u8..40, sampling in sampling(), own_codes: bool, restarts: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut file = if restarts {
            restarting(3, 3, sampling, 80)
        } else {
            encoded(&pattern(40, 40, noise), sampling, 80, own_codes)
        };
        for (index, byte) in changes {
            let index = index.index(file.len());
            file[index] = byte;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        let [image, without_vectors] = both(&file);
        prop_assert!(image == without_vectors);
        if let Some(image) = image {
            let expected = libjpeg::decode(&file).map(|image| image.dimensions());
            prop_assert_eq!(expected, Ok(image.dimensions()));
        }
    }
}

/// A TIFF says what the samples of its JPEG mean: both decoders give them unconverted, or RGB for YCbCr.
#[test]
fn samples_of_a_jpeg_are_the_same_from_both_decoders() {
    for (name, channels) in [("s444.jpg", 3), ("gray.jpg", 1), ("cmyk.jpg", 4)] {
        let bytes = fs_err::read(formats().join(name)).unwrap();
        for ycbcr in [false, true] {
            if ycbcr && channels != 3 {
                continue;
            }
            let ours = libjpeg::decode_samples(&bytes, ycbcr).unwrap();
            let theirs = zune::decode_samples(&bytes, ycbcr).unwrap();
            assert_eq!(
                (ours.len(), theirs.len()),
                (19 * 13 * channels, ours.len()),
                "{name}"
            );
            let most = ours.iter().zip(&theirs).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(most.unwrap() <= 4, "{name}, {ycbcr}: {most:?}");
        }
        let same = libjpeg::decode_samples(&bytes, false).unwrap();
        let rgb = libjpeg::decode(&bytes).unwrap();
        assert!(
            channels == 1 || same != rgb.into_raw(),
            "{name} is converted"
        );
    }
}
