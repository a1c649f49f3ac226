//! `deploy eval` of a verifier: scores on pairs of images.

use std::path::Path;

use console::{ExitStatus, Printer};
use data::Split;
use data::metrics::VerificationScores;
use deploy::Precision;
use deploy::eval::{EvalOptions, evaluate_pairs};
use serde::Serialize;

use crate::cli::EvalArgs;
use crate::cli_error::CliError;
use crate::source::{self, DataSource};

/// Content of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    scores: &'a VerificationScores,
    model: String,
    split: Split,
    provider: String,
    unreadable: Vec<String>,
    seconds: f64,
}

pub(super) fn run(
    path: &Path,
    args: &EvalArgs,
    source: &DataSource<'_>,
    printer: &Printer,
) -> anyhow::Result<ExitStatus> {
    refuse_classifier_flags(args)?;
    let pairs = source::pairs(path, source, printer)?;
    let samples = pairs.images.samples(args.split);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = args.machine.threads.map_or(cores, usize::from);
    let verifier = source::verifier(path, &args.machine, Some(threads), printer)?;
    let progress = printer.image_bar("encoding", samples.len() as u64);
    let preferred = verifier.encoder().preferred_batch();
    let options = EvalOptions {
        batch: args.batch.map_or(preferred, usize::from),
        threads: Some(threads),
        strict: args.strict_images,
        progress: &|done| progress.set_position(done as u64),
    };
    let evaluation = evaluate_pairs(&verifier, samples, pairs.of(args.split), &options);
    progress.finish_and_clear();
    let evaluation = evaluation?;
    source::warn_unreadable(&evaluation.unreadable, printer);
    if let Some(csv) = &args.csv {
        evaluation.write_csv(csv, &pairs, args.split)?;
    }
    if let Some(json) = &args.json {
        let unreadable = evaluation.unreadable.iter();
        let report = Report {
            scores: &evaluation.scores,
            model: path.display().to_string(),
            split: args.split,
            provider: args.machine.provider.to_string(),
            unreadable: unreadable
                .map(|file| file.path.display().to_string())
                .collect(),
            seconds: evaluation.seconds,
        };
        printer.json(json, &report)?;
    }
    let table = evaluation.scores.table();
    printer
        .with_outputs(&[args.json.as_deref(), args.csv.as_deref()])
        .result(format!("split {}\n{table}", args.split))?;
    Ok(ExitStatus::Success)
}

/// A verifier's file says all of it, and is computed as it is.
fn refuse_classifier_flags(args: &EvalArgs) -> anyhow::Result<()> {
    let model = &args.model;
    let given = [
        ("--classes", model.classes.is_some()),
        ("--preprocess", model.preprocess.is_some()),
        ("--output", model.output.is_some()),
        ("--output-kind", model.output_kind.is_some()),
        ("--precision", args.precision != Precision::Fp32),
        ("--target-accuracy", args.target_accuracy.is_some()),
        ("--tuned", args.tuned),
    ];
    match given.into_iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => Err(CliError::with_hint(
            format!("`{flag}` is for classifiers; the model is a verifier"),
            "leave it out",
        )
        .into()),
        None => Ok(()),
    }
}
