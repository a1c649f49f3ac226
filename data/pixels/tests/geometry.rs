//! Resize and crop equal torchvision's, for every filter, up and down, with and without padding.
#![expect(clippy::unwrap_used, reason = "a test")]

use classifold_pixels::{Preprocess, RgbImage};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::path::Path;

#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    size: (u32, u32),
    steps: String,
    sha256: String,
}

/// As in `scripts/reference/geometry.py`.
fn noise((width, height): (u32, u32)) -> RgbImage {
    let mut state = 12_345_u32;
    let values = (0..width * height * 3).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    RgbImage::from_raw(width, height, values.collect()).unwrap()
}

#[test]
fn every_pixel_equals_torchvision() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/geometry.json");
    let text = fs_err::read_to_string(path).unwrap();
    let reference: Reference = serde_json::from_str(&text).unwrap();
    assert_eq!(reference.cases.len(), 224);
    let mut wrong = vec![];
    for Case {
        size,
        steps,
        sha256,
    } in reference.cases
    {
        let preprocess: Preprocess = steps.parse().unwrap();
        let made = preprocess.geometry(&noise(size)).unwrap();
        if files::hash::hex(&Sha256::digest(made.rgb.as_raw())) != sha256 {
            wrong.push(format!("{size:?} {steps}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
