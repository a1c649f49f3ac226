//! `deploy score`: the answers to very many images, or to a part of them, as a Parquet file.

use std::io;
use std::path::PathBuf;

use console::{ExitStatus, Printer};
use deploy::{Classifier, Kind as Subject, Prediction};
use fs_err as fs;

use super::predict::image_files;
use crate::cli::{ManyImages, ScoreArgs};
use crate::cli_error::CliError;
use crate::parquet_table::{Kind, ParquetTable, Value};
use crate::source::{self, RunOptions};

const COLUMNS: [(&str, Kind); 5] = [
    ("path", Kind::Text),
    ("label", Kind::Text),
    ("probability", Kind::Number),
    ("margin", Kind::Number),
    ("error", Kind::Text),
];

pub(crate) fn run(args: &ScoreArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let path = source::model(args.model.model.as_deref(), &args.model.runs, printer)?;
    let images = files(&args.images, printer)?;
    let run_options = RunOptions {
        machine: &args.machine,
        precision: args.precision,
        batch: None,
    };
    let classifier = source::classifier(&path, Some(&args.model), run_options, printer)?;
    fs::create_dir_all(&args.out)?;
    let shard = args.images.shard;
    let name = format!("part-{:05}-of-{:05}.parquet", shard.index, shard.count);
    let out = args.out.join(name);
    let (mut broken, mut failed) = (0, None);
    let written = deploy::files::write::atomically_with(&out, |file| {
        write(&classifier, &images, file, printer)
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

/// Writes a row for each image; returns how many have an error.
fn write(
    classifier: &Classifier,
    images: &[PathBuf],
    out: &mut dyn io::Write,
    printer: &Printer,
) -> anyhow::Result<usize> {
    let mut table = ParquetTable::new(out, &COLUMNS)?;
    let progress = printer.image_bar("classifying", images.len() as u64);
    let (mut broken, mut failed) = (0, None);
    classifier.classify_many(images, |index, answer| {
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
        if let Err(error) = push(&mut table, &images[index].to_string_lossy(), &row) {
            failed = Some(error.into());
        }
        progress.set_position(index as u64 + 1);
    });
    progress.finish_and_clear();
    match failed {
        Some(error) => Err(error),
        None => {
            table.finish()?;
            Ok(broken)
        }
    }
}

fn push(
    table: &mut ParquetTable<'_>,
    path: &str,
    answer: &deploy::Result<Prediction>,
) -> parquet::errors::Result<()> {
    let error = answer.as_ref().err().map(ToString::to_string);
    let answer = answer.as_ref().ok();
    table.push(&[
        Value::Text(Some(path)),
        Value::Text(answer.map(|answer| answer.label.as_str())),
        Value::Number(answer.map(|answer| answer.probability)),
        Value::Number(answer.map(Prediction::margin)),
        Value::Text(error.as_deref()),
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
