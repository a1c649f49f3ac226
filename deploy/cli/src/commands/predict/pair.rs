//! `deploy predict --pair A B`: whether two images are the same, by a verifier.

use std::path::{Path, PathBuf};

use console::{ExitStatus, Printer, printer};
use deploy::Verification;
use serde::Serialize;

use crate::cli::{Format, PredictArgs};
use crate::source;

#[derive(Serialize)]
struct Line<'a> {
    a: String,
    b: String,
    answer: &'a str,
    probability: f64,
    threshold: f64,
}

pub(super) fn run(
    path: &Path,
    args: &PredictArgs,
    printer: &Printer,
) -> anyhow::Result<ExitStatus> {
    let verifier = source::verifier(path, &args.machine, None, printer)?;
    if args.format == Format::Csv {
        printer::line("a,b,answer,probability,threshold")?;
    }
    for pair in args.pair.chunks_exact(2) {
        let answer = verifier.verify_paths(&pair[0], &pair[1])?;
        write_answer(pair, &answer, verifier.threshold(), args.format)?;
    }
    Ok(ExitStatus::Success)
}

fn write_answer(
    pair: &[PathBuf],
    answer: &Verification,
    threshold: f64,
    format: Format,
) -> anyhow::Result<()> {
    let line = Line {
        a: pair[0].display().to_string(),
        b: pair[1].display().to_string(),
        answer: data::pairs::CLASSES[usize::from(answer.same)],
        probability: answer.probability,
        threshold,
    };
    match format {
        Format::Text => printer::line(&format!(
            "{} {}: {} ({:.1} %, threshold {:.1} %)",
            line.a,
            line.b,
            line.answer,
            100.0 * line.probability,
            100.0 * threshold
        ))?,
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
