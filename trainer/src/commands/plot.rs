//! `trainer plot`: the charts of runs as PNG and SVG files, for papers.

use std::path::{Path, PathBuf};

use console::chart::{self, Chart};
use console::{ExitStatus, Printer};
use fs_err as fs;
use report::ChartKind;
use report::charts::{PlottedRun, named_charts};

use super::report::open_runs;
use crate::cli::PlotArgs;
use crate::error::Error;

/// Folder of the files.
const FOLDER: &str = "plots";

pub fn run(args: &PlotArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let runs = open_runs(&args.runs, &args.run, printer)?;
    let plotted: Vec<PlottedRun> = runs.iter().map(PlottedRun::new).collect();
    let out = match (&args.out, runs.as_slice()) {
        (Some(out), _) => out.clone(),
        (None, [run]) => run.folder.join(FOLDER),
        (None, _) => PathBuf::from(FOLDER),
    };
    let all_kinds = args.kind.is_empty();
    let kinds = match all_kinds {
        true => ChartKind::ALL.map(|(kind, ..)| kind).to_vec(),
        false => args.kind.clone(),
    };
    let mut charts = vec![];
    for kind in kinds {
        match named_charts(kind, &plotted) {
            Ok(named) => charts.extend(named),
            Err(error) if all_kinds => printer.log(format!("left out: {error}")),
            Err(error) => return Err(Error::from(error).into()),
        }
    }
    if charts.is_empty() {
        return Err(Error::refused_with_hint(
            "there is nothing to plot yet",
            "a run has curves after its first epoch, and the other charts at its end",
        )
        .into());
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

pub(super) fn save(folder: &Path, name: &str, chart: &Chart, width_px: u32) -> anyhow::Result<()> {
    let svg = chart.file();
    let png = chart::png(&svg, width_px)?;
    data::write::atomically(&folder.join(format!("{name}.svg")), svg.as_bytes())?;
    Ok(data::write::atomically(
        &folder.join(format!("{name}.png")),
        &png,
    )?)
}
