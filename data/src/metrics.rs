//! Classification metrics: accuracy, loss, per-class scores, curves, calibration, tests and intervals.
//!
//! Works on labels, predictions and logits; knows nothing of images and networks.

mod bootstrap;
mod calibration;
mod confusion;
mod curve;
mod holm;
mod interval;
mod mcnemar;
mod quantile;
mod report;
mod selective;
mod verification;
mod verifier_difference;

use crate::{Result, write};
use serde::{Deserialize, Serialize};
use std::path::Path;

pub use bootstrap::{bootstrap, bootstrap_mean};
pub use calibration::{
    Bin, Binning, brier, calibration_error, negative_log_likelihood, reliability,
};
pub use confusion::{ClassScore, Confusion};
pub use curve::{Curve, precision_recall, roc};
pub use holm::holm;
pub use interval::{wilson, wilson_from_share};
pub use mcnemar::{McNemar, mcnemar, p_text};
pub use quantile::quantile;
pub use report::{table, worse_than_majority};
pub use selective::{CoveragePoint, Selective};
pub use verification::{Against, Det, EqualError, ScoredPair, VerificationScores, det};
pub use verifier_difference::{Difference, TwiceScoredPair, VerifierDifference};

/// Scores of a classifier on labelled images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Share of correct predictions, `[0, 1]`.
    pub accuracy: f64,
    /// Wilson 95 % interval of the accuracy.
    pub interval: [f64; 2],
    /// Mean negative log-likelihood (cross-entropy), in nats.
    pub loss: f64,
    /// Number of images.
    pub count: u64,
    /// Accuracy of always predicting the most frequent class, `[0, 1]`.
    pub baseline: f64,
    /// Confusion matrix `[K, K]`: rows true, columns predicted.
    pub confusion: Vec<Vec<u64>>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Precision, recall and F1 of each class.
    pub per_class: Vec<ClassScore>,
}

/// Running count of predictions and loss.
///
/// ```
/// let mut tally = classifold_data::Tally::new(vec!["ants".into(), "bees".into()]);
/// assert_eq!(tally.add(&[2.0, -1.0], 0), 0);
/// assert_eq!(tally.add(&[0.5, 0.1], 1), 0);
/// let scores = tally.scores();
/// assert_eq!((scores.accuracy, scores.count), (0.5, 2));
/// assert_eq!(scores.confusion, [[1, 0], [1, 0]]);
/// ```
#[derive(Clone, Debug)]
pub struct Tally {
    confusion: Confusion,
    loss: f64,
}

impl Tally {
    /// A tally without any image.
    #[must_use]
    pub fn new(classes: Vec<String>) -> Self {
        Self {
            confusion: Confusion::new(classes),
            loss: 0.0,
        }
    }

    /// Counts one image by its `logits` `[K]` and returns the predicted class (see [`argmax`]).
    ///
    /// # Panics
    /// The label or the prediction is no class.
    pub fn add(&mut self, logits: &[f32], label: u32) -> u32 {
        let predicted = argmax(logits);
        self.confusion.add(label, predicted);
        self.loss += negative_log_likelihood(logits, label);
        predicted
    }

    /// Softmax of `logits` `[K]`, in double precision.
    ///
    /// ```
    /// let probs = classifold_data::Tally::probabilities(&[1000.0, 1000.0]);
    /// assert_eq!(probs, [0.5, 0.5]);
    /// ```
    #[must_use]
    pub fn probabilities(logits: &[f32]) -> Vec<f64> {
        // The largest exponent is 0, so that nothing overflows.
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weights = logits
            .iter()
            .map(|&logit| (f64::from(logit) - f64::from(max)).exp());
        let sum: f64 = weights.clone().sum();
        weights.map(|weight| weight / sum).collect()
    }

    /// The scores so far; accuracy and loss are zero when nothing was counted.
    #[must_use]
    pub fn scores(&self) -> Scores {
        let (correct, count) = (self.confusion.correct(), self.confusion.total());
        let (low, high) = wilson(correct, count);
        Scores {
            accuracy: self.confusion.accuracy(),
            interval: [low, high],
            loss: if count == 0 {
                0.0
            } else {
                self.loss / count as f64
            },
            count,
            baseline: self.confusion.majority_baseline(),
            per_class: self.confusion.per_class(),
            confusion: self.confusion.counts.clone(),
            classes: self.confusion.classes.clone(),
        }
    }
}

/// Index of the largest of `logits` `[K]`, the first of equals.
///
/// ```
/// assert_eq!(classifold_data::metrics::argmax(&[0.0, 2.0, 2.0]), 1);
/// ```
#[must_use]
pub fn argmax(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (index, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = index;
        }
    }
    best as u32
}

/// Prediction for one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Path relative to the data root; ends in `class/file`.
    pub path: String,
    /// Name of the true class.
    pub label: String,
    /// Name of the predicted class.
    pub predicted: String,
    /// Probability of the predicted class, `[0, 1]`.
    pub probability: f64,
}

/// Writes predictions as CSV with the columns `path,label,predicted,probability`.
///
/// # Errors
/// When the file cannot be written.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("p.csv");
/// classifold_data::metrics::write_predictions(&path, &[])?;
/// assert_eq!(std::fs::read_to_string(path)?, "path,label,predicted,probability\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_predictions(path: &Path, predictions: &[Prediction]) -> Result<()> {
    write::atomically_with(path, |file| {
        let mut table = csv::Writer::from_writer(file);
        let header = ["path", "label", "predicted", "probability"];
        table.write_record(header)?;
        for p in predictions {
            let probability = format!("{:.6}", p.probability);
            table.write_record([&p.path, &p.label, &p.predicted, &probability])?;
        }
        table.flush()
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|i| format!("c{i}")).collect()
    }

    #[test]
    fn loss_is_cross_entropy() {
        let mut tally = Tally::new(names(3));
        tally.add(&[1.0, 2.0, 3.0], 1);
        tally.add(&[-500.0, 500.0, 0.0], 0);
        // By hand: ln(e + e^2 + e^3) - 2 = 1.4076059644, and 1000.
        assert!((tally.scores().loss - (1.407_605_964_4 + 1000.0) / 2.0).abs() < 1e-9);
    }

    #[test]
    fn nothing_counted() {
        let scores = Tally::new(names(2)).scores();
        assert_eq!((scores.accuracy, scores.loss, scores.count), (0.0, 0.0, 0));
        assert_eq!(scores.interval, [0.0, 1.0]);
        assert_eq!(scores.per_class[0].precision, None);
    }

    #[test]
    fn scores_keep_their_names_in_json() {
        let json = serde_json::to_value(Tally::new(names(1)).scores()).unwrap();
        for key in [
            "accuracy",
            "interval",
            "loss",
            "count",
            "baseline",
            "confusion",
            "classes",
            "per_class",
        ] {
            assert!(json.get(key).is_some(), "{key}");
        }
        for key in ["class", "precision", "recall", "f1", "support"] {
            assert!(json["per_class"][0].get(key).is_some(), "{key}");
        }
    }

    #[test]
    fn predictions_are_quoted_where_needed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.csv");
        let prediction = Prediction {
            path: "val/ants/a, b.jpg".into(),
            label: "ants".into(),
            predicted: "bees".into(),
            probability: 0.75,
        };
        write_predictions(&path, &[prediction]).unwrap();
        let text = fs_err::read_to_string(&path).unwrap();
        assert_eq!(
            text.lines().nth(1),
            Some("\"val/ants/a, b.jpg\",ants,bees,0.750000")
        );
    }

    proptest! {
        #[test]
        fn counts_add_up(answers in prop::collection::vec(
            (prop::collection::vec(-50f32..50.0, 4), 0u32..4), 0..60)) {
            let mut tally = Tally::new(names(4));
            let mut right = 0;
            for (logits, label) in &answers {
                let probs = Tally::probabilities(logits);
                prop_assert!((probs.iter().sum::<f64>() - 1.0).abs() < 1e-9);
                // Two classes are as far apart as their logits.
                let odds = f64::from(logits[0] - logits[3]);
                prop_assert!(((probs[0] / probs[3]).ln() - odds).abs() < 1e-4);
                right += u64::from(tally.add(logits, *label) == *label);
            }
            let scores = tally.scores();
            prop_assert_eq!(scores.count, answers.len() as u64);
            prop_assert!(scores.loss >= 0.0);
            for (class, row) in scores.confusion.iter().enumerate() {
                let support = answers.iter().filter(|a| a.1 as usize == class).count() as u64;
                prop_assert_eq!(row.iter().sum::<u64>(), support);
                prop_assert_eq!(scores.per_class[class].support, support);
            }
            let diagonal: u64 = (0..4).map(|i| scores.confusion[i][i]).sum();
            prop_assert_eq!(diagonal, right);
        }
    }
}
