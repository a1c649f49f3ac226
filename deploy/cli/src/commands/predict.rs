//! `deploy predict`: classifies files, folders, patterns or standard input.

use std::io::Read;
use std::path::{Path, PathBuf};

use console::{ExitStatus, Printer, printer};
use data::folder::EXTENSIONS;
use deploy::{Classifier, Prediction};
use fs_err as fs;
use rayon::prelude::*;
use serde::Serialize;

use crate::cli::{Format, PredictArgs};
use crate::cli_error::CliError;
use crate::source::{self, RunOptions};

/// One image to classify.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Input {
    /// A file.
    File(PathBuf),
    /// The image on standard input.
    Stdin,
}

impl std::fmt::Display for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Stdin => f.write_str("-"),
        }
    }
}

#[derive(Serialize)]
struct Ranked<'a> {
    label: &'a str,
    probability: f32,
}

#[derive(Serialize)]
struct Line<'a> {
    path: String,
    label: &'a str,
    probability: f32,
    top: Vec<Ranked<'a>>,
}

pub(crate) fn run(args: &PredictArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let path = source::model(args.model.model.as_deref(), &args.model.runs, printer)?;
    let mut inputs = Vec::new();
    for argument in &args.inputs {
        inputs.extend(resolve_argument(argument)?);
    }
    let batch = usize::from(args.batch).min(inputs.len());
    let run_options = RunOptions {
        machine: &args.machine,
        precision: args.precision,
        batch: Some(batch),
    };
    let classifier = source::classifier(&path, Some(&args.model), run_options, printer)?;
    if args.format == Format::Csv {
        printer::line("path,rank,label,probability")?;
    }
    let progress = printer.image_bar("classifying", inputs.len() as u64);
    let (mut done, mut failed) = (0, 0);
    for inputs in inputs.chunks(usize::from(args.batch)) {
        let predictions = classify(&classifier, inputs)?;
        for (input, prediction) in inputs.iter().zip(predictions) {
            match prediction {
                Ok(prediction) => write_prediction(input, &prediction, args)?,
                Err(error) if args.strict_images => return Err(error),
                Err(error) => {
                    failed += 1;
                    printer.warn(format!("left out `{input}`: {error:#}"));
                }
            }
        }
        done += inputs.len();
        progress.set_position(done as u64);
    }
    progress.finish_and_clear();
    if failed > 0 {
        return Err(
            CliError::new(format!("{failed} of {done} images could not be classified")).into(),
        );
    }
    Ok(ExitStatus::Success)
}

/// Prepares the images in parallel, then runs those that can be read as one batch.
fn classify(
    classifier: &Classifier,
    inputs: &[Input],
) -> anyhow::Result<Vec<anyhow::Result<Prediction>>> {
    let prepared: Vec<anyhow::Result<Vec<f32>>> = inputs
        .par_iter()
        .map(|input| Ok(classifier.prepare(&read(classifier, input)?)?))
        .collect();
    let numbers: Vec<f32> = prepared.iter().flatten().flatten().copied().collect();
    let count = prepared.iter().filter(|image| image.is_ok()).count();
    let logits = classifier.logits(&numbers, count)?;
    let mut rows = logits.chunks_exact(classifier.classes().len());
    let decide = |image: anyhow::Result<Vec<f32>>| {
        image.map(|_| classifier.decide(rows.next().unwrap_or_default()))
    };
    let answers = prepared.into_iter().map(decide).zip(inputs);
    // Unlike an image that cannot be read, an answer that is none is the model's fault: it ends the run.
    let name = |(answer, input): (anyhow::Result<deploy::Result<Prediction>>, &Input)| match answer
    {
        Ok(Err(error)) => Err(error.about(input).into()),
        Ok(Ok(prediction)) => Ok(Ok(prediction)),
        Err(unreadable) => Ok(Err(unreadable)),
    };
    answers.map(name).collect()
}

fn read(classifier: &Classifier, input: &Input) -> anyhow::Result<deploy::RgbImage> {
    match input {
        Input::File(path) => Ok(deploy::decode::open(path, classifier.limits())?),
        Input::Stdin => {
            let mut bytes = Vec::new();
            // One byte more than allowed, so that the decoder sees that the image is too large.
            let limit = classifier.limits().max_bytes.saturating_add(1);
            std::io::stdin()
                .lock()
                .take(limit)
                .read_to_end(&mut bytes)?;
            Ok(deploy::decode::decode(&bytes, classifier.limits())?)
        }
    }
}

/// The images of one argument: standard input, a file, the images below a folder, or a pattern.
fn resolve_argument(argument: &str) -> anyhow::Result<Vec<Input>> {
    if argument == "-" {
        return Ok(vec![Input::Stdin]);
    }
    let path = Path::new(argument);
    let mut files = if path.is_dir() {
        images_below(path)?
    } else if path.exists() || !argument.contains(['*', '?', '[']) {
        vec![path.to_owned()]
    } else {
        glob::glob(argument)?
            .filter_map(Result::ok)
            .filter(|path| path.is_file())
            .collect()
    };
    files.sort();
    if files.is_empty() {
        return Err(CliError::with_hint(
            format!("no image matches `{argument}`"),
            "give image files, folders, patterns in quotes, or `-` for standard input",
        )
        .into());
    }
    Ok(files.into_iter().map(Input::File).collect())
}

/// The image files below a folder, by their extension.
fn images_below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let extension = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        if hidden {
            continue;
        } else if path.is_dir() && !path.is_symlink() {
            files.extend(images_below(&path)?);
        } else if EXTENSIONS.contains(&extension.as_str()) {
            files.push(path);
        }
    }
    Ok(files)
}

fn write_prediction(
    input: &Input,
    prediction: &Prediction,
    args: &PredictArgs,
) -> anyhow::Result<()> {
    let top = prediction.top(usize::from(args.top_k));
    match args.format {
        Format::Text => {
            let parts: Vec<String> = top
                .iter()
                .map(|(label, p)| format!("{label} {:.1} %", 100.0 * p))
                .collect();
            printer::line(&format!("{input}: {}", parts.join(", ")))?;
        }
        Format::Jsonl => {
            let ranked = |(label, probability)| Ranked { label, probability };
            let line = Line {
                path: input.to_string(),
                label: &prediction.label,
                probability: prediction.probability,
                top: top.into_iter().map(ranked).collect(),
            };
            printer::line(&serde_json::to_string(&line)?)?;
        }
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            for (rank, (label, p)) in top.iter().enumerate() {
                let fields = [input.to_string(), (rank + 1).to_string(), label.to_string()];
                writer.write_record(fields.iter().chain([&p.to_string()]))?;
            }
            printer::bytes(&writer.into_inner().map_err(|e| e.into_error())?)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_become_images_in_order() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("deep")).unwrap();
        for name in ["b.jpg", "a.PNG", "deep/c.webp", "notes.txt", ".hidden.jpg"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let names = |argument: &str| {
            let names: Vec<String> = resolve_argument(argument)
                .unwrap()
                .iter()
                .map(|input| input.to_string().rsplit('/').next().unwrap().to_owned())
                .collect();
            names.join(" ")
        };
        let root = folder.path().to_string_lossy();
        assert_eq!(names(&root), "a.PNG b.jpg c.webp");
        assert_eq!(names(&format!("{root}/*.jpg")), ".hidden.jpg b.jpg");
        assert_eq!(names(&format!("{root}/notes.txt")), "notes.txt");
        assert_eq!(resolve_argument("-").unwrap(), [Input::Stdin]);
        assert!(resolve_argument(&format!("{root}/*.gif")).is_err());
    }
}
