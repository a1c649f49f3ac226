//! Training configuration: [`Recipe`] is what is trained, and how, with every value decided.
//!
//! A setting is one field of [`Recipe`]: its flag, its key in a file, its help and its default are
//! written there, and `Recipe::check` refuses values out of range. This module opens no data and knows no
//! network.

use std::fmt;
use std::path::Path;

use clap::Args;
use data::Preprocess;
use data::augment::Augment;
use deploy::Provider;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

mod class_weights;
mod config_file;
mod custom;
mod defaults;
mod fine_tune;
mod flags;
mod kinds;
mod memory;
mod names;
mod pairs;
mod resume;
mod scopes;
mod settings;
#[cfg(test)]
mod tests;
mod text;
mod views;

pub use class_weights::ClassWeights;
pub use fine_tune::FineTune;
pub use flags::Flags;
pub use kinds::{
    BatchNormKind, CellKind, Criterion, DeviceKind, DistanceKind, HeadSolver, Keep, Log,
    OptimizerKind, PrecisionKind, SamplingKind, SaveKind, SchedulerKind, Task, Ui, WeightAverage,
};
pub use memory::Memory;
pub use names::{absolute, data_name};
pub use settings::{MachineArgs, RunArgs, Settings, is_unused_in_range_test};
pub use text::Text;
pub use views::Views;

use config_file::ConfigFile;

/// More images would need more memory for one step than a machine has.
const MOST_IMAGES_PER_STEP: usize = 1 << 16;

/// The backbone that a probe chooses.
pub const AUTO: &str = "auto";

/// The settings of a training run; `config.toml` of a run is their text.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Recipe {
    /// Labelled images: a folder (train/val/test or one folder of classes), a CSV file
    /// (columns `path,label`, optionally `split`), `builtin:insects` or `hymenoptera`
    #[arg(long, value_name = "DIR", default_value = data::catalog::INSECTS)]
    pub data: String,
    /// What is learnt: the class of an image, or whether two images are the same. Data of pairs is a folder for each
    /// identity (with forgeries in its sub-folder `forged`), a CSV file (columns `path_a,path_b,label`, optionally
    /// `split`), or `builtin:signatures`, the default
    #[arg(long, value_enum, default_value_t = Task::Classify)]
    #[serde(skip_serializing_if = "Task::is_default")]
    pub task: Task,
    /// Most pairs that are drawn of an identity's own images; as many are drawn of its images with others
    #[arg(long, value_name = "COUNT", default_value_t = 12)]
    pub pairs_per_identity: usize,
    /// How a verifier compares the features of two images
    #[arg(long, value_enum, default_value_t = DistanceKind::AbsoluteDifference, help_heading = "Network")]
    pub distance: DistanceKind,
    /// Euclidean distance beyond which different images are far enough apart
    #[arg(
        long,
        default_value_t = 1.0,
        allow_negative_numbers = true,
        help_heading = "Network"
    )]
    pub margin: f64,
    /// Start from a trained network: a name that `trainer backbones` lists, such as `efficientnet-lite0`, an ONNX
    /// file, or `auto`: the one that `trainer probe` recommends of those in the cache [default: the custom ResNet]
    #[arg(long, value_name = "NAME|FILE.onnx", help_heading = "Network")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backbone: Option<String>,
    /// Train the backbone, too, once its new classification layer is fitted: all of it, or its last layers
    #[arg(
        long,
        value_name = "all|last:COUNT",
        num_args = 0..=1,
        default_missing_value = "all",
        default_value_t = FineTune::Off,
        hide_default_value = true,
        help_heading = "Network"
    )]
    pub fine_tune: FineTune,
    /// What the batch norms of a fine-tuned backbone normalise with
    #[arg(long, value_enum, default_value_t = BatchNormKind::Running, help_heading = "Network")]
    pub batch_norm: BatchNormKind,
    /// Which network a fine-tuning ends with
    #[arg(long, value_enum, default_value_t = Keep::Better, help_heading = "Network")]
    pub keep: Keep,
    /// How the new head of a frozen backbone is trained [default: lbfgs; loop where a setting of the
    /// loop is given, such as `--epochs`]
    #[arg(long, value_enum, help_heading = "Network")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_solver: Option<HeadSolver>,
    /// Value of the backbone's graph that holds the features, in place of the one before its classification layer
    #[arg(long, value_name = "VALUE", help_heading = "Network")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut_at: Option<String>,
    /// Preprocessing of the images, such as `resize(224, 224)|scale(1/255)|normalize(half)`
    /// [default: the backbone's own, where its file or a JSON file beside it says it, else ImageNet's]
    #[arg(long, value_name = "TEXT", help_heading = "Network")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preprocess: Option<Text<Preprocess>>,
    /// Train the head of a frozen backbone on features that other machines computed with the file of `deploy cut`: a Parquet
    /// file, or a folder of them, that `deploy score`, `deploy embed` or the Python class `Scorer` wrote. Labels and splits are
    /// those of --data, or of its columns `label` and `split`
    #[arg(long, value_name = "TABLE.parquet", help_heading = "Network")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feature_table: Option<String>,
    /// Channels of the custom ResNet's first layer
    #[arg(long, default_value_t = 8, help_heading = "Network")]
    pub width: usize,
    /// Residual cells of the custom ResNet
    #[arg(long, default_value_t = 3, help_heading = "Network")]
    pub cells: usize,
    /// Channel growth from cell to cell
    #[arg(
        long,
        default_value_t = 2.0,
        allow_negative_numbers = true,
        help_heading = "Network"
    )]
    pub growth: f64,
    /// Formulation of the custom ResNet's cells
    #[arg(long, value_enum, default_value_t = CellKind::Preactivation, help_heading = "Network")]
    pub cell: CellKind,
    /// Channels of the images: 1 (grey), 3 (RGB) or 4 (RGBA); 1 and 4 replace the first convolution of a backbone for
    /// RGB [default: the backbone's own; 3 for the custom ResNet]
    #[arg(long, help_heading = "Network")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// Rows and columns of the custom ResNet's images [default: 224; 112 with --task pairs]
    #[arg(
        long,
        default_value_t = 224,
        hide_default_value = true,
        help_heading = "Network"
    )]
    pub size: usize,
    /// Passes over the training images [default: 10; 5 with --fine-tune]
    #[arg(
        long,
        default_value_t = 10,
        hide_default_value = true,
        help_heading = "Training"
    )]
    pub epochs: usize,
    /// Images per step
    #[arg(long, default_value_t = 32, help_heading = "Training")]
    pub batch: usize,
    /// Batches whose mean gradient makes one step of the optimiser: the effect of a batch so many times larger, in the
    /// memory of one
    #[arg(
        long,
        value_name = "BATCHES",
        default_value_t = 1,
        help_heading = "Training"
    )]
    pub accumulate: usize,
    /// In which numbers the network's convolutions and matrix products multiply while it is trained; all else,
    /// validation and the exported model are in single precision
    #[arg(long, value_enum, default_value_t = PrecisionKind::Fp32, help_heading = "Training")]
    pub precision: PrecisionKind,
    /// Learning rate; with --fine-tune that of the backbone's last layer [default: 1e-3; with --fine-tune 3e-3, or
    /// 2e-3 for a file whose batch norms are folded into its convolutions; 1e-5 for adam and adamw]
    #[arg(long, allow_negative_numbers = true, help_heading = "Training")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Learning rate of a fine-tuning's classification layer, as a multiple of --lr
    #[arg(
        long,
        default_value_t = 1.0,
        allow_negative_numbers = true,
        help_heading = "Training"
    )]
    pub head_lr_factor: f64,
    /// Learning rate of a fine-tuned backbone's first layer, as a multiple of --lr; the rates of the
    /// layers between rise evenly
    #[arg(
        long,
        default_value_t = 0.1,
        allow_negative_numbers = true,
        help_heading = "Training"
    )]
    pub first_lr_factor: f64,
    /// Optimiser [default: adam; sgd with --fine-tune]
    #[arg(
        long,
        value_enum,
        default_value_t = OptimizerKind::Adam,
        hide_default_value = true,
        help_heading = "Training"
    )]
    pub optimizer: OptimizerKind,
    /// Weight decay; with --fine-tune not of norms and biases [default: 0.01 with adamw, else 0]
    #[arg(
        long,
        default_value_t = 0.0,
        hide_default_value = true, // `set_dependent_defaults` decides by the optimiser
        allow_negative_numbers = true,
        help_heading = "Training"
    )]
    pub weight_decay: f64,
    /// Momentum of sgd
    #[arg(
        long,
        default_value_t = 0.9,
        allow_negative_numbers = true,
        help_heading = "Training"
    )]
    pub momentum: f64,
    /// Learning rate schedule [default: plateau; cosine-steps with --fine-tune]
    #[arg(
        long,
        value_enum,
        default_value_t = SchedulerKind::Plateau,
        hide_default_value = true,
        help_heading = "Training"
    )]
    pub scheduler: SchedulerKind,
    /// Share of all steps in which the learning rate rises from 0 [default: 0; 0.1 with --fine-tune]
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.0,
        hide_default_value = true,
        allow_negative_numbers = true,
        help_heading = "Training"
    )]
    pub warmup: f64,
    /// Largest Euclidean norm of a step's gradient, which is scaled down to it; 0: any
    /// [default: 0; 1 with --fine-tune]
    #[arg(
        long,
        value_name = "NORM",
        default_value_t = 0.0,
        hide_default_value = true,
        allow_negative_numbers = true,
        help_heading = "Training"
    )]
    pub clip_norm: f64,
    /// Weights that are validated and exported [default: none; ema with --fine-tune]
    #[arg(
        long,
        value_enum,
        default_value_t = WeightAverage::None,
        hide_default_value = true,
        help_heading = "Training"
    )]
    pub weight_average: WeightAverage,
    /// Share of the fine-tuned weights in the average; the rest are those of the frozen backbone and its fitted layer
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.5,
        allow_negative_numbers = true,
        help_heading = "Training"
    )]
    pub tuned_share: f64,
    /// Share of every training label that is spread over all classes, such as 0.05
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.0,
        allow_negative_numbers = true,
        help_heading = "Training"
    )]
    pub label_smoothing: f64,
    /// Weights of the classes in the loss: `none`, `auto` (the rarer a class, the more its images count) or a list
    /// such as `ants=2,bees=1`
    #[arg(long, value_name = "none|auto|LIST", default_value_t = Text::default(), help_heading = "Training")]
    pub class_weights: Text<ClassWeights>,
    /// Which training images an epoch has
    #[arg(long, value_enum, default_value_t = SamplingKind::Shuffled, help_heading = "Training")]
    pub sampling: SamplingKind,
    /// Augmentation of the training images, such as `crop(0.08..1)|hflip(0.5)|rotate(15)`,
    /// or `none`; all operations are listed below. With --task pairs it is `rotate(5)|scale(0.9..1.1)`
    #[arg(long, value_name = "TEXT", default_value_t = Augment::default(), help_heading = "Training")]
    pub augment: Augment,
    /// Mixup: every training image is blended with another one, and so are their labels, by a share from
    /// Beta(ALPHA, ALPHA); such as 0.2
    #[arg(
        long,
        value_name = "ALPHA",
        allow_negative_numbers = true,
        help_heading = "Training"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mixup: Option<f64>,
    /// CutMix: a box of every training image shows another one, and the label is mixed by area; such as 1. With
    /// `--mixup`, one of the two is drawn for each batch
    #[arg(
        long,
        value_name = "ALPHA",
        allow_negative_numbers = true,
        help_heading = "Training"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cutmix: Option<f64>,
    /// Number of views of each training image whose features are computed once, for a frozen backbone:
    /// the original and augmented ones. `fresh`: a new view in every epoch [default: 1; 4 with --augment]
    #[arg(long, value_name = "COUNT|fresh", help_heading = "Training")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub views: Option<Views>,
    /// Augment the validation images too
    #[arg(long, help_heading = "Training")]
    pub augment_val: bool,
    /// Stop after this many epochs without a better one
    #[arg(long, value_name = "EPOCHS", help_heading = "Training")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stop: Option<usize>,
    /// Checkpoints to keep
    #[arg(long, value_enum, default_value_t = SaveKind::Best, help_heading = "Training")]
    pub save: SaveKind,
    /// Criterion for the best checkpoint [default: val_accuracy; auto with --fine-tune]
    #[arg(
        long,
        value_enum,
        default_value_t = Criterion::ValAccuracy,
        hide_default_value = true,
        help_heading = "Training"
    )]
    pub best_by: Criterion,
    /// Seed of the split, the weights, the order and the augmentation
    #[arg(long, default_value_t = 0, help_heading = "Training")]
    pub seed: u64,
    /// Treat an unreadable image as an error
    #[arg(long)]
    pub strict_images: bool,
    /// Do not evaluate on the test images at the end
    #[arg(long)]
    pub no_test: bool,
    /// Do not calibrate the probabilities: fit no temperature on held-out logits
    #[arg(long)]
    pub no_calibrate: bool,
    /// Cross-validate first, with this many folds of the training and validation images, or identities; writes
    /// folds.json, and suspects.csv of a classifier
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folds: Option<usize>,
    /// Train with this many seeds on the same split, from `--seed` on; writes seeds.json
    #[arg(long, value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seeds: Option<usize>,
    /// Number of threads [default: all cores]
    #[arg(long, help_heading = "Machine")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Device to train on
    #[arg(long, value_enum, default_value_t = DeviceKind::Cpu, help_heading = "Machine")]
    pub device: DeviceKind,
    /// What ONNX Runtime computes the features of a frozen backbone and the final evaluation on: cpu, cuda,
    /// tensorrt or openvino; `cuda:1` is the second GPU
    #[arg(long, default_value_t = Text::default(), help_heading = "Machine")]
    pub provider: Text<Provider>,
    /// Memory for decoded images, such as 500MB or 2GB
    #[arg(
        long,
        value_name = "BYTES",
        default_value = "2GB",
        help_heading = "Machine"
    )]
    pub memory: Memory,
    /// Disk space for cached features of frozen backbones, in the cache folder; 0 turns the cache off
    #[arg(
        long,
        value_name = "BYTES",
        default_value = "2GB",
        help_heading = "Machine"
    )]
    pub feature_cache: Memory,
}

impl Default for Recipe {
    fn default() -> Self {
        flags::defaults()
    }
}

impl Recipe {
    pub fn open(path: &Path) -> Result<Recipe> {
        let file = ConfigFile::open::<Recipe>(path)?;
        // Later versions have more settings, so a missing key takes its default. Without this key
        // it is an empty or cut file, and defaults would pass for the run's own settings.
        if !file.has("data") {
            return Err(file.refuse("missing field `data`"));
        }
        file.read()
    }

    /// The settings that have an effect, as the text of `config.toml`.
    pub fn to_toml(&self) -> Result<String> {
        let (table, ineffective) = (self.table()?, self.ineffective());
        let is_used = |key: &String| ineffective.iter().all(|(unused, _)| unused != key);
        let lines = flags::keys::<Recipe>().into_iter().filter(is_used);
        // In the order of the help, which a table does not keep.
        Ok(lines
            .filter_map(|key| Some(format!("{key} = {}\n", table.get(&key)?)))
            .collect())
    }

    /// The recipe of a new run: names become paths, and every value is checked.
    pub fn resolve(mut self, cache: &Path) -> Result<Recipe> {
        self.data = data_name(&self.data, cache)?;
        self.backbone = self.backbone.as_deref().map(absolute).transpose()?;
        self.feature_table = self.feature_table.as_deref().map(absolute).transpose()?;
        self.check()?;
        Ok(self)
    }

    /// Refuses values outside their range, by the name of their flag.
    fn check(&self) -> Result<()> {
        let positive = |flag, value: f64| {
            let is_positive = value.is_finite() && value > 0.0;
            ensure(is_positive, flag, value, "must be above 0")
        };
        // TOML, in which a run keeps its settings, has signed integers.
        let counts = [
            ("epochs", Some(self.epochs)),
            ("folds", self.folds),
            ("early-stop", self.early_stop),
            ("threads", self.threads),
        ];
        for (flag, count) in counts {
            let count = count.unwrap_or(0);
            ensure(
                i64::try_from(count).is_ok(),
                flag,
                count,
                "must be below 2^63",
            )?;
        }
        positive("epochs", self.epochs as f64)?;
        self.check_pairs()?;
        let expected = format!("must be at least 1 and at most {MOST_IMAGES_PER_STEP}");
        for (flag, count) in [("batch", self.batch), ("accumulate", self.accumulate)] {
            let is_count = (1..=MOST_IMAGES_PER_STEP).contains(&count);
            ensure(is_count, flag, count, &expected)?;
        }
        positive("lr", self.lr())?;
        positive("head-lr-factor", self.head_lr_factor)?;
        positive("first-lr-factor", self.first_lr_factor)?;
        let is_share = (0.0..=1.0).contains(&self.warmup);
        let expected = "must be a share of the steps, from 0 to 1";
        ensure(is_share, "warmup", self.warmup, expected)?;
        let is_norm = self.clip_norm.is_finite() && self.clip_norm >= 0.0;
        ensure(is_norm, "clip-norm", self.clip_norm, "must be 0 or more")?;
        let is_share = self.tuned_share > 0.0 && self.tuned_share <= 1.0;
        let expected = "must be above 0 and at most 1";
        ensure(is_share, "tuned-share", self.tuned_share, expected)?;
        positive("width", self.width as f64)?;
        positive("cells", self.cells as f64)?;
        positive("growth", self.growth)?;
        self.check_custom()?;
        for (flag, count) in [("threads", self.threads), ("early-stop", self.early_stop)] {
            if let Some(count) = count {
                positive(flag, count as f64)?;
            }
        }
        let decay = self.weight_decay;
        let is_decay = decay.is_finite() && decay >= 0.0;
        ensure(is_decay, "weight-decay", decay, "must be 0 or more")?;
        let is_momentum = (0.0..1.0).contains(&self.momentum);
        let expected = "must be at least 0 and below 1";
        ensure(is_momentum, "momentum", self.momentum, expected)?;
        let is_share = (0.0..1.0).contains(&self.label_smoothing);
        ensure(is_share, "label-smoothing", self.label_smoothing, expected)?;
        for (flag, alpha) in [("mixup", self.mixup), ("cutmix", self.cutmix)] {
            let alpha = alpha.unwrap_or(1.0);
            let expected = "must be at least 0.01 and at most 100";
            ensure((0.01..=100.0).contains(&alpha), flag, alpha, expected)?;
        }
        self.check_seeds()?;
        self.check_effects()?;
        if let Some(folds) = self.folds {
            ensure(folds >= 2, "folds", folds, "must be 2 or more")?;
        }
        ensure(
            self.backbone.is_some() || !self.is_fine_tuned(),
            "fine-tune",
            self.fine_tune,
            "needs `--backbone`; the custom ResNet is always trained whole",
        )?;
        if let Some(views) = self.views {
            let expected =
                "needs a frozen `--backbone`; other networks see a fresh view every epoch";
            ensure(self.is_frozen(), "views", views, expected)?;
        }
        if self.head_solver == Some(HeadSolver::Lbfgs) {
            let expected = "needs a frozen `--backbone` whose features are kept: see `--views`";
            ensure(self.has_cached_features(), "head-solver", "lbfgs", expected)?;
        }
        self.check_feature_table()
    }

    /// Refuses a table of features beside what needs images, or another backbone's.
    fn check_feature_table(&self) -> Result<()> {
        let Some(table) = &self.feature_table else {
            return Ok(());
        };
        let is_named = self.is_frozen() && self.backbone.as_deref() != Some(AUTO);
        let expected = "needs a frozen `--backbone` that is named, and is for classifiers";
        let is_fine = is_named && !self.is_pairs();
        ensure(is_fine, "feature-table", table, expected)?;
        let is_original = self.views.is_none_or(|views| views == Views::ORIGINAL);
        let expected = "has images as they are: leave out `--views` and `--augment`";
        ensure(is_original, "feature-table", table, expected)
    }

    /// Refuses seeds that TOML could not hold: its integers have a sign.
    fn check_seeds(&self) -> Result<()> {
        let is_seed = i64::try_from(self.seed).is_ok();
        ensure(is_seed, "seed", self.seed, "must be below 2^63")?;
        let Some(seeds) = self.seeds else {
            return Ok(());
        };
        ensure(seeds >= 2, "seeds", seeds, "must be 2 or more")?;
        let last = self.seed.saturating_add(seeds as u64 - 1);
        let expected = "the last seed must be below 2^63";
        ensure(i64::try_from(last).is_ok(), "seeds", seeds, expected)
    }

    pub fn is_frozen(&self) -> bool {
        self.backbone.is_some() && !self.is_fine_tuned()
    }

    pub fn is_fine_tuned(&self) -> bool {
        self.fine_tune != FineTune::Off
    }

    /// Whether training minimises the plain cross-entropy, as validation reports it.
    pub fn has_plain_loss(&self) -> bool {
        let is_mixed = self.mixup.is_some() || self.cutmix.is_some();
        self.label_smoothing == 0.0 && self.class_weights.0 == ClassWeights::None && !is_mixed
    }

    /// Whether training reads features that are computed once.
    fn has_cached_features(&self) -> bool {
        self.is_frozen() && matches!(self.views, Some(Views::Kept(_)))
    }
}

fn ensure(is_fine: bool, flag: &'static str, value: impl fmt::Display, reason: &str) -> Result<()> {
    if is_fine {
        return Ok(());
    }
    Err(Error::Setting {
        flag,
        value: value.to_string(),
        reason: reason.into(),
    })
}

fn not_written(error: toml::ser::Error) -> Error {
    Error::refused(format!("the configuration cannot be written: {error}"))
}
