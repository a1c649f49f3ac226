//! Run folder, `runs/NAME/`: its name, its files, and the link `runs/latest`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use data::run_files;
use fs_err as fs;

use crate::error::{Error, Result};

/// Checkpoint of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckpointKind {
    /// The one with the best validation
    Best,
    /// The newest
    Last,
}

/// The folder of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// Makes the folder of a new run: exactly `name`, or the number after the highest.
    pub fn create(runs: &Path, name: Option<&str>) -> Result<RunDir> {
        fs::create_dir_all(runs)?;
        match name {
            Some(name) => {
                Self::check_new(runs, name)?;
                Self::make(runs.join(name))
            }
            None => Self::create_numbered(runs),
        }
    }

    /// Refuses a name that is taken or is no name, before any work is done.
    pub fn check_new(runs: &Path, name: &str) -> Result<()> {
        let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
        if !name.chars().all(plain)
            // A leading dash would read as a flag, and a leading dot hides the folder.
            || name.starts_with(['.', '-'])
            || ["", run_files::LATEST].contains(&name)
        {
            return Err(Error::refused_with_hint(
                format!("`{name}` is not a name for a run"),
                "a name consists of letters, digits, `-`, `_` and `.`; `--runs` chooses the folder",
            ));
        }
        let path = runs.join(name);
        if path.symlink_metadata().is_ok() {
            return Err(Error::RunExists { path });
        }
        Ok(())
    }

    fn create_numbered(runs: &Path) -> Result<RunDir> {
        let mut highest = 0u64;
        for entry in fs::read_dir(runs)? {
            let name = entry?.file_name();
            highest = highest.max(name.to_str().and_then(|n| n.parse().ok()).unwrap_or(0));
        }
        loop {
            highest = highest.saturating_add(1);
            // Another run may take the number in between.
            match Self::make(runs.join(highest.to_string())) {
                Err(Error::RunExists { .. }) => {}
                other => return other,
            }
        }
    }

    fn make(path: PathBuf) -> Result<RunDir> {
        match fs::create_dir(&path) {
            Ok(()) => Ok(RunDir { path }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(Error::RunExists { path })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a run by its folder, by a file in it, or by its name in `runs`.
    pub fn open(runs: &Path, run: &Path) -> Result<RunDir> {
        let path = data::runs::find(runs, run)?.ok_or_else(|| {
            let (run, runs) = (run.display(), runs.display());
            Error::refused_with_hint(
                format!(
                    "`{run}` is no run: neither a folder of `trainer fit` nor a name in `{runs}`"
                ),
                format!("`trainer runs --runs {runs}` lists the runs"),
            )
        })?;
        Ok(RunDir { path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn name(&self) -> String {
        self.path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    pub fn config(&self) -> PathBuf {
        self.path.join(run_files::CONFIG)
    }

    pub fn split(&self) -> PathBuf {
        self.path.join(run_files::SPLIT)
    }

    pub fn pairs(&self) -> PathBuf {
        self.path.join(run_files::PAIRS)
    }

    pub fn metrics(&self) -> PathBuf {
        self.path.join(run_files::METRICS)
    }

    pub fn best(&self) -> PathBuf {
        self.path.join(run_files::BEST)
    }

    pub fn last(&self) -> PathBuf {
        self.path.join(run_files::LAST)
    }

    /// The frozen backbone, with its classification layer, that a fine-tuning began as.
    pub fn frozen(&self) -> PathBuf {
        self.path.join(run_files::FROZEN)
    }

    /// The file of a checkpoint; a run that keeps the last alone has no best.
    pub fn checkpoint(&self, kind: CheckpointKind) -> PathBuf {
        match kind {
            CheckpointKind::Best if self.best().is_file() => self.best(),
            CheckpointKind::Best | CheckpointKind::Last => self.last(),
        }
    }

    pub fn model(&self) -> PathBuf {
        self.path.join(run_files::MODEL)
    }

    pub fn verify(&self) -> PathBuf {
        self.path.join(run_files::VERIFY)
    }

    pub fn audit(&self) -> PathBuf {
        self.path.join(run_files::AUDIT)
    }

    pub fn summary(&self) -> PathBuf {
        self.path.join(run_files::SUMMARY)
    }

    pub fn predictions(&self) -> PathBuf {
        self.path.join(run_files::PREDICTIONS)
    }

    pub fn val_predictions(&self) -> PathBuf {
        self.path.join(run_files::VAL_PREDICTIONS)
    }

    pub fn command(&self) -> PathBuf {
        self.path.join(run_files::COMMAND)
    }

    pub fn report(&self) -> PathBuf {
        self.path.join(run_files::REPORT)
    }

    pub fn calibration(&self) -> PathBuf {
        self.path.join(run_files::CALIBRATION)
    }

    pub fn preprocess(&self) -> PathBuf {
        self.path.join(run_files::PREPROCESS)
    }

    pub fn folds(&self) -> PathBuf {
        self.path.join(run_files::FOLDS)
    }

    pub fn suspects(&self) -> PathBuf {
        self.path.join(run_files::SUSPECTS)
    }

    pub fn seeds(&self) -> PathBuf {
        self.path.join(run_files::SEEDS)
    }

    /// The folder of another training of this run, such as `seeds/7`; it is created when missing.
    pub fn part(&self, kind: &str, name: &str) -> Result<RunDir> {
        let path = self.path.join(kind).join(name);
        fs::create_dir_all(&path)?;
        Ok(RunDir { path })
    }

    /// Makes `latest` beside this folder point to it, in one step.
    pub fn mark_latest(&self) -> Result<()> {
        Ok(run_files::mark_latest(&self.path)?)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use fs_err as fs;

    use super::RunDir;
    use crate::Error;

    fn create(runs: &Path, name: Option<&str>) -> RunDir {
        let run = RunDir::create(runs, name).unwrap();
        fs::write(run.config(), "").unwrap();
        run
    }

    #[test]
    fn a_run_without_a_name_takes_the_number_after_the_highest() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("deep/runs");
        assert_eq!(create(&runs, None).name(), "1");
        assert_eq!(create(&runs, Some("bees")).name(), "bees");
        assert_eq!(create(&runs, None).name(), "2");
        fs::create_dir(runs.join("41")).unwrap();
        assert_eq!(create(&runs, None).name(), "42");
    }

    #[test]
    fn a_name_that_is_taken_is_refused_with_a_hint_to_resume() {
        let folder = tempfile::tempdir().unwrap();
        create(folder.path(), Some("bees"));
        let error = RunDir::create(folder.path(), Some("bees")).unwrap_err();
        assert!(matches!(error, Error::RunExists { .. }));
        assert!(error.hint().unwrap().contains("--resume"), "{error}");
    }

    #[test]
    fn a_name_stays_inside_the_folder_of_the_runs() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["", "../out", "a/b", ".hidden", "latest", "-x", "a b"] {
            let error = RunDir::create(folder.path(), Some(name)).unwrap_err();
            assert!(
                error.to_string().contains("is not a name for a run"),
                "{name}: {error}"
            );
        }
    }

    #[test]
    fn latest_moves_to_the_newest_and_opens_it() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (create(folder.path(), None), create(folder.path(), None));
        first.mark_latest().unwrap();
        assert_eq!(
            RunDir::open(folder.path(), Path::new("latest")).unwrap(),
            first
        );
        second.mark_latest().unwrap();
        assert_eq!(
            RunDir::open(folder.path(), Path::new("latest")).unwrap(),
            second
        );
        #[cfg(unix)]
        assert_eq!(
            fs::read_link(folder.path().join("latest")).unwrap(),
            Path::new("2")
        );
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            3,
            "no temporary link stays"
        );
    }

    #[test]
    fn latest_may_be_a_file_with_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let run = create(folder.path(), Some("bees"));
        fs::write(folder.path().join("latest"), "bees\n").unwrap();
        assert_eq!(
            RunDir::open(folder.path(), Path::new("latest")).unwrap(),
            run
        );
    }

    #[test]
    fn a_run_opens_by_folder_and_by_name_and_nothing_else_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let run = create(folder.path(), Some("bees"));
        assert_eq!(RunDir::open(Path::new("runs"), run.path()).unwrap(), run);
        assert_eq!(RunDir::open(folder.path(), Path::new("bees")).unwrap(), run);
        let error = RunDir::open(folder.path(), Path::new("wasps")).unwrap_err();
        assert!(error.to_string().contains("is no run"), "{error}");
    }
}
