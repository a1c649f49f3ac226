//! `trainer backbones`: the backbones with a name, and how fast ONNX Runtime runs them here.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use console::table::{Column, Table};
use console::{ExitStatus, Printer};
use data::catalog::{BACKBONES, Backbone};
use deploy::{Provider, Session, SessionOptions};
use serde::Serialize;

use crate::cli::BackbonesArgs;
use crate::error::Result;
use crate::runtime;

/// How long each backbone is timed.
const TIMED: Duration = Duration::from_millis(600);
/// Runs at least, for a median.
const LEAST_RUNS: usize = 3;

/// An entry of `--json`.
#[derive(Serialize)]
struct Entry {
    name: &'static str,
    title: &'static str,
    source: &'static str,
    trained_on: &'static str,
    licence: &'static str,
    bytes: u64,
    features: usize,
    macs: u64,
    preprocess: &'static str,
    sha256: &'static str,
    /// The file in the cache folder, once fetched.
    file: Option<PathBuf>,
    /// Images per second in one thread, one at a time.
    images_per_second: Option<f64>,
}

pub fn run(args: &BackbonesArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let cache = data::cache::dir(args.cache.as_deref())?;
    let mut entries: Vec<Entry> = BACKBONES.iter().map(|row| entry(row, &cache)).collect();
    if entries.iter().any(|entry| entry.file.is_some()) {
        // A list installs nothing; without ONNX Runtime it lacks a column.
        match runtime::ensure(args.runtime.clone(), Provider::Cpu, &cache, true, printer) {
            Ok(()) => time_all(&mut entries, printer),
            Err(error) => printer.warn(format!("the backbones are not timed: {error}")),
        }
    }
    if let Some(target) = &args.json {
        printer.json(target, &entries)?;
    }
    printer.result(table(&entries).to_string())?;
    printer.log("next: trainer fit --data DIR --backbone NAME");
    Ok(ExitStatus::Success)
}

fn entry(backbone: &'static Backbone, cache: &Path) -> Entry {
    let path = backbone.path(cache);
    Entry {
        name: backbone.name,
        title: backbone.title,
        source: backbone.source,
        trained_on: backbone.trained_on,
        licence: backbone.licence,
        bytes: backbone.bytes,
        features: backbone.features,
        macs: backbone.macs,
        preprocess: backbone.preprocess,
        sha256: backbone.sha256,
        file: path.is_file().then_some(path),
        images_per_second: None,
    }
}

fn time_all(entries: &mut [Entry], printer: &Printer) {
    for entry in entries {
        let Some(file) = &entry.file else {
            continue;
        };
        match images_per_second(file) {
            Ok(rate) => entry.images_per_second = Some(rate),
            Err(error) => printer.warn(format!("`{}` is not timed: {error}", entry.name)),
        }
    }
}

/// Images per second through ONNX Runtime, which must be loaded: the median of single runs in one thread.
fn images_per_second(file: &Path) -> Result<f64> {
    let options = SessionOptions {
        threads: Some(1),
        ..SessionOptions::default()
    };
    let mut session = Session::open(file, &options)?;
    let image = vec![0.0; session.image_shape().iter().product()];
    // The first run allocates.
    session.run(&image, 1)?;
    let begin = Instant::now();
    let mut seconds = vec![];
    while seconds.len() < LEAST_RUNS || begin.elapsed() < TIMED {
        let start = Instant::now();
        session.run(&image, 1)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(1.0 / seconds[seconds.len() / 2])
}

fn table(entries: &[Entry]) -> Table {
    let mut table = Table::new([Column::LEFT, Column::LEFT, Column::LEFT, Column::RIGHT]);
    table.row([
        "name",
        "trained on",
        "licence",
        "size",
        "features",
        "MACs",
        "images/s here",
    ]);
    for entry in entries {
        let rate = match (entry.images_per_second, &entry.file) {
            (Some(rate), _) => format!("{rate:.1}"),
            (None, Some(_)) => "not timed".to_owned(),
            (None, None) => "not fetched".to_owned(),
        };
        table.row([
            entry.name.to_owned(),
            entry.trained_on.to_owned(),
            entry.licence.to_owned(),
            format!("{:.1} MB", entry.bytes as f64 / 1e6),
            entry.features.to_string(),
            format!("{:.2} G", entry.macs as f64 / 1e9),
            rate,
        ]);
    }
    table
}
