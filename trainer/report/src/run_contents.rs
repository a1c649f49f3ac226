//! Contents of a run folder, read file by file. A page leaves out what is missing; it names the files
//! that are there and cannot be understood.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use data::augment::Augment;
use data::run_files as files;
use data::table::Row;
use data::{Audit, Card, Prediction, Split};
use fs_err as fs;

use crate::error::Result;
use crate::predictions::Answers;
use crate::reading::{if_any, json, note, rows, text};
use crate::run_files::{
    Agreement, Calibration, EpochRow, FineTuned, Folds, InspectList, Seeds, Summary,
    TrainingSummary,
};
use crate::verifier_contents::VerifierContents;

/// Contents of a run folder.
#[derive(Debug)]
pub struct RunContents {
    pub folder: PathBuf,
    /// Name of the run on the page.
    pub name: String,
    pub settings: RunSettings,
    pub(crate) config: String,
    pub(crate) command: Option<String>,
    pub(crate) epochs: Vec<EpochRow>,
    pub(crate) summary: Option<Summary>,
    pub(crate) answers: Option<Answers>,
    /// In place of both, of `folds` and of `seeds`, where pairs were trained on.
    pub(crate) verifier: Option<VerifierContents>,
    pub(crate) agreement: Option<Agreement>,
    /// The card of the exported file.
    pub(crate) card: Option<Card>,
    /// Rows of `split.csv`.
    pub(crate) images: Vec<Row>,
    pub(crate) calibration: Option<Calibration>,
    pub(crate) folds: Option<Folds>,
    pub(crate) suspects: Vec<Prediction>,
    pub(crate) seeds: Option<Seeds>,
    pub(crate) audit: Option<Audit>,
    pub(crate) inspection: Option<InspectList>,
    /// Files that could not be understood, each with the reason.
    pub unreadable: Vec<String>,
}

/// Settings of a run that its page needs. `config.toml` has all of them; whoever knows its keys reads it.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// Path or name of the data set.
    pub data: String,
    /// Path or name of the backbone; none for the custom network.
    pub backbone: Option<String>,
    /// Whether all of the backbone was trained.
    pub fine_tune: bool,
    pub augment: Augment,
    /// Number of views of an image whose features were computed once; none where every epoch had its own.
    pub cached_views: Option<usize>,
    /// Whether training minimised the plain cross-entropy: no label smoothing, no class weights, no mixed images.
    pub has_plain_loss: bool,
    /// What a verifier computes of the features of two images; none of a classifier.
    pub distance: Option<String>,
    pub seed: u64,
}

impl RunContents {
    /// Reads a run folder.
    ///
    /// # Errors
    /// When `config.toml` cannot be read; all other files may be missing.
    pub fn open(folder: &Path, settings: RunSettings) -> Result<Self> {
        let mut unreadable = vec![];
        let notes = &mut unreadable;
        let path = |name| folder.join(name);
        let is_verifier = settings.distance.is_some();
        let verifier = is_verifier.then(|| VerifierContents::open(folder, notes));
        let (summary, answers, folds, seeds) = match verifier {
            Some(_) => (None, None, None, None),
            None => (
                note(notes, json(&path(files::SUMMARY))),
                note(notes, if_any(&path(files::PREDICTIONS), Answers::open)),
                note(notes, json(&path(files::FOLDS))),
                note(notes, json(&path(files::SEEDS))),
            ),
        };
        // Only `config.toml` must be there: it makes a folder a run.
        Ok(Self {
            name: match file_name(folder) {
                // A bare number reads as a count: "right only with 3".
                number if number.chars().all(|c| c.is_ascii_digit()) => format!("run {number}"),
                name => name,
            },
            settings,
            config: fs::read_to_string(path(files::CONFIG))?,
            command: note(notes, text(&path(files::COMMAND))),
            epochs: note(notes, rows(&path(files::METRICS))).unwrap_or_default(),
            summary,
            answers,
            verifier,
            agreement: note(notes, json(&path(files::VERIFY))),
            card: note(notes, if_any(&path(files::MODEL), card)).flatten(),
            images: note(notes, if_any(&path(files::SPLIT), images)).unwrap_or_default(),
            calibration: note(notes, json(&path(files::CALIBRATION))),
            folds,
            suspects: note(notes, rows(&path(files::SUSPECTS))).unwrap_or_default(),
            seeds,
            audit: note(notes, json(&path(files::AUDIT))),
            inspection: note(notes, json(&path(files::INSPECT).join(files::INSPECT_LIST))),
            folder: folder.to_path_buf(),
            unreadable,
        })
    }

    pub fn page_path(&self) -> PathBuf {
        self.folder.join(files::REPORT)
    }

    /// Class names in output order; empty before the run was scored.
    pub(crate) fn classes(&self) -> &[String] {
        match (&self.answers, &self.summary) {
            (Some(answers), _) => &answers.classes,
            (None, Some(summary)) => &summary.scores.classes,
            (None, None) => &[],
        }
    }

    /// Number of images per split and class.
    pub(crate) fn counts(&self) -> BTreeMap<Split, BTreeMap<&str, u64>> {
        let mut counts: BTreeMap<Split, BTreeMap<&str, u64>> = BTreeMap::new();
        for row in &self.images {
            if let Some(split) = row.split {
                let classes = counts.entry(split).or_default();
                *classes.entry(&row.label).or_default() += 1;
            }
        }
        counts
    }

    /// Name of the network for people: the custom one, or the backbone's file.
    pub(crate) fn network(&self) -> String {
        let of_pairs = match self.settings.distance.as_deref() {
            Some("euclidean") => ", Euclidean distance of two images".to_owned(),
            Some(distance) => format!(", {} of two images", distance.replace('-', " ")),
            None => String::new(),
        };
        let Some(backbone) = &self.settings.backbone else {
            return format!("custom ResNet{of_pairs}");
        };
        let stem = Path::new(backbone).file_stem();
        let name = stem.map_or(backbone.clone(), |stem| stem.to_string_lossy().into_owned());
        let kept_frozen = self.fine_tuned().is_some_and(|found| !found.kept_tuned);
        let training = match (self.settings.fine_tune, kept_frozen) {
            (true, false) => "fine-tuned",
            (true, true) => "frozen, since fine-tuning is not better",
            (false, _) => "frozen, new head",
        };
        format!("{name} ({training}){of_pairs}")
    }

    /// Network and training, of either task; none before the run was scored.
    pub(crate) fn training(&self) -> Option<&TrainingSummary> {
        match &self.verifier {
            Some(verifier) => Some(&verifier.summary.as_ref()?.training),
            None => Some(&self.summary.as_ref()?.training),
        }
    }

    /// What fine-tuning changed.
    pub(crate) fn fine_tuned(&self) -> Option<&FineTuned> {
        self.training()?.fine_tuned.as_ref()
    }

    /// What an example of training is, for people.
    pub(crate) fn examples(&self) -> &'static str {
        match self.verifier {
            Some(_) => "pairs",
            None => "images",
        }
    }

    /// Whether the loss is the contrastive one, which is no cross-entropy.
    pub(crate) fn is_contrastive(&self) -> bool {
        self.settings.distance.as_deref() == Some("euclidean")
    }

    /// Whether training saw augmented images: a frozen part that sees one view of each does not.
    pub(crate) fn is_augmented(&self) -> bool {
        let is_frozen = self.settings.backbone.is_some() && !self.settings.fine_tune;
        let one_view = is_frozen && self.settings.cached_views == Some(1);
        !self.settings.augment.ops.is_empty() && !one_view
    }

    /// The last part of the data set's path.
    pub(crate) fn data_name(&self) -> String {
        match Path::new(&self.settings.data).file_name() {
            Some(name) => name.to_string_lossy().into_owned(),
            None => self.settings.data.clone(),
        }
    }

    /// Name of the folder, which is a plain file name even where [`name`](Self::name) is a path.
    pub(crate) fn folder_name(&self) -> String {
        file_name(&self.folder)
    }
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn card(path: &Path) -> Result<Option<Card>> {
    let header = onnx::Header::open(path)?;
    let pairs = header.metadata.iter();
    Ok(Card::from_pairs(
        pairs.map(|(key, value)| (key.as_str(), value.as_str())),
    )?)
}

fn images(path: &Path) -> Result<Vec<Row>> {
    Ok(data::table::read_list(path)?)
}
