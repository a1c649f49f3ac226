//! The settings that choose one of a few.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The optimiser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Adam (Kingma and Ba 2015), PyTorch's defaults
    #[default]
    Adam,
    /// AdamW (Loshchilov and Hutter 2019)
    #[value(name = "adamw")]
    AdamW,
    /// Stochastic gradient descent with momentum
    Sgd,
}

/// How the learning rate changes over the epochs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SchedulerKind {
    /// A tenth after 10 epochs without a lower validation loss
    #[default]
    Plateau,
    /// Half a cosine down to 0 over all epochs
    Cosine,
    /// A tenth every 7 epochs
    Step,
    /// Constant
    None,
}

/// Which checkpoints stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SaveKind {
    /// The best and the last
    #[default]
    Best,
    /// The last alone, which is then the one exported
    Last,
    /// Every epoch's
    All,
}

/// What makes a checkpoint the best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Criterion {
    /// The highest validation accuracy; among equals the lower loss
    #[default]
    #[value(name = "val_accuracy")]
    ValAccuracy,
    /// The lowest validation loss
    #[value(name = "val_loss")]
    ValLoss,
}

/// Where to train.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// The processor
    #[default]
    Cpu,
    /// An NVIDIA GPU (cargo feature `cuda`)
    Cuda,
    /// Any GPU (cargo feature `wgpu`)
    Wgpu,
}
