//! State of a training without its tensors: progress, schedule, best epoch and history. It knows no network and
//! no file.

use serde::{Deserialize, Serialize};

use super::TrainOptions;
use super::best_epoch::{BestEpoch, EpochScore};
use super::observer::Ended;
use super::progress::Progress;
use super::schedule::{Position, Scheduler};
use crate::recipe::OptimizerKind;
use report::run_files::{EpochRow, HeadFit};

/// Version of the layout of [`State`] and of the tensors beside it.
pub(super) const FORMAT: u32 = 3;

/// Everything of a training but its tensors; a checkpoint holds it as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Version of this layout: 3; 2, which knows no averaged weights; or 1, which holds all tensors of frozen
    /// networks, too.
    pub format: u32,
    pub network: String,
    /// SHA-256 of the frozen backbone's file, whose tensors are left out.
    #[serde(default)]
    pub backbone: Option<String>,
    /// Class names in output order.
    pub classes: Vec<String>,
    /// The epoch in progress, counted from 1.
    pub epoch: usize,
    /// How far that epoch's training has come.
    pub train: Progress,
    /// Training steps of an epoch.
    pub steps_per_epoch: usize,
    pub optimizer: OptimizerKind,
    pub scheduler: Scheduler,
    /// The best epoch so far.
    pub stopping: BestEpoch,
    pub rows: Vec<EpochRow>,
    /// How the classification layer was fitted, before the epochs or in their place.
    #[serde(default)]
    pub head: Option<HeadFit>,
    /// Validation of a fine-tuning's network before its first epoch: the frozen backbone with that layer.
    #[serde(default)]
    pub frozen: Option<EpochScore>,
    /// Whether the averaged weights stand beside those of the last step.
    #[serde(default)]
    pub has_average: bool,
    /// The ids by which the optimiser knows the trainable parameters, in module order.
    pub parameter_ids: Vec<u64>,
}

impl State {
    /// How training ends, if no epoch follows.
    pub(super) fn ended(&self, options: &TrainOptions) -> Option<Ended> {
        if self.epoch > options.last_epoch.unwrap_or(options.epochs) {
            Some(Ended::Finished)
        } else if self.stopping.is_exhausted(options.early_stop) {
            Some(Ended::EarlyStopped)
        } else {
            None
        }
    }

    /// Ends the epoch in progress with its validation: the history, the schedule and the best epoch follow.
    /// Returns whether it is the new best.
    pub(super) fn end_epoch(&mut self, val: &Progress, options: &TrainOptions) -> bool {
        let best_by = options.best_by.resolve(val.images as usize);
        let train = std::mem::take(&mut self.train);
        let epoch = self.epoch;
        let (val_loss, val_accuracy) = (val.loss(), val.accuracy());
        self.rows.push(EpochRow {
            epoch,
            // Before `epoch_done` below, which moves the schedule on.
            lr: self
                .scheduler
                .lr(&self.position(options, train.step.saturating_sub(1))),
            train_loss: train.loss(),
            train_accuracy: train.accuracy(),
            val_loss,
            val_accuracy,
            train_seconds: train.seconds,
            val_seconds: val.seconds,
            train_images_per_second: train.images_per_second(),
            val_images_per_second: val.images_per_second(),
            train_wait_seconds: train.wait_seconds,
        });
        self.scheduler.epoch_done(val_loss);
        self.epoch += 1;
        let score = EpochScore {
            epoch,
            val_loss,
            val_accuracy,
        };
        self.stopping.observe(best_by, score)
    }

    /// Where a step of the epoch in progress is in the training.
    pub(super) fn position(&self, options: &TrainOptions, step: usize) -> Position {
        Position {
            epochs: options.epochs,
            steps_per_epoch: self.steps_per_epoch,
            step,
            warmup: options.warmup,
        }
    }

    /// Whether this is the start of a fine-tuning: the frozen backbone with its fitted layer.
    pub fn is_frozen_start(&self) -> bool {
        self.frozen.is_some() && self.rows.is_empty() && self.train.step == 0
    }

    /// Steps done since the first epoch began.
    pub(super) fn steps_done(&self) -> usize {
        (self.epoch - 1) * self.steps_per_epoch + self.train.step
    }

    /// The newest row of the history, once an epoch is done.
    pub(super) fn last_row(&self) -> &EpochRow {
        self.rows.last().expect("an epoch has just ended")
    }

    /// The first part in which another state differs so that this training cannot continue from it: its name,
    /// its value there and its value here.
    pub(super) fn difference(&self, then: &State) -> Option<(&'static str, String, String)> {
        let kind = |kind: &dyn std::fmt::Debug| format!("{kind:?}").to_lowercase();
        let parts = |state: &State| {
            [
                ("network", state.network.clone()),
                ("list of classes", state.classes.join(", ")),
                ("epoch", format!("{} steps", state.steps_per_epoch)),
                ("optimiser", kind(&state.optimizer)),
                ("scheduler", kind(&state.scheduler.kind())),
            ]
        };
        let mut pairs = parts(then).into_iter().zip(parts(self));
        let differs = pairs.find(|((_, then), (_, now))| then != now);
        differs.map(|((part, then), (_, now))| (part, then, now))
    }
}
