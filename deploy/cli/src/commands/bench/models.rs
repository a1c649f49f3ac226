//! Models that a command line names, and the images to score each on. Opens no session.

use std::path::{Path, PathBuf};

use bench::plan::{BenchModel, TestSet};
use console::Printer;
use data::Dataset;
use deploy::Model;
use onnx::ModelFile;

use crate::cli::BenchArgs;
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

fn model(
    path: PathBuf,
    args: &BenchArgs,
    cache: &Path,
    printer: &Printer,
) -> anyhow::Result<BenchModel> {
    let file = ModelFile::open(&path)?;
    let model = source::classifier_model(&file)?;
    let card = model.card.as_ref();
    let classes = match &args.model.classes {
        Some(file) => Some(data::class_names::read(file)?),
        None => model.class_names(),
    };
    let num_classes = classes.as_ref().map(Vec::len);
    let output = model.output(&path, args.model.output.as_deref(), num_classes)?;
    let preprocess = args.model.preprocess.clone();
    let preprocess = preprocess.or_else(|| card.map(|card| card.preprocess.clone()));
    let output_kind = args.model.output_kind.map(source::output_kind);
    let output_kind = output_kind.or(card.map(|card| card.output_kind));
    let data = match dataset(&path, &model, args, cache, printer)? {
        Some(dataset) => {
            let described = (classes.as_ref(), preprocess.as_ref());
            Some(TestSet::new(&path, dataset, args.split, described)?)
        }
        None => None,
    };
    Ok(BenchModel {
        file,
        contents: model,
        classes,
        preprocess,
        output,
        output_kind,
        data,
    })
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
