//! Settings with a few possible values.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What is learnt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// The class of an image
    #[default]
    Classify,
    /// Whether two images are of the same identity
    Pairs,
}

impl Task {
    /// Whether it is the task that a configuration without one has.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How a verifier compares the features of two images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DistanceKind {
    /// |f(a) - f(b)|, each number with a weight of its own; the score is a probability
    AbsoluteDifference,
    /// The cosine of their angle, with a learnt scale and offset; the score is a probability
    Cosine,
    /// Their Euclidean distance, with a learnt scale, by a contrastive loss; the score is the distance
    Euclidean,
}

impl From<DistanceKind> for models::Distance {
    fn from(kind: DistanceKind) -> Self {
        match kind {
            DistanceKind::AbsoluteDifference => Self::AbsoluteDifference,
            DistanceKind::Cosine => Self::Cosine,
            DistanceKind::Euclidean => Self::Euclidean,
        }
    }
}

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

/// In which numbers convolutions and matrix products multiply while a network is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrecisionKind {
    /// Single precision
    Fp32,
    /// Rounded to bf16, with sums in single precision, where the processor multiplies such numbers
    Bf16,
}

impl From<PrecisionKind> for kernels::Precision {
    fn from(kind: PrecisionKind) -> Self {
        match kind {
            PrecisionKind::Fp32 => Self::F32,
            PrecisionKind::Bf16 => Self::Bf16,
        }
    }
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

/// Formulation of the custom network's residual cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CellKind {
    /// Batch norm and ReLU before each convolution, none after the sum: formulation (A) of the course
    Preactivation,
    /// Batch norm after each convolution, ReLU between them and after the sum: formulation (B)
    Original,
    /// As original, without the skip: a plain convolutional network
    Plain,
}

impl From<CellKind> for models::CellKind {
    fn from(kind: CellKind) -> Self {
        match kind {
            CellKind::Preactivation => Self::Preactivation,
            CellKind::Original => Self::Original,
            CellKind::Plain => Self::Plain,
        }
    }
}

/// Learning rate schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SchedulerKind {
    /// Divide by 10 after 10 epochs without a lower validation loss
    Plateau,
    /// Fall to 0 over all epochs along half a cosine, epoch by epoch
    Cosine,
    /// Fall to 0 over all steps along half a cosine, step by step
    #[value(name = "cosine-steps")]
    #[serde(rename = "cosine-steps")]
    CosineSteps,
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
    /// None: the last epoch
    Last,
    /// val_loss with at least 100 validation images; else last, since so few images choose by chance
    Auto,
}

impl Criterion {
    /// The least number of validation images whose loss may choose an epoch.
    const FEWEST_IMAGES: usize = 100;

    /// The criterion that [`Auto`](Self::Auto) stands for with so many validation images.
    pub fn resolve(self, num_images: usize) -> Self {
        match self {
            Self::Auto if num_images >= Self::FEWEST_IMAGES => Self::ValLoss,
            Self::Auto => Self::Last,
            criterion => criterion,
        }
    }
}

/// Weights that are validated and exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightAverage {
    /// Those of the last step
    None,
    /// Their exponential moving average over the steps
    Ema,
}

/// What the batch norms of a fine-tuned backbone normalise with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BatchNormKind {
    /// The mean and the variance in the file, which stay
    Running,
    /// Those of each batch, which move the ones in the file
    Batch,
}

/// Which network a fine-tuning ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// The frozen backbone with its classification layer, unless the fine-tuned network is better on the
    /// validation images by more than a standard error
    Better,
    /// The fine-tuned network
    Tuned,
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
