//! What a run stands on: its pictures, its network and its loaders, from a recipe.

use std::borrow::Borrow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use console::Printer;
use data::images::Images;
use data::loader::{Loader, LoaderOptions};
use data::{Dataset, Preprocess, RgbImage, Sample, Split};
use models::Network;
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::fit::{Checkpoint, State};
use crate::recipe::Recipe;
use crate::run_dir::RunDir;
use crate::source;

/// Batches that are ready before they are asked for.
const PREFETCH: usize = 2;
/// Real images that a file is verified with.
const VERIFIED_IMAGES: usize = 16;

/// Files left out that the log lists by name.
const LISTED: usize = 20;

/// Where things are on this machine, and how much of it is used.
#[derive(Debug)]
pub struct Machine<'a> {
    /// The cache folder.
    pub cache: PathBuf,
    /// Whether downloads are forbidden.
    pub offline: bool,
    /// Threads.
    pub threads: usize,
    /// Where the log goes.
    pub printer: &'a Printer,
}

impl Machine<'_> {
    /// Opens the data set of a recipe, or what a run's `split.csv` lists of it.
    pub fn dataset(&self, recipe: &Recipe, run: Option<&RunDir>) -> Result<Dataset> {
        let path = source::data_path(&recipe.data, &self.cache, self.printer)?;
        let dataset = match run {
            Some(run) => source::run_dataset(run, &path)?,
            None => Dataset::open(&path, recipe.seed)?,
        };
        for note in &dataset.notes {
            self.printer.log(note);
        }
        self.list_left_out(&dataset);
        Ok(dataset)
    }

    fn list_left_out(&self, dataset: &Dataset) {
        for file in dataset.left_out.iter().take(LISTED) {
            self.printer.log(format!(
                "left out `{}`: {}",
                file.path.display(),
                file.reason
            ));
        }
        if let Some(more) = dataset.left_out.len().checked_sub(LISTED + 1) {
            self.printer
                .log(format!("left out {} more files", more + 1));
        }
    }

    /// Decodes the training and the validation images.
    pub fn pictures(&self, recipe: &Recipe, dataset: &Dataset) -> Result<[Arc<Images>; 2]> {
        let (num_train, num_val) = (dataset.train.len() as u64, dataset.val.len() as u64);
        let share = |part: u64| {
            let budget = u128::from(recipe.memory.0) * u128::from(part);
            (budget / u128::from((num_train + num_val).max(1))) as u64
        };
        let load = |samples: &[Sample], what: &str, budget_bytes| {
            self.images(samples, what, recipe.strict_images, budget_bytes)
        };
        let train = load(&dataset.train, "train", share(num_train))?;
        let val = load(&dataset.val, "val", share(num_val))?;
        Ok([train, val])
    }

    /// Decodes some images.
    pub fn images(
        &self,
        samples: &[Sample],
        what: &str,
        strict: bool,
        budget_bytes: u64,
    ) -> Result<Arc<Images>> {
        let holding = source::Holding {
            budget_bytes,
            strict,
            threads: self.threads,
        };
        source::images(samples, what, holding, self.printer)
    }

    /// Builds the network of a recipe.
    pub fn network(&self, recipe: &Recipe, num_classes: usize) -> Result<Network> {
        let backbone = recipe
            .backbone
            .as_deref()
            .map(|name| source::backbone_path(name, &self.cache, self.offline, self.printer))
            .transpose()?;
        let device = source::device(recipe.device)?;
        let spec = source::spec(recipe, backbone);
        Ok(Network::build(&spec, num_classes, recipe.seed, &device)?)
    }

    /// The network of a run as one of its checkpoints left it, and that checkpoint's state.
    pub fn restore(&self, recipe: &Recipe, checkpoint: &Path) -> Result<(Network, State)> {
        let checkpoint = Checkpoint::open(checkpoint)?;
        let state = checkpoint.state().clone();
        let network = self.network(recipe, state.classes.len())?;
        Ok((checkpoint.network(network)?, state))
    }

    /// The loader of the training images: shuffled, augmented.
    pub fn train_loader(
        &self,
        recipe: &Recipe,
        images: &Arc<Images>,
        preprocess: &Preprocess,
    ) -> Loader {
        let augment = (!recipe.augment.ops.is_empty()).then(|| recipe.augment.clone());
        let options = self.loader_options(recipe.batch, true, recipe.seed);
        Loader::new(images.clone(), preprocess.clone(), augment, options)
    }

    /// The loader of the validation images: in order, augmented only with `--augment-val`.
    pub fn val_loader(
        &self,
        recipe: &Recipe,
        images: &Arc<Images>,
        preprocess: &Preprocess,
    ) -> Loader {
        let augment = recipe.augment_val && !recipe.augment.ops.is_empty();
        let augment = augment.then(|| recipe.augment.clone());
        let options = self.loader_options(recipe.batch, false, recipe.seed);
        Loader::new(images.clone(), preprocess.clone(), augment, options)
    }

    /// A loader that gives the images in order, as they are.
    pub fn plain_loader(
        &self,
        batch: usize,
        images: &Arc<Images>,
        preprocess: &Preprocess,
    ) -> Loader {
        let options = self.loader_options(batch, false, 0);
        Loader::new(images.clone(), preprocess.clone(), None, options)
    }

    fn loader_options(&self, batch: usize, shuffle: bool, seed: u64) -> LoaderOptions {
        LoaderOptions {
            batch,
            shuffle,
            seed,
            threads: self.threads,
            prefetch: PREFETCH,
        }
    }
}

/// The samples of a split.
///
/// # Errors
/// When there are none.
pub fn samples(dataset: &Dataset, split: Split) -> Result<&[Sample]> {
    let samples = dataset.samples(split);
    if samples.is_empty() {
        return Err(Error::EmptySplit {
            split: split.to_string(),
            data: dataset.root.display().to_string(),
        });
    }
    Ok(samples)
}

/// Which of `available` images a file is verified with: 16 of them, evenly spread.
pub fn spread(available: usize) -> Vec<usize> {
    let count = available.min(VERIFIED_IMAGES);
    (0..count).map(|index| index * available / count).collect()
}

/// Real images for the verification, each `[3, H, W]`, out of `available`; `get` gives the one at
/// a place.
pub fn verification_images<T: Borrow<RgbImage>>(
    available: usize,
    preprocess: &Preprocess,
    get: impl Fn(usize) -> data::Result<T> + Sync,
) -> Result<Vec<Vec<f32>>> {
    let prepare = |place| Ok(preprocess.apply(get(place)?.borrow())?);
    spread(available).into_par_iter().map(prepare).collect()
}
