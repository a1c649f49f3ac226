//! `deploy predict`: classifies files, folders, patterns or standard input.

mod pair;

use std::io::Read;
use std::path::{Path, PathBuf};

use console::{ExitStatus, Printer, printer};
use data::folder::EXTENSIONS;
use deploy::{Classifier, DecodedImage, Prediction, decode};
use fs_err as fs;
use onnx::ModelFile;
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
    /// The least probability of an answer is not reached. Without one there is no such field.
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<bool>,
    top: Vec<Ranked<'a>>,
}

pub(crate) fn run(args: &PredictArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let path = source::model(args.model.model.as_deref(), &args.model.runs, printer)?;
    if !args.pair.is_empty() {
        return pair::run(&path, args, printer);
    }
    let mut inputs = Vec::new();
    for argument in &args.inputs {
        inputs.extend(resolve_argument(argument, &|path, reason| {
            printer.warn(format!("left out `{}`: {reason}", path.display()));
        })?);
    }
    let (classifier, batch) = open(args, &path, inputs.len(), printer)?;
    if args.format == Format::Csv {
        printer::line("path,rank,label,probability")?;
    }
    let progress = printer.image_bar("classifying", inputs.len() as u64);
    let (mut done, mut failed) = (0, 0);
    for inputs in inputs.chunks(batch * classifier.num_sessions().max(1)) {
        let predictions = classify(&classifier, inputs, batch)?;
        for (input, prediction) in inputs.iter().zip(predictions) {
            match prediction {
                Ok(prediction) => {
                    let has_threshold = classifier.reject_below().is_some();
                    write_prediction(input, &prediction, has_threshold, args)?;
                }
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

/// Opens the classifier; the number is that of the images per run.
fn open(
    args: &PredictArgs,
    path: &Path,
    count: usize,
    printer: &Printer,
) -> anyhow::Result<(Classifier, usize)> {
    if args.tuned {
        let file = ModelFile::open(path)?;
        source::classifier_model(&file)?;
        let tuned = source::tuned(&file, &args.machine.location, printer)?;
        let classifier = source::tuned_classifier(&tuned, &args.model, &args.machine, printer)?;
        return Ok((classifier, tuned.setting.batch));
    }
    let batch = usize::from(args.batch);
    let run_options = RunOptions {
        machine: &args.machine,
        precision: args.precision,
        batch: Some(batch.min(count)),
    };
    let classifier = source::classifier(path, Some(&args.model), run_options, printer)?;
    Ok((classifier, batch))
}

/// Prepares the images in parallel, then runs those that can be read in batches, one in each session at a time.
fn classify(
    classifier: &Classifier,
    inputs: &[Input],
    batch: usize,
) -> anyhow::Result<Vec<anyhow::Result<Prediction>>> {
    let prepared: Vec<anyhow::Result<Vec<f32>>> = inputs
        .par_iter()
        .map(|input| Ok(classifier.prepare(&read(classifier, input)?)?))
        .collect();
    let readable: Vec<&Vec<f32>> = prepared.iter().flatten().collect();
    let runs: Vec<Vec<f32>> = readable
        .par_chunks(batch)
        .map(|images| {
            let numbers: Vec<f32> = images.iter().copied().flatten().copied().collect();
            classifier.logits(&numbers, images.len())
        })
        .collect::<deploy::Result<_>>()?;
    let logits = runs.concat();
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

fn read(classifier: &Classifier, input: &Input) -> anyhow::Result<DecodedImage> {
    let (color, limits) = (classifier.preprocess().color(), classifier.limits());
    match input {
        Input::File(path) => Ok(decode::open_as(path, color, limits)?),
        Input::Stdin => {
            let mut bytes = Vec::new();
            // One byte more than allowed, so that the decoder sees that the image is too large.
            let limit = limits.max_bytes.saturating_add(1);
            std::io::stdin()
                .lock()
                .take(limit)
                .read_to_end(&mut bytes)?;
            Ok(decode::decode_as(&bytes, color, limits)?)
        }
    }
}

/// The image files of several arguments, in order; warns of files that are not read.
pub(super) fn image_files(
    arguments: &[PathBuf],
    printer: &Printer,
) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for argument in arguments {
        let inputs = resolve_argument(argument, &|path, reason| {
            printer.warn(format!("left out `{}`: {reason}", path.display()));
        })?;
        for input in inputs {
            match input {
                Input::File(path) => files.push(path),
                Input::Stdin => {
                    let hint = "give files, folders or patterns";
                    return Err(CliError::with_hint("`-` is not read here", hint).into());
                }
            }
        }
    }
    if files.is_empty() {
        return Err(CliError::new("there are no images").into());
    }
    Ok(files)
}

/// Told of a file or folder that is not used, and of the reason.
type LeaveOut<'a> = &'a dyn Fn(&Path, &str);

/// The images of one argument: standard input, a file, the images below a folder, or a pattern.
fn resolve_argument(argument: &Path, leave_out: LeaveOut<'_>) -> anyhow::Result<Vec<Input>> {
    if argument == Path::new("-") {
        return Ok(vec![Input::Stdin]);
    }
    // A name that is not UTF-8 is no pattern.
    let pattern = argument
        .to_str()
        .filter(|text| text.contains(['*', '?', '[']));
    let mut files = Vec::new();
    match pattern {
        _ if argument.is_dir() => images_below(argument, &mut Vec::new(), leave_out, &mut files)?,
        Some(pattern) if !argument.exists() => {
            let matches = glob::glob(&with_literal_folders(pattern))?.filter_map(Result::ok);
            files.extend(matches.filter(|path| path.is_file()));
        }
        _ => files.push(argument.to_owned()),
    }
    files.sort();
    if files.is_empty() {
        return Err(CliError::with_hint(
            format!("no image matches `{}`", argument.display()),
            "give image files, folders, patterns in quotes, or `-` for standard input",
        )
        .into());
    }
    Ok(files.into_iter().map(Input::File).collect())
}

/// A pattern whose folders that are there by their full name stand for themselves: `photos [1]/*.jpg`.
fn with_literal_folders(pattern: &str) -> String {
    let (mut folder, mut rest) = (String::new(), pattern);
    while let Some(slash) = rest.find(std::path::is_separator) {
        let longer = format!("{folder}{}", &rest[..=slash]);
        if !Path::new(&longer).is_dir() {
            break;
        }
        (folder, rest) = (longer, &rest[slash + 1..]);
    }
    glob::Pattern::escape(&folder) + rest
}

/// The image files below a folder, by their extension. Links are followed, as in a data set.
fn images_below(
    folder: &Path,
    ancestors: &mut Vec<PathBuf>,
    leave_out: LeaveOut<'_>,
    files: &mut Vec<PathBuf>,
) -> anyhow::Result<()> {
    let real = fs::canonicalize(folder)?;
    if ancestors.contains(&real) {
        leave_out(folder, "a link to a folder above it");
        return Ok(());
    }
    ancestors.push(real);
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        let extension = extension.to_lowercase();
        if name.starts_with('.') {
            continue;
        } else if path.is_dir() {
            images_below(&path, ancestors, leave_out, files)?;
        } else if EXTENSIONS.contains(&extension.as_str()) {
            files.push(path);
        } else if let Some(reason) = deploy::decode::unsupported(&extension) {
            leave_out(&path, reason);
        }
    }
    ancestors.pop();
    Ok(())
}

fn write_prediction(
    input: &Input,
    prediction: &Prediction,
    has_threshold: bool,
    args: &PredictArgs,
) -> anyhow::Result<()> {
    let top = prediction.top(usize::from(args.top_k));
    match args.format {
        Format::Text => {
            let parts: Vec<String> = top
                .iter()
                .map(|(label, p)| format!("{label} {:.1} %", 100.0 * p))
                .collect();
            let answers = parts.join(", ");
            printer::line(&match prediction.answer() {
                Some(_) => format!("{input}: {answers}"),
                None => format!("{input}: unknown ({answers})"),
            })?;
        }
        Format::Jsonl => {
            let ranked = |(label, probability)| Ranked { label, probability };
            let line = Line {
                path: input.to_string(),
                label: &prediction.label,
                probability: prediction.probability,
                unknown: has_threshold.then_some(prediction.is_rejected),
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

    /// The names of the images of an argument, and of what is left out.
    fn names(argument: &Path) -> (String, String) {
        let left_out = std::cell::RefCell::new(Vec::new());
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        let leave_out = |path: &Path, reason: &str| {
            left_out
                .borrow_mut()
                .push(format!("{} ({reason})", name(path)));
        };
        let inputs = resolve_argument(argument, &leave_out).unwrap();
        let inputs = inputs.iter().map(|input| match input {
            Input::File(path) => name(path),
            Input::Stdin => "-".into(),
        });
        let images = inputs.collect::<Vec<_>>().join(" ");
        (images, left_out.into_inner().join("; "))
    }

    /// A folder with empty files.
    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    #[test]
    fn arguments_become_images_in_order() {
        let folder = folder(&["b.jpg", "a.PNG", "deep/c.webp", "notes.txt", ".hidden.jpg"]);
        let names = |argument: &str| names(&folder.path().join(argument)).0;
        assert_eq!(names(""), "a.PNG b.jpg c.webp");
        assert_eq!(names("*.jpg"), ".hidden.jpg b.jpg");
        assert_eq!(names("notes.txt"), "notes.txt");
        let ignore = |_: &Path, _: &str| {};
        assert_eq!(
            resolve_argument(Path::new("-"), &ignore).unwrap(),
            [Input::Stdin]
        );
        assert!(resolve_argument(&folder.path().join("*.gif"), &ignore).is_err());
    }

    #[test]
    fn brackets_in_the_name_of_a_folder_are_no_pattern() {
        let folder = folder(&[
            "photos [1]/a.jpg",
            "photos [1]/b1.jpg",
            "photos [1]/[x].jpg",
            "photos 1/c.jpg",
        ]);
        let names = |argument: &str| names(&folder.path().join(argument)).0;
        assert_eq!(names("photos [1]/*.jpg"), "[x].jpg a.jpg b1.jpg");
        assert_eq!(names("photos [1]/?[0-9].jpg"), "b1.jpg");
        assert_eq!(names("photos [1]/[x].jpg"), "[x].jpg");
        assert_eq!(names("photos [1-9]/*.jpg"), "c.jpg");
        assert_eq!(names("photos */[a-c].jpg"), "c.jpg a.jpg");
    }

    #[cfg(unix)]
    #[test]
    fn linked_folders_are_followed_and_every_name_is_taken() {
        use std::ffi::OsStr;
        use std::os::unix::{ffi::OsStrExt, fs::symlink};
        let elsewhere = folder(&["linked.jpg"]);
        let folder = folder(&["own.jpg", "photo.HEIC", "deep/x.txt"]);
        symlink(elsewhere.path(), folder.path().join("link")).unwrap();
        symlink(folder.path(), folder.path().join("deep/circle")).unwrap();
        let latin = OsStr::from_bytes(b"K\xe4fer.jpg");
        fs::write(folder.path().join(latin), "").unwrap();
        let (images, left_out) = names(folder.path());
        assert_eq!(images, "K\u{fffd}fer.jpg linked.jpg own.jpg");
        assert!(
            left_out.contains("circle (a link to a folder above it)"),
            "{left_out}"
        );
        assert!(
            left_out.contains("photo.HEIC (HEIC is not supported"),
            "{left_out}"
        );
        assert_eq!(names(&folder.path().join(latin)).0, "K\u{fffd}fer.jpg");
    }
}
