//! Several models in one process: they share the threads of ONNX Runtime, so that each gets all cores and together
//! they take no more. Prints what each says of an image.
//!
//! `cargo run --release -p classifold --example several -- bee.jpg a.onnx b.onnx`
#![allow(clippy::print_stdout, reason = "an app prints")]

use std::path::PathBuf;

use classifold::Classifier;
use classifold::runtime::{LoadOptions, ThreadPool};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let image = args.next().ok_or("usage: several IMAGE MODELS...")?;
    let mut options = LoadOptions::default();
    options.thread_pool = Some(ThreadPool {
        threads: std::thread::available_parallelism()?.get(),
        spinning: false,
    });
    let open = |path| {
        Classifier::builder(path)
            .load_options(options.clone())
            .open()
    };
    let models = args.map(open).collect::<Result<Vec<_>, _>>()?;
    let bytes = std::fs::read(image)?;
    std::thread::scope(|scope| {
        let answers: Vec<_> = models
            .iter()
            .map(|model| scope.spawn(|| model.classify_bytes(&bytes)))
            .collect();
        for (model, answer) in models.iter().zip(answers) {
            match answer.join() {
                Ok(Ok(p)) => println!("{}: {} {:.3}", model.path().display(), p.label, p.margin()),
                Ok(Err(error)) => println!("{}: {error}", model.path().display()),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    Ok(())
}
