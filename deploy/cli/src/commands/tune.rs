//! `deploy tune`: finds the fastest setting of a model on this machine that keeps its accuracy.

mod page;
mod text;

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bench::cold::{EngineOptions, Opener};
use bench::plan::{BenchModel, Plan, TestSet};
use bench::system::{self, SystemInfo, Ticks};
use bench::tune::tuner::OpenVariant;
use bench::tune::{Goal, Space, Tried, Tuner, Tuning, Variant, choice};
use bench::worker::Input;
use bench::{Skipped, stages, warnings};
use console::{ExitStatus, Interrupt, Interrupted, Printer};
use data::{Dataset, Split};
use deploy::files::write::atomically;
use deploy::{OpenVinoDevice, Precision, Provider, SessionOptions};
use onnx::ModelFile;

use super::bench::models::{self, Facts};
use crate::cli::TuneArgs;
use crate::cli_error::CliError;
use crate::converted::OriginalModel;
use crate::source::{self, DataSource};

pub(crate) fn run(args: &TuneArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let (start, date) = (Instant::now(), data::card::utc_date());
    let cache = source::cache(args.location.cache.as_deref())?;
    let named = args.file.as_deref().or(args.model.model.as_deref());
    let path = source::model(named, &args.model.runs, printer)?;
    let mut model = models::bench_model(&path, &Facts::from(&args.model))?;
    model.data = test_set(args, &model, &cache, printer)?;
    load_runtime(args, printer)?;
    let answer = "interrupted: nothing is chosen (again: stop at once)";
    let stop = Arc::clone(Interrupt::on_ctrl_c(printer, answer)?.flag());
    let images = stages::prepare(&model)?;
    let before = Ticks::now();
    let plan = Plan::of_model(model.clone());
    let log = |line: String| printer.log(line);
    let mut tuner = Tuner {
        opener: opener(&plan, &cache),
        space: Space {
            goal: args.search.goal.into(),
            cores: system::cores(),
            fixed_batch: model.contents.fixed_batch(),
        },
        limits: args.search.limits(),
        seed: args.search.seed,
        start,
        time: args.search.time,
        stop: Arc::clone(&stop),
        prepare_seconds: images.as_ref().map_or(0.0, |images| {
            let stages = images.stages;
            (stages.decode.unwrap_or_default() + stages.preprocess.unwrap_or_default()) / 1e3
        }),
        input: match images {
            Some(images) => Input::Prepared(images.numbers),
            None => Input::Drawn(args.search.seed),
        },
        log: &log,
    };
    let mut skipped = Vec::new();
    let mut variants = open_variants(args, &mut tuner, &model, (&cache, printer), &mut skipped)?;
    // A conversion takes its time once, and the measurement has its own.
    tuner.start = Instant::now();
    let (tried, counts) = measure(&mut tuner, &mut variants, &model, &mut skipped)?;
    if stop.load(Ordering::Relaxed) {
        return Err(Interrupted("nothing was chosen".to_owned()).into());
    }
    let others = Ticks::now()
        .zip(before)
        .and_then(|(now, before)| now.others_since(&before));
    let chosen = tuner.choose(&tried);
    let machine = SystemInfo::here();
    let runtime = deploy::runtime::loaded().map(|found| found.version.clone());
    let tuning = Tuning {
        tool: format!("deploy {}", env!("CARGO_PKG_VERSION")),
        date,
        runtime: runtime.unwrap_or_default(),
        warnings: warnings::about_system(&machine, others),
        machine,
        model: path.display().to_string(),
        goal: tuner.space.goal,
        max_latency_ms: tuner.limits.max_latency_ms,
        max_accuracy_drop: tuner.limits.max_accuracy_drop,
        seconds: start.elapsed().as_secs_f64(),
        validation_images: counts[0],
        test_images: counts[1],
        frontier: choice::frontier(&tried),
        tried,
        default: 0,
        recommended: chosen.recommended,
        reason: chosen.reason,
        skipped,
    };
    let saved = save(args, &tuning, &variants, &model, &cache, printer)?;
    write(args, &tuning, saved, printer)?;
    Ok(ExitStatus::from_check(tuning.recommended.is_some()))
}

fn opener<'a>(plan: &'a Plan, cache: &'a Path) -> Opener<'a> {
    let engine = EngineOptions {
        fake: None,
        spinning: true,
        arena: true,
        allow_fallback: false,
    };
    Opener {
        plan,
        engine,
        cache,
        peak: None,
    }
}

/// The labelled images, of which those of `val` choose; `None` without any.
fn test_set(
    args: &TuneArgs,
    model: &BenchModel,
    cache: &Path,
    printer: &Printer,
) -> anyhow::Result<Option<TestSet>> {
    let path = model.file.path();
    let in_run = data::run_files::run_containing(path).is_some();
    if args.no_data || (args.data.is_none() && !in_run) {
        printer.log(
            "no images: only time is measured, and int8, which needs training images, is left out",
        );
        return Ok(None);
    }
    let data = DataSource {
        data: args.data.as_deref(),
        list: None,
        split: Split::Test,
        cache,
        seed: model.contents.seed(),
    };
    let dataset = source::dataset(path, &data, printer)?;
    if dataset.val.is_empty() {
        return Err(CliError::with_hint(
            "there are no validation images: the setting is chosen by them",
            "give a folder with `train`, `val` and `test`, or one folder of classes, which is divided",
        )
        .into());
    }
    let described = (model.classes.as_ref(), model.preprocess.as_ref());
    Ok(Some(TestSet::new(path, dataset, Split::Val, described)?))
}

/// Loads the ONNX Runtime with CUDA where an NVIDIA GPU may be tried, and the CPU's elsewhere or where it is missing.
fn load_runtime(args: &TuneArgs, printer: &Printer) -> anyhow::Result<()> {
    let named = &args.search.provider;
    let gpu = match named.iter().find(|provider| provider.needs_cuda()) {
        Some(gpu) => Some(*gpu),
        None if named.is_empty() && deploy::probe::driver().is_some() => {
            Some(Provider::Cuda { device: 0 })
        }
        None => None,
    };
    let found = match source::runtime_for(gpu.unwrap_or_default(), &args.location, printer) {
        Err(error) if gpu.is_some() && named.is_empty() => {
            printer.warn(format!("only the CPU's ONNX Runtime is used: {error:#}"));
            source::runtime(&args.location, printer)?
        }
        found => found?,
    };
    Ok(deploy::runtime::load(&found)?)
}

/// The providers that were named, which must run, or those that this machine has.
fn providers(args: &TuneArgs, skipped: &mut Vec<Skipped>) -> anyhow::Result<Vec<Provider>> {
    if !args.search.provider.is_empty() {
        for provider in &args.search.provider {
            deploy::runtime::require(*provider)?;
        }
        return Ok(args.search.provider.clone());
    }
    let mut all = vec![Provider::Cpu];
    let mut skip = |provider: Provider, error: &dyn Display| {
        skipped.push(left_out(provider.to_string(), error));
    };
    match deploy::plugin::devices(Provider::openvino()) {
        Ok(devices) => {
            let is_there = |kind: &OpenVinoDevice| {
                let kind = kind.name().to_uppercase();
                devices
                    .iter()
                    .any(|device| device.name.split('.').next() == Some(&kind))
            };
            let kinds = OpenVinoDevice::ALL.into_iter().filter(is_there);
            all.extend(kinds.map(|device| Provider::OpenVino { device }));
        }
        Err(error) => skip(Provider::openvino(), &error),
    }
    for provider in [
        Provider::Cuda { device: 0 },
        Provider::TensorRt { device: 0 },
        Provider::TensorRtRtx { device: 0 },
    ] {
        match deploy::runtime::require(provider) {
            Ok(()) => all.push(provider),
            Err(error) => skip(provider, &error),
        }
    }
    Ok(all)
}

/// Converts and opens every variant. One that does not run here is left out with the reason, unless its provider was
/// named.
fn open_variants(
    args: &TuneArgs,
    tuner: &mut Tuner<'_>,
    model: &BenchModel,
    (cache, printer): (&Path, &Printer),
    skipped: &mut Vec<Skipped>,
) -> anyhow::Result<Vec<OpenVariant>> {
    let providers = providers(args, skipped)?;
    let training = model.data.as_ref().map(|data| &data.dataset);
    let has_images = training.is_some_and(|dataset: &Dataset| !dataset.train.is_empty());
    if model.data.is_some() && !has_images {
        printer.log("no training images: int8, which is calibrated on them, is left out");
    }
    let own = model.contents.precision;
    let wanted = bench::tune::variants(&providers, &args.search.precision, own, has_images);
    let mut opened = Vec::new();
    for variant in wanted {
        if tuner.stop.load(Ordering::Relaxed) {
            break;
        }
        let found =
            file(variant, model, cache, printer).and_then(|file| Ok(tuner.open(variant, file)?));
        match found {
            Ok(variant) => opened.push(variant),
            // Nothing can be compared without the reference.
            Err(error) if opened.is_empty() || !args.search.provider.is_empty() => {
                return Err(error);
            }
            Err(error) => {
                let name = format!("{} {}", variant.provider, variant.precision);
                skipped.push(left_out(name, &error));
            }
        }
    }
    Ok(opened)
}

/// What does not run here. What was expected and found is for those who asked for it.
fn left_out(configuration: String, error: &dyn Display) -> Skipped {
    let text = error.to_string();
    Skipped {
        configuration,
        reason: text.lines().next().unwrap_or_default().to_owned(),
    }
}

/// The file that a variant runs.
fn file(
    variant: Variant,
    model: &BenchModel,
    cache: &Path,
    printer: &Printer,
) -> anyhow::Result<ModelFile> {
    let session = SessionOptions {
        provider: variant.provider,
        precision: variant.precision,
        output: Some(model.output.clone()),
        ..SessionOptions::default()
    };
    OriginalModel::from(model).file(&session, cache, printer)
}

/// Both races and the scores; the second value is the numbers of validation and test images.
fn measure(
    tuner: &mut Tuner<'_>,
    variants: &mut [OpenVariant],
    model: &BenchModel,
    skipped: &mut Vec<Skipped>,
) -> anyhow::Result<(Vec<Tried>, [usize; 2])> {
    (tuner.log)(format!("measuring {} variants in turns", variants.len()));
    let first = tuner.race_variants(variants)?;
    let mut counts = [0, 0];
    if let Some(data) = &model.data {
        counts[0] = tuner.score(variants, &first, data)?;
    }
    tuner.drop_hopeless(variants, &first);
    let mut tried = tuner.race_shapes(variants, &first, skipped)?;
    if let Some(data) = &model.data {
        let test = TestSet {
            split: Split::Test,
            ..data.clone()
        };
        counts[1] = tuner.score(variants, &first, &test)?;
        tuner.add_test(&mut tried, variants);
    }
    Ok((tried, counts))
}

/// Saves the recommended setting where that is asked for; whether it did.
fn save(
    args: &TuneArgs,
    tuning: &Tuning,
    variants: &[OpenVariant],
    model: &BenchModel,
    cache: &Path,
    printer: &Printer,
) -> anyhow::Result<bool> {
    let Some(recommended) = tuning.recommended.filter(|_| args.results.save) else {
        return Ok(false);
    };
    let setting = tuning.tried[recommended].setting;
    let is_of_setting = |found: &&OpenVariant| {
        (found.variant.provider, found.variant.precision) == (setting.provider, setting.precision)
    };
    let file = variants.iter().find(is_of_setting).map(|found| &found.file);
    let converted = file.filter(|file| file.sha256() != model.file.sha256());
    let path = deploy::tuned::save(cache, &model.file, setting, converted)?;
    printer.log(format!("saved `{}`", path.display()));
    Ok(true)
}

fn write(args: &TuneArgs, tuning: &Tuning, saved: bool, printer: &Printer) -> anyhow::Result<()> {
    let results = &args.results;
    for warning in &tuning.warnings {
        printer.warn(warning);
    }
    let usage = text::usage(tuning, args, saved);
    if let Some(html) = &results.html {
        atomically(html, page::render(tuning, &usage).as_bytes())?;
    }
    if let Some(json) = &results.json {
        printer.json(json, tuning)?;
    }
    printer
        .with_outputs(&[results.json.as_deref(), results.html.as_deref()])
        .result(text::report(tuning, &usage))?;
    Ok(())
}

/// The precision of the file as it is.
fn own_precision(tuning: &Tuning) -> Precision {
    tuning.tried[tuning.default].setting.precision
}

/// What is counted in milliseconds.
fn unit(goal: Goal) -> &'static str {
    match goal {
        Goal::Latency => "ms a run",
        Goal::Throughput => "ms an image",
    }
}
