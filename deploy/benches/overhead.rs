//! What `Classifier::classify` costs beyond its parts: preparing the image, and the bare call of the
//! session, one image at a time, in turn. Medians, and the overhead with its 95 % interval over rounds.
//!
//!     cargo bench -p deploy --bench overhead -- MODEL.onnx [ROUNDS] [THREADS]
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;
use std::time::Instant;

use deploy::session::Feed;
use deploy::{Classifier, Session, SessionOptions};
use image::{DynamicImage, RgbImage};

/// Calls of each side in a round.
const CALLS: usize = 20;

fn main() {
    // cargo adds `--bench`.
    let arguments: Vec<_> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let Some(model) = arguments.first() else {
        println!("usage: overhead MODEL.onnx [ROUNDS] [THREADS]");
        return;
    };
    let number = |at: usize| arguments.get(at).map(|text| text.parse::<usize>().unwrap());
    let (rounds, threads) = (number(1).unwrap_or(20).max(2), number(2));
    deploy::runtime::disable_telemetry();
    let mut builder = Classifier::builder(model);
    if let Some(threads) = threads {
        builder = builder.threads(threads);
    }
    let classifier = builder.open().unwrap();
    let options = SessionOptions {
        threads,
        image_shape: Some(classifier.preprocess().output_shape()),
        ..SessionOptions::default()
    };
    let mut session = Session::open(model.as_ref(), &options).unwrap();
    let mut bound = session.bind(1, Feed::Host).unwrap();
    let picture = RgbImage::from_fn(500, 375, |x, y| {
        image::Rgb([x, y, x ^ y].map(|value| value as u8))
    });
    let image = DynamicImage::ImageRgb8(picture.clone());
    let mut whole = || drop(black_box(classifier.classify(&image).unwrap()));
    let mut parts = || {
        let prepared = classifier.prepare(&picture).unwrap();
        bound.fill(&prepared).unwrap();
        bound.run().unwrap();
        black_box(bound.outputs().unwrap());
    };
    round(&mut whole);
    round(&mut parts);
    let (mut wholes, mut part_times, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for at in 0..rounds {
        // The order changes: neither side always follows the other.
        let (a, b) = if at % 2 == 0 {
            let a = round(&mut whole);
            (a, round(&mut parts))
        } else {
            let b = round(&mut parts);
            (round(&mut whole), b)
        };
        wholes.push(a);
        part_times.push(b);
        ratios.push(a / b - 1.0);
    }
    let count = rounds as f64;
    let mean = ratios.iter().sum::<f64>() / count;
    let squares: f64 = ratios.iter().map(|ratio| (ratio - mean).powi(2)).sum();
    // 1.96 and not Student's t: with 20 rounds it is 7 % too small.
    let reach = 1.96 * (squares / (count - 1.0) / count).sqrt();
    println!("classify                  {:8.3} ms", median(&mut wholes));
    println!(
        "prepare + session         {:8.3} ms",
        median(&mut part_times)
    );
    println!(
        "overhead, median          {:8.2} %",
        100.0 * median(&mut ratios)
    );
    println!(
        "overhead, mean            {:8.2} % ({:.2} to {:.2})",
        100.0 * mean,
        100.0 * (mean - reach),
        100.0 * (mean + reach)
    );
}

/// Median milliseconds of a round's calls.
fn round(call: &mut impl FnMut()) -> f64 {
    let timed = |_| {
        let start = Instant::now();
        call();
        1e3 * start.elapsed().as_secs_f64()
    };
    median(&mut (0..CALLS).map(timed).collect::<Vec<_>>())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len().is_multiple_of(2) {
        (values[half - 1] + values[half]) / 2.0
    } else {
        values[half]
    }
}
