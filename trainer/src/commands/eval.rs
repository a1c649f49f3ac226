//! `trainer eval`: a run's network, scored on a split by what trained it: Burn, or ONNX Runtime for a frozen backbone.

use console::{ExitStatus, Printer};
use data::{Audit, Dataset, Sample, Scores, Split, class_names};
use serde::Serialize;

use crate::cli::EvalArgs;
use crate::context::TrainingContext;
use crate::dataset::{self, DecodeOptions};
use crate::error::Error;
use crate::evaluate;
use crate::examples::{Batching, Purpose};
use crate::output_files::file_name;
use crate::recipe::Recipe;
use crate::resolve;
use crate::restore::restore;
use crate::run_dir::RunDir;
use crate::run_table;

/// What `--json` writes.
#[derive(Debug, Serialize)]
struct Report {
    run: String,
    checkpoint: String,
    split: Split,
    #[serde(flatten)]
    scores: Scores,
}

pub fn run(args: &EvalArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let run = resolve::run(&args.runs, &args.run, printer)?;
    let context = TrainingContext::new(args.cache.as_deref(), args.threads, printer)?;
    let mut recipe = Recipe::open(&run.config())?;
    recipe.refuse_pairs(run.path())?;
    let own_data = args.data.is_none();
    if let Some(data) = &args.data {
        recipe.data = crate::recipe::data_name(data, &context.cache)?;
    }
    if recipe.backbone.is_some() {
        context.ensure_runtime()?;
    }
    let restored = restore(&run, args.checkpoint, &recipe, &context)?;
    let classes = &restored.state.classes;
    let table = match own_data {
        true => run_table::open(&run, &recipe, &restored, &context)?,
        false => None,
    };
    let preprocess = restored.preprocess.preprocess;
    let batching = Batching::plain(args.batch.into(), preprocess, context.threads);
    let (dataset, examples, computed_by) = match table {
        Some((dataset, features)) => {
            dataset::samples(&dataset, args.split)?;
            let features = features.features(args.split);
            let examples = batching.features(features, Purpose::Evaluation);
            (dataset, examples, "features of the table")
        }
        None => {
            let dataset = dataset::open(&recipe, own_data.then_some(&run), &context)?;
            let samples = relabelled(&dataset, args.split, classes)?;
            let options = DecodeOptions {
                budget_bytes: recipe.memory.0,
                strict: args.strict_images || recipe.strict_images,
                color: batching.preprocess.color(),
            };
            let images = dataset::decode(&samples, &args.split.to_string(), options, &context)?;
            let computed_by = match restored.network.is_frozen() {
                true => "features by ONNX Runtime",
                false => "Burn",
            };
            let examples = batching.images(images, Purpose::Evaluation);
            (dataset, examples, computed_by)
        }
    };
    let bar = printer.image_bar("evaluating", examples.samples().len() as u64);
    let evaluation = evaluate::evaluate(&restored.network, &examples, classes, &mut |done| {
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let evaluation = evaluation?;
    let checkpoint = file_name(&run.checkpoint(args.checkpoint));
    printer.log(format!("{checkpoint} of {}", run.path().display()));
    let warning = data::metrics::worse_than_majority(&evaluation.scores);
    let text = evaluate::scores_text(args.split, computed_by, &evaluation.scores);
    let leak = match own_data {
        true => leak_warning(&run, &dataset, args.split, evaluation.scores.count)?,
        false => None,
    };
    if let Some(path) = &args.csv {
        data::metrics::write_predictions(path, &evaluation.predictions)?;
    }
    if let Some(target) = &args.json {
        let report = Report {
            run: run.name(),
            checkpoint,
            split: args.split,
            scores: evaluation.scores,
        };
        printer.json(target, &report)?;
    }
    // Last: a reader such as `head` may have had enough, and the files are written by then.
    printer.result(text)?;
    for warning in [leak, warning].into_iter().flatten() {
        printer.warn(warning);
    }
    Ok(ExitStatus::Success)
}

/// What the audit of a run's data says about the scores of a split.
fn leak_warning(
    run: &RunDir,
    dataset: &Dataset,
    split: Split,
    count: u64,
) -> Result<Option<String>, Error> {
    if !run.audit().is_file() {
        return Ok(None);
    }
    let audit: Audit = serde_json::from_slice(&fs_err::read(run.audit())?)?;
    let leaks = audit.leaked(dataset);
    Ok(report::run_files::leak_warning(split, count, &leaks))
}

/// The samples of a split with the network's labels, matched by the names of the classes.
fn relabelled(dataset: &Dataset, split: Split, classes: &[String]) -> Result<Vec<Sample>, Error> {
    // The data may lack classes of the network, but not have others.
    let position = |class: &String| class_names::position(classes, class);
    if dataset
        .classes
        .iter()
        .any(|class| position(class).is_none())
    {
        let (expected, found) = (classes.join(", "), dataset.classes.join(", "));
        return Err(Error::refused_with_hint(
            format!(
                "the network and the data have different classes\n  expected: {expected}\n  found:    {found}"
            ),
            "the network can be scored on folders of its own classes only",
        ));
    }
    let label = |sample: &Sample| position(dataset.classes.get(sample.label as usize)?);
    let samples = dataset::samples(dataset, split)?.iter();
    Ok(samples
        .map(|sample| Sample {
            label: label(sample).map_or(sample.label, |label| label as u32),
            ..sample.clone()
        })
        .collect())
}
