//! `trainer plot`: the charts of runs as PNG and SVG files, for papers.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use console::chart::{self, Chart};
use console::{ExitStatus, Printer};
use fs_err as fs;

use super::report::open;
use crate::cli::PlotArgs;
use crate::error::{Error, Result};
use crate::report::charts::{self, Drawn, Kind};

/// Where files go.
const FOLDER: &str = "plots";

/// Draws them.
pub fn run(args: &PlotArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let records = open(&args.runs, &args.run)?;
    let figures = Drawn::figures(&records);
    let drawn = Drawn::all(&records, &figures);
    let out = match (&args.out, records.as_slice()) {
        (Some(out), _) => out.clone(),
        (None, [record]) => record.run.path().join(FOLDER),
        (None, _) => PathBuf::from(FOLDER),
    };
    let all = args.kind.is_empty();
    let kinds = if all {
        Kind::value_variants()
    } else {
        &args.kind
    };
    let mut charts = vec![];
    for &kind in kinds {
        match named(kind, &drawn) {
            Ok(named) => charts.extend(named),
            Err(error) if all => printer.log(format!("left out: {error}")),
            Err(error) => return Err(error.into()),
        }
    }
    fs::create_dir_all(&out)?;
    for (name, chart) in &charts {
        save(&out, name, chart, args.width)?;
    }
    let names: Vec<&str> = charts.iter().map(|(name, _)| name.as_str()).collect();
    printer.result(format!(
        "wrote to `{}`, as PNG and SVG: {}",
        out.display(),
        names.join(", ")
    ))?;
    Ok(ExitStatus::Success)
}

/// The charts of a kind with the names of their files: one of all runs, or one of each.
fn named(kind: Kind, runs: &[Drawn<'_>]) -> Result<Vec<(String, Chart)>> {
    let draw = |runs: &[Drawn<'_>]| {
        charts::chart(kind, runs).map_err(|(record, lacks)| Error::NothingToPlot {
            run: record.run.path().to_path_buf(),
            kind: kind.to_string(),
            reason: lacks.into(),
        })
    };
    if kind != Kind::Confusion || runs.len() == 1 {
        return Ok(vec![(kind.to_string(), draw(runs)?)]);
    }
    let each = runs.iter().enumerate().map(|(place, run)| {
        // A name that is a path makes no file.
        let name = run.record.run.name();
        let twin = runs[..place]
            .iter()
            .any(|other| other.record.run.name() == name);
        let number = if twin {
            format!("-{}", place + 1)
        } else {
            String::new()
        };
        Ok((format!("{kind}-{name}{number}"), draw(&[*run])?))
    });
    each.collect()
}

fn save(folder: &Path, name: &str, chart: &Chart, width: u32) -> anyhow::Result<()> {
    let svg = chart.file();
    let png = chart::png(&svg, width)?;
    data::write::atomically(&folder.join(format!("{name}.svg")), svg.as_bytes())?;
    Ok(data::write::atomically(
        &folder.join(format!("{name}.png")),
        &png,
    )?)
}
