//! A small app that embeds the library: classifies the images it is given, on all cores.
//!
//! `cargo run --release -p classifold --example classify -- model.onnx a.jpg b.jpg`
#![allow(clippy::print_stdout, reason = "an app prints")]

use std::path::PathBuf;

use classifold::Classifier;
use classifold::runtime::{self, Search};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    #[expect(unsafe_code, reason = "setting an environment variable")]
    // SAFETY: the first statement of `main`: no thread has started.
    unsafe {
        classifold::runtime::disable_telemetry();
    }
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let model = args.next().ok_or("usage: classify MODEL IMAGE...")?;

    // The library never downloads: an app that may says so with `ensure(.., true)`.
    let search = Search::from_env(None, None);
    let found = runtime::ensure(&search, &|line| println!("{line}"), true)?;

    // One session per core; `&classifier` is shared by the threads.
    let cores = std::thread::available_parallelism()?.get();
    let builder = Classifier::builder(model).runtime(found);
    let classifier = &builder.sessions(cores).threads(1).open()?;
    let images: Vec<PathBuf> = args.collect();
    std::thread::scope(|scope| {
        for images in images.chunks(images.len().div_ceil(cores).max(1)) {
            scope.spawn(move || {
                for image in images {
                    match classifier.classify_path(image) {
                        Ok(p) => {
                            let percent = 100.0 * p.probability;
                            println!("{}: {} {percent:.1} %", image.display(), p.label);
                        }
                        Err(error) => println!("{}: {error}", image.display()),
                    }
                }
            });
        }
    });
    Ok(())
}
