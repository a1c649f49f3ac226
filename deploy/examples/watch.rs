//! A folder watcher: classifies each image that appears in a folder, and moves it into the folder of its class.
//!
//! `cargo run --release -p classifold --example watch -- model.onnx inbox sorted`
#![allow(clippy::print_stdout, reason = "an app prints")]

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{env, fs, thread};

use classifold::{Classifier, Kind};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [model, inbox, sorted] = args.as_slice() else {
        return Err("usage: watch MODEL INBOX SORTED".into());
    };
    let classifier = Classifier::builder(model)
        .threads(1)
        .spinning(false)
        .open()?;
    loop {
        for entry in fs::read_dir(inbox)?.flatten() {
            if entry.metadata()?.is_file() && is_finished(&entry.path()) {
                sort(&classifier, &entry.path(), sorted)?;
            }
        }
        thread::sleep(Duration::from_millis(500));
    }
}

/// Whether nobody has written a file for a second.
fn is_finished(path: &Path) -> bool {
    let modified = fs::metadata(path).and_then(|meta| meta.modified());
    modified.is_ok_and(|time| {
        SystemTime::now()
            .duration_since(time)
            .is_ok_and(|age| age.as_secs() >= 1)
    })
}

fn sort(
    classifier: &Classifier,
    path: &Path,
    sorted: &Path,
) -> Result<(), Box<dyn std::error::Error>> {
    let folder = match classifier.classify_path(path) {
        Ok(prediction) => prediction.answer().unwrap_or("unknown").to_owned(),
        Err(error) if error.kind() == Kind::Image => "unreadable".to_owned(),
        Err(error) => return Err(error.into()),
    };
    let target = sorted.join(folder);
    fs::create_dir_all(&target)?;
    let name = path.file_name().ok_or("a file without a name")?;
    fs::rename(path, target.join(name))?;
    println!("{}", target.join(name).display());
    Ok(())
}
