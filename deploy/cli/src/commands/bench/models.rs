//! Models that a command line names, and the images to score each on. Opens no session.

use std::path::{Path, PathBuf};

use data::Preprocess;

use bench::plan::{BenchModel, TestSet};
use console::Printer;
use data::Dataset;
use deploy::Model;
use onnx::ModelFile;

use crate::cli::{BenchArgs, ModelArgs, OutputKindArg};
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
    let mut model = bench_model(&path, &facts)?;
    if let Some(dataset) = dataset(&path, &model.contents, args, cache, printer)? {
        let described = (model.classes.as_ref(), model.preprocess.as_ref());
        model.data = Some(TestSet::new(&path, dataset, args.split, described)?);
    }
    Ok(model)
}

/// The images named, or those of the model's own run; none where it lies in no run.
fn dataset(
    path: &Path,
    model: &Model,
    args: &BenchArgs,
    cache: &Path,
    printer: &Printer,
) -> anyhow::Result<Option<Dataset>> {
    let in_run = data::run_files::run_containing(path).is_some();
    if args.no_data || (args.data.is_none() && !in_run) {
        return Ok(None);
    }
    let data = DataSource {
        data: args.data.as_deref(),
        list: None,
        split: args.split,
        cache,
        seed: model.seed(),
    };
    Ok(Some(source::dataset(path, &data, printer)?))
}
