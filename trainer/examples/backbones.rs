//! Opens every ONNX file of a folder as a frozen backbone and writes its features of two images.
//!
//! For `scripts/reference/backbones.py`, which makes the files and compares: beside each FILE.onnx it
//! reads FILE.images.f32 and writes FILE.row.json and FILE.found.f32:
//!
//!     cargo run --release --workspace --example backbones -- DIR
#![expect(clippy::print_stdout, reason = "an example prints its progress")]

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fs_err as fs;
use serde_json::{Value, json};
use trainer::backbone;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).context("no folder")?;
    let cache = data::cache::dir(None)?;
    let found = deploy::runtime::find(&deploy::runtime::Search::from_env(None, &cache))?;
    deploy::runtime::load(&found)?;
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut files: Vec<PathBuf> = entries.collect::<Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|end| end == "onnx"));
    files.sort();
    for path in files {
        let row = match features(&path) {
            Ok(row) => row,
            Err(error) => json!({ "error": error.to_string() }),
        };
        println!("{}: {row}", path.display());
        fs::write(path.with_extension("row.json"), row.to_string())?;
    }
    Ok(())
}

/// Writes the features, computed for both images at once where the file allows it, and returns where they are.
fn features(path: &Path) -> Result<Value> {
    let bytes = fs::read(path.with_extension("images.f32"))?;
    let words = bytes.as_chunks::<4>().0.iter();
    let images: Vec<f32> = words.map(|word| f32::from_le_bytes(*word)).collect();
    // Two square images of three channels.
    let len = images.len() / 2;
    let side = (len / 3).isqrt();
    let opened = backbone::open(path, None, [3, side, side], 2)?;
    let each: Vec<Vec<f32>> = images.chunks_exact(len).map(<[f32]>::to_vec).collect();
    let proof = backbone::prove(&opened, &each)?;
    let found = opened.extractor.features(&images, each.len());
    let found = found.map_err(|error| anyhow::anyhow!("{error}"))?;
    let bytes: Vec<u8> = found.iter().flat_map(|value| value.to_le_bytes()).collect();
    fs::write(path.with_extension("found.f32"), bytes)?;
    Ok(json!({
        "values": opened.file.cut.values,
        "rule": opened.file.cut.rule.to_string(),
        "width": opened.width,
        "image_shape": opened.image_shape,
        "any_batch": opened.takes_any_batch,
        "proof": proof.difference,
    }))
}
