//! Opening of every configuration, one after the other: the runtime, the files converted where a precision
//! needs it, the sessions, what all that cost. Measures no run.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use bench::Skipped;
use bench::clock::timed;
use bench::cold::{OpenedConfig, Opener};
use bench::plan::{BenchModel, Config, Plan};
use bench::stages::{self, StageTimes};
use bench::worker::Input;
use console::Printer;
use deploy::runtime::RuntimeLibrary;
use deploy::session::Feed;
use deploy::{Precision, Provider, SessionOptions, tuned};
use onnx::ModelFile;

use crate::cli::{BenchArgs, LocationArgs};
use crate::cli_error::CliError;
use crate::converted::OriginalModel;
use crate::source;

/// Opened configurations.
pub(super) struct OpenedConfigs<'a> {
    pub(super) opener: Opener<'a>,
    pub(super) configs: Vec<OpenedConfig>,
    /// What cannot run here; only with `--matrix`.
    pub(super) skipped: Vec<Skipped>,
    /// The stages around the session, for each model.
    pub(super) stages: Vec<StageTimes>,
}

/// The runtime of this process. One with CUDA, where that is asked for, runs on the CPU and with plugins, too.
fn runtime(
    providers: &BTreeSet<Provider>,
    location: &LocationArgs,
    printer: &Printer,
) -> anyhow::Result<RuntimeLibrary> {
    let mut providers = providers.iter().copied();
    let gpu = providers.clone().find(|provider| provider.needs_cuda());
    match source::runtime_for(gpu.unwrap_or_default(), location, printer) {
        // Nothing is installed: what runs on the CPU still does.
        Err(error) if gpu.is_some() && providers.any(|provider| !provider.needs_cuda()) => {
            printer.warn(format!("only the CPU's ONNX Runtime is used: {error:#}"));
            source::runtime(location, printer)
        }
        found => found,
    }
}

/// Loads the runtime for the providers; the milliseconds that it took, none for the fake engine.
fn load_runtime(
    providers: &BTreeSet<Provider>,
    args: &BenchArgs,
    printer: &Printer,
) -> anyhow::Result<Option<f64>> {
    if args.configurations.engine.is_some() {
        return Ok(None);
    }
    let found = runtime(providers, &args.location, printer)?;
    let (loaded, seconds) = timed(|| deploy::runtime::load(&found));
    loaded?;
    // A provider that cannot start is an error before minutes of other work.
    if !args.configurations.matrix {
        let mut providers = providers.iter().copied();
        providers.try_for_each(deploy::runtime::require)?;
    }
    Ok(Some(1e3 * seconds))
}

/// The configurations of the flags, or of the settings that `deploy tune` saved. Loads the runtime, for which the second
/// value is the milliseconds.
///
/// # Errors
/// A combination does not exist, or there is no setting for a model here.
pub(super) fn plan(
    mut models: Vec<BenchModel>,
    args: &BenchArgs,
    cache: &Path,
    printer: &Printer,
) -> anyhow::Result<(Plan, Option<f64>)> {
    let options = args.plan_options();
    if !args.configurations.tuned {
        let plan = Plan::new(models, &options)?;
        let providers = plan.configs.iter().map(|config| config.provider);
        let load = load_runtime(&providers.collect(), args, printer)?;
        return Ok((plan, load));
    }
    let saved = models
        .iter()
        .map(|model| Ok(tuned::peek(cache, &model.file)?.provider));
    let load = load_runtime(&saved.collect::<deploy::Result<_>>()?, args, printer)?;
    for model in &mut models {
        let found = tuned::load(cache, &model.file)?;
        let path = model.file.path().display();
        printer.log(format!("tuned: `{path}` {}", found.setting));
        model.tuned = Some(found);
    }
    Ok((Plan::new(models, &options)?, load))
}

/// Opens every configuration.
///
/// # Errors
/// A configuration does not open (`--matrix`: none does).
pub(super) fn open<'a>(
    plan: &'a Plan,
    args: &'a BenchArgs,
    (cache, load_ms): (&'a Path, Option<f64>),
    stop: &AtomicBool,
    printer: &Printer,
) -> anyhow::Result<OpenedConfigs<'a>> {
    let mut open = OpenedConfigs {
        opener: Opener {
            plan,
            engine: args.configurations.engine_options(),
            cache,
            peak: None,
        },
        configs: Vec::new(),
        skipped: Vec::new(),
        stages: Vec::new(),
    };
    let mut inputs = Vec::new();
    for model in &plan.models {
        let images = stages::prepare(model)?;
        let stages = images.as_ref().map(|images| images.stages);
        open.stages.push(stages.unwrap_or_default());
        inputs.push(match images {
            Some(images) => Input::Prepared(images.numbers),
            None => Input::Drawn(args.measuring.seed),
        });
    }
    let mut shapes: Vec<(Config, Vec<(usize, f64)>)> = Vec::new();
    for config in &plan.configs {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let input = &inputs[config.model];
        match open_one(&mut open.opener, config, input, &mut shapes, printer) {
            Ok(mut opened) => {
                opened.cold.load = load_ms;
                for note in &opened.sessions.workers[0].info.notes {
                    printer.log(note);
                }
                open.configs.push(opened);
            }
            Err(error) if args.configurations.matrix => open.skipped.push(Skipped {
                configuration: plan.key(config).to_string(),
                reason: format!("{error:#}"),
            }),
            Err(error) => return Err(error),
        }
    }
    if stop.load(Ordering::SeqCst) && open.configs.is_empty() {
        return Err(CliError::interrupted().into());
    }
    match (
        open.configs.is_empty(),
        plan.skipped.iter().chain(&open.skipped).next(),
    ) {
        (true, Some(first)) => Err(CliError::with_hint(
            format!(
                "no configuration runs here; the first is {}: {}",
                first.configuration, first.reason
            ),
            "run `deploy doctor`",
        )
        .into()),
        _ => Ok(open),
    }
}

fn open_one(
    opener: &mut Opener<'_>,
    config: &Config,
    input: &Input,
    shapes: &mut Vec<(Config, Vec<(usize, f64)>)>,
    printer: &Printer,
) -> anyhow::Result<OpenedConfig> {
    let file = file(opener, config, printer)?;
    let mut opened = opener.open(config, &file, input)?;
    let batches = opener.plan.batches_beside(config);
    if batches.len() > 1 {
        let same = |known: &Config| {
            Config {
                batch: known.batch,
                feed: known.feed,
                ..config.clone()
            } == *known
        };
        if !shapes.iter().any(|(known, _)| same(known)) {
            shapes.push((config.clone(), opener.new_shapes(config, &file, &batches)?));
        }
        let times = shapes
            .iter()
            .find(|(known, _)| same(known))
            .map(|(_, times)| times);
        let time = times.and_then(|times| times.iter().find(|(batch, _)| *batch == config.batch));
        opened.cold.new_shape = time.map(|(_, ms)| *ms);
    }
    Ok(opened)
}

/// The model's own file, or the one converted to the precision.
fn file(opener: &Opener<'_>, config: &Config, printer: &Printer) -> anyhow::Result<ModelFile> {
    let model = opener.plan.model(config);
    if let Some(tuned) = &model.tuned {
        return Ok(tuned.file.clone());
    }
    if opener.engine.fake.is_some() {
        return Ok(model.file.clone());
    }
    let session = SessionOptions {
        provider: config.provider,
        precision: config.precision,
        allow_fallback: opener.engine.allow_fallback,
        output: Some(model.output.clone()),
        ..SessionOptions::default()
    };
    OriginalModel::from(model).file(&session, opener.cache, printer)
}

/// Opens the reference: the model in fp32 on the CPU.
pub(super) fn reference(opener: &mut Opener<'_>, like: &Config) -> anyhow::Result<OpenedConfig> {
    let config = Config {
        provider: Provider::Cpu,
        precision: Precision::Fp32,
        feed: Feed::Host,
        ..like.clone()
    };
    let file = opener.plan.model(&config).file.clone();
    Ok(opener.open(&config, &file, &Input::Drawn(0))?)
}
