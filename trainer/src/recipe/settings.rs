//! Settings of `trainer fit`: the recipe, and what concerns one machine or one run alone.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use super::config_file::ConfigFile;
use super::flags::{self, Flags};
use super::scopes::LOOP_ONLY;
use super::{HeadSolver, Log, Recipe, Ui, Views};
use crate::error::{Error, Result};

/// The flags of `trainer fit` that a `--config` file may hold as well.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub struct Settings {
    /// Training configuration; kept in the run's `config.toml`.
    #[command(flatten)]
    pub recipe: Recipe,
    /// Cache folder and ONNX Runtime.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Run folder and how training is watched.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Where downloads are kept and where ONNX Runtime is.
#[derive(Clone, Debug, Default, PartialEq, Args, Deserialize)]
#[command(next_help_heading = "Machine")]
#[serde(default, rename_all = "kebab-case")]
pub struct MachineArgs {
    /// Cache folder for data sets, weights, features and ONNX Runtime [env: CLASSIFIER_CACHE]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// The ONNX Runtime library to use [env: ORT_DYLIB_PATH]
    #[arg(long, value_name = "FILE")]
    pub runtime: Option<PathBuf>,
    /// Download nothing
    #[arg(long)]
    pub offline: bool,
}

/// Run folder and how training is watched.
#[derive(Clone, Debug, PartialEq, Args, Deserialize)]
#[command(next_help_heading = "Run")]
#[serde(default, rename_all = "kebab-case")]
pub struct RunArgs {
    /// Folder of the runs
    #[arg(long, value_name = "DIR", default_value = data::run_files::RUNS)]
    pub runs: PathBuf,
    /// Name of the run folder [default: the next free number]
    #[arg(long)]
    pub name: Option<String>,
    /// How the terminal shows training
    #[arg(long, value_enum, default_value_t = Ui::Bar)]
    pub ui: Ui,
    /// Files for following training, in the run folder
    #[arg(long, value_enum, value_delimiter = ',')]
    pub log: Vec<Log>,
}

impl Default for RunArgs {
    fn default() -> Self {
        flags::defaults()
    }
}

/// Settings for which a learning rate range test has no use.
const UNUSED_IN_RANGE_TEST: [&str; 25] = [
    "task",
    "pairs-per-identity",
    "distance",
    "margin",
    "feature-table",
    "head-solver",
    "epochs",
    "lr",
    "scheduler",
    "warmup",
    "weight-average",
    "tuned-share",
    "keep",
    "augment-val",
    "early-stop",
    "save",
    "best-by",
    "no-test",
    "no-calibrate",
    "folds",
    "seeds",
    "runs",
    "name",
    "ui",
    "log",
];

/// Whether a learning rate range test has no use for a setting.
pub fn is_unused_in_range_test(key: &str) -> bool {
    UNUSED_IN_RANGE_TEST.contains(&key)
}

impl Settings {
    /// The settings of a learning rate range test, which is one of the loop. The recipe is not checked yet.
    ///
    /// # Errors
    /// When a flag was typed that has no use there. A file may have any: it is that of a run.
    pub fn for_range_test(flags: &Flags, config: Option<&Path>) -> Result<Settings> {
        let mut typed = flags.typed().iter();
        if let Some(key) = typed.find(|key| is_unused_in_range_test(key)) {
            return Err(Error::refused_with_hint(
                format!("`--{key}` has no use in a learning rate range test"),
                "leave it out; `trainer fit` takes it",
            ));
        }
        let mut settings = Self::merge(flags, config)?;
        if settings.recipe.is_pairs() {
            return Err(Error::refused_with_hint(
                "a learning rate range test knows classifiers alone, not `--task pairs`",
                "try rates with `trainer fit --task pairs --lr`",
            ));
        }
        if settings.recipe.feature_table.is_some() {
            return Err(Error::refused_with_hint(
                "a learning rate range test computes its features itself",
                "leave `feature-table` out of the file; without a rate, `trainer fit` needs none",
            ));
        }
        let solver = &mut settings.recipe.head_solver;
        *solver = solver.map(|_| HeadSolver::Loop);
        Ok(settings)
    }

    /// Flags over the `--config` file over the defaults. The recipe is not checked yet.
    pub fn merge(flags: &Flags, config: Option<&Path>) -> Result<Settings> {
        let mut settings = Settings::default();
        let file = config.map(ConfigFile::open::<Settings>).transpose()?;
        if let Some(file) = &file {
            settings = Settings {
                recipe: file.read()?,
                machine: file.read()?,
                run: file.read()?,
            };
        }
        let file_views = settings.recipe.views.take();
        let file_solver = settings.recipe.head_solver.take();
        flags.apply(&mut settings);
        let recipe = &mut settings.recipe;
        // A file's views and solver are for a frozen backbone; a typed `--fine-tune` wins over both.
        let is_tuned = flags.has("fine-tune") && recipe.is_fine_tuned();
        if !is_tuned {
            recipe.views = recipe.views.or(file_views);
            // So does a typed setting of the loop.
            let is_loop = recipe.views == Some(Views::Fresh)
                || LOOP_ONLY.into_iter().any(|key| flags.has(key));
            recipe.head_solver = recipe.head_solver.or(file_solver.filter(|_| !is_loop));
        }
        let in_file = |key: &str| file.as_ref().is_some_and(|file| file.has(key));
        recipe.set_dependent_defaults(|key| flags.has(key) || in_file(key));
        Ok(settings)
    }
}
