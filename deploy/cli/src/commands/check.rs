//! `deploy check`: compares the card's golden samples with the outputs of this machine.

use console::{ExitStatus, Printer, printer};

use crate::cli::CheckArgs;
use crate::commands::info::model_path;
use crate::source::{self, RunOptions};

pub(crate) fn run(args: &CheckArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let path = model_path(&args.model, printer)?;
    let run_options = RunOptions {
        machine: &args.machine,
        precision: args.precision,
        batch: Some(1),
    };
    let classifier = source::classifier(&path, None, run_options, printer)?;
    let results = deploy::golden::check(&classifier)?;
    let batch = deploy::golden::check_batch(&classifier)?;
    for result in results.iter().chain([&batch]) {
        printer::line(&format!(
            "{} {}: off by {:.1e} of the largest output, at most {:.1e} allowed",
            if result.ok { "ok    " } else { "FAILED" },
            result.name,
            result.difference,
            result.tolerance
        ))?;
    }
    let ok = results.iter().all(|result| result.ok);
    printer::line(if ok {
        "this machine decodes, resizes and computes as the model expects"
    } else {
        "this machine does not compute what the model expects"
    })?;
    if !batch.ok {
        printer::line(
            "its answers depend on the other images of a run: run one at a time (`--batch 1`)",
        )?;
    }
    Ok(ExitStatus::from_check(ok && batch.ok))
}
