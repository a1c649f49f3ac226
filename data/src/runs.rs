//! Runs: where a name leads, what a run scored, and whether another of the same data is better.
//!
//! Knows the few keys of `config.toml` and `summary.json` that tell runs apart, and nothing of training.

use fs_err as fs;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, reading};
use crate::run_files::{self, CONFIG, LATEST, MODEL, SUMMARY, is_run};
use crate::split::Split;

/// A run folder and what tells it apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The run folder.
    pub path: PathBuf,
    /// Name or path of the run's data.
    pub data: String,
    /// The result; none before the run has ended.
    pub result: Option<RunResult>,
}

/// Result of a run that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// Name of the network.
    pub network: String,
    /// Whether ONNX Runtime computes what was trained.
    pub verified: bool,
    /// The split that was scored.
    pub split: Split,
    /// Share of right answers, `[0, 1]`.
    pub accuracy: f64,
    /// Number of images, or of pairs, that were scored.
    pub count: u64,
    /// Of a verifier: the rate at which as many pairs of either answer are wrong, `[0, 1]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equal_error_rate: Option<f64>,
    /// The time at which `summary.json` was written.
    #[serde(skip, default = "SystemTime::now")]
    pub ended: SystemTime,
}

impl Run {
    /// Reads a run folder.
    ///
    /// # Errors
    /// When `config.toml` or `summary.json` cannot be read or lacks a key.
    pub fn open(path: &Path) -> Result<Self> {
        let summary = path.join(SUMMARY);
        let result = match summary.is_file() {
            true => {
                let result: RunResult = parsed(&summary, |text| {
                    serde_json::from_str(text).map_err(|error| error.to_string())
                })?;
                let ended = fs::metadata(&summary).and_then(|file| file.modified());
                Some(RunResult {
                    ended: ended.map_err(reading(&summary))?,
                    ..result
                })
            }
            false => None,
        };
        Ok(Self {
            path: path.to_owned(),
            data: data_name(path)?,
            result,
        })
    }

    /// What the run scored and when, for people: `94.1 % of 153 test images, 3 hours ago`.
    #[must_use]
    pub fn line(&self, now: SystemTime) -> String {
        match &self.result {
            Some(result) => format!("{}, {}", result.score(), age(result.ended, now)),
            None => "not finished".to_owned(),
        }
    }
}

impl RunResult {
    /// `94.1 % of 153 test images`.
    #[must_use]
    pub fn score(&self) -> String {
        let (percent, split) = (100.0 * self.accuracy, self.split);
        let what = match self.equal_error_rate {
            Some(_) => "pairs",
            None => "images",
        };
        format!("{percent:.1} % of {} {split} {what}", self.count)
    }

    /// The time of its end in UTC, as RFC 3339.
    #[must_use]
    pub fn date(&self) -> String {
        humantime::format_rfc3339_seconds(self.ended).to_string()
    }
}

/// Name or path of a run's data.
///
/// # Errors
/// When `config.toml` cannot be read or does not say.
pub fn data_name(run: &Path) -> Result<String> {
    #[derive(Deserialize)]
    struct Config {
        data: String,
    }
    let config: Config = parsed(&run.join(CONFIG), |text| {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    })?;
    Ok(config.data)
}

fn parsed<T: DeserializeOwned>(
    path: &Path,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<T> {
    let text = fs::read_to_string(path).map_err(reading(path))?;
    parse(&text).map_err(|reason| Error::invalid(format!("`{}`: {reason}", path.display())))
}

/// Every run in a folder, by name, and the errors of those that cannot be read.
///
/// # Errors
/// When the folder cannot be listed.
pub fn list(runs: &Path) -> io::Result<(Vec<Run>, Vec<Error>)> {
    let (mut listed, mut errors) = (vec![], vec![]);
    for entry in fs::read_dir(runs)? {
        let path = entry?.path();
        // A link to one of the others.
        if path.file_name() == Some(OsStr::new(LATEST)) || !is_run(&path) {
            continue;
        }
        match Run::open(&path) {
            Ok(run) => listed.push(run),
            Err(error) => errors.push(error),
        }
    }
    listed.sort_by(|a, b| a.path.cmp(&b.path));
    Ok((listed, errors))
}

/// The run folder that a path means: a run folder, a file in one, or a name in `runs`.
///
/// # Errors
/// [`LATEST`] cannot be read.
pub fn find(runs: &Path, named: &Path) -> io::Result<Option<PathBuf>> {
    for path in [named.to_owned(), runs.join(named)] {
        // Messages then name the run itself, not the link.
        let path = run_files::follow(&path)?;
        if is_run(&path) {
            return Ok(Some(path));
        }
    }
    Ok(run_files::run_containing(named).map(Path::to_owned))
}

/// Whether a path means the latest run, whichever that is.
#[must_use]
pub fn is_latest(named: &Path) -> bool {
    named.file_name() == Some(OsStr::new(LATEST))
}

/// The best verified run beside `run` that has the same data and was scored higher on the same split.
#[must_use]
pub fn better(run: &Run) -> Option<Run> {
    let result = run.result.as_ref()?;
    let score = |other: &Run| {
        let found = other.result.as_ref()?;
        let is_same_task = found.equal_error_rate.is_some() == result.equal_error_rate.is_some();
        let is_comparable = other.data == run.data && found.split == result.split && is_same_task;
        let is_usable = found.verified && other.path.join(MODEL).is_file();
        (is_comparable && is_usable).then_some(found.accuracy)
    };
    // A run that cannot be read is no reason to refuse another.
    let (others, _) = list(run.path.parent()?).ok()?;
    let scored = others
        .into_iter()
        .filter_map(|run| Some((score(&run)?, run)));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > result.accuracy).then_some(best.1)
}

/// What is said of a run that is used: its score and age, and for the latest one a warning where another of the same
/// data was better.
#[must_use]
pub fn introduce(run: &Path, is_latest: bool) -> (String, Option<String>) {
    let run = match Run::open(run) {
        Ok(run) => run,
        Err(error) => return (error.to_string(), None),
    };
    let now = SystemTime::now();
    let better = better(&run).filter(|_| is_latest).map(|better| {
        format!(
            "`{}`, of the same data, was better than the latest run: {}",
            better.path.display(),
            better.line(now)
        )
    });
    (run.line(now), better)
}

/// `3 hours ago`, in the largest unit of which there are two.
fn age(time: SystemTime, now: SystemTime) -> String {
    // A clock that was set back makes no run come from the future.
    let seconds = now.duration_since(time).unwrap_or_default().as_secs();
    let units = [(86_400, "days"), (3_600, "hours"), (60, "minutes")];
    match units.iter().find(|(unit, _)| seconds >= 2 * unit) {
        Some((unit, name)) => format!("{} {name} ago", seconds / unit),
        None => "just now".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn write_run(runs: &Path, name: &str, data: &str, accuracy: f64) -> PathBuf {
        let run = runs.join(name);
        fs::create_dir_all(&run).unwrap();
        fs::write(run.join(CONFIG), format!("data = {data:?}\nepochs = 1\n")).unwrap();
        fs::write(run.join(MODEL), "").unwrap();
        let summary = format!(
            r#"{{"network": "custom", "verified": true, "split": "test", "accuracy": {accuracy}, "count": 40}}"#
        );
        fs::write(run.join(SUMMARY), summary).unwrap();
        run
    }

    #[test]
    fn the_best_run_of_the_same_data_is_better_than_the_latest() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path();
        write_run(runs, "1", "bees", 0.95);
        write_run(runs, "2", "bees", 0.9);
        write_run(runs, "wasps", "wasps", 1.0);
        let unverified = write_run(runs, "unverified", "bees", 1.0);
        let text = fs::read_to_string(unverified.join(SUMMARY)).unwrap();
        fs::write(unverified.join(SUMMARY), text.replace("true", "false")).unwrap();
        let trial = write_run(runs, "3", "bees", 0.525);
        run_files::mark_latest(&trial).unwrap();
        // One that is in training, and one that is damaged.
        fs::remove_file(write_run(runs, "4", "bees", 1.0).join(SUMMARY)).unwrap();
        fs::write(write_run(runs, "5", "bees", 1.0).join(SUMMARY), "{").unwrap();

        let (line, warning) = introduce(&trial, true);
        assert_eq!(line, "52.5 % of 40 test images, just now");
        let warning = warning.unwrap();
        let best = runs.join("1");
        assert_eq!(
            warning,
            format!(
                "`{}`, of the same data, was better than the latest run: 95.0 % of 40 test images, just now",
                best.display()
            )
        );
        assert_eq!(introduce(&trial, false).1, None, "it was chosen by name");
        assert!(is_latest(&runs.join(LATEST)) && !is_latest(&trial));
        assert_eq!(introduce(&best, true).1, None, "it is the best");
        let (listed, errors) = list(runs).unwrap();
        let names: Vec<_> = listed
            .iter()
            .map(|run| run.path.file_name().unwrap())
            .collect();
        assert_eq!(names, ["1", "2", "3", "4", "unverified", "wasps"]);
        assert_eq!(errors.len(), 1);
        assert!(errors[0].to_string().contains("summary.json"), "{errors:?}");
    }

    #[test]
    fn a_run_is_meant_by_folder_name_link_and_file() {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path();
        let run = write_run(runs, "1", "bees", 0.5);
        run_files::mark_latest(&run).unwrap();
        let elsewhere = Path::new("elsewhere");
        let found = [
            find(runs, Path::new("1")),
            find(runs, Path::new("latest")),
            find(elsewhere, &run),
            find(elsewhere, &runs.join(LATEST)),
            find(elsewhere, &run.join(MODEL)),
        ];
        for found in found {
            assert_eq!(found.unwrap().as_ref(), Some(&run));
        }
        // A file that is no text is no link either.
        let photo = runs.join("photo.jpg");
        fs::write(&photo, [0xff, 0xd8, 0xff]).unwrap();
        assert_eq!(find(runs, &photo).unwrap(), None);
    }

    #[test]
    fn an_age_has_one_unit() {
        let now = SystemTime::now();
        for (seconds, expected) in [
            (0, "just now"),
            (119, "just now"),
            (120, "2 minutes ago"),
            (7_199, "119 minutes ago"),
            (7_200, "2 hours ago"),
            (3 * 86_400, "3 days ago"),
        ] {
            assert_eq!(age(now - Duration::from_secs(seconds), now), expected);
        }
        assert_eq!(age(now + Duration::from_secs(60), now), "just now");
    }
}
