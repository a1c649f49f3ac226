//! `deploy predict --pair A B`: whether two images are the same, by a verifier.

use std::path::{Path, PathBuf};

use console::{ExitStatus, Printer, printer};
use data::card::ScoreKind;
use deploy::{Verification, Verifier};
use serde::Serialize;

use crate::cli::{Format, PredictArgs};
use crate::source;

/// A line of JSON, which has one of the two scores.
#[derive(Serialize)]
struct Line<'a> {
    a: String,
    b: String,
    answer: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    distance: Option<f64>,
    threshold: f64,
}

pub(super) fn run(
    path: &Path,
    args: &PredictArgs,
    printer: &Printer,
) -> anyhow::Result<ExitStatus> {
    let verifier = source::verifier(path, &args.machine, None, printer)?;
    if args.format == Format::Csv {
        let score = verifier.score_kind().name();
        printer::line(&format!("a,b,answer,{score},threshold"))?;
    }
    for pair in args.pair.chunks_exact(2) {
        let answer = verifier.verify_paths(&pair[0], &pair[1])?;
        write_answer(pair, &answer, &verifier, args.format)?;
    }
    Ok(ExitStatus::Success)
}

fn write_answer(
    pair: &[PathBuf],
    answer: &Verification,
    verifier: &Verifier,
    format: Format,
) -> anyhow::Result<()> {
    let (score, threshold) = (answer.score, verifier.threshold());
    let is_distance = verifier.score_kind() == ScoreKind::Distance;
    let line = Line {
        a: pair[0].display().to_string(),
        b: pair[1].display().to_string(),
        answer: data::pairs::CLASSES[usize::from(answer.same)],
        probability: (!is_distance).then_some(score),
        distance: is_distance.then_some(score),
        threshold,
    };
    match format {
        Format::Text => {
            let decision = match is_distance {
                true => format!("distance {score:.4}, threshold {threshold:.4}"),
                false => format!(
                    "{:.1} %, threshold {:.1} %",
                    100.0 * score,
                    100.0 * threshold
                ),
            };
            let Line { a, b, answer, .. } = line;
            printer::line(&format!("{a} {b}: {answer} ({decision})"))?;
        }
        Format::Jsonl => printer::line(&serde_json::to_string(&line)?)?,
        Format::Csv => {
            let mut writer = csv::WriterBuilder::new()
                .has_headers(false)
                .from_writer(Vec::new());
            writer.serialize(&line)?;
            printer::bytes(&writer.into_inner().map_err(|e| e.into_error())?)?;
        }
    }
    Ok(())
}
