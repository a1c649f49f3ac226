//! Resolution of a command line: which model, which images and which runtime it means. Knows no command.

use std::path::{Path, PathBuf};

use anyhow::Context;
use data::card::OutputKind;
use data::{Dataset, Split};
use deploy::runtime::{self, RuntimeLibrary, Search};
use deploy::{Classifier, ClassifierBuilder, Model, Precision, Provider};
use fs_err as fs;

use crate::cli::{Kind, MachineArgs, ModelArgs, PlaceArgs};
use crate::converted::OriginalModel;
use crate::fault::Fault;
use crate::printer::Printer;

/// The data set that is drawn on first use.
const INSECTS: &str = "builtin:insects";
/// The public photos of ants and bees, once fetched.
const HYMENOPTERA: &str = "hymenoptera";

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
    let path = latest(runs)
        .map(|run| run.join("model.onnx"))
        .filter(|path| path.is_file())
        .ok_or_else(|| Fault::NoRun {
            runs: runs.to_owned(),
        })?;
    printer.log(format!("model `{}`, the latest run's", path.display()));
    Ok(path)
}

/// The newest finished run: where `latest` points to, or what it names where there are no links.
fn latest(runs: &Path) -> Option<PathBuf> {
    let latest = runs.join("latest");
    let name = match fs::read_link(&latest) {
        Ok(target) => target,
        Err(_) => PathBuf::from(fs::read_to_string(&latest).ok()?.trim()),
    };
    Some(runs.join(name))
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
        for line in placement.others(provider) {
            printer.log(format!("  on {line}"));
        }
    }
    Ok(classifier)
}

fn describe(builder: ClassifierBuilder, model: &ModelArgs) -> anyhow::Result<ClassifierBuilder> {
    let mut builder = builder;
    if let Some(file) = &model.classes {
        builder = builder.classes(classes(file)?);
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

/// Class names, one per line.
pub(crate) fn classes(file: &Path) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(file)?;
    let classes: Vec<String> = text
        .trim_end()
        .lines()
        .map(|line| line.trim().to_owned())
        .collect();
    let bad = |reason: String| Fault::BadClasses {
        path: file.to_owned(),
        reason,
    };
    if let Some(at) = classes.iter().position(String::is_empty) {
        return Err(bad(format!("line {} is empty", at + 1)).into());
    }
    if classes.is_empty() {
        return Err(bad("it is empty".to_owned()).into());
    }
    Ok(classes)
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

/// The run folder in which a model lies.
pub(crate) fn run_of(model: &Path) -> Option<&Path> {
    model
        .parent()
        .filter(|run| run.join("config.toml").is_file())
}

/// The labelled images: those named, or the run's own.
pub(crate) fn dataset(
    model: &Path,
    args: &DataArgs<'_>,
    printer: &Printer,
) -> anyhow::Result<Dataset> {
    let run = run_of(model);
    let (data, list) = match (args.data, args.list, run) {
        (None, list, Some(run)) => {
            let data = data_of_run(run)?;
            printer.log(format!("data `{data}`, the run's own"));
            let own = run.join("split.csv");
            let list = list
                .map(Path::to_owned)
                .or_else(|| own.is_file().then_some(own));
            (Some(data), list)
        }
        (None, None, None) => {
            return Err(Fault::NoData {
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
            return Err(Fault::NoData {
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
        return Err(Fault::EmptySplit { split, found }.into());
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
    let path = run.join("config.toml");
    let config: Config =
        toml::from_str(&fs::read_to_string(&path)?).with_context(|| Fault::BadRun {
            path,
            reason: "does not name its data".to_owned(),
        })?;
    Ok(config.data)
}

/// The folder or CSV file behind a name.
fn data_path(name: &str, cache: &Path, printer: &Printer) -> anyhow::Result<PathBuf> {
    let path = PathBuf::from(name);
    if path.exists() {
        return Ok(path);
    }
    if name == INSECTS {
        let folder = cache.join("datasets");
        let first = !folder.is_dir();
        if first {
            printer.log("drawing the built-in pictures (once)");
        }
        return Ok(data::insects::ensure(cache, &|_, _| {})?);
    }
    if name == HYMENOPTERA {
        let folder = cache.join("datasets").join(HYMENOPTERA);
        if !folder.is_dir() {
            return Err(Fault::NotFetched {
                name: name.to_owned(),
            }
            .into());
        }
        return Ok(folder);
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latest_is_a_link_or_a_file_with_a_name() {
        let runs = tempfile::tempdir().unwrap();
        assert_eq!(latest(runs.path()), None);
        fs::write(runs.path().join("latest"), "bees\n").unwrap();
        assert_eq!(latest(runs.path()), Some(runs.path().join("bees")));
        #[cfg(unix)]
        {
            fs::remove_file(runs.path().join("latest")).unwrap();
            fs::os::unix::fs::symlink("7", runs.path().join("latest")).unwrap();
            assert_eq!(latest(runs.path()), Some(runs.path().join("7")));
        }
    }

    #[test]
    fn class_names_are_lines_without_gaps() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "ants\r\n bees \n\n").unwrap();
        assert_eq!(classes(file.path()).unwrap(), ["ants", "bees"]);
        fs::write(file.path(), "ants\n\nbees\n").unwrap();
        assert!(
            classes(file.path())
                .unwrap_err()
                .to_string()
                .contains("line 2 is empty")
        );
        fs::write(file.path(), "\n").unwrap();
        assert!(classes(file.path()).is_err());
    }
}
