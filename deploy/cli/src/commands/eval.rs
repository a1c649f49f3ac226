//! `deploy eval`: scores a model on labelled images.

mod coverage;
mod pairs;

use std::collections::BTreeMap;
use std::path::Path;

use console::{ExitStatus, Printer};
use data::metrics::CoveragePoint;
use data::{Dataset, Scores, Split};
use deploy::diff::Diff;
use deploy::eval::{EvalOptions, Evaluation, evaluate};
use deploy::tuned::Setting;
use deploy::{Classifier, Model, Placement, Provider, SessionOptions};
use onnx::ModelFile;
use serde::Serialize;

use super::diff::{self, Comparison};
use crate::cli::{EvalArgs, MachineArgs};
use crate::converted::OriginalModel;
use crate::source::{self, DataSource, RunOptions};

/// Misclassified files shown; the CSV file has them all.
const SHOWN: usize = 40;

/// Content of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    scores: &'a Scores,
    model: String,
    split: Split,
    runtime: String,
    provider: String,
    precision: String,
    nodes_by_provider: BTreeMap<String, usize>,
    batch: usize,
    unreadable: Vec<String>,
    misclassified: Vec<&'a str>,
    seconds: f64,
    prepare_seconds: f64,
    session_seconds: f64,
    images_per_second: f64,
    coverage: Vec<CoveragePoint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<&'a coverage::Chosen>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<Comparison<'a>>,
    prepare_images_per_second: f64,
    session_images_per_second: f64,
}

pub(crate) fn run(args: &EvalArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let named = args.file.as_deref().or(args.model.model.as_deref());
    let path = source::model(named, &args.model.runs, printer)?;
    let file = ModelFile::open(&path)?;
    let model = Model::from_file(&file)?;
    let cache = source::cache(args.machine.location.cache.as_deref())?;
    let data = DataSource {
        data: args.data.as_deref(),
        list: args.list.as_deref(),
        split: args.split,
        cache: &cache,
        seed: model.seed(),
    };
    if model.compares_images() {
        return pairs::run(&path, args, &data, printer);
    }
    let dataset = source::dataset(&path, &data, printer)?;
    let samples = dataset.samples(args.split);
    let opened = open(args, (file.clone(), &model), &dataset, &cache, printer)?;
    let (classifier, setting) = opened;
    let provider = setting.map_or(args.machine.provider, |setting| setting.provider);
    let batch = args.batch.map(usize::from);
    let batch = batch.or(setting.map(|setting| setting.batch));
    let progress = printer.image_bar("evaluating", samples.len() as u64);
    let options = EvalOptions {
        batch: batch.unwrap_or_else(|| classifier.preferred_batch()),
        threads: args.machine.threads.map(usize::from),
        strict: args.strict_images,
        progress: &|done| progress.set_position(done as u64),
    };
    let evaluation = evaluate(&classifier, samples, &dataset.classes, &options);
    progress.finish_and_clear();
    let evaluation = evaluation?;
    source::warn_unreadable(&evaluation.unreadable, printer);
    let compared = args.reference.then(|| {
        let reference = reference(args, (file, &model), printer)?;
        let (reference, new) = ((&reference, &dataset), (&classifier, &evaluation));
        compare(reference, new, args, printer)
    });
    let compared = compared.transpose()?;
    let chosen = args
        .target_accuracy
        .map(|target| {
            let model = (&classifier, &dataset);
            coverage::choose(model, &evaluation, (target, args), printer)
        })
        .transpose()?;
    if let Some(csv) = &args.csv {
        data::metrics::write_predictions(csv, &evaluation.predictions)?;
    }
    if let Some(json) = &args.json {
        printer.json(
            json,
            &Report {
                reference: compared.as_ref().map(diff::report),
                threshold: chosen.as_ref(),
                ..report(
                    &evaluation,
                    args,
                    (&path, &classifier),
                    provider,
                    options.batch,
                )
            },
        )?;
    }
    let mut text = text(&evaluation, args.split);
    if let Some(chosen) = &chosen {
        text += &format!("\n\n{}", coverage::text(chosen, args.split, &path));
    }
    if let Some(found) = &compared {
        text += &compared_text(found, args.split, &classifier, provider);
    }
    // Last: a reader such as `head` may have had enough, and the files are written by then.
    printer
        .with_outputs(&[args.json.as_deref(), args.csv.as_deref()])
        .result(text)?;
    if let Some(warning) = data::metrics::worse_than_majority(&evaluation.scores) {
        printer.warn(warning);
    }
    Ok(ExitStatus::Success)
}

/// Opens the model as the flags say, or as it was tuned.
fn open(
    args: &EvalArgs,
    model: (ModelFile, &Model),
    dataset: &Dataset,
    cache: &Path,
    printer: &Printer,
) -> anyhow::Result<(Classifier, Option<Setting>)> {
    if !args.tuned {
        return Ok((classifier(args, model, dataset, cache, printer)?, None));
    }
    let tuned = source::tuned(&model.0, &args.machine.location, printer)?;
    let classifier = source::tuned_classifier(&tuned, &args.model, &args.machine, printer)?;
    Ok((classifier, Some(tuned.setting)))
}

fn compared_text(
    found: &Diff,
    split: Split,
    classifier: &Classifier,
    provider: Provider,
) -> String {
    let now = format!("in {} on {provider}", classifier.precision());
    let names = ["as the file is on cpu", &now];
    format!("\n\n{}", diff::text(found, split, names))
}

/// Opens the model, or the one converted to the precision.
fn classifier(
    args: &EvalArgs,
    (mut file, model): (ModelFile, &Model),
    dataset: &Dataset,
    cache: &Path,
    printer: &Printer,
) -> anyhow::Result<Classifier> {
    let (machine, precision) = (&args.machine, args.precision);
    let card_preprocess = model.card.as_ref().map(|card| &card.preprocess);
    let preprocess = args.model.preprocess.as_ref().or(card_preprocess);
    let original = OriginalModel {
        file: &file,
        model,
        images: preprocess.map(|preprocess| (dataset, preprocess)),
    };
    // Calibration runs the model, so the runtime is loaded before the file is converted.
    if original.is_converted_for(machine.provider, precision)? {
        let found = source::runtime_for(machine.provider, &machine.location, printer)?;
        deploy::runtime::load(&found)?;
        deploy::runtime::require(machine.provider)?;
        let classes = match &args.model.classes {
            Some(names) => Some(data::class_names::read(names)?),
            None => model.class_names(),
        };
        let output = args.model.output.as_deref();
        let output = model.output(file.path(), output, classes.as_ref().map(Vec::len))?;
        let session = SessionOptions {
            provider: machine.provider,
            precision,
            allow_fallback: machine.allow_fallback,
            output: Some(output),
            ..SessionOptions::default()
        };
        file = original.file(&session, cache, printer)?;
    }
    let run_options = RunOptions {
        machine,
        precision,
        batch: args.batch.map(usize::from),
    };
    source::batch_classifier(file, &args.model, run_options, printer)
}

/// Opens the file as it is on the CPU.
fn reference(
    args: &EvalArgs,
    (file, model): (ModelFile, &Model),
    printer: &Printer,
) -> anyhow::Result<Classifier> {
    let machine = MachineArgs {
        provider: Provider::Cpu,
        ..args.machine.clone()
    };
    let run_options = RunOptions {
        machine: &machine,
        precision: model.precision.parse().unwrap_or_default(),
        batch: None,
    };
    source::batch_classifier(file, &args.model, run_options, printer)
}

/// Scores the reference, and compares its answers with those that were scored.
fn compare(
    (reference, dataset): (&Classifier, &Dataset),
    (classifier, evaluation): (&Classifier, &Evaluation),
    args: &EvalArgs,
    printer: &Printer,
) -> anyhow::Result<Diff> {
    let samples = dataset.samples(args.split);
    let progress = printer.image_bar("comparing", samples.len() as u64);
    let options = EvalOptions {
        batch: reference.preferred_batch(),
        threads: args.machine.threads.map(usize::from),
        strict: args.strict_images,
        progress: &|done| progress.set_position(done as u64),
    };
    let found = evaluate(reference, samples, &dataset.classes, &options);
    progress.finish_and_clear();
    Ok(deploy::diff::compare(
        (reference, found?),
        (classifier, evaluation.clone()),
    )?)
}

fn report<'a>(
    evaluation: &'a Evaluation,
    args: &EvalArgs,
    (path, classifier): (&Path, &Classifier),
    provider: Provider,
    batch: usize,
) -> Report<'a> {
    Report {
        scores: &evaluation.scores,
        model: path.display().to_string(),
        split: args.split,
        runtime: deploy::runtime::loaded()
            .map(|f| f.version.clone())
            .unwrap_or_default(),
        provider: provider.to_string(),
        precision: classifier.precision().to_string(),
        nodes_by_provider: classifier
            .placement()
            .map(Placement::counts)
            .unwrap_or_default(),
        batch,
        unreadable: evaluation
            .unreadable
            .iter()
            .map(|u| u.path.display().to_string())
            .collect(),
        misclassified: evaluation
            .misclassified()
            .map(|wrong| wrong.path.as_str())
            .collect(),
        seconds: evaluation.seconds,
        prepare_seconds: evaluation.prepare_seconds,
        session_seconds: evaluation.session_seconds,
        images_per_second: evaluation.images_per_second,
        coverage: coverage::curve(evaluation),
        threshold: None,
        reference: None,
        prepare_images_per_second: evaluation.prepare_images_per_second,
        session_images_per_second: evaluation.session_images_per_second,
    }
}

/// The scores, the misclassified files, the speed.
fn text(evaluation: &Evaluation, split: Split) -> String {
    let mut lines = vec![
        format!("split {split}"),
        data::metrics::table(&evaluation.scores),
    ];
    let wrong: Vec<_> = evaluation.misclassified().collect();
    if !wrong.is_empty() {
        lines.push(format!("misclassified: {}", wrong.len()));
    }
    for wrong in wrong.iter().take(SHOWN) {
        let percent = 100.0 * wrong.probability;
        lines.push(format!(
            "  {} predicted as {} ({percent:.1} %)",
            wrong.path, wrong.predicted
        ));
    }
    if wrong.len() > SHOWN {
        lines.push(format!(
            "  and {} more: `--csv FILE` writes them all",
            wrong.len() - SHOWN
        ));
    }
    lines.push(String::new());
    lines.push(coverage::table(&coverage::curve(evaluation)));
    lines.push(format!(
        "\n{:.1} images/s end to end ({:.2} s): {:.1} images/s decoding and preparing, {:.1} in the session",
        evaluation.images_per_second,
        evaluation.seconds,
        evaluation.prepare_images_per_second,
        evaluation.session_images_per_second
    ));
    lines.join("\n")
}
