//! Training examples: labelled images, or features of them, as batches of any epoch. They know no network and
//! no loop.
//!
//! Whoever adds a kind of data adds a variant of [`Inputs`], and one of [`Examples`] where no loader makes its batches
//! yet; the loop does not change.

use std::sync::Arc;

use data::augment::Augment;
use data::images::Images;
use data::loader::{Loader, LoaderOptions, Order};
use data::preprocess::Color;
use data::{DecodedImage, Limits, Pair, Preprocess, Sample};

use crate::error::Result;
use crate::features::{FeatureLoader, FeatureOrder, Features};

/// Batches that are ready before they are asked for.
const PREFETCH: usize = 2;

/// Labelled examples in memory, and how they are batched. Clones share their memory.
#[derive(Clone, Debug)]
pub enum Examples {
    /// Decoded images, or pairs of them, prepared (and augmented) anew in every epoch.
    Images(Loader),
    /// Features of a frozen backbone, computed once.
    Features(FeatureLoader),
}

/// Some examples, as a network takes them.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// What the network computes from.
    pub inputs: Inputs,
    /// Class indices, or whether the images of a pair are the same, `[N]`.
    pub labels: Vec<u32>,
}

/// Numbers that a network computes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Inputs {
    /// Prepared images.
    Images {
        values: Vec<f32>,
        /// `[N, 3, H, W]`.
        shape: [usize; 4],
    },
    /// Prepared pairs of images.
    Pairs {
        values: Vec<f32>,
        /// `[2N, 3, H, W]`: the two images of a pair follow each other.
        shape: [usize; 4],
    },
    /// Features of a frozen backbone, or how far those of two images are apart.
    Features {
        values: Vec<f32>,
        /// `[N, D]`.
        shape: [usize; 2],
    },
}

/// What batches are for, which decides their order, augmentation and views.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// In the order of training, augmented.
    Training,
    /// In order; augmented only with `--augment-val`.
    Validation,
    /// In order, as they are.
    Evaluation,
}

/// How examples are made into batches.
#[derive(Clone, Debug)]
pub struct Batching {
    /// Examples per batch; the last batch may have fewer.
    pub batch: usize,
    /// Order of the training examples.
    pub order: Order,
    /// Seed of the order and of the augmentation.
    pub seed: u64,
    /// Augmentation of training images; none leaves them as they are.
    pub augment: Option<Augment>,
    /// Whether validation images are augmented, too.
    pub augment_val: bool,
    /// From an image to the network's input.
    pub preprocess: Preprocess,
    pub threads: usize,
}

impl Batching {
    /// Batches of images as they are.
    pub fn plain(batch: usize, preprocess: Preprocess, threads: usize) -> Self {
        Self {
            batch,
            order: Order::Shuffled,
            seed: 0,
            augment: None,
            augment_val: false,
            preprocess,
            threads,
        }
    }

    fn order_of(&self, purpose: Purpose) -> Order {
        match purpose {
            Purpose::Training => self.order,
            Purpose::Validation | Purpose::Evaluation => Order::Listed,
        }
    }

    pub fn images(&self, images: Arc<Images>, purpose: Purpose) -> Examples {
        Examples::Images(self.loader(images, purpose))
    }

    /// Batches of pairs of these images.
    pub fn pairs(&self, images: Arc<Images>, pairs: Arc<[Pair]>, purpose: Purpose) -> Examples {
        Examples::Images(self.loader(images, purpose).with_pairs(pairs))
    }

    fn loader(&self, images: Arc<Images>, purpose: Purpose) -> Loader {
        let augment = match purpose {
            Purpose::Training => self.augment.clone(),
            Purpose::Validation => self.augment.clone().filter(|_| self.augment_val),
            Purpose::Evaluation => None,
        };
        let options = LoaderOptions {
            batch: self.batch,
            order: self.order_of(purpose),
            seed: self.seed,
            threads: self.threads,
            prefetch: PREFETCH,
        };
        Loader::new(images, self.preprocess.clone(), augment, options)
    }

    /// Batches of features. For evaluation all of them are one batch: the classification layer is a single
    /// matrix product.
    pub fn features(&self, features: Arc<Features>, purpose: Purpose) -> Examples {
        let all_views = match purpose {
            Purpose::Training => true,
            Purpose::Validation => self.augment_val,
            Purpose::Evaluation => false,
        };
        let order = FeatureOrder {
            batch: match purpose {
                Purpose::Training | Purpose::Validation => self.batch,
                Purpose::Evaluation => features.samples().len(),
            },
            order: self.order_of(purpose),
            seed: self.seed,
            num_views: if all_views { features.num_views() } else { 1 },
        };
        Examples::Features(FeatureLoader::new(features, order))
    }
}

impl Examples {
    /// The readable images behind the examples; indices are into this list.
    pub fn samples(&self) -> &[Sample] {
        match self {
            Self::Images(loader) => loader.images().samples(),
            Self::Features(loader) => loader.features().samples(),
        }
    }

    /// Class indices of the examples, or the answers of pairs, `[N]`.
    pub fn labels(&self) -> Vec<u32> {
        match self {
            Self::Images(loader) => loader.labels(),
            Self::Features(_) => self.samples().iter().map(|sample| sample.label).collect(),
        }
    }

    /// What examples are right or wrong together by, `[N]`: an image is alone, pairs share the identity that they were
    /// drawn for.
    pub fn groups(&self) -> Vec<u32> {
        let identities = match self {
            Self::Images(loader) => loader.pairs().map(|pairs| {
                let samples = loader.images().samples();
                pairs.iter().map(|pair| samples[pair.a].label).collect()
            }),
            Self::Features(loader) => Some(loader.features().identities().to_vec()),
        };
        let identities = identities.filter(|identities: &Vec<u32>| !identities.is_empty());
        identities.unwrap_or_else(|| (0..self.labels().len() as u32).collect())
    }

    /// Batches of an epoch.
    pub fn num_batches(&self) -> usize {
        match self {
            Self::Images(loader) => loader.num_batches(),
            Self::Features(loader) => loader.num_batches(),
        }
    }

    /// The batches of an epoch, counted from 1, from `first_batch` on: the same batches as in the whole epoch.
    pub fn batches(
        &self,
        epoch: usize,
        first_batch: usize,
    ) -> Box<dyn Iterator<Item = Result<Batch>> + '_> {
        match self {
            Self::Images(loader) => {
                let batches = loader.epoch(epoch as u64, first_batch);
                let is_pairs = loader.pairs().is_some();
                Box::new(batches.map(move |batch| {
                    let data::loader::Batch {
                        images: values,
                        shape,
                        labels,
                        ..
                    } = batch?;
                    let inputs = match is_pairs {
                        true => Inputs::Pairs { values, shape },
                        false => Inputs::Images { values, shape },
                    };
                    Ok(Batch { inputs, labels })
                }))
            }
            Self::Features(loader) => {
                let width = loader.features().width();
                let batches = loader.epoch(epoch, first_batch);
                Box::new(batches.map(move |batch| {
                    Ok(Batch {
                        inputs: Inputs::Features {
                            values: batch.features,
                            shape: [batch.labels.len(), width],
                        },
                        labels: batch.labels,
                    })
                }))
            }
        }
    }

    /// Some of these examples, in this order, batched for a purpose.
    pub fn select(&self, indices: &[usize], purpose: Purpose, batching: &Batching) -> Examples {
        match self {
            Self::Images(loader) => {
                batching.images(Arc::new(loader.images().select(indices)), purpose)
            }
            Self::Features(loader) => {
                let features = loader.features();
                let selected = features.select(indices, features.num_views());
                batching.features(Arc::new(selected), purpose)
            }
        }
    }

    /// The same examples, batched for a purpose.
    pub fn rebatched(&self, purpose: Purpose, batching: &Batching) -> Examples {
        match self {
            Self::Images(loader) => {
                let images = Arc::clone(loader.images());
                match loader.pairs() {
                    Some(pairs) => batching.pairs(images, Arc::clone(pairs), purpose),
                    None => batching.images(images, purpose),
                }
            }
            Self::Features(loader) => batching.features(Arc::clone(loader.features()), purpose),
        }
    }

    /// The image at `index`, from memory or decoded again.
    pub fn image(&self, index: usize, color: Color) -> Result<Arc<DecodedImage>> {
        Ok(match self {
            Self::Images(loader) => loader.images().get(index)?,
            Self::Features(loader) => {
                let path = &loader.features().samples()[index].path;
                Arc::new(data::decode::open_as(path, color, &Limits::default())?)
            }
        })
    }
}

impl Inputs {
    pub fn len(&self) -> usize {
        match self {
            Self::Images { shape, .. } => shape[0],
            Self::Pairs { shape, .. } => shape[0] / 2,
            Self::Features { shape, .. } => shape[0],
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
