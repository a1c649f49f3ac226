//! What is trained, and how: [`Settings`] as typed (flags or file), [`Recipe`] with every value
//! decided. It opens no data and knows no network.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use data::augment::Augment;
use fs_err as fs;
use serde::{Deserialize, Serialize};

use crate::cli::MachineArgs;
use crate::error::{Error, Result};
use crate::live::{Log, Ui};
use crate::source;

mod budget;
mod kinds;
mod resume;
mod views;

pub use budget::Memory;
pub use kinds::{Criterion, DeviceKind, OptimizerKind, SaveKind, SchedulerKind};
pub use views::Views;

/// Settings as given by flags or by a TOML file: what is missing is `None`.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    /// Labelled images: a folder (train/val/test or one folder of classes), a CSV file
    /// (`path,label` and perhaps `split`), `builtin:insects` or `hymenoptera` [default: builtin:insects]
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
    /// Start from a trained network: `resnet18` or an ONNX file [default: the custom ResNet]
    #[arg(long, value_name = "NAME|FILE.onnx", help_heading = "Network")]
    pub backbone: Option<String>,
    /// Train all of the backbone, not only the new head
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_name = "BOOL", hide_possible_values = true, help_heading = "Network")]
    pub fine_tune: Option<bool>,
    /// Channels of the custom ResNet's first layer [default: 8]
    #[arg(long, help_heading = "Network")]
    pub width: Option<usize>,
    /// Residual cells of the custom ResNet [default: 3]
    #[arg(long, help_heading = "Network")]
    pub cells: Option<usize>,
    /// Channel growth from cell to cell [default: 2]
    #[arg(long, allow_negative_numbers = true, help_heading = "Network")]
    pub growth: Option<f64>,
    /// Passes over the training images [default: 10]
    #[arg(long, help_heading = "Training")]
    pub epochs: Option<usize>,
    /// Images per step [default: 32]
    #[arg(long, help_heading = "Training")]
    pub batch: Option<usize>,
    /// Learning rate [default: 1e-3]
    #[arg(long, allow_negative_numbers = true, help_heading = "Training")]
    pub lr: Option<f64>,
    /// Optimiser [default: adam]
    #[arg(long, value_enum, help_heading = "Training")]
    pub optimizer: Option<OptimizerKind>,
    /// Weight decay [default: 0.01 with adamw, else 0]
    #[arg(long, allow_negative_numbers = true, help_heading = "Training")]
    pub weight_decay: Option<f64>,
    /// Momentum of sgd [default: 0.9]
    #[arg(long, allow_negative_numbers = true, help_heading = "Training")]
    pub momentum: Option<f64>,
    /// Learning rate schedule [default: plateau]
    #[arg(long, value_enum, help_heading = "Training")]
    pub scheduler: Option<SchedulerKind>,
    /// Augmentation of the training images, such as `crop(0.08..1)|hflip(0.5)|rotate(15)`,
    /// or `none` [default: random resized crop and horizontal flip]
    #[arg(long, value_name = "TEXT", help_heading = "Training")]
    pub augment: Option<Augment>,
    /// Views of each training image that a frozen backbone computes once and keeps (the first as it
    /// is, the others augmented), or `fresh` for a new one every epoch [default: 1; 4 with --augment]
    #[arg(long, value_name = "COUNT|fresh", help_heading = "Training")]
    pub views: Option<Views>,
    /// Augment the validation images too
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_name = "BOOL", hide_possible_values = true, help_heading = "Training")]
    pub augment_val: Option<bool>,
    /// Stop after this many epochs without a better one
    #[arg(long, value_name = "EPOCHS", help_heading = "Training")]
    pub early_stop: Option<usize>,
    /// Which checkpoints stay: best (and last), last alone, or every epoch's [default: best]
    #[arg(long, value_enum, help_heading = "Training")]
    pub save: Option<SaveKind>,
    /// What makes a checkpoint the best [default: val_accuracy]
    #[arg(long, value_enum, help_heading = "Training")]
    pub best_by: Option<Criterion>,
    /// Seed of the split, the weights, the order and the augmentation [default: 0]
    #[arg(long, help_heading = "Training")]
    pub seed: Option<u64>,
    /// An unreadable image is an error
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_name = "BOOL", hide_possible_values = true)]
    pub strict_images: Option<bool>,
    /// Leave out the evaluation on the test images at the end
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_name = "BOOL", hide_possible_values = true)]
    pub no_test: Option<bool>,
    /// Leave the probabilities as trained: fit no temperature on held-out logits
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_name = "BOOL", hide_possible_values = true)]
    pub no_calibrate: Option<bool>,
    /// Cross-validate first: train on all but one of so many parts of the training and validation
    /// images, score on that one (folds.json, suspects.csv)
    #[arg(long, value_name = "COUNT")]
    pub folds: Option<usize>,
    /// Train with so many seeds, `--seed` and those after it, on the same split (seeds.json)
    #[arg(long, value_name = "COUNT")]
    pub seeds: Option<usize>,
    /// Threads [default: all cores]
    #[arg(long, help_heading = "Machine")]
    pub threads: Option<usize>,
    /// Where to train [default: cpu]
    #[arg(long, value_enum, help_heading = "Machine")]
    pub device: Option<DeviceKind>,
    /// Memory for decoded images, such as 500MB or 2GB [default: 2GB]
    #[arg(long, value_name = "BYTES", help_heading = "Machine")]
    pub memory: Option<Memory>,
    /// Disk for kept features of frozen backbones, in the cache folder; 0 keeps none [default: 2GB]
    #[arg(long, value_name = "BYTES", help_heading = "Machine")]
    pub feature_cache: Option<Memory>,
    /// Cache folder for data sets, weights, features and ONNX Runtime [env: CLASSIFIER_CACHE]
    #[arg(long, value_name = "DIR", help_heading = "Machine")]
    pub cache: Option<PathBuf>,
    /// The ONNX Runtime library to use [env: ORT_DYLIB_PATH]
    #[arg(long, value_name = "FILE", help_heading = "Machine")]
    pub runtime: Option<PathBuf>,
    /// Download nothing
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_name = "BOOL", hide_possible_values = true, help_heading = "Machine")]
    pub offline: Option<bool>,
    /// Folder of the runs [default: runs]
    #[arg(long, value_name = "DIR", help_heading = "Run")]
    pub runs: Option<PathBuf>,
    /// Name of the run folder [default: the next free number]
    #[arg(long, help_heading = "Run")]
    pub name: Option<String>,
    /// What a terminal shows of training [default: bar]
    #[arg(long, value_enum, help_heading = "Run")]
    pub ui: Option<Ui>,
    /// Files to watch training by, in the run folder
    #[arg(long, value_enum, value_delimiter = ',', help_heading = "Run")]
    pub log: Option<Vec<Log>>,
}

/// A training run with every value decided; `config.toml` of a run is its text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Recipe {
    /// The data: an absolute path or `builtin:insects`.
    pub data: String,
    /// The backbone: `resnet18`, an absolute path, or none for the custom ResNet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backbone: Option<String>,
    /// Whether all of the backbone is trained.
    pub fine_tune: bool,
    /// Channels of the custom ResNet's first layer.
    pub width: usize,
    /// Residual cells of the custom ResNet.
    pub cells: usize,
    /// Channel growth from cell to cell.
    pub growth: f64,
    /// Passes over the training images.
    pub epochs: usize,
    /// Images per step.
    pub batch: usize,
    /// Learning rate.
    pub lr: f64,
    /// The optimiser.
    pub optimizer: OptimizerKind,
    /// Weight decay.
    pub weight_decay: f64,
    /// Momentum of sgd.
    pub momentum: f64,
    /// Learning rate schedule.
    pub scheduler: SchedulerKind,
    /// Augmentation of the training images.
    pub augment: Augment,
    /// Views of each training image, where the backbone is frozen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub views: Option<Views>,
    /// Whether the validation images are augmented too.
    pub augment_val: bool,
    /// Epochs without a better one before the run stops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stop: Option<usize>,
    /// Which checkpoints stay.
    pub save: SaveKind,
    /// What makes a checkpoint the best.
    pub best_by: Criterion,
    /// Seed of the split, the weights, the order and the augmentation.
    pub seed: u64,
    /// Whether an unreadable image is an error.
    pub strict_images: bool,
    /// Whether the evaluation on the test images is left out.
    pub no_test: bool,
    /// Whether the probabilities stay as trained.
    #[serde(default)]
    pub no_calibrate: bool,
    /// Parts of a cross-validation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folds: Option<usize>,
    /// Seeds to train with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeds: Option<usize>,
    /// Threads; all cores when `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Where to train.
    pub device: DeviceKind,
    /// Memory for decoded images, or for the engine of a frozen backbone.
    pub memory: Memory,
    /// Disk for kept features.
    #[serde(default)]
    pub feature_cache: Memory,
}

macro_rules! or {
    ($flags:expr, $file:expr, $($field:ident),+ $(,)?) => {
        Settings { $($field: $flags.$field.or($file.$field)),+ }
    };
}

impl Settings {
    /// Reads a TOML file; unknown keys are errors that name them.
    pub fn open(path: &Path) -> Result<Settings> {
        let text = fs::read_to_string(path)?;
        toml::from_str(&text).map_err(|error| Error::Config {
            path: path.to_path_buf(),
            reason: error.to_string().trim_end().to_string(),
        })
    }

    /// These settings, completed by `file`.
    #[must_use]
    pub fn or(self, mut file: Settings) -> Settings {
        if self.fine_tune == Some(true) {
            // They were for a frozen backbone.
            file.views = None;
        }
        or!(
            self,
            file,
            data,
            backbone,
            fine_tune,
            width,
            cells,
            growth,
            epochs,
            batch,
            lr,
            optimizer,
            weight_decay,
            momentum,
            scheduler,
            augment,
            views,
            augment_val,
            early_stop,
            save,
            best_by,
            seed,
            strict_images,
            no_test,
            no_calibrate,
            folds,
            seeds,
            threads,
            device,
            memory,
            feature_cache,
            cache,
            runtime,
            offline,
            runs,
            name,
            ui,
            log,
        )
    }

    /// Where things are on this machine.
    pub fn machine(&self) -> MachineArgs {
        MachineArgs {
            cache: self.cache.clone(),
            runtime: self.runtime.clone(),
            offline: self.offline.unwrap_or(false),
        }
    }

    /// The folder of the runs.
    pub fn runs(&self) -> &Path {
        self.runs
            .as_deref()
            .unwrap_or(Path::new(data::run_files::RUNS))
    }

    /// The recipe: these settings over the defaults, checked. What concerns one machine or one run
    /// alone is no part of it.
    pub fn resolve(self) -> Result<Recipe> {
        let optimizer = self.optimizer.unwrap_or_default();
        let weight_decay = match optimizer {
            OptimizerKind::AdamW => 0.01,
            OptimizerKind::Adam | OptimizerKind::Sgd => 0.0,
        };
        let frozen = self.backbone.is_some() && self.fine_tune != Some(true);
        // Augmentation that was asked for is not passed over in silence.
        let augmented = self
            .augment
            .as_ref()
            .is_some_and(|augment| !augment.ops.is_empty());
        let views = if augmented {
            Views::AUGMENTED
        } else {
            Views::default()
        };
        let recipe = Recipe {
            data: source::absolute(self.data.as_deref().unwrap_or(data::catalog::INSECTS))?,
            backbone: self.backbone.as_deref().map(source::absolute).transpose()?,
            fine_tune: self.fine_tune.unwrap_or(false),
            width: self.width.unwrap_or(8),
            cells: self.cells.unwrap_or(3),
            growth: self.growth.unwrap_or(2.0),
            epochs: self.epochs.unwrap_or(10),
            batch: self.batch.unwrap_or(32),
            lr: self.lr.unwrap_or(1e-3),
            optimizer,
            weight_decay: self.weight_decay.unwrap_or(weight_decay),
            momentum: self.momentum.unwrap_or(0.9),
            scheduler: self.scheduler.unwrap_or_default(),
            augment: self.augment.unwrap_or_default(),
            views: self.views.or(frozen.then_some(views)),
            augment_val: self.augment_val.unwrap_or(false),
            early_stop: self.early_stop,
            save: self.save.unwrap_or_default(),
            best_by: self.best_by.unwrap_or_default(),
            seed: self.seed.unwrap_or(0),
            strict_images: self.strict_images.unwrap_or(false),
            no_test: self.no_test.unwrap_or(false),
            no_calibrate: self.no_calibrate.unwrap_or(false),
            folds: self.folds,
            seeds: self.seeds,
            threads: self.threads,
            device: self.device.unwrap_or_default(),
            memory: self.memory.unwrap_or_default(),
            feature_cache: self.feature_cache.unwrap_or_default(),
        };
        recipe.check()?;
        Ok(recipe)
    }
}

impl Recipe {
    /// Reads a run's `config.toml`.
    pub fn open(path: &Path) -> Result<Recipe> {
        let text = fs::read_to_string(path)?;
        toml::from_str(&text).map_err(|error| Error::Config {
            path: path.to_path_buf(),
            reason: error.to_string().trim_end().to_string(),
        })
    }

    /// The text of `config.toml`.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(|error| Error::Burn {
            what: "the configuration cannot be written",
            reason: error.to_string(),
        })
    }

    fn check(&self) -> Result<()> {
        let positive = |flag, value: f64| {
            let fine = value.is_finite() && value > 0.0;
            fine.then_some(())
                .ok_or_else(|| refuse(flag, value, "must be above 0"))
        };
        positive("epochs", self.epochs as f64)?;
        positive("batch", self.batch as f64)?;
        positive("lr", self.lr)?;
        positive("width", self.width as f64)?;
        positive("cells", self.cells as f64)?;
        positive("growth", self.growth)?;
        if let Some(threads) = self.threads {
            positive("threads", threads as f64)?;
        }
        if let Some(epochs) = self.early_stop {
            positive("early-stop", epochs as f64)?;
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return Err(refuse(
                "weight-decay",
                self.weight_decay,
                "must be 0 or more",
            ));
        }
        if !(0.0..1.0).contains(&self.momentum) {
            return Err(refuse(
                "momentum",
                self.momentum,
                "must be at least 0 and below 1",
            ));
        }
        if i64::try_from(self.seed).is_err() {
            return Err(refuse("seed", self.seed, "must be below 2^63"));
        }
        for (flag, count) in [("folds", self.folds), ("seeds", self.seeds)] {
            if let Some(count) = count.filter(|count| *count < 2) {
                return Err(refuse(flag, count, "must be 2 or more"));
            }
        }
        let last = self.seeds.map_or(0, |seeds| seeds as u64 - 1);
        if i64::try_from(self.seed.saturating_add(last)).is_err() {
            let reason = "the last seed must be below 2^63";
            return Err(refuse("seeds", last + 1, reason));
        }
        if self.fine_tune && self.backbone.is_none() {
            return Err(refuse(
                "fine-tune",
                true,
                "needs `--backbone`; the custom ResNet is always trained whole",
            ));
        }
        if let (Some(views), true) = (self.views, self.backbone.is_none() || self.fine_tune) {
            return Err(refuse(
                "views",
                views,
                "needs a frozen `--backbone`; other networks see a fresh view every epoch",
            ));
        }
        Ok(())
    }
}

fn refuse(flag: &'static str, value: impl fmt::Display, reason: &str) -> Error {
    Error::Setting {
        flag,
        value: value.to_string(),
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{OptimizerKind, Recipe, SaveKind, Settings, Views};
    use crate::Error;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        settings: Settings,
    }

    fn flags(arguments: &[&str]) -> Settings {
        Flags::try_parse_from([&["fit"], arguments].concat())
            .unwrap()
            .settings
    }

    fn file(text: &str) -> Result<Settings, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs_err::write(&path, text).unwrap();
        Settings::open(&path)
    }

    #[test]
    fn without_anything_the_defaults_hold() {
        let recipe = Settings::default().resolve().unwrap();
        assert_eq!(recipe.data, "builtin:insects");
        assert_eq!((recipe.epochs, recipe.batch, recipe.lr), (10, 32, 1e-3));
        assert_eq!((recipe.width, recipe.cells, recipe.growth), (8, 3, 2.0));
        assert_eq!(recipe.backbone, None);
        assert!(!recipe.augment_val);
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_the_defaults() {
        let file = file("epochs = 3\nlr = 0.5\nsave = \"all\"\nfine-tune = true\n").unwrap();
        let typed = flags(&["--epochs", "7", "--fine-tune=false", "--optimizer", "sgd"]);
        let recipe = typed.or(file).resolve().unwrap();
        assert_eq!((recipe.epochs, recipe.lr, recipe.batch), (7, 0.5, 32));
        assert_eq!(
            (recipe.save, recipe.optimizer),
            (SaveKind::All, OptimizerKind::Sgd)
        );
        assert!(!recipe.fine_tune);
    }

    #[test]
    fn a_key_that_does_not_exist_is_named() {
        let settings = file("runs = \"here\"\nname = \"bees\"\noffline = true\n").unwrap();
        let watched = file("ui = \"dashboard\"\nlog = [\"jsonl\", \"tensorboard\"]\n").unwrap();
        let typed = flags(&["--ui", "dashboard", "--log", "jsonl,tensorboard"]);
        assert_eq!(watched, typed);
        assert_eq!(
            (settings.name.as_deref(), settings.offline),
            (Some("bees"), Some(true))
        );
        let error = file("epochs = 3\nepoch = 4\n").unwrap_err();
        assert!(matches!(error, Error::Config { .. }));
        assert!(error.to_string().contains("`epoch`"), "{error}");
    }

    #[test]
    fn config_toml_reads_back_as_the_same_recipe() {
        let typed = flags(&["--augment", "hflip(0.5)|rotate(15)", "--early-stop", "4"]);
        let recipe = typed.resolve().unwrap();
        let text = recipe.to_toml().unwrap();
        let again = file(&text).unwrap().resolve().unwrap();
        assert_eq!(again, recipe, "{text}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs_err::write(&path, &text).unwrap();
        assert_eq!(Recipe::open(&path).unwrap(), recipe);
    }

    #[test]
    fn values_without_a_meaning_are_refused_with_their_flag() {
        for (arguments, flag) in [
            (["--epochs", "0"], "--epochs"),
            (["--batch", "0"], "--batch"),
            (["--lr", "0"], "--lr"),
            (["--lr", "nan"], "--lr"),
            (["--momentum", "1"], "--momentum"),
            (["--weight-decay", "inf"], "--weight-decay"),
            (["--threads", "0"], "--threads"),
            (["--early-stop", "0"], "--early-stop"),
            (["--folds", "1"], "--folds"),
            (["--seeds", "1"], "--seeds"),
        ] {
            let error = flags(&arguments).resolve().unwrap_err();
            assert!(error.to_string().contains(flag), "{arguments:?}: {error}");
        }
        let error = flags(&["--fine-tune"]).resolve().unwrap_err();
        assert!(error.to_string().contains("--backbone"), "{error}");
    }

    #[test]
    fn views_are_for_frozen_backbones() {
        for arguments in [
            &["--views", "3"][..],
            &["--views", "fresh", "--backbone", "a.onnx", "--fine-tune"],
        ] {
            let error = flags(arguments).resolve().unwrap_err();
            assert!(error.to_string().contains("--views"), "{error}");
        }
        let frozen = flags(&["--backbone", "a.onnx"]).resolve().unwrap();
        assert_eq!(frozen.views, Some(Views::default()));
        assert_eq!(flags(&[]).resolve().unwrap().views, None);
        for (augment, views) in [("hflip(0.5)", Views::AUGMENTED), ("none", Views::default())] {
            let typed = flags(&["--backbone", "a.onnx", "--augment", augment]);
            assert_eq!(typed.resolve().unwrap().views, Some(views));
        }
        // A file's views are not held against a typed `--fine-tune`.
        let kept = file("backbone = \"a.onnx\"\nviews = 3\n").unwrap();
        let tuned = flags(&["--fine-tune"]).or(kept.clone()).resolve().unwrap();
        assert_eq!(tuned.views, None);
        assert_eq!(kept.resolve().unwrap().views, Some(Views::Kept(3)));
    }

    #[test]
    fn a_resumed_run_may_go_on_longer_but_not_otherwise() {
        let recipe = flags(&["--lr", "0.01"]).resolve().unwrap();
        let longer = recipe
            .resumed(flags(&["--epochs", "20", "--lr", "0.01"]))
            .unwrap();
        assert_eq!(
            longer,
            Recipe {
                epochs: 20,
                ..recipe.clone()
            }
        );
        for (arguments, flag) in [
            (["--lr", "0.1"], "--lr"),
            (["--optimizer", "sgd"], "--optimizer"),
            (["--backbone", "resnet18"], "--backbone"),
            (["--data", "elsewhere"], "--data"),
            (["--augment", "none"], "--augment"),
            (["--views", "3"], "--views"),
        ] {
            let error = recipe.resumed(flags(&arguments)).unwrap_err();
            assert!(matches!(error, Error::ResumeChanges { .. }));
            assert!(error.to_string().contains(flag), "{error}");
        }
    }
}
