//! Frames of a camera: BGRA rows with a stride, classified where they lie. The camera here draws them.
//!
//! `cargo run --release -p classifold --example frames -- model.onnx`
#![allow(clippy::print_stdout, reason = "an app prints")]

use std::time::Instant;

use classifold::{Classifier, PixelFormat, Pixels};

const WIDTH: usize = 4000;
const HEIGHT: usize = 3000;
/// Bytes of a row: cameras align them.
const STRIDE: usize = 4 * WIDTH + 64;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = std::env::args().nth(1).ok_or("usage: frames MODEL")?;
    let classifier = Classifier::open(model)?;
    let mut buffer = vec![0; STRIDE * HEIGHT];
    for shade in [0, 60, 120, 180, 240] {
        buffer.fill(shade);
        let frame = Pixels {
            bytes: &buffer,
            width: WIDTH as u32,
            height: HEIGHT as u32,
            row_stride: STRIDE,
            format: PixelFormat::Bgra8,
        };
        let start = Instant::now();
        let prepared = classifier.prepare_input(frame)?;
        let prepare = start.elapsed();
        let prediction = classifier.decide(&classifier.logits(&prepared, 1)?)?;
        println!(
            "{}: prepared in {prepare:.1?}, all in {:.1?}",
            prediction.label,
            start.elapsed()
        );
    }
    Ok(())
}
