//! Settings that only some trainings have, by their names.

use super::{HeadSolver, OptimizerKind, Recipe, SaveKind, Views, WeightAverage, ensure, resume};
use crate::error::Result;

/// Settings of the training loop, for which a classification layer at its minimum has no use.
pub(super) const LOOP_ONLY: [&str; 16] = [
    "epochs",
    "batch",
    "accumulate",
    "lr",
    "optimizer",
    "weight-decay",
    "momentum",
    "scheduler",
    "warmup",
    "clip-norm",
    "weight-average",
    "label-smoothing",
    "sampling",
    "early-stop",
    "save",
    "best-by",
];

/// Settings of the custom ResNet alone.
pub(super) const CUSTOM_ONLY: [&str; 5] = ["width", "cells", "growth", "cell", "size"];

/// Settings of classifiers alone.
pub(super) const CLASSIFY_ONLY: [&str; 4] = ["class-weights", "mixup", "cutmix", "no-calibrate"];

/// Settings of verifiers alone.
pub(super) const PAIRS_ONLY: [&str; 3] = ["pairs-per-identity", "distance", "margin"];

/// Settings of a fine-tuning alone.
pub(super) const FINE_TUNE_ONLY: [&str; 5] = [
    "head-lr-factor",
    "first-lr-factor",
    "batch-norm",
    "tuned-share",
    "keep",
];

impl Recipe {
    /// Refuses settings that would change nothing, unless they have their defaults.
    pub(super) fn check_effects(&self) -> Result<()> {
        let (own, default) = (self.table()?, Recipe::default().table()?);
        for (key, reason) in self.ineffective() {
            let value = own.get(key);
            ensure(
                value == default.get(key),
                key,
                resume::text(key, value),
                reason,
            )?;
        }
        Ok(())
    }

    /// The settings that have no effect beside the others, each with the reason. Neither a run's configuration nor
    /// its card names them.
    pub fn ineffective(&self) -> Vec<(&'static str, &'static str)> {
        let mut keys = Vec::new();
        if self.head_solver == Some(HeadSolver::Lbfgs) {
            let reason = "is for the training loop: see `--head-solver loop`";
            keys.extend(LOOP_ONLY.map(|key| (key, reason)));
        }
        if self.backbone.is_some() {
            let reason = "is for the custom ResNet; leave it out with `--backbone`";
            keys.extend(CUSTOM_ONLY.map(|key| (key, reason)));
        }
        if self.is_frozen() {
            let reason = "is for a network that is trained: see `--fine-tune`";
            keys.push(("precision", reason));
        }
        if self.backbone.is_none() {
            keys.push(("cut-at", "needs a `--backbone`"));
        }
        if self.feature_table.is_some() {
            keys.push(("feature-cache", "has no use with `--feature-table`"));
        }
        if self.is_pairs() {
            let reason = "is for classifiers; leave it out with `--task pairs`";
            keys.extend(CLASSIFY_ONLY.map(|key| (key, reason)));
        } else {
            let reason = "needs `--task pairs`";
            keys.extend(PAIRS_ONLY.map(|key| (key, reason)));
        }
        match self.contrastive_margin() {
            Some(_) => keys.push(("label-smoothing", "is for probabilities: see `--distance`")),
            None if self.is_pairs() => keys.push(("margin", "needs `--distance euclidean`")),
            None => {}
        }
        if !self.is_fine_tuned() {
            keys.extend(FINE_TUNE_ONLY.map(|key| (key, "needs `--fine-tune`")));
        } else if self.weight_average == WeightAverage::None {
            keys.push(("tuned-share", "needs `--weight-average ema`"));
        }
        if self.optimizer != OptimizerKind::Sgd {
            keys.push(("momentum", "needs `--optimizer sgd`"));
        }
        // The one view is the image as it is.
        let sees_originals = self.is_frozen() && self.views == Some(Views::ORIGINAL);
        // Without operations the setting says what is the case.
        if sees_originals && !self.augment.ops.is_empty() {
            keys.push((
                "augment",
                "has no view to change: ask for more than one with `--views`",
            ));
        }
        if sees_originals || self.augment.ops.is_empty() {
            keys.push((
                "augment-val",
                "needs augmented images: see `--augment` and `--views`",
            ));
        }
        if self.has_cached_features() {
            let reason = "needs images to mix: see `--views fresh` and `--fine-tune`";
            keys.extend(["mixup", "cutmix"].map(|key| (key, reason)));
        }
        if self.save == SaveKind::Last && self.early_stop.is_none() {
            let reason = "chooses nothing with `--save last`, unless there is an `--early-stop`";
            keys.push(("best-by", reason));
        }
        keys
    }
}
