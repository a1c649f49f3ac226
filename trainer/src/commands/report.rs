//! `trainer report`: a run, or several, as one HTML page.

use std::path::{Path, PathBuf};

use console::{ExitStatus, Printer};
use models::Distance;
use report::{RunContents, RunSettings, Thumbnails};

use crate::cli::ReportArgs;
use crate::error::{Error, Result};
use crate::recipe::{Recipe, Views};
use crate::resolve;
use crate::run_dir::RunDir;

/// File name of a comparison.
const COMPARISON: &str = "comparison.html";

pub fn run(args: &ReportArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let runs = open_runs(&args.runs, &args.run, printer)?;
    warn_unreadable(runs.iter().flat_map(|run| &run.unreadable), printer);
    let root = match &args.data {
        Some(data) => Some(data.clone()),
        None => data_root(&runs, args.cache.as_deref(), printer),
    };
    if root.is_none() {
        printer.warn("the images are no longer where they were: `--data DIR` names their folder");
    }
    let thumbnails = Thumbnails::new(root);
    refuse_comparison(&runs)?;
    let (page, default) = match runs.as_slice() {
        [run] => (report::run_page(run, &thumbnails), run.page_path()),
        runs => (
            report::comparison_page(runs, &thumbnails),
            PathBuf::from(COMPARISON),
        ),
    };
    let out = args.out.clone().unwrap_or(default);
    data::write::atomically(&out, page.as_bytes())?;
    printer.result(format!("wrote `{}`", out.display()))?;
    Ok(ExitStatus::Success)
}

/// Writes a run's own page; `root` is the folder of its images. Returns the files that could not be understood.
pub(super) fn write_page(run: &RunDir, root: &Path) -> Result<Vec<String>> {
    let thumbnails = Thumbnails::new(Some(root.to_path_buf()));
    Ok(report::write_run_page(open_run(run)?, &thumbnails)?)
}

/// Logs where a run's own page is, or warns why there is none: a run without a page is still a run.
pub(super) fn log_page(run: &RunDir, written: Result<Vec<String>>, printer: &Printer) {
    match written {
        Ok(unreadable) => {
            warn_unreadable(&unreadable, printer);
            printer.log(format!("report: {}", run.report().display()));
        }
        Err(error) => printer.warn(format!("there is no report: {error}")),
    }
}

/// Writes a run's own page again, unless its images are gone: the page that is there may show them.
pub(super) fn rewrite_page(run: &RunDir, cache: &Path, printer: &Printer) {
    let root = open_run(run).map(|run| data_root(&[run], Some(cache), printer));
    match root {
        Ok(Some(root)) => log_page(run, write_page(run, &root), printer),
        Ok(None) => printer.log(format!(
            "not in the report yet: trainer report {} --data DIR",
            run.path().display()
        )),
        Err(error) => log_page(run, Err(error), printer),
    }
}

/// Refuses to compare a verifier with a classifier: one answers for pairs, the other for images.
fn refuse_comparison(runs: &[RunContents]) -> Result<()> {
    let (verifiers, classifiers): (Vec<_>, Vec<_>) =
        runs.iter().partition(|run| run.settings.distance.is_some());
    match (verifiers.first(), classifiers.first()) {
        (Some(verifier), Some(classifier)) => Err(Error::refused_with_hint(
            format!(
                "`{}` is a verifier's run and `{}` a classifier's: a comparison is of one task",
                verifier.folder.display(),
                classifier.folder.display()
            ),
            "`trainer runs` lists the runs, and which are verifiers'",
        )),
        _ => Ok(()),
    }
}

fn warn_unreadable<'a>(files: impl IntoIterator<Item = &'a String>, printer: &Printer) {
    for file in files {
        printer.warn(format!("left out of the report: {file}"));
    }
}

fn open_run(run: &RunDir) -> Result<RunContents> {
    let recipe = Recipe::open(&run.config())?;
    let settings = RunSettings {
        fine_tune: recipe.is_fine_tuned(),
        has_plain_loss: recipe.has_plain_loss(),
        distance: recipe
            .is_pairs()
            .then(|| Distance::from(recipe.distance).name().to_owned()),
        data: recipe.data,
        backbone: recipe.backbone,
        augment: recipe.augment,
        cached_views: match recipe.views {
            Some(Views::Kept(count)) => Some(count),
            Some(Views::Fresh) | None => None,
        },
        seed: recipe.seed,
    };
    Ok(RunContents::open(run.path(), settings)?)
}

/// Opens runs; those of the same name are called by their folders.
pub(super) fn open_runs(
    runs: &Path,
    names: &[PathBuf],
    printer: &Printer,
) -> Result<Vec<RunContents>> {
    let contents = names
        .iter()
        .map(|run| open_run(&resolve::run(runs, run, printer)?));
    let mut contents = contents.collect::<Result<Vec<_>>>()?;
    let names: Vec<String> = contents.iter().map(|run| run.name.clone()).collect();
    for run in &mut contents {
        if names.iter().filter(|name| **name == run.name).count() > 1 {
            run.name = run.folder.display().to_string();
        }
    }
    Ok(contents)
}

/// The folder that the paths of the runs' images start from, if it is there.
fn data_root(runs: &[RunContents], cache: Option<&Path>, printer: &Printer) -> Option<PathBuf> {
    let cache = data::cache::dir(cache).ok()?;
    runs.iter().find_map(|run| {
        let path = resolve::data_path(&run.settings.data, &cache, printer).ok()?;
        let folder = resolve::data_folder(&path);
        folder.is_dir().then(|| folder.to_path_buf())
    })
}
