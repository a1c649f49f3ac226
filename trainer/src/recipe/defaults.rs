//! Defaults that depend on other settings, or on the network.

use super::scopes::LOOP_ONLY;
use super::{
    Criterion, FineTune, HeadSolver, OptimizerKind, Recipe, SchedulerKind, Views, WeightAverage,
};

/// Learning rate of a network with random weights, or of a classification layer.
const LR: f64 = 1e-3;
/// Learning rate of a backbone, for SGD. A fitted layer leaves small gradients, and SGD takes steps in proportion to
/// them; Adam's are as long as ever, and its noise ruined the backbone at rates that larger data needs.
const FINE_TUNE_LR: f64 = 3e-3;
/// That of a backbone whose batch norms are folded into its convolutions: the scale of its weights differs from channel
/// to channel, so that the same step changes some of them a lot.
const FOLDED_LR: f64 = 2e-3;
/// That of either, for Adam and AdamW.
const FINE_TUNE_ADAM_LR: f64 = 1e-5;

/// Milder than for random weights: a trained backbone has seen small parts of objects enough.
const FINE_TUNE_AUGMENT: &str = "crop(0.35..1)|hflip";

/// A pair is two images, and an epoch has many pairs of each image.
const PAIR_SIZE: usize = 112;
/// No part and no mirror image of a signature or a face is the same identity; both are turned and sized in their own way.
const PAIR_AUGMENT: &str = "rotate(5)|scale(0.9..1.1)";

impl Recipe {
    /// Sets the defaults that depend on other settings, unless a flag or file sets the value (`asked`).
    pub(super) fn set_dependent_defaults(&mut self, asked: impl Fn(&str) -> bool) {
        if self.is_fine_tuned() {
            self.set_fine_tune_defaults(&asked);
        }
        // After those of a fine-tuning, whose augmentation is for classes.
        if self.is_pairs() {
            self.set_pair_defaults(&asked);
        }
        if let Some(table) = self.feature_table.as_ref().filter(|_| !asked("data")) {
            self.data.clone_from(table);
        }
        if !asked("weight-decay") {
            self.weight_decay = match self.optimizer {
                OptimizerKind::AdamW => 0.01,
                OptimizerKind::Adam | OptimizerKind::Sgd => 0.0,
            };
        }
        if self.is_frozen() && self.views.is_none() {
            // A single view is the original image: it would silently ignore an augmentation that was asked
            // for.
            let augmented = asked("augment") && !self.augment.ops.is_empty();
            self.views = Some(if augmented {
                Views::AUGMENTED
            } else {
                Views::ORIGINAL
            });
        }
        if self.has_cached_features() && self.head_solver.is_none() {
            self.head_solver = Some(if LOOP_ONLY.into_iter().any(&asked) {
                HeadSolver::Loop
            } else {
                HeadSolver::Lbfgs
            });
        }
        // Half the margin decides whether an answer is right in an epoch, and no verifier decides by it.
        let is_contrastive = self.contrastive_margin().is_some() && !self.is_fine_tuned();
        let is_loop = self.head_solver != Some(HeadSolver::Lbfgs);
        if is_contrastive && is_loop && !asked("best-by") {
            self.best_by = Criterion::ValLoss;
        }
    }

    fn set_pair_defaults(&mut self, asked: &impl Fn(&str) -> bool) {
        if !asked("data") {
            self.data = data::catalog::SIGNATURES.into();
        }
        if !asked("size") && self.backbone.is_none() {
            self.size = PAIR_SIZE;
        }
        // A frozen backbone sees the original images, unless it is asked for more views.
        let sees_originals = self.is_frozen() && self.views.is_none_or(|v| v == Views::ORIGINAL);
        if !asked("augment") && !sees_originals {
            let augment = PAIR_AUGMENT.parse();
            self.augment = augment.expect("a constant in the language of augmentation");
        }
    }

    fn set_fine_tune_defaults(&mut self, asked: &impl Fn(&str) -> bool) {
        let unless = |key: &str, set: &mut dyn FnMut()| {
            if !asked(key) {
                set();
            }
        };
        unless("epochs", &mut || self.epochs = 5);
        unless("optimizer", &mut || self.optimizer = OptimizerKind::Sgd);
        unless("scheduler", &mut || {
            self.scheduler = SchedulerKind::CosineSteps;
        });
        unless("augment", &mut || {
            let augment = FINE_TUNE_AUGMENT.parse();
            self.augment = augment.expect("a constant in the language of augmentation");
        });
        unless("warmup", &mut || self.warmup = 0.1);
        unless("clip-norm", &mut || self.clip_norm = 1.0);
        unless("weight-average", &mut || {
            self.weight_average = WeightAverage::Ema;
        });
        unless("best-by", &mut || self.best_by = Criterion::Auto);
    }

    /// The learning rate: as asked, or the default of a network whose own batch norms are not known.
    pub fn lr(&self) -> f64 {
        self.lr.unwrap_or(match (self.fine_tune, self.optimizer) {
            (FineTune::Off, _) => LR,
            (_, OptimizerKind::Sgd) => FINE_TUNE_LR,
            (_, OptimizerKind::Adam | OptimizerKind::AdamW) => FINE_TUNE_ADAM_LR,
        })
    }

    /// The recipe with the learning rate that suits its network, unless it has one. A fine-tuned backbone may have
    /// its batch norms folded into its convolutions.
    #[must_use]
    pub fn with_lr_for(mut self, has_folded_norms: bool) -> Self {
        if self.head_solver != Some(HeadSolver::Lbfgs) {
            let is_sgd = self.optimizer == OptimizerKind::Sgd;
            let is_folded = self.is_fine_tuned() && has_folded_norms && is_sgd;
            self.lr = self
                .lr
                .or(is_folded.then_some(FOLDED_LR))
                .or(Some(self.lr()));
        }
        self
    }
}
