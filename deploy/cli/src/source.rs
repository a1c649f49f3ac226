//! Resolution of a command line to its model, images and runtime. Knows no command.

use std::path::{Path, PathBuf};

use console::Printer;
use data::card::CLASSIFY;
use data::{Dataset, PairOptions, Pairs, Split, catalog, run_files, runs};
use deploy::card::OutputKind;
use deploy::runtime::{self, RuntimeLibrary, Search};
use deploy::tuned::{self, Tuned};
use deploy::{
    Classifier, ClassifierBuilder, Model, Precision, Provider, SessionOptions, Unreadable, Verifier,
};
use onnx::ModelFile;

use crate::cli::{LocationArgs, MachineArgs, ModelArgs, OutputKindArg};
use crate::cli_error::CliError;
use crate::converted::OriginalModel;

/// The path of the model that was named, or of the latest run's; logs it with what its run scored.
pub(crate) fn model(
    named: Option<&Path>,
    runs: &Path,
    printer: &Printer,
) -> anyhow::Result<PathBuf> {
    let is_latest = named.is_none_or(runs::is_latest);
    let path = match named {
        Some(named) => model_file(named, runs)?,
        None => latest_model(runs)?,
    };
    let mut line = format!("model `{}`", path.display());
    if is_latest {
        line.push_str(", the latest run's");
    }
    // The scores of a run are those of this file; a converted one beside it has others.
    let run = run_files::run_containing(&path).filter(|_| path.ends_with(run_files::MODEL));
    let introduced = run.map(|run| runs::introduce(run, is_latest));
    let (score, warning) = introduced.unzip();
    if let Some(score) = score {
        line.push_str(&format!(": {score}"));
    }
    printer.log(line);
    if let Some(warning) = warning.flatten() {
        printer.warn(warning);
    }
    Ok(path)
}

/// The file that was named, or that of the run that was named by its folder or its name in `runs`.
pub(crate) fn model_file(named: &Path, runs: &Path) -> anyhow::Result<PathBuf> {
    // `latest` is a file where the system has no links.
    if named.is_file() && !runs::is_latest(named) {
        return Ok(named.to_owned());
    }
    let Some(run) = runs::find(runs, named)? else {
        if named.is_dir() {
            return Err(CliError::with_hint(
                format!("`{}` is a folder, and not that of a run", named.display()),
                "give a model file, or a run; `trainer runs` lists the runs",
            )
            .into());
        }
        return Ok(named.to_owned());
    };
    let file = run.join(run_files::MODEL);
    if !file.is_file() {
        let run = run.display();
        return Err(CliError::with_hint(
            format!("the run `{run}` has no `{}`", run_files::MODEL),
            format!("`trainer fit --resume {run}` finishes it, `trainer export {run}` exports what it has"),
        )
        .into());
    }
    Ok(file)
}

fn latest_model(runs: &Path) -> anyhow::Result<PathBuf> {
    let path = run_files::latest(runs)?
        .map(|run| run.join(run_files::MODEL))
        .filter(|path| path.is_file());
    Ok(path.ok_or_else(|| {
        CliError::with_hint(
            format!(
                "no model was given and `{}` holds no finished run",
                runs.display()
            ),
            "train one with `trainer fit`, or give `--model FILE`",
        )
    })?)
}

/// Reads a model, which must be a classifier: for commands that know no verifiers.
pub(crate) fn classifier_model(file: &ModelFile) -> deploy::Result<Model> {
    let model = Model::from_file(file)?;
    model.check_task(file.path(), CLASSIFY)?;
    Ok(model)
}

/// Options of running a model.
#[derive(Clone, Copy)]
pub(crate) struct RunOptions<'a> {
    pub(crate) machine: &'a MachineArgs,
    pub(crate) precision: Precision,
    /// Images per run, where that is known.
    pub(crate) batch: Option<usize>,
}

/// Opens the classifier of a command line; finds, installs and loads its runtime.
pub(crate) fn classifier(
    path: &Path,
    model: Option<&ModelArgs>,
    options: RunOptions<'_>,
    printer: &Printer,
) -> anyhow::Result<Classifier> {
    // An error of the file must come before anything is installed for it.
    let mut file = ModelFile::open(path)?;
    let opened = classifier_model(&file)?;
    // For int8 there are no calibration images here: a file that is not int8 is refused with the command to type.
    if options.precision == Precision::Fp16 {
        let original = OriginalModel {
            file: &file,
            model: &opened,
            images: None,
        };
        let cache = cache(options.machine.location.cache.as_deref())?;
        runtime::load(&runtime_for(
            options.machine.provider,
            &options.machine.location,
            printer,
        )?)?;
        deploy::runtime::require(options.machine.provider)?;
        let session = SessionOptions {
            provider: options.machine.provider,
            precision: options.precision,
            ..SessionOptions::default()
        };
        file = original.file(&session, &cache, printer)?;
    }
    let mut builder = ClassifierBuilder::from_file(file);
    if let Some(threads) = options.machine.threads {
        builder = builder.threads(usize::from(threads));
    }
    open(builder, model, options, printer)
}

/// Opens the verifier of a command line; finds, installs and loads its runtime. `threads`: for so many images at once.
pub(crate) fn verifier(
    path: &Path,
    machine: &MachineArgs,
    threads: Option<usize>,
    printer: &Printer,
) -> anyhow::Result<Verifier> {
    // An error of the file must come before anything is installed for it.
    let file = ModelFile::open(path)?;
    Verifier::check_file(&file)?;
    let mut builder = ClassifierBuilder::default()
        .provider(machine.provider)
        .allow_fallback(machine.allow_fallback);
    if let Some(cache) = &machine.location.cache {
        builder = builder.cache(cache);
    }
    if let Some(threads) = machine.threads {
        builder = builder.threads(usize::from(threads));
    }
    if let Some(threads) = threads {
        builder = builder.parallel(threads);
    }
    let found = runtime_for(machine.provider, &machine.location, printer)?;
    let verifier = Verifier::from_file(&file, builder.runtime(found))?;
    for note in verifier.encoder().notes() {
        printer.log(console::in_flags(note));
    }
    Ok(verifier)
}

/// Opens a classifier with sessions for many images at once.
pub(crate) fn batch_classifier(
    file: ModelFile,
    model: &ModelArgs,
    options: RunOptions<'_>,
    printer: &Printer,
) -> anyhow::Result<Classifier> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = options.machine.threads.map_or(cores, usize::from);
    let builder = ClassifierBuilder::from_file(file).parallel(threads);
    open(builder, Some(model), options, printer)
}

/// Loads the setting that `deploy tune` saved for a model on this machine, and the runtime that it needs.
pub(crate) fn tuned(
    file: &ModelFile,
    location: &LocationArgs,
    printer: &Printer,
) -> anyhow::Result<Tuned> {
    let cache = cache(location.cache.as_deref())?;
    let provider = tuned::peek(&cache, file)?.provider;
    runtime::load(&runtime_for(provider, location, printer)?)?;
    let tuned = tuned::load(&cache, file)?;
    printer.log(format!("tuned: {}", tuned.setting));
    Ok(tuned)
}

/// Opens a classifier with a saved setting in place of the flags that it sets.
pub(crate) fn tuned_classifier(
    tuned: &Tuned,
    model: &ModelArgs,
    machine: &MachineArgs,
    printer: &Printer,
) -> anyhow::Result<Classifier> {
    let setting = tuned.setting;
    let mut builder = ClassifierBuilder::from_file(tuned.file.clone()).sessions(setting.sessions);
    if let Some(threads) = setting.threads {
        builder = builder.threads(threads);
    }
    let machine = MachineArgs {
        provider: setting.provider,
        ..machine.clone()
    };
    let options = RunOptions {
        machine: &machine,
        precision: setting.precision,
        batch: Some(setting.batch),
    };
    open(builder, Some(model), options, printer)
}

fn open(
    builder: ClassifierBuilder,
    model: Option<&ModelArgs>,
    options: RunOptions<'_>,
    printer: &Printer,
) -> anyhow::Result<Classifier> {
    let RunOptions {
        machine,
        precision,
        batch,
    } = options;
    let mut builder = builder
        .provider(machine.provider)
        .precision(precision)
        .batches(batch.into_iter().collect())
        .allow_fallback(machine.allow_fallback);
    if let Some(cache) = &machine.location.cache {
        builder = builder.cache(cache);
    }
    if let Some(model) = model {
        builder = describe(builder, model)?;
    }
    // A process has one ONNX Runtime: what was loaded for one model runs the next, too.
    let found = match runtime::loaded() {
        Some(found) => found.clone(),
        None => runtime_for(machine.provider, &machine.location, printer)?,
    };
    let classifier = builder.runtime(found).open()?;
    for note in classifier.notes() {
        printer.log(console::in_flags(note));
    }
    if let Some(placement) = classifier.placement() {
        let provider = machine.provider;
        printer.log(format!("{placement}, in {}", classifier.precision()));
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
    if let Some(output) = &model.output {
        builder = builder.output(output);
    }
    if let Some(kind) = model.output_kind {
        builder = builder.output_kind(output_kind(kind));
    }
    Ok(builder)
}

pub(crate) fn output_kind(kind: OutputKindArg) -> OutputKind {
    match kind {
        OutputKindArg::Logits => OutputKind::Logits,
        OutputKindArg::Probabilities => OutputKind::Probabilities,
        OutputKindArg::Independent => OutputKind::Independent,
    }
}

/// Finds ONNX Runtime for the CPU, or installs it unless offline; logs which one is used.
pub(crate) fn runtime(
    location: &LocationArgs,
    printer: &Printer,
) -> anyhow::Result<RuntimeLibrary> {
    runtime_for(Provider::Cpu, location, printer)
}

/// Finds ONNX Runtime for a provider; one that was installed for it comes first.
pub(crate) fn runtime_for(
    provider: Provider,
    location: &LocationArgs,
    printer: &Printer,
) -> anyhow::Result<RuntimeLibrary> {
    let search = Search {
        provider,
        ..Search::from_env(location.runtime.clone(), location.cache.as_deref())
    };
    let found = runtime::ensure(&search, &|line| printer.log(line), !location.offline)?;
    // `eval` asks again after a conversion: the library is logged once.
    if runtime::loaded() != Some(&found) {
        printer.log(found.to_string());
    }
    Ok(found)
}

pub(crate) fn cache(named: Option<&Path>) -> anyhow::Result<PathBuf> {
    Ok(data::cache::dir(named)?)
}

/// Source of the labelled images: `--data`, `--list`, `--split`.
pub(crate) struct DataSource<'a> {
    pub(crate) data: Option<&'a str>,
    pub(crate) list: Option<&'a Path>,
    pub(crate) split: Split,
    pub(crate) cache: &'a Path,
    /// Seed of the split of a folder without splits: the training's.
    pub(crate) seed: u64,
}

/// The labelled images: those named, or the run's own.
pub(crate) fn dataset(
    model: &Path,
    args: &DataSource<'_>,
    printer: &Printer,
) -> anyhow::Result<Dataset> {
    let run = run_files::run_containing(model);
    let (data, list) = match (args.data, args.list, run) {
        (None, list, Some(run)) => {
            let data = runs::data_name(run)?;
            printer.log(format!("data `{data}`, the run's own"));
            // The run's own split, so that no training image is scored as a test image.
            let own = run.join(run_files::SPLIT);
            let list = list
                .map(Path::to_owned)
                .or_else(|| own.is_file().then_some(own));
            (Some(data), list)
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
            let message = format!(
                "no data was given and `{}` does not lie in a run folder",
                model.display()
            );
            return Err(CliError::with_hint(message, "give `--data DIR`").into());
        }
    };
    for note in &dataset.notes {
        printer.log(note);
    }
    log_left_out(&dataset, printer);
    if dataset.samples(args.split).is_empty() {
        let sizes = Split::ALL.map(|split| format!("{split} {}", dataset.samples(split).len()));
        let (split, found) = (args.split, sizes.join(", "));
        return Err(CliError::with_hint(
            format!("there are no images in split `{split}`\n  found:    {found}"),
            "choose another one with `--split`",
        )
        .into());
    }
    Ok(dataset)
}

/// The pairs of images: of the data that was named, or the run's own.
pub(crate) fn pairs(
    model: &Path,
    args: &DataSource<'_>,
    printer: &Printer,
) -> anyhow::Result<Pairs> {
    if args.list.is_some() {
        let hint = "list pairs in a CSV file with the columns `path_a,path_b,label`, and give it with `--data`";
        return Err(CliError::with_hint("`--list` is for classifiers", hint).into());
    }
    let run = run_files::run_containing(model);
    let pairs = match (args.data, run) {
        (Some(data), _) => {
            let options = PairOptions {
                seed: args.seed,
                ..PairOptions::default()
            };
            Pairs::open(&data_path(data, args.cache, printer)?, &options)?
        }
        // The run's own images and pairs: those of other splits were trained on.
        (None, Some(run)) => {
            let images = dataset(model, args, printer)?;
            Pairs::from_list(&run.join(run_files::PAIRS), images)?
        }
        (None, None) => {
            let message = format!(
                "no data was given and `{}` does not lie in a run folder",
                model.display()
            );
            return Err(
                CliError::with_hint(message, "give `--data DIR` or `--data PAIRS.csv`").into(),
            );
        }
    };
    if args.data.is_some() {
        for note in &pairs.images.notes {
            printer.log(note);
        }
        log_left_out(&pairs.images, printer);
    }
    if pairs.of(args.split).is_empty() {
        let sizes = Split::ALL.map(|split| format!("{split} {}", pairs.of(split).len()));
        let (split, found) = (args.split, sizes.join(", "));
        return Err(CliError::with_hint(
            format!("there are no pairs in split `{split}`\n  found:    {found}"),
            "choose another one with `--split`",
        )
        .into());
    }
    Ok(pairs)
}

/// Warns of each image that was left out.
pub(crate) fn warn_unreadable(files: &[Unreadable], printer: &Printer) {
    for file in files {
        printer.warn(format!(
            "left out `{}`: {}",
            file.path.display(),
            file.reason
        ));
    }
}

fn log_left_out(dataset: &Dataset, printer: &Printer) {
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

/// The folder or CSV file behind a name.
fn data_path(name: &str, cache: &Path, printer: &Printer) -> anyhow::Result<PathBuf> {
    if catalog::builtin(name, cache).is_some_and(|folder| !folder.is_dir()) {
        printer.log("drawing the built-in images (once)");
    }
    Ok(catalog::data_path(name, cache, &|_, _| {})?)
}
