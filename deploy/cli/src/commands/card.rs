//! `deploy card`: shows a card, or writes one into a model file.

use std::path::Path;

use console::{ExitStatus, Printer};
use data::Card;
use data::card::{CLASSIFY, PREFIX, Provenance, VERSION, utc_date};
use deploy::{Classifier, ClassifierBuilder, Model};
use onnx::{Document, ModelFile};
use serde_json::Value;

use super::info::model_path;
use crate::cli::{AttachArgs, CardCommand};
use crate::cli_error::CliError;
use crate::source;

pub(crate) fn run(command: &CardCommand, printer: &Printer) -> anyhow::Result<ExitStatus> {
    match command {
        CardCommand::Show(args) => {
            let path = model_path(&args.model, printer)?;
            let card = read_card(&path)?;
            let mut shown = json(&card);
            if !args.golden {
                let names = card.golden.iter().map(|golden| golden.name.clone());
                shown["golden"] = names.collect();
            }
            printer.json("-".as_ref(), &shown)?;
        }
        CardCommand::Attach(args) => attach(args, printer)?,
    }
    Ok(ExitStatus::Success)
}

/// The card as one JSON object, its keys without their prefix.
pub(super) fn json(card: &Card) -> Value {
    let pair = |(key, text): (String, String)| {
        let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        (key.trim_start_matches(PREFIX).to_owned(), value)
    };
    Value::Object(card.to_pairs().into_iter().map(pair).collect())
}

fn read_card(path: &Path) -> anyhow::Result<Card> {
    let card = Model::open(path)?.card;
    Ok(card.ok_or_else(|| {
        CliError::with_hint(
            format!("`{}` carries no card", path.display()),
            "write one with `deploy card attach`",
        )
    })?)
}

/// Writes the card, once the model has run with it.
fn attach(args: &AttachArgs, printer: &Printer) -> anyhow::Result<()> {
    let path = source::model_file(&args.file, &args.runs)?;
    let file = ModelFile::open(&path)?;
    // The card that the file has is replaced: a damaged one must not stand in the way.
    let model = Model::from_file_without_card(&file)?;
    let runtime = source::runtime(&args.location, printer)?;
    let mut builder = ClassifierBuilder::from_file(file.clone())
        .ignore_card()
        .runtime(runtime);
    let from = args.from.as_deref();
    let copied = from
        .map(|named| read_card(&source::model_file(named, &args.runs)?))
        .transpose()?;
    if let Some(card) = copied.as_ref().filter(|card| card.task != CLASSIFY) {
        return Err(CliError::with_hint(
            format!("a card of the task `{}` cannot be copied", card.task),
            "`trainer fit --task pairs` writes it, with the threshold that belongs to the weights",
        )
        .into());
    }
    if let Some(card) = &copied {
        builder = builder
            .classes(card.classes.clone())
            .preprocess(card.preprocess.clone())
            .output_kind(card.output_kind);
    }
    if let Some(file) = &args.classes {
        builder = builder.classes(data::class_names::read(file)?);
    }
    if let Some(preprocess) = &args.preprocess {
        builder = builder.preprocess(preprocess.clone());
    }
    if let Some(output) = &args.output {
        builder = builder.output(output);
    }
    if let Some(kind) = args.output_kind {
        builder = builder.output_kind(source::output_kind(kind));
    }
    let classifier = builder.open()?;
    for note in classifier.notes() {
        printer.log(console::in_flags(note));
    }
    let names = |infos: &[onnx::ValueInfo]| infos.iter().map(|info| info.name.clone()).collect();
    let card = match copied {
        Some(card) => card,
        None => new_card(&classifier)?,
    };
    let card = Card {
        inputs: names(&model.inputs),
        outputs: vec![classifier.output().to_owned()],
        threshold: match args.reject {
            // Nothing is below 0.
            Some(0.0) => None,
            Some(reject) => Some(reject),
            None => card.threshold,
        },
        ..card
    };
    let mut document = Document::from_file(&file)?;
    document.set_metadata(PREFIX, &card.to_pairs());
    let out = args.out.as_deref().unwrap_or(&path);
    document.save(out)?;
    printer.log(format!("wrote the card into `{}`", out.display()));
    printer.log(format!("next: `deploy check {}`", out.display()));
    Ok(())
}

/// A new card, with golden samples that this machine computes.
fn new_card(classifier: &Classifier) -> anyhow::Result<Card> {
    Ok(Card {
        version: VERSION,
        task: CLASSIFY.to_owned(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        classes: classifier.classes().to_vec(),
        preprocess: classifier.preprocess().clone(),
        output_kind: classifier.output_kind(),
        provenance: Provenance {
            tool: "deploy card attach".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            date: utc_date(),
            ..Provenance::default()
        },
        golden: deploy::golden::create_samples(classifier)?,
        threshold: None,
        comparison: None,
    })
}
