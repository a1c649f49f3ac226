//! `deploy check`: compares the card's golden samples with the outputs of this machine.

use console::{ExitStatus, Printer, printer};
use deploy::golden::GoldenResult;
use deploy::{Model, Precision};
use onnx::ModelFile;

use crate::cli::CheckArgs;
use crate::commands::info::model_path;
use crate::source::{self, RunOptions};

pub(crate) fn run(args: &CheckArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let path = model_path(&args.model, printer)?;
    let file = ModelFile::open(&path)?;
    if Model::from_file(&file)?.compares_images() && args.precision == Precision::Fp32 {
        let verifier = source::verifier(&path, &args.machine, None, printer)?;
        let results = deploy::golden::check_pairs(&verifier)?;
        print_results(results.iter())?;
        return conclude(&results);
    }
    if Model::from_file(&file)?.is_cut_backbone() {
        let encoder = super::embed::encoder(&file, &args.machine, None, printer)?;
        let results = deploy::golden::check_features(&encoder)?;
        print_results(results.iter())?;
        return conclude(&results);
    }
    let run_options = RunOptions {
        machine: &args.machine,
        precision: args.precision,
        // The images are run one by one, and together.
        batch: None,
    };
    let classifier = source::classifier(&path, None, run_options, printer)?;
    let results = deploy::golden::check(&classifier)?;
    let batch = deploy::golden::check_batch(&classifier)?;
    print_results(results.iter().chain([&batch]))?;
    let status = conclude(&results)?;
    if !batch.ok {
        printer::line(
            "its answers depend on the other images of a run: run one at a time (`--batch 1`)",
        )?;
        return Ok(ExitStatus::CheckFailed);
    }
    Ok(status)
}

fn print_results<'a>(results: impl Iterator<Item = &'a GoldenResult>) -> anyhow::Result<()> {
    for result in results {
        printer::line(&format!(
            "{} {}: off by {:.1e} of the largest output, at most {:.1e} allowed",
            if result.ok { "ok    " } else { "FAILED" },
            result.name,
            result.difference,
            result.tolerance
        ))?;
    }
    Ok(())
}

fn conclude(results: &[GoldenResult]) -> anyhow::Result<ExitStatus> {
    let ok = results.iter().all(|result| result.ok);
    printer::line(if ok {
        "this machine decodes, resizes and computes as the model expects"
    } else {
        "this machine does not compute what the model expects"
    })?;
    Ok(ExitStatus::from_check(ok))
}
