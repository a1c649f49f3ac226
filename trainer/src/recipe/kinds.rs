//! Settings with a few possible values.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Adam (Kingma and Ba 2015), PyTorch's defaults
    Adam,
    /// AdamW (Loshchilov and Hutter 2019)
    #[value(name = "adamw")]
    AdamW,
    /// Stochastic gradient descent with momentum
    Sgd,
}

/// How the new classification layer of a frozen backbone is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeadSolver {
    /// To its minimum on cached features by L-BFGS, with an L2 penalty chosen by cross-validation
    Lbfgs,
    /// Epoch by epoch, as other networks
    Loop,
}

/// Learning rate schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SchedulerKind {
    /// Divide by 10 after 10 epochs without a lower validation loss
    Plateau,
    /// Fall to 0 over all epochs along half a cosine
    Cosine,
    /// Divide by 10 every 7 epochs
    Step,
    /// Constant
    None,
}

/// Which images an epoch has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SamplingKind {
    /// Every image once, in random order
    Shuffled,
    /// Every class equally often, its images drawn with replacement; as many images as there are
    Balanced,
}

/// Checkpoints to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SaveKind {
    /// The best and the last
    Best,
    /// Only the last, which is then exported
    Last,
    /// Those of all epochs
    All,
}

/// Criterion for the best checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Criterion {
    /// The highest validation accuracy; among equals the lower loss
    #[value(name = "val_accuracy")]
    ValAccuracy,
    /// The lowest validation loss
    #[value(name = "val_loss")]
    ValLoss,
}

/// Device to train on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// The CPU
    Cpu,
    /// An NVIDIA GPU (cargo feature `cuda`)
    Cuda,
    /// Any GPU (cargo feature `wgpu`)
    Wgpu,
}

/// How a terminal shows training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ui {
    /// One line per epoch
    Plain,
    /// One line per epoch, and a progress bar
    Bar,
    /// A full screen with curves, rates and times; `q` saves and stops
    Dashboard,
}

/// Files for following training with other programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Log {
    /// Event files in `RUN/tensorboard`
    Tensorboard,
    /// `RUN/events.jsonl`, one JSON object per line
    Jsonl,
}
