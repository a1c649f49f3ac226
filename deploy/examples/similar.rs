//! Similarity search: the images that are most like the first one, by the cosine of their features.
//!
//! `cargo run --release -p classifold --example similar -- model.onnx bee.jpg photos/*.jpg`
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an app prints")]

use std::path::PathBuf;

use classifold::Encoder;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(model), Some(wanted)) = (args.next(), args.next()) else {
        return Err("usage: similar MODEL IMAGE IMAGES...".into());
    };
    let encoder = Encoder::open(model)?;
    let wanted = Encoder::normalized(encoder.features(&wanted)?);
    let (paths, mut found): (Vec<PathBuf>, Vec<(f32, usize)>) = (args.collect(), Vec::new());
    encoder.features_many(&paths, |index, features| {
        match features.map(Encoder::normalized) {
            Ok(features) => {
                let cosine = features.iter().zip(&wanted).map(|(a, b)| a * b).sum();
                found.push((cosine, index));
            }
            Err(error) => eprintln!("{error}"),
        }
    });
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (cosine, index) in found.into_iter().take(10) {
        println!("{cosine:.4}  {}", paths[index].display());
    }
    Ok(())
}
