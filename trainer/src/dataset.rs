//! Data set of a run: labelled files by split, their audit, and their decoded pixels. It knows no network and
//! no training.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use console::Printer;
use data::audit::{Audit, Depth};
use data::images::{Images, ImagesOptions};
use data::preprocess::Color;
use data::{Dataset, Limits, Pairs, Sample, Split, Unreadable};

use crate::context::TrainingContext;
use crate::error::{Error, Result};
use crate::features::{FeatureTableFile, ImportedFeatures};
use crate::kfold::KFold;
use crate::recipe::Recipe;
use crate::resolve;
use crate::run_dir::RunDir;

/// Files left out that the log lists by name.
const LISTED: usize = 20;

/// Opens the data set of a recipe, or of a resumed run, and its features where a table has them. Finds ONNX Runtime too: the export needs it after hours
/// of training. Of the two, what may be refused at once comes before what takes time (drawing the built-in
/// images, installing ONNX Runtime).
///
/// # Errors
/// When the data cannot be trained on, or ONNX Runtime cannot be used.
pub fn open_for_training(
    recipe: &Recipe,
    resumed: Option<&RunDir>,
    context: &TrainingContext<'_>,
) -> Result<(Dataset, Option<ImportedFeatures>)> {
    let is_drawn = data::catalog::builtin(&recipe.data, &context.cache).is_some();
    // A table may take minutes to read.
    let is_last = !is_drawn && recipe.feature_table.is_none();
    if !is_last {
        context.ensure_runtime()?;
    }
    let (dataset, features) = match &recipe.feature_table {
        Some(table) => {
            let file = FeatureTableFile::open(Path::new(table))?;
            let dataset = of_table(&file, recipe, resumed, context)?;
            let features = read_features(&file, &dataset, recipe, context)?;
            (dataset, Some(features))
        }
        None => (open(recipe, resumed, context)?, None),
    };
    dataset.check_trainable()?;
    // Its names are those of the data set's classes.
    recipe.class_weights.0.weights(&dataset.classes, &[])?;
    if let Some(folds) = recipe.folds {
        let samples = [&dataset.train[..], &dataset.val].concat();
        KFold::new(&samples, &dataset.classes, folds, recipe.seed)?;
    }
    if is_last {
        context.ensure_runtime()?;
    }
    Ok((dataset, features))
}

/// The data set of a recipe with a table of features: its labels are those of `data`, or of the table itself. That of an
/// earlier run is divided again, in the same way.
///
/// # Errors
/// The labels cannot be read, or are not those of the earlier run.
pub fn of_table(
    file: &FeatureTableFile,
    recipe: &Recipe,
    run: Option<&RunDir>,
    context: &TrainingContext<'_>,
) -> Result<Dataset> {
    let dataset = if recipe.feature_table.as_ref() == Some(&recipe.data) {
        let dataset = file.dataset(recipe.seed)?;
        let notes = dataset.notes.iter();
        notes.for_each(|note| context.printer.log(note));
        dataset
    } else {
        open(recipe, None, context)?
    };
    if let Some(run) = run {
        check_same_division(&dataset, recipe, run)?;
    }
    Ok(dataset)
}

/// Refuses labels and splits other than those of the run: what was trained on might be tested.
fn check_same_division(dataset: &Dataset, recipe: &Recipe, run: &RunDir) -> Result<()> {
    let rows = data::table::read_list(&run.split())?;
    let own: HashMap<&str, (&str, Option<Split>)> = rows
        .iter()
        .map(|row| (row.path.as_str(), (row.label.as_str(), row.split)))
        .collect();
    for split in Split::ALL {
        for sample in dataset.samples(split) {
            let (path, class) = (&sample.relative, &dataset.classes[sample.label as usize]);
            let Some((own_class, Some(own_split))) = own.get(path.as_str()).copied() else {
                continue;
            };
            if (own_class, own_split) != (class, split) {
                return Err(Error::refused_with_hint(
                    format!(
                        "`{}` has `{path}` as {class} in `{split}`; the run had it as {own_class} in `{own_split}`",
                        recipe.data
                    ),
                    "put the run's own data in its place, or start a new run",
                ));
            }
        }
    }
    Ok(())
}

/// The features of a data set in a table; warns of images without features.
///
/// # Errors
/// The table cannot be read or has not what is needed.
pub fn read_features(
    file: &FeatureTableFile,
    dataset: &Dataset,
    recipe: &Recipe,
    context: &TrainingContext<'_>,
) -> Result<ImportedFeatures> {
    let features = file.read(dataset, recipe.strict_images)?;
    warn_left_out(&features.unreadable, context.printer);
    if features.num_unused > 0 {
        context.printer.log(format!(
            "{} rows of `{}` are of other images",
            features.num_unused,
            features.path().display()
        ));
    }
    Ok(features)
}

/// The pairs of a recipe, or of a resumed run. Finds ONNX Runtime too: the export needs it.
///
/// # Errors
/// When the pairs cannot be trained on, or ONNX Runtime cannot be used.
pub fn open_pairs(
    recipe: &Recipe,
    resumed: Option<&RunDir>,
    context: &TrainingContext<'_>,
) -> Result<Pairs> {
    let path = resolve::data_path(&recipe.data, &context.cache, context.printer)?;
    let pairs = match resumed {
        Some(run) => Pairs::from_list(&run.pairs(), resolve::run_dataset(run, &path)?)?,
        None => Pairs::open(&path, &recipe.pair_options())?,
    };
    for note in &pairs.images.notes {
        context.printer.log(note);
    }
    log_left_out(&pairs.images, context.printer);
    pairs.check_trainable()?;
    if let Some(folds) = recipe.folds {
        if path.is_file() {
            return Err(Error::Setting {
                flag: "folds",
                value: folds.to_string(),
                reason: "needs a folder for each identity: what is held out gets pairs of its own, and a table lists \
                         none to draw from; `--seeds` repeats the training"
                    .into(),
            });
        }
        pairs.folds(folds, &recipe.pair_options())?;
    }
    context.ensure_runtime()?;
    Ok(pairs)
}

/// The data set of a recipe, or what a run's `split.csv` lists of it.
pub fn open(
    recipe: &Recipe,
    run: Option<&RunDir>,
    context: &TrainingContext<'_>,
) -> Result<Dataset> {
    let path = resolve::data_path(&recipe.data, &context.cache, context.printer)?;
    let dataset = match run {
        Some(run) => resolve::run_dataset(run, &path)?,
        None => Dataset::open(&path, recipe.seed)?,
    };
    for note in &dataset.notes {
        context.printer.log(note);
    }
    log_left_out(&dataset, context.printer);
    Ok(dataset)
}

/// Warns of images that cannot be read.
pub fn warn_left_out(files: &[Unreadable], printer: &Printer) {
    for file in files {
        let path = file.path.display();
        printer.warn(format!("left out `{path}`: {}", file.reason));
    }
}

fn log_left_out(dataset: &Dataset, printer: &Printer) {
    for file in dataset.left_out.iter().take(LISTED) {
        let path = file.path.display();
        printer.log(format!("left out `{path}`: {}", file.reason));
    }
    if let Some(more) = dataset.left_out.len().checked_sub(LISTED + 1) {
        printer.log(format!("left out {} more files", more + 1));
    }
}

/// Audits bytes and headers: `fit` reads the bytes of every file for the data set's fingerprint anyway.
/// No pixel of a test image is decoded before the end, so near duplicates are left to `trainer audit`.
pub fn audit(dataset: &Dataset, printer: &Printer) -> Audit {
    let bar = printer.image_bar("reading", num_images(dataset) as u64);
    let audit = Audit::run(dataset, &[], Depth::Files, &|done| {
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    audit
}

/// The number of images in all splits.
pub fn num_images(dataset: &Dataset) -> usize {
    let counts = Split::ALL.map(|split| dataset.samples(split).len());
    counts.iter().sum()
}

/// The samples of a split.
pub fn samples(dataset: &Dataset, split: Split) -> Result<&[Sample]> {
    let samples = dataset.samples(split);
    if samples.is_empty() {
        let data = dataset.root.display();
        return Err(Error::refused(format!(
            "the {split} split of `{data}` has no images"
        )));
    }
    Ok(samples)
}

/// How decoded images are held in memory.
#[derive(Clone, Copy, Debug)]
pub struct DecodeOptions {
    /// Bytes of decoded pixels that are kept.
    pub budget_bytes: u64,
    /// Whether an unreadable image is an error.
    pub strict: bool,
    /// Channels of the network.
    pub color: Color,
}

/// Decodes images once, in parallel; unreadable ones are left out and listed. `what` names them in the
/// progress bar.
///
/// # Errors
/// When an unreadable image is one too many, or Ctrl-C came.
pub fn decode(
    samples: &[Sample],
    what: &str,
    options: DecodeOptions,
    context: &TrainingContext<'_>,
) -> Result<Arc<Images>> {
    let printer = context.printer;
    let bar = printer.image_bar(&format!("decoding {what}"), samples.len() as u64);
    let options = ImagesOptions {
        budget_bytes: options.budget_bytes,
        strict: options.strict,
        threads: context.threads,
        limits: Limits::default(),
        color: options.color,
        stop: context.interrupt.shared_flag(),
    };
    let loaded = Images::load(samples.to_vec(), &options, &|done| {
        bar.set_position(done as u64)
    });
    bar.finish_and_clear();
    context.interrupt.check()?;
    let (images, unreadable) = loaded?;
    warn_left_out(&unreadable, printer);
    Ok(Arc::new(images))
}
