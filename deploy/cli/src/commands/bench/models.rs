//! Models that a command line names, and the images to score each on. Opens no session.

use std::path::{Path, PathBuf};

use data::Preprocess;
use data::card::VERIFY;

use bench::plan::{BenchModel, PairTestSet, TestSet};
use console::Printer;
use data::Dataset;
use deploy::{Model, Verifier};
use onnx::ModelFile;

use crate::cli::{BenchArgs, ModelArgs, OutputKindArg};
use crate::cli_error::CliError;
use crate::source::{self, DataSource};

/// The models that were named, or the latest run's.
pub(super) fn models(
    args: &BenchArgs,
    cache: &Path,
    printer: &Printer,
) -> anyhow::Result<Vec<BenchModel>> {
    // Only one of the two can be typed.
    let named: Vec<&Path> = args
        .files
        .iter()
        .chain(&args.model.models)
        .map(PathBuf::as_path)
        .collect();
    let paths: Vec<PathBuf> = if named.is_empty() {
        vec![source::model(None, &args.model.runs, printer)?]
    } else {
        let resolve = |path| source::model(Some(path), &args.model.runs, printer);
        named
            .into_iter()
            .map(resolve)
            .collect::<anyhow::Result<_>>()?
    };
    paths
        .into_iter()
        .map(|path| model(path, args, cache, printer))
        .collect()
}

/// Facts that a model's card lacks.
pub(crate) struct Facts<'a> {
    classes: Option<&'a Path>,
    preprocess: Option<&'a Preprocess>,
    output: Option<&'a str>,
    output_kind: Option<OutputKindArg>,
}

impl<'a> From<&'a ModelArgs> for Facts<'a> {
    fn from(args: &'a ModelArgs) -> Self {
        Self {
            classes: args.classes.as_deref(),
            preprocess: args.preprocess.as_ref(),
            output: args.output.as_deref(),
            output_kind: args.output_kind,
        }
    }
}

/// Reads a model, without images.
pub(crate) fn bench_model(path: &Path, facts: &Facts<'_>) -> anyhow::Result<BenchModel> {
    let file = ModelFile::open(path)?;
    let model = source::classifier_model(&file)?;
    let card = model.card.as_ref();
    let classes = match facts.classes {
        Some(file) => Some(data::class_names::read(file)?),
        None => model.class_names(),
    };
    let num_classes = classes.as_ref().map(Vec::len);
    let output = model.output(path, facts.output, num_classes)?;
    let preprocess = facts.preprocess.cloned();
    let preprocess = preprocess.or_else(|| card.map(|card| card.preprocess.clone()));
    let output_kind = facts.output_kind.map(source::output_kind);
    let output_kind = output_kind.or(card.map(|card| card.output_kind));
    Ok(BenchModel {
        file,
        contents: model,
        classes,
        preprocess,
        output,
        output_kind,
        data: None,
        tuned: None,
        pair_shape: None,
        pairs: None,
    })
}

/// A verifier, and the pairs that it is scored on.
fn verifier(
    file: ModelFile,
    contents: Model,
    args: &BenchArgs,
    cache: &Path,
    printer: &Printer,
) -> anyhow::Result<BenchModel> {
    Verifier::check_file(&file)?;
    let named = [
        ("--classes", args.model.classes.is_some()),
        ("--preprocess", args.model.preprocess.is_some()),
        ("--output", args.model.output.is_some()),
        ("--output-kind", args.model.output_kind.is_some()),
    ];
    if let Some((flag, _)) = named.into_iter().find(|(_, is_named)| *is_named) {
        let path = file.path().display();
        return Err(CliError::with_hint(
            format!("`{flag}` is for classifiers, and `{path}` is a verifier"),
            "leave it out: a verifier's file says all of it",
        )
        .into());
    }
    printer.log("a verifier compares pairs: a batch is of so many, and images/s are pairs/s");
    let pairs = pairs(file.path(), &contents, args, cache, printer)?;
    let card = contents.card.clone();
    let preprocess = card.expect("a verifier has a card").preprocess;
    Ok(BenchModel {
        output: contents.output(file.path(), None, None)?,
        file,
        contents,
        classes: None,
        pair_shape: Some(preprocess.output_shape()),
        pairs,
        preprocess: Some(preprocess),
        output_kind: None,
        data: None,
        tuned: None,
    })
}

fn model(
    path: PathBuf,
    args: &BenchArgs,
    cache: &Path,
    printer: &Printer,
) -> anyhow::Result<BenchModel> {
    let facts = Facts {
        classes: args.model.classes.as_deref(),
        preprocess: args.model.preprocess.as_ref(),
        output: args.model.output.as_deref(),
        output_kind: args.model.output_kind,
    };
    let file = ModelFile::open(&path)?;
    let contents = Model::from_file(&file)?;
    if contents.task() == VERIFY {
        return verifier(file, contents, args, cache, printer);
    }
    let mut model = bench_model(&path, &facts)?;
    if let Some(dataset) = dataset(&path, &model.contents, args, cache, printer)? {
        let described = (model.classes.as_ref(), model.preprocess.as_ref());
        model.data = Some(TestSet::new(&path, dataset, args.split, described)?);
    }
    Ok(model)
}

/// The source of labelled images: what was named, or the model's own run; none where it lies in no run.
fn data_source<'a>(
    path: &Path,
    model: &Model,
    args: &'a BenchArgs,
    cache: &'a Path,
) -> Option<DataSource<'a>> {
    let in_run = data::run_files::run_containing(path).is_some();
    if args.no_data || (args.data.is_none() && !in_run) {
        return None;
    }
    Some(DataSource {
        data: args.data.as_deref(),
        list: None,
        split: args.split,
        cache,
        seed: model.seed(),
    })
}

fn dataset(
    path: &Path,
    model: &Model,
    args: &BenchArgs,
    cache: &Path,
    printer: &Printer,
) -> anyhow::Result<Option<Dataset>> {
    let source = data_source(path, model, args, cache);
    source
        .map(|source| source::dataset(path, &source, printer))
        .transpose()
}

fn pairs(
    path: &Path,
    model: &Model,
    args: &BenchArgs,
    cache: &Path,
    printer: &Printer,
) -> anyhow::Result<Option<PairTestSet>> {
    // Scores come from a session of the encoder, which the fake engine does not have.
    if args.configurations.engine.is_some() {
        return Ok(None);
    }
    let Some(source) = data_source(path, model, args, cache) else {
        return Ok(None);
    };
    Ok(Some(PairTestSet {
        pairs: source::pairs(path, &source, printer)?,
        split: args.split,
    }))
}
