//! `trainer report`: a run, or several, as one HTML page.

use std::path::{Path, PathBuf};

use console::{ExitStatus, Printer};

use crate::cli::ReportArgs;
use crate::error::Result;
use crate::report::{self, Pictures, Record};
use crate::resolve;
use crate::run_dir::RunDir;

/// What a comparison is called.
const COMPARISON: &str = "comparison.html";

/// Writes the page.
pub fn run(args: &ReportArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let records = open(&args.runs, &args.run)?;
    warn_of(records.iter().flat_map(|record| &record.notes), printer);
    let root = match &args.data {
        Some(data) => Some(data.clone()),
        None => root(&records, args.cache.as_deref(), printer),
    };
    if root.is_none() {
        printer
            .warn("the pictures are no longer where they were: `--data DIR` says where they are");
    }
    let pictures = Pictures::new(root);
    let (page, default) = match records.as_slice() {
        [record] => (report::single(record, &pictures), record.run.report()),
        records => (
            report::several(records, &pictures),
            PathBuf::from(COMPARISON),
        ),
    };
    let out = args.out.clone().unwrap_or(default);
    data::write::atomically(&out, page.as_bytes())?;
    printer.result(format!("wrote `{}`", out.display()))?;
    Ok(ExitStatus::Success)
}

/// Says where a run's own page is, or why there is none; a run without it is still a run.
pub(super) fn tell(run: &RunDir, written: Result<Vec<String>>, printer: &Printer) {
    match written {
        Ok(notes) => {
            warn_of(&notes, printer);
            printer.log(format!("report: {}", run.report().display()));
        }
        Err(error) => printer.warn(format!("there is no report: {error}")),
    }
}

/// Writes a run's own page once more. Where its pictures are gone the page, which may hold them, is
/// left as it is.
pub(super) fn renew(run: &RunDir, cache: &Path, printer: &Printer) {
    let written = Record::open(run).and_then(|record| {
        let records = std::slice::from_ref(&record);
        let Some(root) = root(records, Some(cache), printer) else {
            return Ok(None);
        };
        report::write(record, &Pictures::new(Some(root))).map(Some)
    });
    match written.transpose() {
        Some(written) => tell(run, written, printer),
        None => printer.log(format!(
            "not in the report yet: trainer report {} --data DIR",
            run.path().display()
        )),
    }
}

fn warn_of<'a>(notes: impl IntoIterator<Item = &'a String>, printer: &Printer) {
    for note in notes {
        printer.warn(format!("left out of the report: {note}"));
    }
}

/// The records of runs; those of one name are told apart by their folders.
pub(super) fn open(runs: &Path, named: &[PathBuf]) -> Result<Vec<Record>> {
    let records: Result<Vec<Record>> = named
        .iter()
        .map(|run| Record::open(&RunDir::open(runs, run)?))
        .collect();
    let mut records = records?;
    let names: Vec<String> = records.iter().map(|record| record.name.clone()).collect();
    for record in &mut records {
        if names.iter().filter(|name| **name == record.name).count() > 1 {
            record.name = record.run.path().display().to_string();
        }
    }
    Ok(records)
}

/// The folder that the runs' paths start from, if it is there.
fn root(records: &[Record], cache: Option<&Path>, printer: &Printer) -> Option<PathBuf> {
    let cache = data::cache::dir(cache).ok()?;
    records.iter().find_map(|record| {
        let path = resolve::data_path(&record.recipe.data, &cache, printer).ok()?;
        let folder = if path.is_file() {
            path.parent()?
        } else {
            &path
        };
        Some(folder.to_path_buf()).filter(|folder| folder.is_dir())
    })
}
