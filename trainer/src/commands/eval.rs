//! `trainer eval`: a run's network in Burn, scored on a split.

use std::path::Path;

use data::{Dataset, Prediction, Sample, Scores, Split};
use serde::Serialize;

use crate::cli::EvalArgs;
use crate::error::Error;
use crate::evaluate;
use crate::fault::ExitStatus;
use crate::printer::Printer;
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
    let machine = Machine { cache, offline: true, threads, printer };
    let checkpoint = run.checkpoint(args.checkpoint);
    let (network, classes) = machine.restore(&recipe, &checkpoint)?;
    let dataset = machine.dataset(&recipe, own_data.then_some(&run))?;
    let samples = relabelled(&dataset, args.split, &classes)?;
    let preprocess = source::preprocess(network.input_size())?;
    let what = args.split.to_string();
    let strict = args.strict_images || recipe.strict_images;
    let images = machine.images(&samples, &what, strict, recipe.memory.0)?;
    let loader = machine.plain_loader(args.batch, &images, &preprocess);
    let (scores, logits) = evaluate::evaluate(&network, &loader, &classes)?;
    printer.log(format!("{} of {}", file_name(&checkpoint), run.path().display()));
    printer.result(summary::report(args.split, &scores));
    if let Some(path) = &args.csv {
        let predictions = predictions(images.samples(), &logits, &classes);
        data::metrics::write_predictions(path, &predictions)?;
    }
    if let Some(target) = &args.json {
        let checkpoint = file_name(&checkpoint);
        let report = Report { run: run.name(), checkpoint, split: args.split, scores };
        printer.json(target, &report)?;
    }
    Ok(ExitStatus::True)
}

/// The samples of a split with the network's labels, matched by the names of the classes.
fn relabelled(
    dataset: &Dataset,
    split: Split,
    classes: &[String],
) -> Result<Vec<Sample>, Error> {
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

fn predictions(samples: &[Sample], logits: &[Vec<f32>], classes: &[String]) -> Vec<Prediction> {
    let name = |label: usize| classes.get(label).cloned().unwrap_or_default();
    samples
        .iter()
        .zip(logits)
        .map(|(sample, row)| {
            let predicted = evaluate::top(row);
            let probabilities = data::Tally::probabilities(row);
            Prediction {
                path: sample.relative.clone(),
                label: name(sample.label as usize),
                predicted: name(predicted),
                probability: probabilities.get(predicted).copied().unwrap_or(f64::NAN),
            }
        })
        .collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
