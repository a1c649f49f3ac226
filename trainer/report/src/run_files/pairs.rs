//! Files of a verifier's run folder that have another content than those of a classifier's.

use std::collections::BTreeMap;

use data::metrics::VerificationScores;
use data::{PairKind, Split};
use serde::{Deserialize, Serialize};

use super::TrainingSummary;

/// Result of a verifier's run, in place of [`Summary`](super::Summary).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PairSummary {
    /// `pairs`.
    pub task: String,
    #[serde(flatten)]
    pub training: TrainingSummary,
    /// The split of the scores: `test`, or `val` with `--no-test`.
    pub split: Split,
    /// Scores of the exported file through ONNX Runtime.
    #[serde(flatten)]
    pub scores: VerificationScores,
}

/// Scores of several seeds on the same pairs: a verifier's `seeds.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairSeeds {
    /// `pairs`.
    pub task: String,
    /// Scores of the single seeds; the first is the run's own.
    pub seeds: Vec<PairSeedScore>,
    /// Area under the ROC curve, `[0, 1]`.
    pub auc: MeanDeviation,
    /// `[0, 1]`.
    pub equal_error_rate: MeanDeviation,
    /// Share of right answers at each seed's own threshold, `[0, 1]`.
    pub accuracy: MeanDeviation,
    pub split: Split,
    /// Number of pairs.
    pub count: usize,
    /// Pairs whose answer depends on the seed; those with the least agreement first.
    pub unstable: Vec<UnstablePair>,
}

/// Scores of the network of one seed, as shares.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairSeedScore {
    pub seed: u64,
    pub auc: f64,
    pub equal_error_rate: f64,
    pub accuracy: f64,
    /// The least probability, or the largest distance, of the same: of equal errors on the validation pairs.
    pub threshold: f64,
}

/// Scores of k-fold cross-validation over identities: a verifier's `folds.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairFolds {
    /// `pairs`.
    pub task: String,
    pub folds: usize,
    /// Held-out pairs of all folds.
    pub count: usize,
    /// Identities that were held out, each once.
    pub identities: u64,
    /// Area under the ROC curve, `[0, 1]`.
    pub auc: MeanDeviation,
    /// `[0, 1]`.
    pub equal_error_rate: MeanDeviation,
    /// Share of right answers at each fold's own threshold, `[0, 1]`.
    pub accuracy: MeanDeviation,
    pub per_fold: Vec<PairFoldScore>,
}

/// Scores of one fold's network on the identities held out from it, as shares.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairFoldScore {
    /// Counted from 1.
    pub fold: usize,
    /// Number of held-out pairs.
    pub count: usize,
    pub identities: u64,
    pub auc: f64,
    pub equal_error_rate: f64,
    pub accuracy: f64,
}

/// Mean, sample standard deviation and extremes over the seeds, or over the folds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeanDeviation {
    pub mean: f64,
    pub deviation: f64,
    pub min: f64,
    pub max: f64,
}

/// A pair for which not all seeds give the same answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnstablePair {
    /// Relative to the data root.
    pub path_a: String,
    pub path_b: String,
    pub label: PairKind,
    /// Number of seeds by answer, `same` or `different`.
    pub answers: BTreeMap<String, usize>,
}

impl MeanDeviation {
    /// Of at least two values.
    pub fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares = values.iter().map(|value| (value - mean).powi(2));
        Self {
            mean,
            deviation: (squares.sum::<f64>() / (count - 1.0)).sqrt(),
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }
}

impl PairFolds {
    /// The scores as text for a terminal.
    pub fn text(&self) -> String {
        let Self {
            folds,
            count,
            identities,
            ..
        } = self;
        let figures = figures([self.auc, self.equal_error_rate, self.accuracy]);
        format!(
            "{folds}-fold cross-validation, {count} held-out pairs of {identities} identities\n{figures}"
        )
    }
}

impl PairSeeds {
    /// The scores as text for a terminal.
    pub fn text(&self) -> String {
        let Self { split, count, .. } = self;
        format!(
            "{} seeds, {count} {split} pairs\n{}\nanswer depends on the seed: {} of {count} pairs",
            self.seeds.len(),
            figures([self.auc, self.equal_error_rate, self.accuracy]),
            self.unstable.len()
        )
    }
}

/// Lines of area under the ROC curve, equal error rate and accuracy.
fn figures([auc, equal_error_rate, accuracy]: [MeanDeviation; 3]) -> String {
    let line = |name: &str, found: &MeanDeviation| {
        let MeanDeviation {
            mean,
            deviation,
            min,
            max,
        } = found;
        format!(
            "{name:<16}  {mean:.4}   standard deviation {deviation:.4}, from {min:.4} to {max:.4}"
        )
    };
    let percents = |name: &str, found: &MeanDeviation| {
        let [mean, deviation, min, max] =
            [found.mean, found.deviation, found.min, found.max].map(|share| 100.0 * share);
        format!(
            "{name:<16}  {mean:.2} %   standard deviation {deviation:.2}, from {min:.2} to {max:.2} %"
        )
    };
    [
        line("area under ROC", &auc),
        percents("equal error rate", &equal_error_rate),
        percents("accuracy", &accuracy),
    ]
    .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        let found = MeanDeviation::of(&[0.5, 0.75, 1.0]);
        assert_eq!((found.mean, found.deviation), (0.75, 0.25));
        assert_eq!((found.min, found.max), (0.5, 1.0));
    }
}
