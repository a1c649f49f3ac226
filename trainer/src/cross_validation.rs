//! K-fold cross-validation: scores on held-out images, and images whose label looks wrong.

mod logistic;
mod pairs;
mod run;

use data::metrics::{argmax, negative_log_likelihood};
use data::{Prediction, Sample, Tally};
use report::run_files::{FoldScore, Folds, MeanInterval};

pub use logistic::held_out_logits;
pub use pairs::cross_validate_pairs;
pub use run::cross_validate;

use crate::calibrate::mean_and_error;
use crate::kfold::{HeldOut, KFold};

/// 97.5 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Scores the held-out logits.
///
/// The folds' networks share most of their training images. Their errors are therefore not independent, and an
/// interval that treats them as independent is too narrow. Nadeau and Bengio (2003, Inference for the
/// Generalization Error, section 3, the corrected resampled t-test) put 1/K + n_test / n_train in
/// place of 1/K; with n_test / n_train = 1 / (K - 1) the variance of the mean over N images becomes
/// 1 + K / (K - 1) times what it would be: N images count as N / (1 + K / (K - 1)), 108 in place of
/// 244 with five folds. Accuracy: Wilson's interval of that many images. Loss: 1.96 standard errors
/// of the mean.
pub fn score_folds(kfold: &KFold, held_out: &HeldOut) -> Folds {
    let folds = kfold.folds() as f64;
    let correction = 1.0 + folds / (folds - 1.0);
    let answers: Vec<(f64, f64)> = held_out
        .logits
        .iter()
        .zip(&held_out.labels)
        .map(|(row, label)| {
            let right = argmax(row) == *label;
            let loss = negative_log_likelihood(row, *label);
            (f64::from(u8::from(right)), loss)
        })
        .collect();
    let (right, losses): (Vec<f64>, Vec<f64>) = answers.iter().copied().unzip();
    let count = answers.len();
    let (accuracy, _) = mean_and_error(&right);
    let (low, high) = data::metrics::wilson_from_share(accuracy, count as f64 / correction);
    let (loss, error) = mean_and_error(&losses);
    // The correction multiplies the variance, hence its root here.
    let half = Z * error * correction.sqrt();
    let per_fold = (0..kfold.folds()).map(|fold| {
        let own = |value: &[f64]| {
            let indices = (0..count).filter(|&index| kfold.fold_of()[index] == fold);
            indices.map(|index| value[index]).collect::<Vec<_>>()
        };
        FoldScore {
            fold: fold + 1,
            count: own(&right).len(),
            accuracy: mean_and_error(&own(&right)).0,
            loss: mean_and_error(&own(&losses)).0,
        }
    });
    Folds {
        folds: kfold.folds(),
        count,
        accuracy: MeanInterval {
            mean: accuracy,
            interval: [low, high],
        },
        loss: MeanInterval {
            mean: loss,
            // A log loss is never negative.
            interval: [(loss - half).max(0.0), loss + half],
        },
        per_fold: per_fold.collect(),
    }
}

/// Images whose held-out answer contradicts their label, the most confident first.
pub fn suspects(samples: &[Sample], classes: &[String], held_out: &HeldOut) -> Vec<Prediction> {
    let name = |label: u32| classes[label as usize].clone();
    let mut suspects = vec![];
    for ((sample, row), &label) in samples.iter().zip(&held_out.logits).zip(&held_out.labels) {
        let predicted = argmax(row);
        if predicted != label {
            let probability = Tally::probabilities(row)[predicted as usize];
            suspects.push(Prediction {
                path: sample.relative.clone(),
                label: name(label),
                predicted: name(predicted),
                probability,
            });
        }
    }
    suspects.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    suspects
}

#[cfg(test)]
mod tests;
