//! The shapes of the files that other commands leave in a run folder. Fields that a page can do
//! without may be missing.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `calibration.json`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Calibration {
    pub(super) temperature: f64,
    pub(super) applied: bool,
    pub(super) fitted_on: String,
    pub(super) count: u64,
    pub(super) loss_before: f64,
    pub(super) loss_after: f64,
    pub(super) standard_error: Option<f64>,
}

/// `folds.json`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Folds {
    pub(super) folds: u64,
    pub(super) count: u64,
    pub(super) accuracy: Mean,
    pub(super) loss: Mean,
    pub(super) per_fold: Vec<Fold>,
}

/// A mean and its interval.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Mean {
    pub(super) mean: f64,
    pub(super) interval: [f64; 2],
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Fold {
    pub(super) fold: u64,
    pub(super) count: u64,
    pub(super) accuracy: f64,
    pub(super) loss: f64,
}

/// A row of `suspects.csv`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Suspect {
    pub(super) path: String,
    pub(super) label: String,
    pub(super) predicted: String,
    pub(super) probability: f64,
}

/// `seeds.json`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Seeds {
    pub(super) seeds: Vec<Seed>,
    pub(super) accuracy: Range,
    pub(super) loss: Range,
    pub(super) split: String,
    pub(super) count: u64,
    #[serde(default)]
    pub(super) unstable: Vec<Unstable>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Seed {
    pub(super) seed: u64,
    pub(super) accuracy: f64,
    pub(super) loss: f64,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Range {
    pub(super) mean: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

/// A picture whose answer depends on the seed.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Unstable {
    pub(super) path: String,
    pub(super) label: String,
    /// Class to the number of seeds that named it.
    pub(super) answers: BTreeMap<String, u64>,
}

/// `audit.json`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Audit {
    #[serde(default)]
    pub(super) findings: Vec<Finding>,
    pub(super) width: Option<Spread>,
    pub(super) height: Option<Spread>,
    #[serde(default)]
    pub(super) aspect: Vec<Bar>,
    #[serde(default)]
    pub(super) megapixels: Vec<Bar>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Finding {
    pub(super) kind: String,
    pub(super) severity: String,
    pub(super) message: String,
    #[serde(default)]
    pub(super) paths: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Spread {
    pub(super) min: f64,
    pub(super) median: f64,
    pub(super) max: f64,
}

/// A bar of a histogram.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Bar {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) count: u64,
}

/// `inspect/inspect.json`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Inspection {
    pub(super) images: Vec<Inspected>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Inspected {
    pub(super) title: String,
    /// Relative to the folder of `inspect.json`.
    pub(super) file: String,
    pub(super) kind: String,
}
