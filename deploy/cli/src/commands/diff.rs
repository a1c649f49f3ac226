//! `deploy diff`: compares two models on the same images.

use std::io;
use std::path::{Path, PathBuf};

use console::{ExitStatus, Printer, Verbosity};
use data::Split;
use data::metrics::{McNemar, p_text};
use deploy::diff::{Accuracy, Diff, Pair, diff};
use deploy::eval::EvalOptions;
use deploy::{Classifier, Model, Precision, Provider};
use onnx::ModelFile;
use serde::Serialize;

use crate::cli::{DiffArgs, MachineArgs, ModelArgs};
use crate::source::{self, DataSource, RunOptions};

/// Changed predictions shown; the CSV file has them all.
const SHOWN: usize = 40;

/// Content of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    first: String,
    second: String,
    split: Split,
    provider: String,
    provider_b: String,
    precision: &'static str,
    precision_b: &'static str,
    #[serde(flatten)]
    found: Comparison<'a>,
}

/// The part that `deploy convert` writes, too.
#[derive(Serialize)]
pub(super) struct Comparison<'a> {
    images: usize,
    accuracy: Option<BothScores>,
    flips: Vec<FlipRow<'a>>,
    max_logit_difference: f32,
    mean_logit_difference: f32,
    largest_logit: f32,
    unreadable: Vec<String>,
}

#[derive(Serialize)]
struct BothScores {
    first: f64,
    first_interval: [f64; 2],
    second: f64,
    second_interval: [f64; 2],
    mcnemar: McNemar,
}

#[derive(Serialize)]
struct FlipRow<'a> {
    path: &'a str,
    label: Option<&'a str>,
    first: &'a str,
    first_probability: f64,
    second: &'a str,
    second_probability: f64,
}

impl<'a> FlipRow<'a> {
    fn new(pair: &'a Pair) -> Self {
        Self {
            path: &pair.path,
            label: pair.label.as_deref(),
            first: &pair.first.class,
            first_probability: pair.first.probability,
            second: &pair.second.class,
            second_probability: pair.second.probability,
        }
    }
}

pub(crate) fn run(args: &DiffArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let path = |named| source::model_file(named, &args.runs);
    let named_second = args.second.as_ref().unwrap_or(&args.first);
    let [first, second] = [path(&args.first)?, path(named_second)?];
    let paths = [&first, &second];
    let files = [ModelFile::open(paths[0])?, ModelFile::open(paths[1])?];
    let models = [
        source::classifier_model(&files[0])?,
        source::classifier_model(&files[1])?,
    ];
    let cache = source::cache(args.machine.location.cache.as_deref())?;
    let data = DataSource {
        data: args.data.as_deref(),
        list: args.list.as_deref(),
        split: args.split,
        cache: &cache,
        seed: models[0].seed(),
    };
    // The images are those of a run: A's, else B's.
    let in_run = paths
        .into_iter()
        .find(|path| data::run_files::run_containing(path).is_some());
    let dataset = source::dataset(in_run.unwrap_or(paths[0]), &data, printer)?;
    let samples = dataset.samples(args.split);
    let [first, second] = files;
    let (side_a, side_b) = sides(args);
    // One ONNX Runtime per process: one with CUDA runs everything.
    let with_cuda = [side_a, side_b]
        .into_iter()
        .find(|side| side.provider.needs_cuda());
    let provider = with_cuda.unwrap_or(side_a).provider;
    let found = source::runtime_for(provider, &args.machine.location, printer)?;
    deploy::runtime::load(&found)?;
    let first = open((first, &models[0]), side_a, args, printer)?;
    let quiet = Printer::new(Verbosity::Results);
    let is_same = side_a == side_b;
    let second_printer = if is_same { &quiet } else { printer };
    let second = open((second, &models[1]), side_b, args, second_printer)?;
    // The placement was logged with the first; how the second is read may differ.
    for note in second.notes().iter().filter(|_| is_same) {
        let note = console::in_flags(note);
        printer.log(format!("`{}`: {note}", named_second.display()));
    }
    let progress = printer.image_bar("comparing", (2 * samples.len()) as u64);
    let options = EvalOptions {
        batch: first.preferred_batch().min(second.preferred_batch()),
        threads: args.machine.threads.map(usize::from),
        strict: args.strict_images,
        progress: &|done| progress.set_position(done as u64),
    };
    let found = diff(&first, &second, samples, Some(&dataset.classes), &options);
    progress.finish_and_clear();
    let found = found?;
    source::warn_unreadable(&found.unreadable, printer);
    if let Some(csv) = &args.csv {
        write_csv(csv, &found)?;
    }
    if let Some(json) = &args.json {
        let report = Report {
            first: paths[0].display().to_string(),
            second: paths[1].display().to_string(),
            split: args.split,
            provider: side_a.provider.to_string(),
            provider_b: side_b.provider.to_string(),
            precision: first.precision().name(),
            precision_b: second.precision().name(),
            found: report(&found),
        };
        printer.json(json, &report)?;
    }
    let line = |name: &str, path: &Path, (side, classifier): (Side, &Classifier)| match is_same {
        true => format!("{name} `{}`\n", path.display()),
        false => {
            let (provider, precision) = (side.provider, classifier.precision());
            format!("{name} `{}` on {provider} in {precision}\n", path.display())
        }
    };
    let head = line("A", paths[0], (side_a, &first)) + &line("B", paths[1], (side_b, &second));
    let text = head + &text(&found, args.split, ["with A", "with B"]);
    printer
        .with_outputs(&[args.json.as_deref(), args.csv.as_deref()])
        .result(text)?;
    Ok(ExitStatus::Success)
}

/// Provider and precision of a model; without a precision it is the file's own.
#[derive(Clone, Copy, PartialEq)]
struct Side {
    provider: Provider,
    precision: Option<Precision>,
}

fn sides(args: &DiffArgs) -> (Side, Side) {
    let first = Side {
        provider: args.machine.provider,
        precision: args.precision,
    };
    let second = Side {
        provider: args.provider_b.unwrap_or(first.provider),
        precision: args.precision_b.or(first.precision),
    };
    (first, second)
}

/// Opens a classifier by its card; the flags are for files without one.
fn open(
    (file, model): (ModelFile, &Model),
    side: Side,
    args: &DiffArgs,
    printer: &Printer,
) -> anyhow::Result<Classifier> {
    let bare = model.card.is_none();
    let has_choice = bare && model.outputs.len() > 1;
    let flags = ModelArgs {
        model: None,
        runs: PathBuf::new(),
        classes: args.classes.clone().filter(|_| bare),
        preprocess: args.preprocess.clone().filter(|_| bare),
        output: args.output.clone().filter(|_| has_choice),
        output_kind: args.output_kind.filter(|_| bare),
    };
    let machine = MachineArgs {
        provider: side.provider,
        ..args.machine.clone()
    };
    let run_options = RunOptions {
        machine: &machine,
        // What has no such name computes as it is.
        precision: side
            .precision
            .unwrap_or_else(|| model.precision.parse().unwrap_or_default()),
        batch: None,
    };
    source::batch_classifier(file, &flags, run_options, printer)
}

pub(super) fn report(found: &Diff) -> Comparison<'_> {
    Comparison {
        images: found.pairs.len(),
        accuracy: found.accuracy.as_ref().map(|accuracy| BothScores {
            first: accuracy.first.accuracy,
            first_interval: accuracy.first.interval,
            second: accuracy.second.accuracy,
            second_interval: accuracy.second.interval,
            mcnemar: accuracy.mcnemar,
        }),
        flips: found.flips().map(FlipRow::new).collect(),
        max_logit_difference: found.max_logit_difference,
        mean_logit_difference: found.mean_logit_difference,
        largest_logit: found.largest_logit,
        unreadable: found
            .unreadable
            .iter()
            .map(|file| file.path.display().to_string())
            .collect(),
    }
}

/// One row for each image.
fn write_csv(path: &Path, found: &Diff) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct Row<'a> {
        path: &'a str,
        label: Option<&'a str>,
        first: &'a str,
        first_probability: f64,
        second: &'a str,
        second_probability: f64,
        flip: bool,
        logit_difference: f32,
    }
    data::write::atomically_with(path, |file| {
        let mut writer = csv::Writer::from_writer(file);
        for pair in &found.pairs {
            let row = FlipRow::new(pair);
            let row = Row {
                path: row.path,
                label: row.label,
                first: row.first,
                first_probability: row.first_probability,
                second: row.second,
                second_probability: row.second_probability,
                flip: pair.is_flip(),
                logit_difference: pair.logit_difference,
            };
            writer.serialize(row).map_err(io::Error::other)?;
        }
        writer.flush()
    })?;
    Ok(())
}

/// Changed predictions, differences of the logits, accuracies.
pub(super) fn text(found: &Diff, split: Split, names: [&str; 2]) -> String {
    let flips: Vec<&Pair> = found.flips().collect();
    let images = found.pairs.len();
    let mut lines = vec![format!(
        "{} of {images} images of {split} are predicted as another class",
        match flips.len() {
            0 => "none".to_owned(),
            count => count.to_string(),
        }
    )];
    for flip in flips.iter().take(SHOWN) {
        let label = flip
            .label
            .as_ref()
            .map(|label| format!(" ({label})"))
            .unwrap_or_default();
        lines.push(format!(
            "  {}{label}: {} {:.1} % -> {} {:.1} %",
            flip.path,
            flip.first.class,
            100.0 * flip.first.probability,
            flip.second.class,
            100.0 * flip.second.probability
        ));
    }
    if flips.len() > SHOWN {
        lines.push(format!(
            "  and {} more: `deploy diff --csv FILE` writes them all",
            flips.len() - SHOWN
        ));
    }
    lines.push(format!(
        "logits     at most {:.2e} apart, {:.2e} on average; the largest is {:.3}",
        found.max_logit_difference, found.mean_logit_difference, found.largest_logit
    ));
    if let Some(accuracy) = &found.accuracy {
        lines.extend(accuracy_lines(accuracy, names));
    }
    lines.join("\n")
}

fn accuracy_lines(accuracy: &Accuracy, names: [&str; 2]) -> [String; 3] {
    let line = |name: &str, scores: &data::Scores| {
        let [low, high] = scores.interval.map(|bound| 100.0 * bound);
        format!(
            "accuracy   {:.1} % {name} ({:.0} of {}; 95 % interval {low:.1} to {high:.1} %)",
            100.0 * scores.accuracy,
            scores.accuracy * scores.count as f64,
            scores.count
        )
    };
    let test = accuracy.mcnemar;
    let verdict = if test.p_value < 0.05 {
        "a significant difference"
    } else {
        "no difference shown"
    };
    [
        line(names[0], &accuracy.first),
        line(names[1], &accuracy.second),
        format!(
            "McNemar    {} images right only {}, {} only {}: {}, {verdict}",
            test.only_first,
            names[0],
            test.only_second,
            names[1],
            p_text(test.p_value)
        ),
    ]
}
