//! What `Classifier::classify` costs beyond its parts: preparing the image and the bare call of the
//! session. In turn, one image at a time; medians.
//!
//!     cargo bench -p deploy --bench classify -- MODEL.onnx IMAGE [RUNS]
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

use std::time::{Duration, Instant};

use classifold::{Classifier, Session, SessionOptions};

fn main() {
    // cargo adds `--bench`.
    let arguments: Vec<_> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let [model, image, runs @ ..] = arguments.as_slice() else {
        println!("usage: classify MODEL.onnx IMAGE [RUNS]");
        return;
    };
    let runs = runs.first().map_or(200, |runs| runs.parse().unwrap());
    #[expect(unsafe_code, reason = "setting an environment variable")]
    // SAFETY: the first statement of `main`: no thread has started.
    unsafe {
        classifold::runtime::disable_telemetry();
    }
    let classifier = Classifier::open(model).unwrap();
    let options = SessionOptions {
        image_shape: Some(classifier.preprocess().output_shape()),
        ..SessionOptions::default()
    };
    let mut session = Session::open(model.as_ref(), &options).unwrap();
    let image = classifold::image::open(image).unwrap();
    let rgb = image.to_rgb8();
    let (mut whole, mut prepare, mut run) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..runs {
        let start = Instant::now();
        classifier.classify(&image).unwrap();
        whole.push(start.elapsed());
        let start = Instant::now();
        let prepared = classifier.prepare(&rgb).unwrap();
        prepare.push(start.elapsed());
        let start = Instant::now();
        session.run(&prepared, 1).unwrap();
        run.push(start.elapsed());
    }
    let [whole, prepare, run] = [whole, prepare, run].map(median);
    println!("classify        {:9.3} ms", 1e3 * whole);
    println!("prepare         {:9.3} ms", 1e3 * prepare);
    println!("bare session    {:9.3} ms", 1e3 * run);
    println!(
        "overhead        {:9.2} %",
        100.0 * (whole / (prepare + run) - 1.0)
    );
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}
