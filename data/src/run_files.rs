//! File names in a run folder, and the link to the latest run.
//!
//! `trainer` writes the files and `deploy` reads some. Knows nothing of their content.

use fs_err as fs;
use std::io;
use std::path::{Path, PathBuf};

/// Default folder of all runs.
pub const RUNS: &str = "runs";
/// A link to the newest run beside the runs, or a file with its name.
pub const LATEST: &str = "latest";

/// The resolved configuration; a folder with this file is a run.
pub const CONFIG: &str = "config.toml";
/// The split of every image.
pub const SPLIT: &str = "split.csv";
/// The pairs of images, where pairs were trained on.
pub const PAIRS: &str = "pairs.csv";
/// One row per epoch.
pub const METRICS: &str = "metrics.csv";
/// The checkpoint with the best validation.
pub const BEST: &str = "best.safetensors";
/// The newest checkpoint.
pub const LAST: &str = "last.safetensors";
/// The checkpoint of the frozen backbone that a fine-tuning began as.
pub const FROZEN: &str = "frozen.safetensors";
/// The verified export.
pub const MODEL: &str = "model.onnx";
/// Agreement of the export with the trained network.
pub const VERIFY: &str = "verify.json";
/// Findings of the data set's audit.
pub const AUDIT: &str = "audit.json";
/// Results of the run.
pub const SUMMARY: &str = "summary.json";
/// Predictions of the export for the images of the final evaluation.
pub const PREDICTIONS: &str = "predictions.csv";
/// The scores of the validation pairs, which chose the threshold, where pairs were trained on.
pub const VAL_PREDICTIONS: &str = "val-predictions.csv";
/// The commands of the run, one a line.
pub const COMMAND: &str = "command.txt";
/// The report as an HTML page.
pub const REPORT: &str = "report.html";
/// The temperature of the exported network.
pub const CALIBRATION: &str = "calibration.json";
/// The preprocessing of the network's images, and what decided it.
pub const PREPROCESS: &str = "preprocess.json";
/// The result of cross-validation.
pub const FOLDS: &str = "folds.json";
/// Images whose held-out prediction contradicts their label.
pub const SUSPECTS: &str = "suspects.csv";
/// The results of other seeds.
pub const SEEDS: &str = "seeds.json";
/// The run as JSON objects, one a line.
pub const EVENTS: &str = "events.jsonl";
/// The folder of `trainer inspect`'s images.
pub const INSPECT: &str = "inspect";
/// The list of those images, in their folder.
pub const INSPECT_LIST: &str = "inspect.json";

/// Whether a folder is a run folder.
#[must_use]
pub fn is_run(folder: &Path) -> bool {
    folder.join(CONFIG).is_file()
}

/// The run folder that contains a file.
#[must_use]
pub fn run_containing(file: &Path) -> Option<&Path> {
    file.parent().filter(|folder| is_run(folder))
}

/// The run that [`LATEST`] in `runs` points to, if it exists. The run itself may have been deleted.
///
/// # Errors
/// [`LATEST`] exists and cannot be read.
///
/// ```
/// let runs = tempfile::tempdir()?;
/// classifold_data::run_files::mark_latest(&runs.path().join("bees"))?;
/// assert_eq!(classifold_data::run_files::latest(runs.path())?, Some(runs.path().join("bees")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn latest(runs: &Path) -> io::Result<Option<PathBuf>> {
    let latest = runs.join(LATEST);
    match latest.symlink_metadata() {
        Ok(_) => follow(&latest).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Resolves a path like [`LATEST`]: the target of a link, the name in a file of that name, or the path itself.
///
/// # Errors
/// When a file cannot be read.
pub fn follow(path: &Path) -> io::Result<PathBuf> {
    let Some(folder) = path.parent() else {
        return Ok(path.to_path_buf());
    };
    if let Ok(target) = path.read_link() {
        return Ok(folder.join(target));
    }
    // Any other file may be an image or a model.
    if path.file_name() == Some(LATEST.as_ref()) && path.is_file() {
        return Ok(folder.join(fs::read_to_string(path)?.trim()));
    }
    Ok(path.to_path_buf())
}

/// Points [`LATEST`] beside a run to it, atomically: a link, or a file where the system has no links.
///
/// # Errors
/// When neither can be written.
pub fn mark_latest(run: &Path) -> crate::Result<()> {
    let (Some(runs), Some(name)) = (run.parent(), run.file_name()) else {
        return Ok(());
    };
    let latest = runs.join(LATEST);
    if symlink(name.as_ref(), &latest).is_ok() {
        return Ok(());
    }
    Ok(files::write::atomically(
        &latest,
        name.to_string_lossy().as_bytes(),
    )?)
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    // A link cannot be changed: a new one replaces it by renaming, so that there is always one.
    // By process: two runs may end at the same time.
    let temporary = link.with_file_name(format!(".latest-{}", std::process::id()));
    fs::os::unix::fs::symlink(target, &temporary)?;
    fs::rename(&temporary, link).inspect_err(|_| {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
    })
}

#[cfg(not(unix))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latest_is_a_link_or_a_file_with_a_name() {
        let runs = tempfile::tempdir().unwrap();
        assert_eq!(latest(runs.path()).unwrap(), None);
        fs::write(runs.path().join(LATEST), "bees\n").unwrap();
        let found = || latest(runs.path()).unwrap().unwrap();
        assert_eq!(found(), runs.path().join("bees"));
        mark_latest(&runs.path().join("7")).unwrap();
        assert_eq!(found(), runs.path().join("7"));
        #[cfg(unix)]
        assert_eq!(
            fs::read_link(runs.path().join(LATEST)).unwrap(),
            Path::new("7")
        );
        assert_eq!(
            fs::read_dir(runs.path()).unwrap().count(),
            1,
            "no temporary link stays"
        );
    }

    #[test]
    fn a_run_is_a_folder_with_a_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join(MODEL);
        assert_eq!(run_containing(&model), None);
        fs::write(folder.path().join(CONFIG), "").unwrap();
        assert_eq!(run_containing(&model), Some(folder.path()));
        assert_eq!(follow(folder.path()).unwrap(), folder.path());
    }
}
