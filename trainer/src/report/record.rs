//! What a run folder holds. Whatever is missing is left out of the page; what is there and cannot be
//! understood is said on it.

use std::collections::BTreeMap;
use std::path::Path;

use data::table::Row;
use data::{Audit, Card, Prediction, Scores, Split};
use fs_err as fs;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::calibrate::Calibration;
use crate::cross_validation::Folds;
use crate::error::{Error, Result};
use crate::inspect::album;
use crate::predictions::Answers;
use crate::recipe::{Recipe, Views};
use crate::run_dir::RunDir;
use crate::seeds::Seeds;
use crate::train::EpochRow;
use crate::verify::Agreement;

/// What a run folder holds.
#[derive(Debug)]
pub struct Record {
    /// The folder.
    pub run: RunDir,
    /// What the run is called on the page.
    pub name: String,
    /// What was asked for.
    pub recipe: Recipe,
    /// The text of `config.toml`.
    pub config: String,
    /// The text of `command.txt`.
    pub command: Option<String>,
    /// Rows of `metrics.csv`.
    pub epochs: Vec<EpochRow>,
    /// `summary.json`.
    pub summary: Option<Summary>,
    /// `predictions.csv`.
    pub answers: Option<Answers>,
    /// `verify.json`.
    pub agreement: Option<Agreement>,
    /// The card of the exported file.
    pub card: Option<Card>,
    /// Rows of `split.csv`: the images.
    pub images: Vec<Row>,
    pub(super) calibration: Option<Calibration>,
    pub(super) folds: Option<Folds>,
    pub(super) suspects: Vec<Prediction>,
    pub(super) seeds: Option<Seeds>,
    pub(super) audit: Option<Audit>,
    pub(super) inspection: Option<album::List>,
    /// Files that could not be understood, and why.
    pub notes: Vec<String>,
}

/// What a page needs of `summary.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Summary {
    /// The exported file, relative to the run folder.
    pub model: String,
    /// The network's name.
    pub network: String,
    /// All parameters.
    pub parameters: u64,
    /// Those that were trained.
    pub trainable_parameters: u64,
    /// The exported epoch, counted from 1.
    pub epoch: usize,
    /// `finished` or `early-stopped`.
    pub ended: String,
    /// Seconds from start to end.
    pub seconds: f64,
    /// The split of the scores.
    pub split: Split,
    /// Scores of the exported file.
    #[serde(flatten)]
    pub scores: Scores,
}

impl Record {
    /// Reads a run folder.
    ///
    /// # Errors
    /// When `config.toml` cannot be read; all other files may be missing.
    pub fn open(run: &RunDir) -> Result<Record> {
        let mut notes = vec![];
        Ok(Record {
            name: run.name(),
            recipe: Recipe::open(&run.config())?,
            config: fs::read_to_string(run.config())?,
            command: note(&mut notes, text(&run.command())),
            epochs: note(&mut notes, rows(&run.metrics())).unwrap_or_default(),
            summary: note(&mut notes, json(&run.summary())),
            answers: note(&mut notes, answers(&run.predictions())),
            agreement: note(&mut notes, json(&run.verify())),
            card: note(&mut notes, card(&run.model())),
            images: note(&mut notes, images(&run.split())).unwrap_or_default(),
            calibration: note(&mut notes, json(&run.calibration())),
            folds: note(&mut notes, json(&run.folds())),
            suspects: note(&mut notes, rows(&run.suspects())).unwrap_or_default(),
            seeds: note(&mut notes, json(&run.seeds())),
            audit: note(&mut notes, json(&run.audit())),
            inspection: note(&mut notes, json(&run.path().join("inspect/inspect.json"))),
            run: run.clone(),
            notes,
        })
    }

    /// Class names in output order; empty before the run was scored.
    pub fn classes(&self) -> &[String] {
        match (&self.answers, &self.summary) {
            (Some(answers), _) => &answers.classes,
            (None, Some(summary)) => &summary.scores.classes,
            (None, None) => &[],
        }
    }

    /// Images per split and class.
    pub fn counts(&self) -> BTreeMap<Split, BTreeMap<&str, u64>> {
        let mut counts: BTreeMap<Split, BTreeMap<&str, u64>> = BTreeMap::new();
        for row in &self.images {
            if let Some(split) = row.split {
                *counts
                    .entry(split)
                    .or_default()
                    .entry(&row.label)
                    .or_default() += 1;
            }
        }
        counts
    }

    /// What the network is called: the custom one, or the name of the backbone's file.
    pub fn network(&self) -> String {
        let Some(backbone) = &self.recipe.backbone else {
            return "custom ResNet".into();
        };
        let stem = Path::new(backbone).file_stem();
        let name = stem.map_or(backbone.clone(), |stem| stem.to_string_lossy().into_owned());
        let how = if self.recipe.fine_tune {
            "fine-tuned"
        } else {
            "frozen, new head"
        };
        format!("{name} ({how})")
    }

    /// Whether training saw varied pictures: a frozen part that looks at each once does not.
    pub fn is_augmented(&self) -> bool {
        let is_frozen = self.recipe.backbone.is_some() && !self.recipe.fine_tune;
        let one_view = is_frozen && self.recipe.views == Some(Views::Kept(1));
        !self.recipe.augment.ops.is_empty() && !one_view
    }

    /// The last part of where the data was.
    pub fn data_name(&self) -> String {
        let path = Path::new(&self.recipe.data);
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        name.unwrap_or_else(|| self.recipe.data.clone())
    }
}

/// What was read; what is wrong with it goes to `notes`, unless it is not there.
fn note<T>(notes: &mut Vec<String>, found: Result<Option<T>>) -> Option<T> {
    found.unwrap_or_else(|error| {
        notes.push(error.to_string());
        None
    })
}

fn text(path: &Path) -> Result<Option<String>> {
    Ok(if path.is_file() {
        Some(fs::read_to_string(path)?)
    } else {
        None
    })
}

fn refused(path: &Path, reason: impl ToString) -> Error {
    Error::Table {
        path: path.to_path_buf(),
        reason: reason.to_string(),
    }
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let Some(text) = text(path)? else {
        return Ok(None);
    };
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|error| refused(path, error))
}

fn rows<T: DeserializeOwned>(path: &Path) -> Result<Option<Vec<T>>> {
    let Some(text) = text(path)? else {
        return Ok(None);
    };
    let rows: Result<Vec<T>, csv::Error> = csv::Reader::from_reader(text.as_bytes())
        .into_deserialize()
        .collect();
    rows.map(Some).map_err(|error| refused(path, error))
}

fn answers(path: &Path) -> Result<Option<Answers>> {
    Ok(if path.is_file() {
        Some(Answers::open(path)?)
    } else {
        None
    })
}

fn card(path: &Path) -> Result<Option<Card>> {
    if !path.is_file() {
        return Ok(None);
    }
    let header = onnx::Header::open(path)?;
    let pairs = header.metadata.iter();
    Ok(Card::from_pairs(
        pairs.map(|(key, value)| (key.as_str(), value.as_str())),
    )?)
}

fn images(path: &Path) -> Result<Option<Vec<Row>>> {
    Ok(if path.is_file() {
        Some(data::table::read(path)?)
    } else {
        None
    })
}
