//! `deploy score`: the answers to very many images, or their features, or to a part of them, as a Parquet file.

use std::io;
use std::path::{Path, PathBuf};

use console::{ExitStatus, Printer};
use deploy::{Classifier, Encoder, Kind as Subject, Model, Precision, Prediction};
use fs_err as fs;
use onnx::ModelFile;

use super::predict::image_files;
use crate::cli::{ManyImages, ScoreArgs};
use crate::cli_error::CliError;
use crate::parquet_table::{Kind, ParquetTable, Value};
use crate::source::{self, RunOptions};

const CLASS_COLUMNS: [(&str, Kind); 5] = [
    ("path", Kind::Text),
    ("label", Kind::Text),
    ("probability", Kind::Number),
    ("margin", Kind::Number),
    ("error", Kind::Text),
];

/// Of a backbone that was cut. `backbone` says in each row whose features they are: engines keep columns, and lose what is
/// written beside a table.
const FEATURE_COLUMNS: [(&str, Kind); 4] = [
    ("path", Kind::Text),
    ("features", Kind::Numbers),
    ("backbone", Kind::Text),
    ("error", Kind::Text),
];

/// What answers for an image.
enum Scorer {
    Classifier(Box<Classifier>),
    Encoder(Box<Encoder>),
}

/// The answer for an image.
enum Answer {
    Class(Prediction),
    Features(Vec<f32>),
}

pub(crate) fn run(args: &ScoreArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let path = source::model(args.model.model.as_deref(), &args.model.runs, printer)?;
    let images = files(&args.images, printer)?;
    let scorer = open(args, &path, printer)?;
    fs::create_dir_all(&args.out)?;
    let shard = args.images.shard;
    let name = format!("part-{:05}-of-{:05}.parquet", shard.index, shard.count);
    let out = args.out.join(name);
    let (mut broken, mut failed) = (0, None);
    let written = deploy::files::write::atomically_with(&out, |file| {
        write(&scorer, &images, file, printer)
            .map(|count| broken = count)
            .map_err(|error| {
                failed = Some(error);
                io::Error::other("the images were not all answered")
            })
    });
    if let Some(error) = failed {
        return Err(error);
    }
    written?;
    printer.log(format!(
        "wrote {} rows into `{}`; unreadable images: {broken} (column `error`)",
        images.len(),
        out.display()
    ));
    Ok(ExitStatus::Success)
}

/// The classifier, or the backbone that was cut.
fn open(args: &ScoreArgs, path: &Path, printer: &Printer) -> anyhow::Result<Scorer> {
    let file = ModelFile::open(path)?;
    if !Model::from_file(&file)?.is_cut_backbone() {
        let run_options = RunOptions {
            machine: &args.machine,
            precision: args.precision,
            batch: None,
        };
        let classifier = source::classifier(path, Some(&args.model), run_options, printer)?;
        return Ok(Scorer::Classifier(Box::new(classifier)));
    }
    let typed = [
        ("classes", args.model.classes.is_some()),
        ("output", args.model.output.is_some()),
        ("output-kind", args.model.output_kind.is_some()),
        ("precision", args.precision != Precision::Fp32),
    ];
    if let Some((flag, _)) = typed.iter().find(|(_, is_typed)| *is_typed) {
        let message = format!("`--{flag}` has no use with `{}`", path.display());
        let hint = "a backbone that was cut gives features in single precision: leave it out";
        return Err(CliError::with_hint(message, hint).into());
    }
    let preprocess = args.model.preprocess.as_ref();
    let encoder = super::embed::encoder(&file, &args.machine, preprocess, printer)?;
    Ok(Scorer::Encoder(Box::new(encoder)))
}

/// Writes a row for each image; returns how many have an error.
fn write(
    scorer: &Scorer,
    images: &[PathBuf],
    out: &mut dyn io::Write,
    printer: &Printer,
) -> anyhow::Result<usize> {
    let (columns, origin) = match scorer {
        Scorer::Classifier(_) => (&CLASS_COLUMNS[..], None),
        Scorer::Encoder(encoder) => (&FEATURE_COLUMNS[..], Some(encoder.origin().to_string())),
    };
    let mut table = ParquetTable::new(out, columns)?;
    let progress = printer.image_bar("running the model", images.len() as u64);
    let (mut broken, mut failed) = (0, None);
    let mut take = |index: usize, answer: deploy::Result<Answer>| {
        if failed.is_some() {
            return;
        }
        let row = match answer {
            // A model or a machine that fails would fail for every image.
            Err(error) if error.kind() != Subject::Image => {
                failed = Some(error.about(images[index].display()).into());
                return;
            }
            answer => answer,
        };
        broken += usize::from(row.is_err());
        let path = images[index].to_string_lossy();
        if let Err(error) = push(&mut table, &path, origin.as_deref(), &row) {
            failed = Some(error.into());
        }
        progress.set_position(index as u64 + 1);
    };
    match scorer {
        Scorer::Classifier(classifier) => classifier.classify_many(images, |index, answer| {
            take(index, answer.map(Answer::Class));
        }),
        Scorer::Encoder(encoder) => encoder.features_many(images, |index, answer| {
            take(index, answer.map(Answer::Features));
        }),
    }
    progress.finish_and_clear();
    match failed {
        Some(error) => Err(error),
        None => {
            table.finish()?;
            Ok(broken)
        }
    }
}

/// Adds a row; `origin` is that of features.
fn push(
    table: &mut ParquetTable<'_>,
    path: &str,
    origin: Option<&str>,
    answer: &deploy::Result<Answer>,
) -> parquet::errors::Result<()> {
    let error = answer.as_ref().err().map(ToString::to_string);
    let (path, error) = (Value::Text(Some(path)), Value::Text(error.as_deref()));
    if origin.is_some() {
        let features = match answer {
            Ok(Answer::Features(features)) => Some(features.as_slice()),
            _ => None,
        };
        return table.push(&[path, Value::Numbers(features), Value::Text(origin), error]);
    }
    let answer = match answer {
        Ok(Answer::Class(answer)) => Some(answer),
        _ => None,
    };
    table.push(&[
        path,
        Value::Text(answer.map(|answer| answer.label.as_str())),
        Value::Number(answer.map(|answer| answer.probability)),
        Value::Number(answer.map(Prediction::margin)),
        error,
    ])
}

/// The images of a command line: of its arguments and its list, the part that it takes.
pub(super) fn files(images: &ManyImages, printer: &Printer) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if !images.inputs.is_empty() {
        files = image_files(&images.inputs, printer)?;
        // A missing file of a list is a row with an error; one that was typed is a mistake.
        let is_missing = |path: &&PathBuf| !path.exists() && files.contains(path);
        if let Some(path) = images.inputs.iter().find(is_missing) {
            let message = format!("`{}` is not there", path.display());
            return Err(
                CliError::with_hint(message, "give image files, folders or patterns").into(),
            );
        }
    }
    if let Some(list) = &images.list {
        let text = fs::read_to_string(list)?;
        let lines = text.lines().filter(|line| !line.is_empty());
        files.extend(lines.map(PathBuf::from));
    }
    Ok(images.shard.of(files))
}
