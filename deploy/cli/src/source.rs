//! Resolution of a command line: which model, which images and which runtime it means. Knows no command.

use std::path::{Path, PathBuf};

use anyhow::Context;
use console::Printer;
use data::card::OutputKind;
use data::{Dataset, Split, catalog, run_files};
use deploy::runtime::{self, RuntimeLibrary, Search};
use deploy::{Classifier, ClassifierBuilder, Model, Precision, Provider};
use fs_err as fs;

use crate::cli::{Kind, MachineArgs, ModelArgs, PlaceArgs};
use crate::cli_error::CliError;
use crate::converted::OriginalModel;

/// The model that was named, or the latest run's; says which.
pub(crate) fn model(
    named: Option<&Path>,
    runs: &Path,
    printer: &Printer,
) -> anyhow::Result<PathBuf> {
    if let Some(path) = named {
        printer.log(format!("model `{}`", path.display()));
        return Ok(path.to_owned());
    }
    let path = run_files::latest(runs)?
        .map(|run| run.join(run_files::MODEL))
        .filter(|path| path.is_file())
        .ok_or_else(|| CliError::NoRun {
            runs: runs.to_owned(),
        })?;
    printer.log(format!("model `{}`, the latest run's", path.display()));
    Ok(path)
}

/// How a model is run.
#[derive(Clone, Copy)]
pub(crate) struct RunOptions<'a> {
    pub(crate) machine: &'a MachineArgs,
    pub(crate) precision: Precision,
    /// Images per run, where that is known.
    pub(crate) batch: Option<usize>,
}

/// The classifier of a command line, its runtime found, installed if need be, and loaded.
pub(crate) fn classifier(
    path: &Path,
    model: Option<&ModelArgs>,
    how: RunOptions<'_>,
    printer: &Printer,
) -> anyhow::Result<Classifier> {
    // What is wrong with the file is said before anything is installed for it.
    let mut opened = Model::open(path)?;
    let mut file = path.to_owned();
    // For int8 there are no images here: a file that is none is refused with what to type.
    if how.precision == Precision::Fp16 {
        let original = OriginalModel {
            path,
            model: &opened,
            images: None,
        };
        let cache = cache(how.machine.place.cache.as_deref())?;
        runtime::load(&runtime_for(
            how.machine.provider,
            &how.machine.place,
            printer,
        )?)?;
        deploy::runtime::require(how.machine.provider)?;
        file = original.file(how.machine.provider, how.precision, &cache, printer)?;
        if file != path {
            opened = Model::open(&file)?;
        }
    }
    let mut builder = Classifier::builder(file).model(opened);
    if let Some(threads) = how.machine.threads {
        builder = builder.threads(usize::from(threads));
    }
    open(builder, model, how, printer)
}

/// The same for many images at once, of a model that was read.
pub(crate) fn many(
    path: &Path,
    opened: Model,
    model: &ModelArgs,
    how: RunOptions<'_>,
    printer: &Printer,
) -> anyhow::Result<Classifier> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = how.machine.threads.map_or(cores, usize::from);
    let builder = Classifier::builder(path).model(opened).parallel(threads);
    open(builder, Some(model), how, printer)
}

fn open(
    builder: ClassifierBuilder,
    model: Option<&ModelArgs>,
    how: RunOptions<'_>,
    printer: &Printer,
) -> anyhow::Result<Classifier> {
    let RunOptions {
        machine,
        precision,
        batch,
    } = how;
    let mut builder = builder
        .provider(machine.provider)
        .precision(precision)
        .batches(batch.into_iter().collect())
        .allow_fallback(machine.allow_fallback)
        .cache(cache(machine.place.cache.as_deref())?);
    if let Some(model) = model {
        builder = describe(builder, model)?;
    }
    let found = runtime_for(machine.provider, &machine.place, printer)?;
    let classifier = builder.runtime(found).open()?;
    for note in classifier.notes() {
        printer.log(note);
    }
    if let Some(placement) = classifier.placement() {
        let provider = machine.provider;
        printer.log(format!("nodes on {placement}; `{provider}` in {precision}"));
        for line in placement.other_providers(provider) {
            printer.log(format!("  on {line}"));
        }
    }
    Ok(classifier)
}

fn describe(builder: ClassifierBuilder, model: &ModelArgs) -> anyhow::Result<ClassifierBuilder> {
    let mut builder = builder;
    if let Some(file) = &model.classes {
        builder = builder.classes(data::class_names::read(file)?);
    }
    if let Some(preprocess) = &model.preprocess {
        builder = builder.preprocess(preprocess.clone());
    }
    if let Some(kind) = model.output_kind {
        builder = builder.output_kind(output_kind(kind));
    }
    Ok(builder)
}

pub(crate) fn output_kind(kind: Kind) -> OutputKind {
    match kind {
        Kind::Logits => OutputKind::Logits,
        Kind::Probabilities => OutputKind::Probabilities,
    }
}

/// ONNX Runtime for the CPU: found, or installed unless offline; says which one is used.
pub(crate) fn runtime(place: &PlaceArgs, printer: &Printer) -> anyhow::Result<RuntimeLibrary> {
    runtime_for(Provider::Cpu, place, printer)
}

/// The same for a provider: one that was installed for it comes first.
pub(crate) fn runtime_for(
    provider: Provider,
    place: &PlaceArgs,
    printer: &Printer,
) -> anyhow::Result<RuntimeLibrary> {
    let cache = cache(place.cache.as_deref())?;
    let search = Search {
        provider,
        ..Search::from_env(place.runtime.clone(), &cache)
    };
    let found = runtime::ensure(&search, &|line| printer.log(line), !place.offline)?;
    if runtime::loaded() != Some(&found) {
        printer.log(found.to_string());
    }
    Ok(found)
}

pub(crate) fn cache(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    Ok(data::cache::dir(named)?)
}

/// What `--data` and `--list` mean.
pub(crate) struct DataArgs<'a> {
    pub(crate) data: Option<&'a str>,
    pub(crate) list: Option<&'a Path>,
    pub(crate) split: Split,
    pub(crate) cache: &'a Path,
    /// Divides a folder without splits as the training did.
    pub(crate) seed: u64,
}

/// The labelled images: those named, or the run's own.
pub(crate) fn dataset(
    model: &Path,
    args: &DataArgs<'_>,
    printer: &Printer,
) -> anyhow::Result<Dataset> {
    let run = run_files::run_containing(model);
    let (data, list) = match (args.data, args.list, run) {
        (None, list, Some(run)) => {
            let data = data_of_run(run)?;
            printer.log(format!("data `{data}`, the run's own"));
            let own = run.join(run_files::SPLIT);
            let list = list
                .map(Path::to_owned)
                .or_else(|| own.is_file().then_some(own));
            (Some(data), list)
        }
        (None, None, None) => {
            return Err(CliError::NoData {
                model: model.to_owned(),
            }
            .into());
        }
        (data, list, _) => (data.map(str::to_owned), list.map(Path::to_owned)),
    };
    let source = data
        .map(|name| data_path(&name, args.cache, printer))
        .transpose()?;
    let dataset = match (&list, &source) {
        (Some(list), Some(source)) if source.is_file() => {
            Dataset::from_list(list, Some(source.parent().unwrap_or(source)))?
        }
        (Some(list), source) => Dataset::from_list(list, source.as_deref())?,
        (None, Some(source)) => Dataset::open(source, args.seed)?,
        (None, None) => {
            return Err(CliError::NoData {
                model: model.to_owned(),
            }
            .into());
        }
    };
    for note in &dataset.notes {
        printer.log(note);
    }
    say_left_out(&dataset, printer);
    if dataset.samples(args.split).is_empty() {
        let sizes = Split::ALL.map(|split| format!("{split} {}", dataset.samples(split).len()));
        let (split, found) = (args.split.to_string(), sizes.join(", "));
        return Err(CliError::EmptySplit { split, found }.into());
    }
    Ok(dataset)
}

fn say_left_out(dataset: &Dataset, printer: &Printer) {
    const SHOWN: usize = 5;
    for file in dataset.left_out.iter().take(SHOWN) {
        printer.log(format!(
            "left out `{}`: {}",
            file.path.display(),
            file.reason
        ));
    }
    if dataset.left_out.len() > SHOWN {
        printer.log(format!("left out {} more", dataset.left_out.len() - SHOWN));
    }
}

/// The key `data` of a run's configuration.
fn data_of_run(run: &Path) -> anyhow::Result<String> {
    #[derive(serde::Deserialize)]
    struct Config {
        data: String,
    }
    let path = run.join(run_files::CONFIG);
    let config: Config =
        toml::from_str(&fs::read_to_string(&path)?).with_context(|| CliError::BadRun {
            path,
            reason: "does not name its data".to_owned(),
        })?;
    Ok(config.data)
}

/// The folder or CSV file behind a name.
fn data_path(name: &str, cache: &Path, printer: &Printer) -> anyhow::Result<PathBuf> {
    if name == catalog::INSECTS && !catalog::insects(cache).is_dir() {
        printer.log("drawing the built-in pictures (once)");
    }
    Ok(catalog::data_path(name, cache, &|_, _| {})?)
}
