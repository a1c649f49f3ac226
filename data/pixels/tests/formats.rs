//! Small images in odd formats become the pixels that PIL makes of them.
#![expect(clippy::unwrap_used, reason = "a test")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use classifold_pixels::{Error, Limits};
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
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference")
}

fn reference() -> BTreeMap<String, File> {
    let text = fs_err::read_to_string(folder().join("formats.json")).unwrap();
    let reference: Reference = serde_json::from_str(&text).unwrap();
    assert!(reference.files.len() > 60);
    reference.files
}

/// By how much a value may differ from PIL's.
fn tolerance(name: &str) -> u8 {
    match name {
        // `image` converts the inks of a TIFF in floating point.
        "cmyk.tif" => 1,
        // Without libjpeg: another transform.
        _ if name.ends_with(".jpg") && !cfg!(feature = "libjpeg") => 4,
        _ => 0,
    }
}

#[test]
fn pixels_equal_pil() {
    let mut wrong = vec![];
    for (name, file) in reference() {
        let path = folder().join("formats").join(&name);
        let image = match classifold_pixels::decode::open(&path, &Limits::default()) {
            Ok(image) => image,
            Err(error) => {
                wrong.push(error.to_string());
                continue;
            }
        };
        if image.dimensions() != file.size {
            wrong.push(format!("{name}: {:?} pixels", image.dimensions()));
            continue;
        }
        let expected = STANDARD.decode(&file.rgb).unwrap();
        let differences = image
            .as_raw()
            .iter()
            .zip(&expected)
            .map(|(a, b)| a.abs_diff(*b));
        let count = differences.clone().filter(|&d| d > 0).count();
        let most = differences.max().unwrap_or(0);
        if most > tolerance(&name) {
            wrong.push(format!(
                "{name}: {count} of {} values, by up to {most}",
                expected.len()
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ from PIL:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
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
