//! Trainings beside the run's own: on parts of its images, with other seeds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use data::images::Images;
use data::loader::Loader;
use data::{Dataset, Preprocess, Sample, Split};
use models::Network;

use super::fit_options;
use super::stock::{Stock, classify, look};
use crate::error::{Error, Result};
use crate::evaluate;
use crate::features::{RowLoader, Rows, View};
use crate::fit::{
    self, Backbone, Checkpoint, Ended, EpochRow, Feed, FitOptions, Outcome, Room, StepReport, Watch,
};
use crate::folds::Fold;
use crate::live::{Opening, Watchers};
use crate::recipe::{Recipe, SaveKind, Ui};
use crate::run_dir::RunDir;
use crate::stage::Machine;

/// Some of a run's images, as it sees them.
pub(super) enum Pool {
    /// Decoded pictures.
    Pictures(Arc<Images>),
    /// What the frozen part makes of them.
    Rows(Rows),
}

/// Training and validation images in batches.
pub(super) enum Loaders {
    Pictures([Loader; 2]),
    Rows([RowLoader; 2]),
}

/// What the trainings of a run have in common.
#[derive(Clone, Copy)]
pub(super) struct Trials<'a> {
    pub(super) machine: &'a Machine<'a>,
    pub(super) recipe: &'a Recipe,
    pub(super) classes: &'a [String],
    pub(super) preprocess: &'a Preprocess,
    pub(super) backbone: Option<&'a Backbone>,
    pub(super) run: &'a RunDir,
    pub(super) stop: &'a Arc<AtomicBool>,
}

impl Stock {
    /// Training and validation images together. Validation rows that are there in the plain view alone
    /// stand for their other views too, which nobody has computed.
    pub(super) fn pool(&self) -> Pool {
        match self {
            Self::Pictures {
                train, val_images, ..
            } => Pool::Pictures(Arc::new(train.images().join(val_images))),
            Self::Features(features) => {
                let (train, val) = (features.train.rows(), features.val.rows());
                let all: Vec<usize> = (0..val.samples().len()).collect();
                let view = |view| if view < val.num_views() { view } else { 0 };
                let views: Vec<usize> = (0..train.num_views()).map(view).collect();
                Pool::Rows(train.join(&val.select(&all, &views)))
            }
        }
    }

    /// The validation images.
    pub(super) fn validation(&self) -> Pool {
        match self {
            Self::Pictures { val_images, .. } => Pool::Pictures(val_images.clone()),
            Self::Features(features) => Pool::Rows(features.val.rows().clone()),
        }
    }

    /// The images of a split that the run is scored on.
    pub(super) fn scored(
        &mut self,
        trials: &Trials<'_>,
        dataset: &Dataset,
        split: Split,
    ) -> Result<Pool> {
        if split == Split::Val {
            return Ok(self.validation());
        }
        let (samples, what) = (dataset.samples(split), split.to_string());
        let Trials {
            machine, recipe, ..
        } = *trials;
        match self {
            Self::Pictures { .. } => {
                let (strict, memory) = (recipe.strict_images, recipe.memory.0);
                let images = machine.images(samples, &what, strict, memory)?;
                Ok(Pool::Pictures(images))
            }
            Self::Features(features) => {
                let what = (&*what, &[View::Plain][..]);
                let extractor = &mut features.extractor;
                let rows = look(extractor, samples, what, trials.stop, machine.printer)?;
                rows.map(Pool::Rows).ok_or_else(|| trials.interrupted())
            }
        }
    }

    /// The run's images once more, in batches as another recipe has them.
    pub(super) fn again(&self, trials: &Trials<'_>) -> Loaders {
        let Trials {
            machine,
            recipe,
            preprocess,
            ..
        } = *trials;
        match self {
            Self::Pictures {
                train, val_images, ..
            } => Loaders::Pictures([
                machine.train_loader(recipe, train.images(), preprocess),
                machine.val_loader(recipe, val_images, preprocess),
            ]),
            Self::Features(features) => {
                let train = features.train.rows().clone();
                let train = RowLoader::new(train, recipe.batch, Some(recipe.seed));
                Loaders::Rows([train, features.val.clone()])
            }
        }
    }
}

impl Pool {
    /// Some of these images.
    pub(super) fn select(&self, places: &[usize]) -> Self {
        match self {
            Self::Pictures(images) => Self::Pictures(Arc::new(images.select(places))),
            Self::Rows(rows) => {
                let views: Vec<usize> = (0..rows.num_views()).collect();
                Self::Rows(rows.select(places, &views))
            }
        }
    }

    pub(super) fn samples(&self) -> &[Sample] {
        match self {
            Self::Pictures(images) => images.samples(),
            Self::Rows(rows) => rows.samples(),
        }
    }
}

impl Loaders {
    pub(super) fn feeds(&self) -> [Feed<'_>; 2] {
        match self {
            Self::Pictures(loaders) => loaders.each_ref().map(Feed::Pictures),
            Self::Rows(loaders) => loaders.each_ref().map(Feed::Features),
        }
    }

    fn num_images(&self) -> [usize; 2] {
        match self {
            Self::Pictures(loaders) => loaders.each_ref().map(Loader::num_images),
            Self::Rows(loaders) => loaders
                .each_ref()
                .map(|loader| loader.rows().samples().len()),
        }
    }
}

impl<'a> Trials<'a> {
    /// What Ctrl-C ends in.
    pub(super) fn interrupted(&self) -> Error {
        Error::Interrupted {
            run: self.run.path().to_path_buf(),
        }
    }

    /// An error when Ctrl-C came.
    pub(super) fn go_on(&self) -> Result<()> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(self.interrupted()),
            false => Ok(()),
        }
    }

    /// A fold's images for training and validation, as the recipe has them.
    pub(super) fn loaders(&self, pool: &Pool, fold: &Fold) -> Loaders {
        let (recipe, machine) = (self.recipe, self.machine);
        match pool {
            Pool::Pictures(images) => {
                let [train, val] =
                    [&fold.train, &fold.val].map(|places| Arc::new(images.select(places)));
                Loaders::Pictures([
                    machine.train_loader(recipe, &train, self.preprocess),
                    machine.val_loader(recipe, &val, self.preprocess),
                ])
            }
            Pool::Rows(rows) => {
                let views: Vec<usize> = (0..rows.num_views()).collect();
                let num_val_views = if recipe.augment_val { views.len() } else { 1 };
                let train = rows.select(&fold.train, &views);
                let val = rows.select(&fold.val, &views[..num_val_views]);
                Loaders::Rows([
                    RowLoader::new(train, recipe.batch, Some(recipe.seed)),
                    RowLoader::new(val, recipe.batch, None),
                ])
            }
        }
    }

    /// A training as the recipe has it, which goes on where `folder` holds one that was interrupted.
    /// Without a folder it is shown to nobody.
    pub(super) fn fit(
        &self,
        network: Network,
        loaders: &Loaders,
        folder: Option<&RunDir>,
    ) -> Result<Outcome> {
        let last = folder.map(RunDir::last).filter(|file| file.is_file());
        let resume = last.map(|file| Checkpoint::open(&file)).transpose()?;
        let [train, val] = loaders.feeds();
        let room = Room {
            train,
            val,
            backbone: self.backbone,
            classes: self.classes,
            run: folder,
            stop: self.stop,
        };
        let (options, resume) = (fit_options(self.recipe), resume.as_ref());
        let outcome = if let Some(run) = folder {
            let size = (loaders.num_images(), train.num_batches());
            let opening = Opening::new(run, self.recipe.epochs, size, resume);
            let mut watch =
                Watchers::open((Ui::Bar, &[]), &opening, self.machine.printer, self.stop);
            fit::fit(network, &room, &options, resume, &mut watch)?
        } else {
            fit::fit(network, &room, &options, resume, &mut ())?
        };
        match outcome.ended {
            Ended::Interrupted => Err(self.interrupted()),
            Ended::Finished | Ended::EarlyStopped => Ok(outcome),
        }
    }

    /// The network as it is after `epoch`, whatever epoch is best.
    pub(super) fn fit_to_epoch(
        &self,
        network: Network,
        loaders: &Loaders,
        epoch: usize,
    ) -> Result<Network> {
        let stop = AtomicBool::new(false);
        let [train, val] = loaders.feeds();
        let room = Room {
            train,
            val,
            backbone: None,
            classes: self.classes,
            run: None,
            stop: &stop,
        };
        let options = FitOptions {
            save: SaveKind::Last,
            early_stop: None,
            ..fit_options(self.recipe)
        };
        let mut until = Until {
            epoch,
            stop: &stop,
            asked: self.stop,
        };
        let outcome = fit::fit(network, &room, &options, None, &mut until)?;
        self.go_on()?;
        Ok(outcome.network)
    }

    /// Logits `[N, K]` of images at these places, as they are.
    pub(super) fn logits(
        &self,
        network: &Network,
        pool: &Pool,
        places: &[usize],
    ) -> Result<Vec<Vec<f32>>> {
        match pool {
            Pool::Rows(rows) => classify(network, &rows.plain(places.iter().copied())),
            Pool::Pictures(images) => {
                let images = Arc::new(images.select(places));
                let batch = self.recipe.batch;
                let loader = self.machine.plain_loader(batch, &images, self.preprocess);
                let samples = images.samples();
                let what = "evaluating";
                let bar = self.machine.printer.image_bar(what, samples.len() as u64);
                let mut progress = |done| bar.set_position(done as u64);
                let evaluation =
                    evaluate::evaluate(network, &loader, samples, self.classes, &mut progress);
                bar.finish_and_clear();
                Ok(evaluation?.logits)
            }
        }
    }
}

/// Ends a training after an epoch, or when the user asks for it.
struct Until<'a> {
    epoch: usize,
    stop: &'a AtomicBool,
    /// Set by Ctrl-C.
    asked: &'a AtomicBool,
}

impl Watch for Until<'_> {
    fn step(&mut self, _report: &StepReport) {
        if self.asked.load(Ordering::Relaxed) {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    fn epoch_done(&mut self, row: &EpochRow, _new_best: bool) {
        if row.epoch == self.epoch {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}
