//! Progress of a pass over the examples: counts, sums and times. It knows no network and no file.

use std::time::Instant;

use data::metrics::argmax;
use serde::{Deserialize, Serialize};

use super::objective::{Objective, Targets};
use crate::error::{Error, Result};

/// Phase of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before the first epoch: features of a backbone that is fine-tuned, for its classification layer.
    Features,
    /// The weights move.
    Train,
    /// The weights rest; batch norm uses its running statistics.
    Val,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Features => "features",
            Self::Train => "training",
            Self::Val => "validation",
        }
    }
}

/// Counts of a pass so far: batches and images done, sums of loss and of correct answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Batches done.
    pub step: usize,
    /// Images done.
    pub images: u64,
    /// Sum of the batches' mean losses, each times its images: in training of the objective, in validation of the
    /// plain cross-entropy.
    pub loss_sum: f64,
    /// Images whose highest logit is that of their label; of a mixed image, of its larger part.
    pub correct: u64,
    pub seconds: f64,
    /// Seconds in which steps waited for their batches.
    #[serde(default)]
    pub wait_seconds: f64,
}

impl Progress {
    /// Mean loss.
    pub fn loss(&self) -> f64 {
        self.loss_sum / self.images as f64
    }

    /// Accuracy, percent.
    pub fn accuracy(&self) -> f64 {
        100.0 * self.correct as f64 / self.images as f64
    }

    pub fn images_per_second(&self) -> f64 {
        // The first report may come within the resolution of the clock.
        self.images as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }

    /// Adds a batch by its logits `[N, K]`, row by row.
    ///
    /// # Errors
    /// [`Error::LossNotFinite`], which `phase` and `epoch` are for.
    pub(crate) fn add(
        &mut self,
        logits: &[f32],
        targets: &Targets,
        objective: &Objective,
        phase: Phase,
        epoch: usize,
    ) -> Result<()> {
        let num_classes = logits.len() / targets.len().max(1);
        let rows = logits.chunks_exact(num_classes.max(1));
        let hits = rows.zip(targets.dominant());
        let hits = hits.filter(|(row, label)| argmax(row) == *label);
        let loss = objective.value(logits, targets);
        self.step += 1;
        self.images += targets.len() as u64;
        self.correct += hits.count() as u64;
        self.loss_sum += loss * targets.len() as f64;
        // Checked after counting, so that the error names this step.
        if loss.is_finite() {
            return Ok(());
        }
        Err(Error::LossNotFinite {
            loss,
            phase: phase.name(),
            epoch,
            step: self.step,
        })
    }
}

/// Counts the seconds of a pass, those before a resume included.
pub(crate) struct Clock {
    started: Instant,
    seconds_before: f64,
}

impl Clock {
    /// Continues from the seconds that `progress` has.
    pub(crate) fn start(progress: &Progress) -> Self {
        Self {
            started: Instant::now(),
            seconds_before: progress.seconds,
        }
    }

    /// The next item, and in `progress` how long it was waited for.
    pub(crate) fn next<T>(
        &self,
        items: &mut dyn Iterator<Item = T>,
        progress: &mut Progress,
    ) -> Option<T> {
        let asked = Instant::now();
        let item = items.next()?;
        progress.wait_seconds += asked.elapsed().as_secs_f64();
        Some(item)
    }

    /// Writes the seconds so far into `progress`.
    pub(crate) fn tick(&self, progress: &mut Progress) {
        progress.seconds = self.seconds_before + self.started.elapsed().as_secs_f64();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(progress: &mut Progress, logits: &[f32], labels: &[u32]) -> Result<()> {
        let (targets, objective) = (Targets::Classes(labels.to_vec()), Objective::default());
        progress.add(logits, &targets, &objective, Phase::Train, 7)
    }

    #[test]
    fn a_batch_adds_its_loss_its_hits_and_its_images() {
        let mut progress = Progress::default();
        // torch 2.15: the mean cross-entropy of these rows is 1.5754564; the second is no hit.
        add(&mut progress, &[2.0, -1.0, 0.5, 0.1, 0.2, 3.0], &[0, 1]).unwrap();
        assert!(
            (progress.loss() - 1.575_456_4).abs() < 1e-6,
            "{}",
            progress.loss()
        );
        assert_eq!(
            (progress.step, progress.images, progress.correct),
            (1, 2, 1)
        );
        add(&mut progress, &[0.0, 0.0, 1.0], &[2]).unwrap();
        assert_eq!(
            (progress.step, progress.images, progress.correct),
            (2, 3, 2)
        );
        assert!((progress.accuracy() - 200.0 / 3.0).abs() < 1e-12);
        assert!((progress.loss() - (2.0 * 1.575_456_4 + 0.551_444_7) / 3.0).abs() < 1e-6);
    }

    #[test]
    fn a_mixed_image_is_a_hit_where_its_larger_part_is_found() {
        let targets = Targets::Probabilities {
            values: vec![0.4, 0.6, 0.8, 0.2],
            num_classes: 2,
        };
        let mut progress = Progress::default();
        let (logits, objective) = ([0.0, 1.0, 0.0, 1.0], Objective::default());
        let added = progress.add(&logits, &targets, &objective, Phase::Train, 1);
        added.unwrap();
        assert_eq!((progress.images, progress.correct), (2, 1));
        // torch 2.15: `cross_entropy(tensor([[0., 1], [0, 1]]), tensor([[0.4, 0.6], [0.8, 0.2]]))`
        assert!(
            (progress.loss() - 0.913_261_7).abs() < 1e-6,
            "{}",
            progress.loss()
        );
    }

    #[test]
    fn logits_that_are_not_finite_make_a_loss_that_is_not() {
        for bad in [f32::NAN, f32::INFINITY] {
            let error = add(&mut Progress::default(), &[0.0, bad], &[0]).unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with("the training loss is NaN in epoch 7, step 1")
            );
        }
        let mut huge = Progress::default();
        add(&mut huge, &[-3e38, 3e38], &[0]).unwrap();
        assert!(huge.loss() > 5e38, "{}", huge.loss());
    }
}
