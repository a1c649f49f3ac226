//! `trainer runs`: the runs of a folder with their data, network, accuracy and date; the newest first.

use std::cmp::Reverse;
use std::path::Path;

use console::table::{Column, Table};
use console::{ExitStatus, Printer, numbers};
use data::run_files;
use data::runs::{self, Run, RunResult};
use serde::Serialize;

use crate::cli::RunsArgs;
use crate::error::Error;
use crate::output_files::file_name;

/// An entry of `--json`.
#[derive(Serialize)]
struct Entry<'a> {
    run: String,
    data: &'a str,
    latest: bool,
    date: Option<String>,
    #[serde(flatten)]
    result: Option<&'a RunResult>,
}

pub fn run(args: &RunsArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let none = || {
        let folder = args.runs.display();
        Error::refused_with_hint(
            format!("there is no run in `{folder}`"),
            "train one with `trainer fit`, or choose another folder with `--runs`",
        )
    };
    if !args.runs.is_dir() {
        return Err(none().into());
    }
    let (mut runs, unreadable) = runs::list(&args.runs)?;
    for error in &unreadable {
        printer.warn(error.to_string());
    }
    if runs.is_empty() {
        return Err(none().into());
    }
    let ended = |run: &Run| run.result.as_ref().map(|result| result.ended);
    // A run in training is the newest.
    runs.sort_by_key(|run| (ended(run).is_some(), Reverse(ended(run))));
    let latest = run_files::latest(&args.runs)?;
    let is_latest = |run: &Run| Some(&run.path) == latest.as_ref();
    if let Some(target) = &args.json {
        let entries: Vec<Entry<'_>> = runs.iter().map(|run| entry(run, is_latest(run))).collect();
        printer.json(target, &entries)?;
    }
    printer.result(table(&runs, is_latest).to_string())?;
    Ok(ExitStatus::Success)
}

fn entry(run: &Run, latest: bool) -> Entry<'_> {
    Entry {
        run: run.path.display().to_string(),
        data: &run.data,
        latest,
        date: run.result.as_ref().map(RunResult::date),
        result: run.result.as_ref(),
    }
}

fn table(runs: &[Run], is_latest: impl Fn(&Run) -> bool) -> Table {
    let mut table = Table::new([Column::LEFT]);
    table.row(["run", "data", "network", "accuracy", "date"]);
    for run in runs {
        let mut name = file_name(&run.path);
        if is_latest(run) {
            name.push_str(" (latest)");
        }
        // The last part of a path; `builtin:insects` has one part.
        let data = file_name(Path::new(&run.data));
        match &run.result {
            Some(result) => {
                let mut score = result.score();
                if !result.verified {
                    score.push_str(", not verified");
                }
                let date = numbers::date(&result.date());
                table.row([name, data, result.network.clone(), score, date]);
            }
            None => table.row([name, data, "not finished".to_owned()]),
        }
    }
    table
}
