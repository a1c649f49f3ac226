//! Settings of the training loop, with every value decided. They know no network and no data.

use super::fine_tuning::FineTuning;
use super::mixing::Mixing;
use super::objective::Objective;
use super::optimizer::OptimizerOptions;
use crate::error::Result;
use crate::recipe::{
    ClassWeights, Criterion, HeadSolver, Recipe, SaveKind, SchedulerKind, WeightAverage,
};
use crate::training_set::TrainingSet;

/// How a network is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Solver {
    /// Epoch by epoch, by the optimiser.
    Loop,
    /// The classification layer alone, at its minimum on cached features.
    Lbfgs {
        /// The L2 penalty; none has it chosen by cross-validation.
        penalty: Option<f64>,
    },
}

/// Settings of a training.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    pub solver: Solver,
    pub epochs: usize,
    /// The epoch after which training ends, where that is not the last one of the schedule.
    pub last_epoch: Option<usize>,
    /// Learning rate after the warm-up.
    pub lr: f64,
    /// Its class weights are those of `class_weights`, once the training images are known.
    pub objective: Objective,
    pub class_weights: ClassWeights,
    pub mixing: Mixing,
    /// Batches per step of the optimiser.
    pub accumulate: usize,
    /// Of convolutions, forward and backward.
    pub precision: kernels::Precision,
    pub optimizer: OptimizerOptions,
    pub scheduler: SchedulerKind,
    /// Share of all steps in which the learning rate rises from 0.
    pub warmup: f64,
    /// Largest norm of a step's gradient.
    pub clip_norm: Option<f64>,
    pub weight_average: WeightAverage,
    /// Of a backbone.
    pub fine_tuning: Option<FineTuning>,
    /// Epochs without a new best before training stops.
    pub early_stop: Option<usize>,
    /// Which checkpoints stay, and which network comes out.
    pub save: SaveKind,
    pub best_by: Criterion,
}

impl From<&Recipe> for TrainOptions {
    fn from(recipe: &Recipe) -> Self {
        let (solver, epochs) = match recipe.head_solver {
            Some(HeadSolver::Lbfgs) => (Solver::Lbfgs { penalty: None }, 1),
            Some(HeadSolver::Loop) | None => (Solver::Loop, recipe.epochs),
        };
        Self {
            solver,
            epochs,
            last_epoch: None,
            lr: recipe.lr(),
            objective: Objective {
                label_smoothing: recipe.label_smoothing,
                class_weights: vec![],
                margin: recipe.contrastive_margin(),
            },
            class_weights: recipe.class_weights.0.clone(),
            accumulate: recipe.accumulate,
            precision: recipe.precision.into(),
            mixing: Mixing {
                mixup: recipe.mixup,
                cutmix: recipe.cutmix,
            },
            optimizer: OptimizerOptions {
                kind: recipe.optimizer,
                weight_decay: recipe.weight_decay,
                momentum: recipe.momentum,
            },
            scheduler: recipe.scheduler,
            warmup: recipe.warmup,
            clip_norm: (recipe.clip_norm > 0.0).then_some(recipe.clip_norm),
            weight_average: recipe.weight_average,
            fine_tuning: FineTuning::of(recipe),
            early_stop: recipe.early_stop,
            save: recipe.save,
            best_by: recipe.best_by,
        }
    }
}

impl TrainOptions {
    /// The options with the class weights that follow from the training images: those of a fold are its own.
    pub(super) fn for_data(&self, data: &TrainingSet) -> Result<Self> {
        let class_weights = &self.class_weights;
        let class_weights = class_weights.weights(&data.classes, &data.train.labels())?;
        Ok(Self {
            objective: Objective {
                class_weights,
                ..self.objective.clone()
            },
            ..self.clone()
        })
    }
}
