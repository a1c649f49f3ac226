//! Every pixel of every ants and bees photo equals PIL's, decoded and prepared.
#![expect(clippy::print_stderr, reason = "says why it is skipped")]

use classifold_pixels::{Limits, Preprocess};
use rayon::prelude::*;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
struct Reference {
    files: BTreeMap<String, File>,
}

#[derive(Deserialize)]
struct File {
    size: (u32, u32),
    decoded: String,
    prepared: String,
}

fn sha256(bytes: &[u8]) -> String {
    files::hash::hex(&Sha256::digest(bytes))
}

/// Progressive ones: without libjpeg their pixels are others.
const PROGRESSIVE: [&str; 2] = [
    "train/ants/ant photos.jpg",
    "val/bees/6a00d8341c630a53ef00e553d0beb18834-800wi.jpg",
];

#[test]
fn every_photo_equals_pil() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let photos = workspace.join("../shared/data/hymenoptera");
    if !photos.is_dir() {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI needs ../shared/data/hymenoptera"
        );
        eprintln!("skipped: needs ../shared/data/hymenoptera");
        return;
    }
    let text = fs_err::read_to_string(workspace.join("tests/reference/pixels.json")).unwrap();
    let reference: Reference = serde_json::from_str(&text).unwrap();
    assert_eq!(reference.files.len(), 397);
    let preprocess = Preprocess::imagenet();
    let wrong: Vec<String> = reference
        .files
        .par_iter()
        .filter(|(name, _)| cfg!(feature = "libjpeg") || !PROGRESSIVE.contains(&name.as_str()))
        .filter_map(|(name, file)| {
            let image =
                classifold_pixels::decode::open(&photos.join(name), &Limits::default()).unwrap();
            if image.dimensions() != file.size || sha256(&image) != file.decoded {
                return Some(format!("{name}: decoded"));
            }
            let prepared = preprocess.geometry(&image).unwrap();
            (sha256(&prepared.rgb) != file.prepared).then(|| format!("{name}: prepared"))
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
