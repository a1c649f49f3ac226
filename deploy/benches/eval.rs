//! How near an evaluation comes to what its parts allow: decoding and preparing alone, the session
//! alone, each on all cores, then the evaluation, in turn. Images per second, the best of each.
//!
//!     cargo bench -p deploy --bench eval -- MODEL.onnx FOLDER [ROUNDS]
//!
//! All images of the folder's splits are taken; the model must know their classes.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

use classifold::data::{Dataset, Sample};
use classifold::eval::{EvalOptions, evaluate};
use classifold::preprocess::PreprocessBuffers;
use classifold::{Classifier, Limits, decode};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

fn main() {
    // cargo adds `--bench`.
    let arguments: Vec<_> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let [model, folder, rounds @ ..] = arguments.as_slice() else {
        println!("usage: eval MODEL.onnx FOLDER [ROUNDS]");
        return;
    };
    let rounds = rounds.first().map_or(3, |rounds| rounds.parse().unwrap());
    #[expect(unsafe_code, reason = "setting an environment variable")]
    // SAFETY: the first statement of `main`: no thread has started.
    unsafe {
        classifold::runtime::disable_telemetry();
    }
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let classifier = Classifier::builder(model).parallel(threads).open().unwrap();
    let data = Dataset::open(Path::new(folder), 0).unwrap();
    let samples = [&data.train[..], &data.val, &data.test].concat();
    let options = EvalOptions {
        batch: classifier.preferred_batch(),
        ..EvalOptions::default()
    };
    let (mut prepare, mut session, mut whole) = (0.0_f64, 0.0_f64, 0.0_f64);
    for _ in 0..rounds {
        prepare = prepare.max(prepare_alone(&classifier, &samples, threads));
        session = session.max(session_alone(&classifier, samples.len(), threads));
        let evaluation = evaluate(&classifier, &samples, &data.classes, &options).unwrap();
        whole = whole.max(evaluation.images_per_second);
    }
    let allowed = 1.0 / (1.0 / prepare + 1.0 / session);
    println!("decode and prepare alone  {prepare:8.1} images/s");
    println!("session alone             {session:8.1} images/s");
    println!("evaluation                {whole:8.1} images/s");
    println!(
        "of what these allow       {:8.1} %",
        100.0 * whole / allowed
    );
}

/// Calls `work` with every number below `count`, on all threads; the rate.
fn rate<S>(
    count: usize,
    threads: usize,
    start: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) + Sync,
) -> f64 {
    let (next, begun) = (AtomicUsize::new(0), Instant::now());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut state = start();
                loop {
                    match next.fetch_add(1, Ordering::Relaxed) {
                        at if at < count => work(&mut state, at),
                        _ => break,
                    }
                }
            });
        }
    });
    count as f64 / begun.elapsed().as_secs_f64()
}

fn prepare_alone(classifier: &Classifier, samples: &[Sample], threads: usize) -> f64 {
    let preprocess = classifier.preprocess();
    let start = || {
        (
            PreprocessBuffers::new(preprocess),
            vec![0.0; preprocess.output_len()],
        )
    };
    rate(samples.len(), threads, start, |(buffers, out), at| {
        let image = decode::open(&samples[at].path, &Limits::default()).unwrap();
        buffers.apply_into(&image, out).unwrap();
    })
}

fn session_alone(classifier: &Classifier, count: usize, threads: usize) -> f64 {
    let batch = classifier.preferred_batch();
    let images = vec![0.5; batch * classifier.preprocess().output_len()];
    let runs = count.div_ceil(batch);
    let per_run = rate(
        runs,
        threads,
        || (),
        |(), _| {
            classifier.logits(&images, batch).unwrap();
        },
    );
    per_run * batch as f64
}
