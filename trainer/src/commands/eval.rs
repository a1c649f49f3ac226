//! `trainer eval`: a run's network in Burn, scored on a split.

use std::path::Path;

use console::{ExitStatus, Printer};
use data::{Dataset, Sample, Scores, Split};
use serde::Serialize;

use crate::calibrate;
use crate::cli::EvalArgs;
use crate::error::Error;
use crate::evaluate::{self, Evaluation};
use crate::recipe::Recipe;
use crate::run_dir::RunDir;
use crate::source;
use crate::stage::{self, Machine};
use crate::summary;

/// What `--json` writes.
#[derive(Debug, Serialize)]
struct Report {
    run: String,
    checkpoint: String,
    split: Split,
    #[serde(flatten)]
    scores: Scores,
}

/// Scores it.
pub fn run(args: &EvalArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let cache = data::cache::dir(args.cache.as_deref())?;
    let run = RunDir::open(&args.runs, &args.run)?;
    let mut recipe = Recipe::open(&run.config())?;
    let threads = source::threads(args.threads);
    let own_data = args.data.is_none();
    if let Some(data) = &args.data {
        recipe.data = source::data_name(data, &cache)?;
    }
    let machine = Machine {
        cache,
        offline: true,
        threads,
        printer,
    };
    let checkpoint = run.checkpoint(args.checkpoint);
    let (network, state) = machine.restore(&recipe, &checkpoint)?;
    let (network, _) = calibrate::restored(&run, network, &state, printer)?;
    let dataset = machine.dataset(&recipe, own_data.then_some(&run))?;
    let samples = relabelled(&dataset, args.split, &state.classes)?;
    let preprocess = source::preprocess(network.input_size())?;
    let what = args.split.to_string();
    let strict = args.strict_images || recipe.strict_images;
    let images = machine.images(&samples, &what, strict, recipe.memory.0)?;
    let loader = machine.plain_loader(args.batch, &images, &preprocess);
    let bar = printer.image_bar("evaluating", images.samples().len() as u64);
    let evaluation = evaluate::evaluate(
        &network,
        &loader,
        images.samples(),
        &state.classes,
        &mut |done| {
            bar.set_position(done as u64);
        },
    );
    bar.finish_and_clear();
    let Evaluation {
        scores,
        predictions,
        ..
    } = evaluation?;
    printer.log(format!(
        "{} of {}",
        file_name(&checkpoint),
        run.path().display()
    ));
    let text = summary::report(args.split, "Burn", &scores);
    if let Some(path) = &args.csv {
        data::metrics::write_predictions(path, &predictions)?;
    }
    if let Some(target) = &args.json {
        let checkpoint = file_name(&checkpoint);
        let report = Report {
            run: run.name(),
            checkpoint,
            split: args.split,
            scores,
        };
        printer.json(target, &report)?;
    }
    // Last: a reader such as `head` may have had enough, and the files are written by then.
    printer.result(text)?;
    Ok(ExitStatus::Success)
}

/// The samples of a split with the network's labels, matched by the names of the classes.
fn relabelled(dataset: &Dataset, split: Split, classes: &[String]) -> Result<Vec<Sample>, Error> {
    let unknown = dataset.classes.iter().any(|class| !classes.contains(class));
    if unknown {
        return Err(Error::ClassesDiffer {
            expected: classes.to_vec(),
            found: dataset.classes.clone(),
        });
    }
    let label = |sample: &Sample| {
        let class = dataset.classes.get(sample.label as usize)?;
        classes.iter().position(|name| name == class)
    };
    let samples = stage::samples(dataset, split)?.iter();
    Ok(samples
        .map(|sample| Sample {
            label: label(sample).map_or(sample.label, |label| label as u32),
            ..sample.clone()
        })
        .collect())
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}
