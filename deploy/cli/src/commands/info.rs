//! `deploy info`: header, inputs, outputs and card of a model file.

use std::path::{Path, PathBuf};

use console::table::{Column, Table};
use console::{ExitStatus, Printer, printer};
use data::Card;
use data::card::{CLASSIFY, ENCODE, ScoreKind};
use deploy::Model;
use onnx::ModelFile;
use serde::Serialize;

use super::cache::human;
use crate::cli::{InfoArgs, ModelFileArgs};
use crate::source;

/// Content of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    model: String,
    bytes: u64,
    sha256: &'a str,
    ir_version: i64,
    opsets: &'a [(String, i64)],
    producer: String,
    inputs: Vec<String>,
    outputs: Vec<String>,
    parameters: u64,
    precision: &'a str,
    /// The class names of the card, or of other metadata.
    classes: Option<Vec<String>>,
    card: Option<serde_json::Value>,
    #[serde(flatten)]
    backbone: BackboneFacts,
}

/// What the file is as a backbone.
#[derive(Serialize)]
struct BackboneFacts {
    /// Multiply-accumulate operations of an image, where the file stores the shapes.
    macs: Option<u64>,
    /// Values that a new classification layer would read; none where the file cannot be frozen.
    features: Option<Vec<String>>,
    features_rule: Option<String>,
    /// Number of features, where the file tells.
    features_width: Option<usize>,
    /// Why it cannot be frozen.
    features_error: Option<String>,
    /// Operators that keep it from being fine-tuned.
    untrainable_operators: Vec<String>,
}

impl BackboneFacts {
    fn of(file: &ModelFile) -> onnx::Result<Self> {
        let mut document = onnx::Document::from_file(file)?;
        let macs = onnx::multiply_accumulates(&document);
        let cut = onnx::FeatureCut::find(&document);
        let (cut, error) = match cut {
            Ok(cut) => (Some(cut), None),
            Err(error) => (None, Some(error.to_string())),
        };
        // What follows the features is not trained. A damaged graph is an error for whoever uses it as a backbone.
        let _ = cut.as_ref().map(|cut| cut.cut(&mut document));
        Ok(Self {
            macs,
            features: cut.as_ref().map(|cut| cut.values.clone()),
            features_rule: cut.as_ref().map(|cut| cut.rule.to_string()),
            features_width: cut.as_ref().and_then(onnx::FeatureCut::width),
            features_error: error,
            untrainable_operators: onnx::untrainable_operators(&document),
        })
    }

    fn lines(&self) -> Vec<[String; 2]> {
        let mut lines = vec![];
        if let Some(macs) = self.macs {
            let millions = macs as f64 / 1e6;
            let text = format!("{millions:.1} million multiply-accumulates an image");
            lines.push(fact("operations", &text));
        }
        let features = match (&self.features, &self.features_rule, &self.features_error) {
            (Some(values), Some(rule), _) => {
                let width = self
                    .features_width
                    .map_or_else(|| "D".to_owned(), |width| width.to_string());
                format!("`{}` [N, {width}]: {rule}", values.join("`, `"))
            }
            (.., error) => format!("none: {}", error.as_deref().unwrap_or("unknown")),
        };
        lines.push(fact("features", &features));
        let fine_tuning = match self.untrainable_operators.as_slice() {
            [] => "all its operators can be trained".to_owned(),
            operators => format!("not with {}", operators.join(", ")),
        };
        lines.push(fact("fine-tune", &fine_tuning));
        lines
    }
}

pub(crate) fn run(args: &InfoArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let path = model_path(&args.model, printer)?;
    let file = ModelFile::open(&path)?;
    let (model, sha256) = (Model::from_file(&file)?, file.sha256());
    let backbone = BackboneFacts::of(&file)?;
    if args.json {
        printer.json("-".as_ref(), &report(&path, &model, sha256, backbone))?;
    } else {
        printer::line(&text(&model, sha256, &backbone))?;
    }
    Ok(ExitStatus::Success)
}

/// The model that was named, in either way.
pub(super) fn model_path(args: &ModelFileArgs, printer: &Printer) -> anyhow::Result<PathBuf> {
    source::model(
        args.file.as_deref().or(args.model.as_deref()),
        &args.runs,
        printer,
    )
}

fn report<'a>(
    path: &Path,
    model: &'a Model,
    sha256: &'a str,
    backbone: BackboneFacts,
) -> Report<'a> {
    let texts = |infos: &[onnx::ValueInfo]| infos.iter().map(ToString::to_string).collect();
    Report {
        model: path.display().to_string(),
        bytes: model.header.file_bytes,
        sha256,
        ir_version: model.header.ir_version,
        opsets: &model.header.opsets,
        producer: producer(model),
        inputs: texts(&model.inputs),
        outputs: texts(&model.outputs),
        parameters: model.num_parameters,
        precision: model.precision,
        classes: model.class_names(),
        card: model.card.as_ref().map(super::card::json),
        backbone,
    }
}

fn producer(model: &Model) -> String {
    let header = &model.header;
    format!("{} {}", header.producer_name, header.producer_version)
        .trim()
        .to_owned()
}

/// One fact per line.
fn text(model: &Model, sha256: &str, backbone: &BackboneFacts) -> String {
    let header = &model.header;
    let opsets: Vec<String> = header
        .opsets
        .iter()
        .map(|(domain, version)| format!("{domain} {version}").trim().to_owned())
        .collect();
    let mut lines = vec![
        fact(
            "size",
            &format!("{} (SHA-256 {})", human(header.file_bytes), sha256),
        ),
        fact(
            "format",
            &format!("IR {}, opset {}", header.ir_version, opsets.join(", ")),
        ),
        fact("producer", &producer(model)),
    ];
    lines.extend(
        model
            .inputs
            .iter()
            .map(|input| fact("input", &input.to_string())),
    );
    lines.extend(
        model
            .outputs
            .iter()
            .map(|output| fact("output", &output.to_string())),
    );
    lines.push(fact(
        "weights",
        &format!("{} ({})", model.num_parameters, model.precision),
    ));
    // What follows the features of a verifier is no classification layer.
    if !model.compares_images() {
        lines.extend(backbone.lines());
    }
    match &model.card {
        Some(card) => lines.extend(card_lines(card)),
        None => lines.extend(bare_lines(model)),
    }
    let mut table = Table::new([Column::LEFT.at_least(10), Column::LEFT]);
    lines.into_iter().for_each(|line| table.row(line));
    table.to_string()
}

/// What is known of a file without a card.
fn bare_lines(model: &Model) -> Vec<[String; 2]> {
    let names = model.class_names();
    let flags = match names {
        Some(_) => "`--preprocess TEXT`",
        None => "`--classes FILE` and `--preprocess TEXT`",
    };
    let card = format!("none: it runs with {flags}, or after `deploy card attach`");
    let mut lines = vec![fact("card", &card)];
    if let Some(names) = names {
        let names = class_list(&names);
        lines.push(fact(
            "classes",
            &format!("{names} (by its metadata `names`)"),
        ));
    }
    for (output, activation) in model.outputs.iter().zip(&model.activations) {
        if let Some(activation) = activation {
            let text = format!("a {activation} computes `{}`", output.name);
            lines.push(fact("meaning", &text));
        }
    }
    lines
}

/// The number of classes and their first names.
fn class_list(classes: &[String]) -> String {
    const SHOWN: usize = 10;
    let more = if classes.len() > SHOWN { ", ..." } else { "" };
    let shown = &classes[..classes.len().min(SHOWN)];
    format!("{}: {}{more}", classes.len(), shown.join(", "))
}

fn card_lines(card: &Card) -> Vec<[String; 2]> {
    let from = &card.provenance;
    let preprocess = match &from.preprocess_source {
        Some(source) => format!("{} ({source})", card.preprocess),
        None => card.preprocess.to_string(),
    };
    let mut lines = vec![
        fact(
            "card",
            &format!("version {}, task {}", card.version, card.task),
        ),
        fact("preprocess", &preprocess),
        match card.threshold {
            Some(threshold) if card.task != CLASSIFY => {
                let text = match card.score_kind() {
                    ScoreKind::Probability => {
                        format!("probability of the same identity, accepted from {threshold:.4} on")
                    }
                    ScoreKind::Distance => {
                        format!("distance of two images, accepted up to {threshold:.4}")
                    }
                };
                fact("meaning", &text)
            }
            Some(threshold) => {
                let kind = card.output_kind.name();
                let text = format!("{kind}; below a probability of {threshold:.4} unknown");
                fact("meaning", &text)
            }
            None => fact("meaning", card.output_kind.name()),
        },
        fact("golden", &format!("{} samples", card.golden.len())),
        fact(
            "made by",
            &format!("{} {} on {}", from.tool, from.version, from.date),
        ),
    ];
    if let Some(comparison) = &card.comparison {
        let text = format!("features of one image, compared by {}", comparison.distance);
        lines.insert(1, fact("output", &text));
    } else if card.task != ENCODE {
        lines.insert(1, fact("classes", &class_list(&card.classes)));
    }
    if let (ENCODE, Some(cut), Some(sha256)) =
        (card.task.as_str(), &from.features, &from.backbone_sha256)
    {
        lines.push(fact(
            "cut of",
            &format!("{cut}, of a file with SHA-256 {sha256}"),
        ));
    }
    let backbone = [&from.backbone_source, &from.backbone_licence];
    let backbone: Vec<&str> = backbone.into_iter().flatten().map(String::as_str).collect();
    if !backbone.is_empty() {
        lines.push(fact("backbone", &backbone.join(", ")));
    }
    for (split, score) in &from.scores {
        let [low, high] = score.interval.map(|bound| 100.0 * bound);
        let what = if score.equal_error_rate.is_some() {
            "pairs"
        } else {
            "images"
        };
        lines.push(fact(
            "accuracy",
            &format!(
                "{:.1} % ({low:.1} to {high:.1}) on {} {what} of {split}",
                100.0 * score.accuracy,
                score.count
            ),
        ));
        if let (Some(rate), Some(auc)) = (score.equal_error_rate, score.auc) {
            let text = format!("{:.1} %, area under ROC {auc:.4}", 100.0 * rate);
            lines.push(fact("equal error", &text));
        }
    }
    lines
}

fn fact(name: &str, value: &str) -> [String; 2] {
    [name, value].map(str::to_owned)
}
