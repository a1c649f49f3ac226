//! `deploy convert`: writes a model in another precision and compares it with the original.

use std::path::{Path, PathBuf};

use console::{ExitStatus, Printer, Verbosity};
use data::card::{PREFIX, ScoreNote};
use data::{Dataset, Sample};
use deploy::convert::{self, Calibration, Scheme};
use deploy::diff::{Diff, diff};
use deploy::eval::EvalOptions;
use deploy::{Classifier, Model, Precision};
use fs_err as fs;
use onnx::Document;
use serde::Serialize;

use super::cache::human;
use super::diff::{Found, report, text, warn_unreadable};
use crate::cli::ConvertArgs;
use crate::cli_error::CliError;
use crate::converted;
use crate::source::{self, DataArgs, RunOptions};

/// Nodes that keep their precision shown.
const SHOWN: usize = 10;

/// What `--json` writes.
#[derive(Serialize)]
struct Report<'a> {
    model: String,
    out: String,
    precision: &'static str,
    bytes_before: u64,
    bytes_after: u64,
    kept: Vec<String>,
    #[serde(flatten)]
    found: Found<'a>,
}

pub(crate) fn run(args: &ConvertArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    for (flag, given) in [
        ("--symmetric", args.symmetric),
        ("--images", args.images.is_some()),
    ] {
        if given && args.precision != Precision::Int8 {
            return Err(CliError::OnlyForInt8 { flag }.into());
        }
    }
    let path = source::model(args.model.model.as_deref(), &args.model.runs, printer)?;
    let model = Model::open(&path)?;
    let out = match &args.out {
        Some(out) => out.clone(),
        None => path.with_extension(format!("{}.onnx", args.precision)),
    };
    if fs::canonicalize(&out).is_ok_and(|out| fs::canonicalize(&path).is_ok_and(|path| path == out))
    {
        return Err(CliError::OverOriginal { path: out }.into());
    }
    let cache = source::cache(args.machine.place.cache.as_deref())?;
    let data = DataArgs {
        data: args.data.as_deref(),
        list: args.list.as_deref(),
        split: args.split,
        cache: &cache,
        seed: model.card.as_ref().map_or(0, |card| card.provenance.seed),
    };
    let dataset = source::dataset(&path, &data, printer)?;
    let how = RunOptions {
        machine: &args.machine,
        precision: Precision::Fp32,
        batch: None,
    };
    let original = source::many(&path, model, &args.model, how, printer)?;
    // Until it was compared, it has another name.
    let draft = Draft(out.with_extension("onnx.part"));
    let kept = convert(args, &original, &draft.0, &dataset, printer)?;
    let found = compare(args, &original, &draft.0, &dataset, printer)?;
    if let Some(pair) = found
        .pairs
        .iter()
        .find(|pair| !pair.logit_difference.is_finite())
    {
        let (precision, image) = (args.precision, pair.path.clone());
        return Err(CliError::NotFinite { precision, image }.into());
    }
    finish(args, &draft.0, &out, &found)?;
    let size = |path: &Path| fs::metadata(path).map(|metadata| metadata.len());
    let (before, after) = (size(&path)?, size(&out)?);
    if let Some(json) = &args.json {
        let report = Report {
            model: path.display().to_string(),
            out: out.display().to_string(),
            precision: args.precision.name(),
            bytes_before: before,
            bytes_after: after,
            kept: kept.clone(),
            found: report(&found),
        };
        printer.json(json, &report)?;
    }
    let mut lines = vec![format!(
        "{} `{}`: {}, before {}",
        args.precision,
        out.display(),
        human(after),
        human(before)
    )];
    lines.extend(
        kept.iter()
            .take(SHOWN)
            .map(|kept| format!("  stays single precision: {kept}")),
    );
    if kept.len() > SHOWN {
        lines.push(format!("  and {} more nodes", kept.len() - SHOWN));
    }
    lines.push(text(&found, args.split, ["before", "after"]));
    printer
        .with_json(args.json.as_deref())
        .result(lines.join("\n"))?;
    printer.log(format!("next: `deploy eval --model {}`", out.display()));
    Ok(ExitStatus::Success)
}

/// A file that goes when nobody gave it its final name.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // Where it was never written there is nothing to remove.
        fs::remove_file(&self.0).unwrap_or_default();
    }
}

/// Writes the converted file; hands back what keeps its precision.
fn convert(
    args: &ConvertArgs,
    original: &Classifier,
    out: &Path,
    dataset: &Dataset,
    printer: &Printer,
) -> anyhow::Result<Vec<String>> {
    if args.precision == Precision::Fp16 {
        let half = convert::fp16(original.path(), out)?;
        printer.log(format!("{} constants in half precision", half.halved));
        let kept = half.kept.into_iter();
        return Ok(kept
            .map(|kept| format!("{} ({}): {}", kept.node, kept.op, kept.why))
            .collect());
    }
    let scheme = match args.symmetric {
        true => Scheme::Symmetric,
        false => converted::scheme(args.machine.provider),
    };
    let count = args.images.map_or(convert::DEFAULT_IMAGES, usize::from);
    let seed = original.card().map_or(0, |card| card.provenance.seed);
    let preprocess = original.preprocess().clone();
    let calibration = Calibration::choose(dataset, count, seed, preprocess, scheme);
    printer.log(format!(
        "calibrating on {} training images",
        calibration.images.len()
    ));
    let int8 = convert::int8(original.path(), out, &calibration)?;
    for file in &int8.unreadable {
        printer.warn(format!(
            "left out `{}`: {}",
            file.path.display(),
            file.reason
        ));
    }
    printer.log(format!(
        "{} convolutions and matrix products and {} values in 8-bit integers",
        int8.graph.nodes, int8.graph.values
    ));
    Ok(int8.graph.kept)
}

/// Both on the same images; scored where the data's classes are the model's.
fn compare(
    args: &ConvertArgs,
    original: &Classifier,
    draft: &Path,
    dataset: &Dataset,
    printer: &Printer,
) -> anyhow::Result<Diff> {
    let quiet = Printer::new(Verbosity::Results);
    let how = RunOptions {
        machine: &args.machine,
        precision: args.precision,
        batch: None,
    };
    let converted = source::many(draft, Model::open(draft)?, &args.model, how, &quiet)?;
    let samples: &[Sample] = dataset.samples(args.split);
    let known = dataset
        .classes
        .iter()
        .all(|class| original.classes().contains(class));
    if !known {
        printer
            .log("the classes of the data are not the model's: answers are compared, not scored");
    }
    let progress = printer.image_bar("comparing", (2 * samples.len()) as u64);
    let options = EvalOptions {
        batch: original.preferred_batch(),
        threads: args.machine.threads.map(usize::from),
        strict: false,
        progress: &|done| progress.set_position(done as u64),
    };
    let classes = known.then_some(dataset.classes.as_slice());
    let found = diff(original, &converted, samples, classes, &options);
    progress.finish_and_clear();
    let found = found?;
    warn_unreadable(&found, printer);
    Ok(found)
}

/// Gives the file its name, and its card the scores that it has now.
fn finish(args: &ConvertArgs, draft: &Path, out: &Path, found: &Diff) -> anyhow::Result<()> {
    if let (Some(mut card), Some(accuracy)) = (Model::open(draft)?.card, &found.accuracy) {
        let score = ScoreNote {
            accuracy: accuracy.second.accuracy,
            interval: accuracy.second.interval,
            count: accuracy.second.count,
        };
        card.provenance.scores.insert(args.split.to_string(), score);
        let mut document = Document::open(draft)?;
        document.set_metadata(PREFIX, &card.to_pairs());
        document.save(draft)?;
    }
    Ok(fs::rename(draft, out)?)
}
