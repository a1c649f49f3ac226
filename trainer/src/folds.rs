//! K-fold cross-validation: which image is held out when, and what the held-out answers say. It
//! knows labels and logits, no network and no file.

mod logistic;

use data::metrics::{argmax, negative_log_likelihood};
use data::split::{counts_of_two, stratified};
use data::{Prediction, Sample, Tally};
use serde::{Deserialize, Serialize};

pub use logistic::answers;

use crate::calibrate::{HeldOut, mean_and_error};
use crate::error::{Error, Result};

/// The 97.5 % point of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;
/// Images of the smallest class: with fewer, a fold of two would leave a class without a validation
/// image.
const FEWEST: usize = 4;

/// Divides images into folds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Division {
    labels: Vec<u32>,
    /// The fold of each image, `0..folds`.
    fold_of: Vec<usize>,
    folds: usize,
    seed: u64,
}

/// Places of images: what a fold trains on, what chooses its epoch, what it is scored on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// Nine tenths of the other folds.
    pub train: Vec<usize>,
    /// A tenth of the other folds, class by class, as `val` is cut from `train`.
    pub val: Vec<usize>,
    /// The fold itself.
    pub held_out: Vec<usize>,
}

impl Division {
    /// Class by class, evenly, drawn by seed: the sizes of two folds differ by one image at most, in all
    /// and in each class.
    ///
    /// # Errors
    /// When there are fewer than two folds, or a class has fewer images than folds, or than four.
    pub fn new(samples: &[Sample], classes: &[String], folds: usize, seed: u64) -> Result<Self> {
        let labels: Vec<u32> = samples.iter().map(|sample| sample.label).collect();
        check(&labels, classes, folds)?;
        let mut fold_of = vec![0; labels.len()];
        let mut next = 0;
        for class in 0..classes.len() as u32 {
            let own: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] == class).collect();
            for place in data::loader::order(own.len(), seed, u64::from(class)) {
                fold_of[own[place]] = next % folds;
                next += 1;
            }
        }
        Ok(Self {
            labels,
            fold_of,
            folds,
            seed,
        })
    }

    /// The number of folds.
    pub fn folds(&self) -> usize {
        self.folds
    }

    /// The places of a fold, counted from 0.
    pub fn fold(&self, fold: usize) -> Fold {
        let (held_out, others): (Vec<usize>, Vec<usize>) =
            (0..self.labels.len()).partition(|&place| self.fold_of[place] == fold);
        let label = |place: &usize| self.labels[*place];
        let [train, val] = stratified(others, label, self.seed, counts_of_two);
        Fold {
            train,
            val,
            held_out,
        }
    }

    /// The held-out logits of all folds, each in the order of its places, in the order of the images.
    pub fn gather(&self, parts: Vec<Vec<Vec<f32>>>) -> HeldOut {
        let mut parts: Vec<_> = parts.into_iter().map(Vec::into_iter).collect();
        let logits = self.fold_of.iter().map(|&fold| parts[fold].next());
        HeldOut {
            logits: logits.flatten().collect(),
            labels: self.labels.clone(),
        }
    }
}

fn check(labels: &[u32], classes: &[String], folds: usize) -> Result<()> {
    let refuse = |reason: String| Error::Setting {
        flag: "folds",
        value: folds.to_string(),
        reason,
    };
    if folds < 2 {
        return Err(refuse("must be 2 or more".into()));
    }
    for (class, name) in classes.iter().enumerate() {
        let count = labels.iter().filter(|&&l| l as usize == class).count();
        if count < folds.max(FEWEST) {
            return Err(refuse(format!(
                "`{name}` has {count} images for training and validation; {} are needed",
                folds.max(FEWEST)
            )));
        }
    }
    Ok(())
}

/// What cross-validation found; the content of `folds.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Folds {
    /// Folds.
    pub folds: usize,
    /// Images, each held out once.
    pub count: usize,
    /// Share of right answers, `[0, 1]`.
    pub accuracy: Estimate,
    /// Negative log-likelihood, in nats.
    pub loss: Estimate,
    /// One by one.
    pub per_fold: Vec<FoldScore>,
}

/// A mean over all held-out images, and where it would be expected with other images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// The 95 % interval.
    pub interval: [f64; 2],
}

/// How one fold's network does on the images held out from it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoldScore {
    /// The fold, counted from 1.
    pub fold: usize,
    /// Images held out.
    pub count: usize,
    /// Share of right answers, `[0, 1]`.
    pub accuracy: f64,
    /// Mean negative log-likelihood, in nats.
    pub loss: f64,
}

impl Folds {
    /// Scores the held-out logits.
    ///
    /// The folds' networks share most of their training images, so their errors are not independent and
    /// an interval that takes them for it is too narrow. Nadeau and Bengio (2003, Inference for the
    /// Generalization Error, section 3, the corrected resampled t-test) put 1/K + n_test / n_train in
    /// place of 1/K; with n_test / n_train = 1 / (K - 1) the variance of the mean over N images becomes
    /// 1 + K / (K - 1) times what it would be: N images count as N / (1 + K / (K - 1)), 108 in place of
    /// 244 with five folds. Accuracy: Wilson's interval of that many images. Loss: 1.96 standard errors
    /// of the mean.
    pub fn new(division: &Division, held_out: &HeldOut) -> Self {
        let folds = division.folds as f64;
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
        let (low, high) = data::metrics::wilson_of(accuracy, count as f64 / correction);
        let (loss, error) = mean_and_error(&losses);
        let half = Z * error * correction.sqrt();
        let per_fold = (0..division.folds).map(|fold| {
            let own = |value: &[f64]| {
                let places = (0..count).filter(|&place| division.fold_of[place] == fold);
                places.map(|place| value[place]).collect::<Vec<_>>()
            };
            FoldScore {
                fold: fold + 1,
                count: own(&right).len(),
                accuracy: mean_and_error(&own(&right)).0,
                loss: mean_and_error(&own(&losses)).0,
            }
        });
        Self {
            folds: division.folds,
            count,
            accuracy: Estimate {
                mean: accuracy,
                interval: [low, high],
            },
            loss: Estimate {
                mean: loss,
                interval: [(loss - half).max(0.0), loss + half],
            },
            per_fold: per_fold.collect(),
        }
    }

    /// For people.
    pub fn table(&self) -> String {
        let Self {
            folds,
            count,
            accuracy,
            loss,
            ..
        } = self;
        let percent = |share: f64| 100.0 * share;
        format!(
            "{folds}-fold cross-validation, {count} training and validation images\n\
             accuracy   {:.2} %   95 % interval {:.2} to {:.2} %\n\
             log loss   {:.4}    95 % interval {:.4} to {:.4}",
            percent(accuracy.mean),
            percent(accuracy.interval[0]),
            percent(accuracy.interval[1]),
            loss.mean,
            loss.interval[0],
            loss.interval[1],
        )
    }
}

/// Images whose held-out answer contradicts their label, the most confident first.
pub fn suspects(samples: &[Sample], classes: &[String], held_out: &HeldOut) -> Vec<Prediction> {
    let name = |label: u32| classes.get(label as usize).cloned().unwrap_or_default();
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
