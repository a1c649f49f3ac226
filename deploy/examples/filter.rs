//! A filter for the command line: paths on standard input, one line of JSON for each image on standard output.
//!
//! `ls photos/*.jpg | cargo run --release -p classifold --example filter -- model.onnx`
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an app prints")]

use std::io::{BufRead, stdin};
use std::path::PathBuf;

use classifold::{Classifier, Kind};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = std::env::args_os().nth(1).ok_or("usage: filter MODEL")?;
    let classifier = Classifier::builder(PathBuf::from(model))
        .for_server()
        .open()?;
    let lines = stdin().lock().lines().collect::<Result<Vec<_>, _>>()?;
    let paths: Vec<PathBuf> = lines.into_iter().map(PathBuf::from).collect();
    classifier.classify_many(&paths, |index, answer| match answer {
        Ok(answer) => {
            let (path, label) = (paths[index].display(), answer.answer().unwrap_or("unknown"));
            println!(
                "{{\"path\":{:?},\"label\":{label:?},\"probability\":{}}}",
                path.to_string(),
                answer.probability
            );
        }
        // A bad image is passed over; everything else would be wrong for the next one, too.
        Err(error) if error.kind() == Kind::Image => eprintln!("{error}"),
        Err(error) => eprintln!("not the image's fault: {error}"),
    });
    Ok(())
}
