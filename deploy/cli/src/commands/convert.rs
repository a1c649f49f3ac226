//! `deploy convert`: writes a model in another precision and compares it with the original.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bench::speed::{self, Speed};
use console::{ExitStatus, Printer, Verbosity};
use data::card::{PREFIX, ScoreNote};
use data::{Dataset, Sample, Split};
use deploy::convert::{self, Calibration, Quantizer, Scheme};
use deploy::diff::{Diff, Pair, diff};
use deploy::eval::EvalOptions;
use deploy::{Classifier, Limits, Model, Precision, SessionOptions, decode};
use fs_err as fs;
use onnx::convert::QuantizableNode;
use onnx::{Document, ModelFile};
use serde::Serialize;

use super::cache::human;
use super::diff::{Comparison, report, text};
use crate::cli::{ConvertArgs, KeepFp32};
use crate::cli_error::{self, CliError};
use crate::converted;
use crate::source::{self, DataSource, RunOptions};

/// Time in which both files are timed.
const TIMED: Duration = Duration::from_secs(3);

/// Nodes that keep their precision shown.
const SHOWN: usize = 10;

/// Content of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    model: String,
    out: String,
    precision: &'static str,
    bytes_before: u64,
    bytes_after: u64,
    /// Why nodes stay in single precision.
    kept: Vec<String>,
    /// The convolutions and matrix products with constant weights, and the sums and averages, that compute with
    /// integers; null for another precision.
    int8_nodes: Option<NodeCount>,
    speed: SpeedReport,
    #[serde(flatten)]
    found: Comparison<'a>,
}

/// Nodes that compute with integers, of those that could.
#[derive(Clone, Copy, Serialize)]
struct NodeCount {
    converted: usize,
    of: usize,
}

/// What a conversion left.
struct Converted {
    /// Nodes in single precision with the reasons.
    kept: Vec<String>,
    int8_nodes: Option<NodeCount>,
}

/// Speed of the model alone, on this machine.
#[derive(Clone, Copy, Serialize)]
struct SpeedReport {
    /// Images of a run.
    images: usize,
    #[serde(flatten)]
    found: Speed,
}

pub(crate) fn run(args: &ConvertArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    check_flags(args)?;
    let named = args.file.as_deref().or(args.model.model.as_deref());
    let path = source::model(named, &args.model.runs, printer)?;
    let file = ModelFile::open(&path)?;
    let model = source::classifier_model(&file)?;
    let out = output_path(args, &path)?;
    let cache = source::cache(args.machine.location.cache.as_deref())?;
    let data = DataSource {
        data: args.data.as_deref(),
        list: args.list.as_deref(),
        split: args.split,
        cache: &cache,
        seed: model.seed(),
    };
    let dataset = source::dataset(&path, &data, printer)?;
    let run_options = RunOptions {
        machine: &args.machine,
        precision: Precision::Fp32,
        batch: None,
    };
    let original = source::batch_classifier(file.clone(), &args.model, run_options, printer)?;
    // The file gets its name after it was compared with the original.
    let temporary = TemporaryFile(out.with_extension("onnx.part"));
    let own_name = |error| temporary.rename_in(error, &out);
    let Converted { kept, int8_nodes } =
        convert(args, (&file, &original), &temporary.0, &dataset, printer).map_err(own_name)?;
    let converted = open_converted(args, &temporary.0).map_err(own_name)?;
    let found = compare(args, [&original, &converted], &dataset, printer).map_err(own_name)?;
    let speed = measure_speed([&original, &converted], &dataset, args.split, printer)?;
    if let Some(line) = slower(args, &speed, int8_nodes) {
        printer.warn(line);
    }
    drop(converted);
    finish(args, &temporary.0, &out, &found)?;
    let (before, after) = (file.bytes().len() as u64, fs::metadata(&out)?.len());
    if let Some(json) = &args.json {
        let report = Report {
            model: path.display().to_string(),
            out: out.display().to_string(),
            precision: args.precision.name(),
            bytes_before: before,
            bytes_after: after,
            kept: kept.clone(),
            int8_nodes,
            speed,
            found: report(&found),
        };
        printer.json(json, &report)?;
    }
    let mut lines = vec![format!(
        "{} `{}`: {}, before {}",
        args.precision,
        out.display(),
        human(after),
        human(before)
    )];
    lines.extend(kept_lines(&kept));
    lines.push(text(&found, args.split, ["before", "after"]));
    lines.push(speed_line(&speed));
    printer
        .with_outputs(&[args.json.as_deref()])
        .result(lines.join("\n"))?;
    printer.log(format!("next: `deploy eval --model {}`", out.display()));
    Ok(ExitStatus::Success)
}

/// The nodes that stay in single precision, with the reasons.
fn kept_lines(kept: &[String]) -> Vec<String> {
    let shown = kept.iter().take(SHOWN);
    let mut lines: Vec<String> = shown
        .map(|kept| format!("  stays in single precision: {kept}"))
        .collect();
    if kept.len() > SHOWN {
        lines.push(format!(
            "  and {} more nodes: `--json FILE` has them all",
            kept.len() - SHOWN
        ));
    }
    lines
}

/// Refuses flags of int8 for another precision.
fn check_flags(args: &ConvertArgs) -> Result<(), CliError> {
    let int8_flags = [
        ("--symmetric", args.symmetric),
        ("--images", args.images.is_some()),
        ("--keep-fp32", args.keep_fp32.is_some()),
    ];
    match int8_flags.iter().find(|(_, is_set)| *is_set) {
        Some((flag, _)) if args.precision != Precision::Int8 => {
            Err(CliError::flag_elsewhere(flag, "--precision int8"))
        }
        _ => Ok(()),
    }
}

/// The file to write, which is never the model itself.
fn output_path(args: &ConvertArgs, model: &Path) -> Result<PathBuf, CliError> {
    let default = || model.with_extension(format!("{}.onnx", args.precision));
    let out = args.out.clone().unwrap_or_else(default);
    if data::write::is_stdout(&out) {
        return Err(CliError::with_hint(
            format!("`--out {}` is standard output", out.display()),
            "give a file with `--out`: it is opened again and compared with the model",
        ));
    }
    let [same, other] = [&out, model].map(|path| fs::canonicalize(path).ok());
    if same.is_some() && same == other {
        return Err(CliError::with_hint(
            format!("`{}` is the model itself", out.display()),
            "give another file with `--out`",
        ));
    }
    Ok(out)
}

/// A file that is removed unless it was renamed.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    /// The error with the name of the file that was asked for, which the user knows.
    fn rename_in(&self, error: anyhow::Error, out: &Path) -> anyhow::Error {
        let text = format!("{error:#}");
        let temporary = self.0.display().to_string();
        if !text.contains(&temporary) {
            return error;
        }
        let message = text.replace(&temporary, &out.display().to_string());
        match error.chain().find_map(cli_error::hint) {
            Some(hint) => CliError::with_hint(message, hint).into(),
            None => CliError::new(message).into(),
        }
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // Where it was never written there is nothing to remove.
        fs::remove_file(&self.0).unwrap_or_default();
    }
}

/// Writes the converted file.
fn convert(
    args: &ConvertArgs,
    (file, original): (&ModelFile, &Classifier),
    out: &Path,
    dataset: &Dataset,
    printer: &Printer,
) -> anyhow::Result<Converted> {
    if args.precision == Precision::Fp16 {
        let half = convert::fp16(file, out)?;
        printer.log(format!("{} constants in half precision", half.halved));
        let kept = half.kept.into_iter();
        let kept = kept.map(|kept| format!("{} ({}): {}", kept.node, kept.op, kept.why));
        return Ok(Converted {
            kept: kept.collect(),
            int8_nodes: None,
        });
    }
    if let Some(KeepFp32::Nodes(names)) = &args.keep_fp32 {
        convert::check_kept(file, names)?;
    }
    let scheme = match args.symmetric {
        true => Scheme::Symmetric,
        false => converted::scheme(args.machine.provider),
    };
    let count = args.images.map_or(convert::DEFAULT_IMAGES, usize::from);
    let seed = original.model().map_or(0, Model::seed);
    let preprocess = original.preprocess().clone();
    let calibration = Calibration::choose(dataset, count, seed, preprocess, scheme);
    printer.log(format!(
        "calibrating on {} training images",
        calibration.images.len()
    ));
    let quantizer = Quantizer::new(file, &calibration)?;
    let provider = args.machine.provider;
    let (chosen, why) = match args.keep_fp32.clone().unwrap_or_default() {
        KeepFp32::Nodes(names) => (names, "as `--keep-fp32` says".to_owned()),
        KeepFp32::Auto => {
            let session = SessionOptions {
                provider,
                allow_fallback: args.machine.allow_fallback,
                output: Some(original.output().to_owned()),
                ..SessionOptions::default()
            };
            let batch = original.model().and_then(Model::fixed_batch);
            let chosen =
                converted::faster_in_fp32(&quantizer, &calibration, &session, batch, printer)?;
            (chosen, format!("faster so on {provider}"))
        }
    };
    let int8 = quantizer.save(out, &chosen)?;
    source::warn_unreadable(&int8.unreadable, printer);
    printer.log(format!(
        "{} convolutions and matrix products and {} values in 8-bit integers",
        int8.graph.nodes, int8.graph.values
    ));
    let nodes = quantizer.nodes()?;
    let reason = |name: &String| match nodes.iter().find(|node| node.name == *name) {
        Some(node) => format!("{name} ({}): {why}", node.op),
        None => format!("{name}: its weights are not constant"),
    };
    let of_nodes = |node: &&QuantizableNode| !chosen.contains(&node.name);
    Ok(Converted {
        kept: int8.graph.kept.iter().map(reason).collect(),
        int8_nodes: Some(NodeCount {
            converted: nodes.iter().filter(of_nodes).count(),
            of: nodes.len(),
        }),
    })
}

/// Opens the converted file with the flags of the original.
fn open_converted(args: &ConvertArgs, temporary: &Path) -> anyhow::Result<Classifier> {
    // The runtime and the placement were logged with the original.
    let quiet = Printer::new(Verbosity::Results);
    let run_options = RunOptions {
        machine: &args.machine,
        precision: args.precision,
        batch: None,
    };
    source::batch_classifier(
        ModelFile::open(temporary)?,
        &args.model,
        run_options,
        &quiet,
    )
}

/// Compares both models on the same images; scores them where the labels are classes of the model.
fn compare(
    args: &ConvertArgs,
    [original, converted]: [&Classifier; 2],
    dataset: &Dataset,
    printer: &Printer,
) -> anyhow::Result<Diff> {
    let samples: &[Sample] = dataset.samples(args.split);
    let known = dataset
        .classes
        .iter()
        .all(|class| original.classes().contains(class));
    if !known {
        printer.log(
            "the classes of the data are not the model's: predictions are compared, not scored",
        );
    }
    let progress = printer.image_bar("comparing", (2 * samples.len()) as u64);
    let options = EvalOptions {
        batch: original.preferred_batch(),
        threads: args.machine.threads.map(usize::from),
        strict: false,
        progress: &|done| progress.set_position(done as u64),
    };
    let classes = known.then_some(dataset.classes.as_slice());
    let found = diff(original, converted, samples, classes, &options);
    progress.finish_and_clear();
    let found = found?;
    source::warn_unreadable(&found.unreadable, printer);
    let is_infinite = |pair: &&Pair| !pair.logit_difference.is_finite();
    if let Some(pair) = found.pairs.iter().find(is_infinite) {
        return Err(CliError::with_hint(
            format!(
                "the model in {} gives numbers that are not finite, such as for `{}`",
                args.precision, pair.path
            ),
            "its values leave the range of that precision: keep it in single precision",
        )
        .into());
    }
    Ok(found)
}

/// Times both models for a few seconds, in turns, on the same prepared images: one run at a time, in one session each.
fn measure_speed(
    [original, converted]: [&Classifier; 2],
    dataset: &Dataset,
    split: Split,
    printer: &Printer,
) -> anyhow::Result<SpeedReport> {
    printer.log("timing both files");
    let batch = original.preferred_batch();
    let (color, limits) = (original.preprocess().color(), Limits::default());
    let readable = |sample: &Sample| decode::open_as(&sample.path, color, &limits).ok();
    let images: Vec<_> = dataset
        .samples(split)
        .iter()
        .filter_map(readable)
        .take(batch)
        .collect();
    let mut prepared = Vec::new();
    // Fewer images than a batch holds come again: the values do not matter, but drawn ones could be denormal.
    for image in images.iter().cycle().take(batch) {
        prepared.extend(original.prepare(image)?);
    }
    let run = |classifier: &Classifier| classifier.run(&prepared, batch).map(|_| ());
    let found = speed::compare(|| run(original), || run(converted), TIMED)?;
    Ok(SpeedReport {
        images: batch,
        found,
    })
}

/// What is said of a file that is not shown to be faster.
fn slower(
    args: &ConvertArgs,
    speed: &SpeedReport,
    int8_nodes: Option<NodeCount>,
) -> Option<String> {
    let SpeedReport { found, .. } = speed;
    let (precision, provider, ratio) = (args.precision, args.machine.provider, found.ratio);
    let shown = match found.interval[1] < 1.0 {
        true => "",
        false => "shown to be ",
    };
    match int8_nodes {
        Some(NodeCount { converted, of }) if found.interval[0] <= 1.0 => Some(format!(
            "int8 is not {shown}faster here on {provider}: {ratio:.2} times as fast as the model, with {converted} of {of} nodes \
             in int8"
        )),
        None if found.interval[1] < 1.0 => Some(format!(
            "the file in {precision} is slower on this machine: {ratio:.2} times as fast as the model"
        )),
        _ => None,
    }
}

fn speed_line(speed: &SpeedReport) -> String {
    let SpeedReport { images, found } = speed;
    let [low, high] = found.interval;
    let verdict = if low > 1.0 || high < 1.0 {
        ""
    } else {
        "; no difference shown"
    };
    format!(
        "speed      {:.2} times as fast after (95 % interval {low:.2} to {high:.2}{verdict}): {images} images in \
         {:.2} ms, {:.2} before; the model alone, {} runs each on this machine",
        found.ratio, found.second_ms, found.first_ms, found.runs
    )
}

/// Writes the new scores into the card, and the file to its name.
fn finish(args: &ConvertArgs, temporary: &Path, out: &Path, found: &Diff) -> anyhow::Result<()> {
    let file = ModelFile::open(temporary)?;
    if let (Some(mut card), Some(accuracy)) = (Model::from_file(&file)?.card, &found.accuracy) {
        let score = ScoreNote {
            accuracy: accuracy.second.accuracy,
            interval: accuracy.second.interval,
            count: accuracy.second.count,
            ..ScoreNote::default()
        };
        card.provenance.scores.insert(args.split.to_string(), score);
        let mut document = Document::from_file(&file)?;
        document.set_metadata(PREFIX, &card.to_pairs());
        document.save(temporary)?;
    }
    Ok(deploy::files::write::copy(temporary, out)?)
}
