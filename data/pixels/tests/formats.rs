//! Small images in odd formats become the pixels that PIL makes of them.
#![expect(clippy::unwrap_used, reason = "a test")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use classifold_pixels::preprocess::Color;
use classifold_pixels::{Error, Limits, RgbImage};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct Reference {
    files: BTreeMap<String, File>,
}

#[derive(Deserialize)]
struct File {
    size: (u32, u32),
    rgb: String,
    /// Where not all of it is 255.
    alpha: Option<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference")
}

fn reference() -> BTreeMap<String, File> {
    let text = fs_err::read_to_string(folder().join("formats.json")).unwrap();
    let reference: Reference = serde_json::from_str(&text).unwrap();
    assert!(reference.files.len() > 100);
    let mut files = reference.files;
    if !cfg!(feature = "libjpeg") {
        // `zune-jpeg` does not read arithmetic coding.
        files.remove("arithmetic.jpg");
    }
    files
}

/// By how much a value may differ from PIL's.
fn tolerance(name: &str) -> u8 {
    match name {
        // Not baseline of YCbCr. Without libjpeg: another transform.
        "cmyk.jpg" | "rgb.jpg" | "jpeg.tif" if !cfg!(feature = "libjpeg") => 4,
        _ if name.starts_with("progressive") && !cfg!(feature = "libjpeg") => 4,
        _ => 0,
    }
}

/// How an image differs from PIL's pixels, if it does.
fn difference(
    image: &RgbImage,
    size: (u32, u32),
    expected: &[u8],
    tolerance: u8,
) -> Option<String> {
    if image.dimensions() != size {
        return Some(format!("{:?} pixels", image.dimensions()));
    }
    let pairs = image.as_raw().iter().zip(expected);
    let differences = pairs.map(|(a, b)| a.abs_diff(*b));
    let count = differences.clone().filter(|&d| d > 0).count();
    let most = differences.max().unwrap_or(0);
    (most > tolerance).then(|| format!("{count} of {} values, by up to {most}", expected.len()))
}

#[test]
fn pixels_equal_pil() {
    let mut wrong = vec![];
    for (name, file) in reference() {
        let path = folder().join("formats").join(&name);
        let expected = STANDARD.decode(&file.rgb).unwrap();
        let message = match classifold_pixels::decode::open(&path, &Limits::default()) {
            Ok(image) => difference(&image, file.size, &expected, tolerance(&name)),
            Err(error) => Some(error.to_string()),
        };
        wrong.extend(message.map(|message| format!("{name}: {message}")));
    }
    let count = wrong.len();
    assert!(
        wrong.is_empty(),
        "{count} differ from PIL:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn alpha_equals_pil_and_an_image_without_it_is_opaque() {
    let mut num_transparent = 0;
    for (name, file) in reference() {
        let path = folder().join("formats").join(&name);
        let open =
            |color| classifold_pixels::decode::open_as(&path, color, &Limits::default()).unwrap();
        let image = open(Color::Rgba);
        let plain = open(Color::Rgb);
        assert_eq!((&image.rgb, None), (&plain.rgb, plain.alpha), "{name}");
        let alpha = image.alpha.unwrap();
        let expected = match &file.alpha {
            Some(alpha) => STANDARD.decode(alpha).unwrap(),
            None => vec![255; alpha.pixels().len()],
        };
        assert_eq!(alpha.dimensions(), file.size, "{name}");
        let is_equal = alpha
            .pixels()
            .zip(expected)
            .all(|(found, a)| found.0 == [a; 3]);
        assert!(is_equal, "{name}");
        num_transparent += usize::from(file.alpha.is_some());
    }
    assert_eq!(num_transparent, 11);
}

/// Files from other people's bug reports, which are not passed on.
#[cfg(feature = "libjpeg")]
#[expect(clippy::print_stderr, reason = "says why it is skipped")]
#[test]
fn files_of_bug_reports_equal_pil_or_are_refused_by_name() {
    let cases = folder().join("../../../shared/cases/pictures");
    if !cases.is_dir() {
        eprintln!("skipped: needs ../shared/cases/pictures");
        return;
    }
    let (mut equal, mut wrong) = (0, vec![]);
    for entry in fs_err::read_dir(cases.join("as_pil")).unwrap() {
        let reference = entry.unwrap().path();
        let expected = classifold_pixels::decode::open(&reference, &Limits::default()).unwrap();
        let name = reference.file_stem().unwrap();
        match classifold_pixels::decode::open(&cases.join(name), &Limits::default()) {
            Ok(image) => match difference(&image, expected.dimensions(), &expected, 0) {
                None => equal += 1,
                Some(message) => wrong.push(format!("{}: {message}", name.display())),
            },
            Err(error) => {
                let message = error.to_string();
                assert!(message.contains("is not supported"), "{message}");
            }
        }
    }
    assert!(wrong.is_empty(), "differ from PIL:\n{}", wrong.join("\n"));
    assert_eq!(equal, 18);
}

/// The refusal of a TIFF one of whose numbers is replaced.
fn refusal(name: &str, tag: u16, value: u16) -> String {
    let mut bytes = fs_err::read(folder().join("formats").join(name)).unwrap();
    // Tag, type SHORT, count 1; the value follows.
    let [low, high] = tag.to_le_bytes();
    let entry = [low, high, 3, 0, 1, 0, 0, 0];
    let at = bytes.windows(8).position(|window| window == entry).unwrap() + 8;
    bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
    let error = classifold_pixels::decode::decode(&bytes, &Limits::default()).unwrap_err();
    let header = classifold_pixels::decode::read_header(&bytes).unwrap_err();
    assert_eq!(header.to_string(), error.to_string());
    error.to_string()
}

/// A form of TIFF that is not decoded is named, by decoding and by the header.
#[test]
fn other_forms_of_tiff_are_refused_by_name() {
    for (name, tag, value, expected) in [
        (
            "raw.tif",
            259,
            6,
            "a TIFF with old-style JPEG compression is not supported",
        ),
        (
            "raw.tif",
            259,
            50_000,
            "a TIFF with Zstandard compression is not supported",
        ),
        (
            "raw.tif",
            259,
            99,
            "a TIFF with compression 99 is not supported",
        ),
        (
            "raw.tif",
            262,
            8,
            "a TIFF with Lab pixels of 3 x 8 bits is not supported",
        ),
        (
            "raw.tif",
            277,
            9,
            "a TIFF with 9 samples per pixel is not supported",
        ),
        (
            "gray.tif",
            258,
            12,
            "a TIFF with gray pixels of 1 x 12 bits is not supported",
        ),
        (
            "gray.tif",
            258,
            32,
            "a TIFF with gray pixels of 1 x 32 bits is not supported",
        ),
        (
            "signed16.tif",
            339,
            3,
            "a TIFF with floating-point numbers is not supported",
        ),
        (
            "planes_tiles.tif",
            262,
            6,
            "a TIFF with YCbCr colours and Deflate compression",
        ),
        (
            "reversed.tif",
            266,
            3,
            "a TIFF with fill order 3 is not supported",
        ),
        (
            "rgba_associated.tif",
            338,
            7,
            "a TIFF with RGB pixels of 4 x 8 bits, extra samples",
        ),
    ] {
        let message = refusal(name, tag, value);
        assert!(message.contains(expected), "{message}");
    }
}

/// The start of every stored file, by whichever share of it, is an error or gives all its pixels.
#[test]
fn truncated_files_are_refused() {
    for (name, file) in reference() {
        let bytes = fs_err::read(folder().join("formats").join(&name)).unwrap();
        for share in [0, 5, 30, 60, 90] {
            let part = &bytes[..bytes.len() * share / 100];
            let expected = STANDARD.decode(&file.rgb).unwrap();
            match classifold_pixels::decode::decode(part, &Limits::default()) {
                Err(Error::Undecodable { reason, .. }) => assert!(!reason.is_empty()),
                Ok(image) => {
                    assert_eq!(
                        image.into_raw(),
                        expected,
                        "{share} % of {name} pass for whole"
                    );
                }
                Err(other) => panic!("{name}: {other}"),
            }
        }
    }
}

/// No byte of damage makes a panic or an image of another size than the limit allows.
#[test]
fn damaged_files_do_no_harm() {
    let limits = Limits {
        max_pixels: 10_000,
        ..Limits::default()
    };
    for (name, _) in reference() {
        let bytes = fs_err::read(folder().join("formats").join(&name)).unwrap();
        for at in (0..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x5b;
            if let Ok(image) = classifold_pixels::decode::decode(&damaged, &limits) {
                assert!(
                    image.width() * image.height() <= 10_000,
                    "{name}, byte {at}"
                );
            }
        }
    }
}
