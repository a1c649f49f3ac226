//! Settings that choose one of a few values.

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

/// How the learning rate changes over the epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SchedulerKind {
    /// A tenth after 10 epochs without a lower validation loss
    Plateau,
    /// Half a cosine down to 0 over all epochs
    Cosine,
    /// A tenth every 7 epochs
    Step,
    /// Constant
    None,
}

/// Which checkpoints stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SaveKind {
    /// The best and the last
    Best,
    /// The last alone, which is then the one exported
    Last,
    /// Every epoch's
    All,
}

/// What makes a checkpoint the best.
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

/// Where to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// The processor
    Cpu,
    /// An NVIDIA GPU (cargo feature `cuda`)
    Cuda,
    /// Any GPU (cargo feature `wgpu`)
    Wgpu,
}

/// What a terminal shows of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ui {
    /// Lines, one per epoch
    Plain,
    /// Lines, and a bar that moves
    Bar,
    /// A screen of curves, rates and times; `q` saves and stops
    Dashboard,
}

/// Files for those who watch elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Log {
    /// Event files in `RUN/tensorboard`
    Tensorboard,
    /// `RUN/events.jsonl`, one JSON object per line
    Jsonl,
}
