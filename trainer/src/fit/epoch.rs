//! One pass over a feed, the same for both phases; knows no file.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use data::metrics::{argmax, negative_log_likelihood};
use models::Network;
use serde::{Deserialize, Serialize};

use super::backbone::Backbone;
use super::feed::{Feed, Given};
use super::step;
use super::{StepReport, Watch};
use crate::error::{Error, Result};

/// What a pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The weights move.
    Train,
    /// The weights rest; batch norm uses its running statistics.
    Val,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Train => "training",
            Self::Val => "validation",
        }
    }
}

/// Counts of a pass so far: batches and images done, loss and hits added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Batches done.
    pub step: usize,
    /// Images done.
    pub images: u64,
    /// Sum of the images' cross-entropy.
    pub loss_sum: f64,
    /// Images whose highest logit is their label's.
    pub correct: u64,
    /// Seconds spent.
    pub seconds: f64,
    /// Those of them in which a step waited for its batch.
    #[serde(default)]
    pub wait_seconds: f64,
}

impl Progress {
    /// Mean cross-entropy.
    pub fn loss(&self) -> f64 {
        self.loss_sum / self.images as f64
    }

    /// Accuracy, percent.
    pub fn accuracy(&self) -> f64 {
        100.0 * self.correct as f64 / self.images as f64
    }

    /// Images per second.
    pub fn images_per_second(&self) -> f64 {
        self.images as f64 / self.seconds.max(f64::MIN_POSITIVE)
    }

    /// Adds a batch, whose loss must be finite.
    fn add(&mut self, logits: &[f32], labels: &[u32], phase: Phase, epoch: usize) -> Result<()> {
        let num_classes = logits.len() / labels.len().max(1);
        let mut sum = 0.0;
        for (row, &label) in logits.chunks_exact(num_classes.max(1)).zip(labels) {
            sum += negative_log_likelihood(row, label);
            self.correct += u64::from(argmax(row) == label);
        }
        self.step += 1;
        self.images += labels.len() as u64;
        self.loss_sum += sum;
        if sum.is_finite() {
            return Ok(());
        }
        let (loss, phase, step) = (sum / labels.len() as f64, phase.name(), self.step);
        Err(Error::LossNotFinite {
            loss,
            phase,
            epoch,
            step,
        })
    }
}

/// What a pass does with a batch.
pub(crate) enum Work<'a> {
    /// Moves the weights with this optimiser.
    Train {
        optimizer: &'a mut ModuleOptimizer,
        lr: f64,
    },
    /// Only looks.
    Val,
}

/// A pass to be made.
pub(crate) struct Pass<'a> {
    pub(crate) work: Work<'a>,
    pub(crate) feed: Feed<'a>,
    /// Computes the features of a frozen network.
    pub(crate) backbone: Option<&'a Backbone>,
    /// Where the network is, without autodiff.
    pub(crate) device: &'a Device,
    /// Counted from 1.
    pub(crate) epoch: usize,
    pub(crate) stop: &'a AtomicBool,
}

impl Pass<'_> {
    /// Goes on from `progress` to the end of the feed, or to the first step that ends after
    /// `stop` was set; `progress.step` tells which.
    ///
    /// Per batch the device is waited for once: the logits are read while it computes the
    /// gradients, and the loss is their mean negative log-likelihood, in double precision. The
    /// weights do not move where it is not finite.
    pub(crate) fn run(
        &mut self,
        mut network: Network,
        progress: &mut Progress,
        watch: &mut dyn Watch,
    ) -> Result<Network> {
        let (started, seconds_before) = (Instant::now(), progress.seconds);
        let mut batches = self.feed.epoch(self.epoch, progress.step);
        loop {
            let asked = Instant::now();
            let Some(batch) = batches.next() else {
                break;
            };
            progress.wait_seconds += asked.elapsed().as_secs_f64();
            network = self.step(network, batch?, progress)?;
            progress.seconds = seconds_before + started.elapsed().as_secs_f64();
            watch.step(&self.report(progress));
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        Ok(network)
    }

    fn step(
        &mut self,
        network: Network,
        mut batch: Given,
        progress: &mut Progress,
    ) -> Result<Network> {
        let (phase, epoch) = (self.phase(), self.epoch);
        match &mut self.work {
            Work::Train { optimizer, lr } => {
                let device = self.device.clone().autodiff();
                let logits = logits(&network, self.backbone, &mut batch, &device)?; // [N, K]
                let loss = step::cross_entropy(logits.clone(), batch.labels());
                let gradients = GradientsParams::from_grads(loss.backward(), &network);
                let logits = step::read(logits.inner())?;
                progress.add(&logits, batch.labels(), phase, epoch)?;
                Ok(optimizer.step(*lr, network, gradients))
            }
            Work::Val => {
                let logits = logits(&network, self.backbone, &mut batch, self.device)?;
                progress.add(&step::read(logits)?, batch.labels(), phase, epoch)?;
                Ok(network)
            }
        }
    }

    fn phase(&self) -> Phase {
        match self.work {
            Work::Train { .. } => Phase::Train,
            Work::Val => Phase::Val,
        }
    }

    fn report(&self, progress: &Progress) -> StepReport {
        StepReport {
            phase: self.phase(),
            epoch: self.epoch,
            num_steps: self.feed.num_batches(),
            progress: *progress,
        }
    }
}

/// Logits `[N, K]` of a batch.
fn logits(
    network: &Network,
    backbone: Option<&Backbone>,
    batch: &mut Given,
    device: &Device,
) -> Result<Tensor<2>> {
    Ok(match (batch, backbone) {
        (Given::Features(batch), _) => network.classify(step::rows(batch, device)),
        (Given::Pictures(batch), Some(backbone)) => {
            network.classify(backbone.features(batch, device)?)
        }
        (Given::Pictures(batch), None) => network.forward(step::images(batch, device)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_adds_its_loss_its_hits_and_its_images() {
        let mut progress = Progress::default();
        // torch 2.15: the mean cross-entropy of these rows is 1.5754564; the second is no hit.
        progress
            .add(&[2.0, -1.0, 0.5, 0.1, 0.2, 3.0], &[0, 1], Phase::Val, 1)
            .unwrap();
        assert!(
            (progress.loss() - 1.575_456_4).abs() < 1e-6,
            "{}",
            progress.loss()
        );
        assert_eq!(
            (progress.step, progress.images, progress.correct),
            (1, 2, 1)
        );
        progress.add(&[0.0, 0.0, 1.0], &[2], Phase::Val, 1).unwrap();
        assert_eq!(
            (progress.step, progress.images, progress.correct),
            (2, 3, 2)
        );
        assert!((progress.accuracy() - 200.0 / 3.0).abs() < 1e-12);
        assert!((progress.loss() - (2.0 * 1.575_456_4 + 0.551_444_7) / 3.0).abs() < 1e-6);
    }

    #[test]
    fn logits_that_are_not_finite_make_a_loss_that_is_not() {
        for bad in [f32::NAN, f32::INFINITY] {
            let error = Progress::default()
                .add(&[0.0, bad], &[0], Phase::Train, 7)
                .unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with("the training loss is NaN in epoch 7, step 1")
            );
        }
        let mut huge = Progress::default();
        huge.add(&[-3e38, 3e38], &[0], Phase::Train, 1).unwrap();
        assert!(huge.loss() > 5e38, "{}", huge.loss());
    }
}
