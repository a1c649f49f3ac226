//! Data loader: shuffles, augments and preprocesses images into batches, in worker threads with prefetch.
//!
//! Order and augmentation depend on the seed, the epoch and the image's index alone, never on threads.
//! Knows no tensor framework.

mod queue;

use crate::augment::{Augment, AugmentBuffers};
use crate::images::Images;
use crate::preprocess::PreprocessBuffers;
use crate::{DecodedImage, Pair, Preprocess, Result};
use queue::Queue;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

/// Images of one training step, preprocessed.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Values, axes as in `shape`.
    pub images: Vec<f32>,
    /// `[N, C, H, W]` (or `[N, H, W, C]` where preprocessing says so). Of pairs, `[2N, C, H, W]`: the two images of a
    /// pair follow each other.
    pub shape: [usize; 4],
    /// Class indices, or whether the images of a pair are the same, `[N]`.
    pub labels: Vec<u32>,
    /// Indices into [`Images::samples`], `[N]`, or `[2N]` of pairs.
    pub indices: Vec<usize>,
}

/// The images of an epoch and their order. An epoch always has as many images as there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Every image once, as listed.
    #[default]
    Listed,
    /// Every image once, in an order of each epoch's own.
    Shuffled,
    /// Every class equally often, its images drawn with replacement, in an order of each epoch's own.
    Balanced,
}

/// Options of a [`Loader`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoaderOptions {
    /// Images, or pairs, per batch; the last batch may have fewer.
    pub batch: usize,
    /// Which images, or pairs, an epoch has, in which order.
    pub order: Order,
    /// Seed of the order and of the augmentation.
    pub seed: u64,
    /// Worker threads.
    pub threads: usize,
    /// Most batches prepared ahead of their use.
    pub prefetch: usize,
}

impl Default for LoaderOptions {
    fn default() -> Self {
        LoaderOptions {
            batch: 32,
            order: Order::Listed,
            seed: 0,
            threads: 2,
            prefetch: 2,
        }
    }
}

/// Iterates over the batches of any epoch.
#[derive(Clone, Debug)]
pub struct Loader {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    images: Arc<Images>,
    preprocess: Preprocess,
    augment: Option<Augment>,
    options: LoaderOptions,
    /// Pairs of the images; an epoch is one of pairs then.
    pairs: Option<Arc<[Pair]>>,
    /// Resized and cropped images, where these are the same in every epoch and the budget allows.
    prepared: Vec<OnceLock<DecodedImage>>,
}

/// Memory that a worker thread reuses.
struct Buffers {
    preprocess: PreprocessBuffers,
    augment: AugmentBuffers,
}

/// Use of a random number generator: each use has numbers of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The order of an epoch.
    Order = 1,
    /// The augmentation of an image.
    Augmentation = 2,
    /// The images that a balanced epoch has.
    Sampling = 3,
    /// How the images of a batch are mixed with each other.
    Mixing = 4,
}

/// The generator of (purpose, seed, epoch, index of an image, a batch or none), all four in its key: any image's numbers can be drawn
/// without drawing those before, so threads and resumed epochs do not matter.
#[must_use]
pub fn rng(purpose: Purpose, seed: u64, epoch: u64, index: u64) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    for (bytes, value) in key.chunks_mut(8).zip([seed, epoch, index, purpose as u64]) {
        bytes.copy_from_slice(&value.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

impl Loader {
    /// A loader of `images`. An `augment` without a crop is applied after preprocessing's resize and crop.
    ///
    /// ```
    /// use classifold_data::loader::{Loader, LoaderOptions, Order};
    /// use classifold_data::images::{Images, ImagesOptions};
    /// use std::sync::Arc;
    ///
    /// let (images, _) = Images::load(vec![], &ImagesOptions::default(), &|_| {})?;
    /// let options = LoaderOptions { order: Order::Shuffled, ..LoaderOptions::default() };
    /// let loader = Loader::new(Arc::new(images), classifold_data::Preprocess::imagenet(), None, options);
    /// assert_eq!(loader.epoch(1, 0).count(), 0);
    /// # Ok::<(), classifold_data::Error>(())
    /// ```
    #[must_use]
    pub fn new(
        images: Arc<Images>,
        preprocess: Preprocess,
        augment: Option<Augment>,
        options: LoaderOptions,
    ) -> Loader {
        let count = images.samples().len();
        let same_every_epoch = augment.as_ref().is_none_or(|augment| !augment.has_crop());
        // RGB with 8 bits, also for a gray network; alpha takes as much again.
        let (width, height) = preprocess.size();
        let bytes_per_pixel = if preprocess.color().has_alpha() { 6 } else { 3 };
        let bytes = bytes_per_pixel * u64::from(width) * u64::from(height) * count as u64;
        let affordable = bytes <= images.spare_bytes();
        let cached = if same_every_epoch && affordable {
            count
        } else {
            0
        };
        let prepared = (0..cached).map(|_| OnceLock::new()).collect();
        Loader {
            inner: Arc::new(Inner {
                images,
                preprocess,
                augment,
                options,
                pairs: None,
                prepared,
            }),
        }
    }

    /// The same loader of pairs of its images: batches, order and labels are those of the pairs, and the two images of
    /// a pair are augmented each in its own way.
    #[must_use]
    pub fn with_pairs(self, pairs: Arc<[Pair]>) -> Loader {
        let inner = &*self.inner;
        Loader {
            inner: Arc::new(Inner {
                images: Arc::clone(&inner.images),
                preprocess: inner.preprocess.clone(),
                augment: inner.augment.clone(),
                options: inner.options,
                pairs: Some(pairs),
                prepared: inner.prepared.iter().map(|_| OnceLock::new()).collect(),
            }),
        }
    }

    /// The pairs, where an epoch is one of pairs.
    #[must_use]
    pub fn pairs(&self) -> Option<&Arc<[Pair]>> {
        self.inner.pairs.as_ref()
    }

    /// Class indices of the images, or the answers of the pairs.
    #[must_use]
    pub fn labels(&self) -> Vec<u32> {
        match &self.inner.pairs {
            Some(pairs) => pairs.iter().map(|pair| pair.kind.label()).collect(),
            None => self.images().samples().iter().map(|s| s.label).collect(),
        }
    }

    /// Batches in an epoch.
    #[must_use]
    pub fn num_batches(&self) -> usize {
        self.inner.num_examples().div_ceil(self.batch())
    }

    /// The images that the loader reads.
    #[must_use]
    pub fn images(&self) -> &Arc<Images> {
        &self.inner.images
    }

    /// Images, or pairs, per batch; the last batch may have fewer.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.inner.options.batch.max(1)
    }

    /// The batches of an epoch from `first_batch` on, the same as in the whole epoch.
    ///
    /// Dropping the iterator ends its threads.
    #[must_use]
    pub fn epoch(&self, epoch: u64, first_batch: usize) -> EpochIter {
        let options = &self.inner.options;
        let order = Arc::new(self.order(epoch));
        // In images, not batches or pairs: all workers can work on one batch.
        let per_example = self.inner.images_per_example();
        let end = order.len() * per_example;
        let first = (first_batch * self.batch() * per_example).min(end);
        let ahead = options.prefetch.max(1) * self.batch() * per_example;
        let queue = Arc::new(Queue::new(first..end, ahead));
        let threads = options.threads.clamp(1, (end - first).max(1));
        let workers = (0..threads).map(|_| {
            let (inner, order, queue) = (self.inner.clone(), order.clone(), queue.clone());
            queue.add_worker();
            std::thread::spawn(move || {
                let mut buffers = Buffers {
                    preprocess: PreprocessBuffers::new(&inner.preprocess),
                    augment: AugmentBuffers::default(),
                };
                queue.work(|position| {
                    // An image may be drawn twice in an epoch, and is then augmented in two ways.
                    let is_unique = inner.options.order != Order::Balanced && inner.pairs.is_none();
                    let index = inner.image_at(&order, position);
                    let variant = if is_unique { index } else { position };
                    inner.prepare(&mut buffers, index, variant, epoch)
                });
            })
        });
        let workers = workers.collect();
        EpochIter {
            preprocess: PreprocessBuffers::new(&self.inner.preprocess),
            loader: self.clone(),
            order,
            queue,
            workers,
        }
    }

    /// The examples of an epoch.
    fn order(&self, epoch: u64) -> Vec<usize> {
        let LoaderOptions { order, seed, .. } = self.inner.options;
        order.indices(&self.labels(), seed, epoch)
    }
}

impl Order {
    /// The indices of an epoch's images, by the labels of all.
    ///
    /// ```
    /// use classifold_data::loader::Order;
    ///
    /// // One image of class 1 among six: half of what is drawn.
    /// let labels = [0, 0, 0, 0, 0, 1];
    /// let drawn = Order::Balanced.indices(&labels, 7, 1);
    /// assert_eq!(drawn.iter().filter(|index| labels[**index] == 1).count(), 3);
    /// ```
    #[must_use]
    pub fn indices(self, labels: &[u32], seed: u64, epoch: u64) -> Vec<usize> {
        let shuffled = || order(labels.len(), seed, epoch);
        match self {
            Self::Listed => (0..labels.len()).collect(),
            Self::Shuffled => shuffled(),
            Self::Balanced => {
                let mut classes: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
                for (index, label) in labels.iter().enumerate() {
                    classes.entry(*label).or_default().push(index);
                }
                let classes: Vec<Vec<usize>> = classes.into_values().collect();
                let mut rng = rng(Purpose::Sampling, seed, epoch, 0);
                let mut draw = |turn: usize| {
                    // Classes take turns. By the epoch, so that no class always has the one more of a last, incomplete
                    // round.
                    let class = &classes[(turn + epoch as usize) % classes.len()];
                    class[rng.random_range(0..class.len() as u64) as usize]
                };
                shuffled().into_iter().map(&mut draw).collect()
            }
        }
    }
}

/// The shuffled order of `count` images in an epoch (Fisher-Yates).
///
/// ```
/// let mut order = classifold_data::loader::order(5, 0, 1);
/// assert_eq!(order, classifold_data::loader::order(5, 0, 1));
/// order.sort_unstable();
/// assert_eq!(order, [0, 1, 2, 3, 4]);
/// ```
#[must_use]
pub fn order(count: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut rng = rng(Purpose::Order, seed, epoch, 0);
    // Not `rand`'s `shuffle`: a seed must give the same order with every version of that crate.
    for i in (1..count).rev() {
        order.swap(i, rng.random_range(0..=i as u64) as usize);
    }
    order
}

impl Inner {
    fn images_per_example(&self) -> usize {
        if self.pairs.is_some() { 2 } else { 1 }
    }

    fn num_examples(&self) -> usize {
        match &self.pairs {
            Some(pairs) => pairs.len(),
            None => self.images.samples().len(),
        }
    }

    /// The index of the image at a position in an epoch, whose examples have this order.
    fn image_at(&self, order: &[usize], position: usize) -> usize {
        match &self.pairs {
            None => order[position],
            Some(pairs) => {
                let pair = pairs[order[position / 2]];
                if position.is_multiple_of(2) {
                    pair.a
                } else {
                    pair.b
                }
            }
        }
    }

    /// The image at `index`, in the size of the network's input, augmented as this `variant` of the epoch is.
    fn prepare(
        &self,
        buffers: &mut Buffers,
        index: usize,
        variant: usize,
        epoch: u64,
    ) -> Result<DecodedImage> {
        let mut rng = rng(
            Purpose::Augmentation,
            self.options.seed,
            epoch,
            variant as u64,
        );
        let mut apply = |augment: &Augment, image: &DecodedImage| {
            augment.apply_with(
                image.into(),
                self.preprocess.size(),
                &mut rng,
                &mut buffers.augment,
            )
        };
        match &self.augment {
            None if self.prepared.is_empty() => {
                Ok(buffers.preprocess.geometry(&*self.images.get(index)?)?)
            }
            None => Ok(self.prepared(index)?.into_owned()),
            Some(augment) if augment.has_crop() => Ok(apply(augment, &*self.images.get(index)?)),
            Some(augment) => Ok(apply(augment, &*self.prepared(index)?)),
        }
    }

    /// The resized and cropped image, cached where the budget allows.
    fn prepared(&self, index: usize) -> Result<Cow<'_, DecodedImage>> {
        let cached = self.prepared.get(index);
        if let Some(image) = cached.and_then(OnceLock::get) {
            return Ok(Cow::Borrowed(image));
        }
        let image = self.preprocess.geometry(&*self.images.get(index)?)?;
        Ok(match cached {
            Some(cached) => Cow::Borrowed(cached.get_or_init(|| image)),
            None => Cow::Owned(image),
        })
    }
}

/// The batches of an epoch, in order. It ends after an error.
#[derive(Debug)]
pub struct EpochIter {
    loader: Loader,
    /// Of the examples of the epoch.
    order: Arc<Vec<usize>>,
    queue: Arc<Queue<DecodedImage>>,
    preprocess: PreprocessBuffers,
    workers: Vec<JoinHandle<()>>,
}

impl EpochIter {
    /// The batch of `prepared` images, the first of which is at `position` in the epoch's order.
    fn batch(&self, position: usize, prepared: &[DecodedImage]) -> Result<Batch> {
        let inner = &*self.loader.inner;
        let Inner {
            images,
            preprocess,
            pairs,
            ..
        } = inner;
        let positions = position..position + prepared.len();
        let indices: Vec<usize> = positions
            .clone()
            .map(|position| inner.image_at(&self.order, position))
            .collect();
        let length = preprocess.output_len();
        let [a, b, c] = preprocess.output_shape();
        // Only now from bytes to `f32`: prefetched images take a quarter of the memory.
        let mut values = vec![0.0; prepared.len() * length];
        values
            .par_chunks_exact_mut(length)
            .zip(prepared)
            .try_for_each(|(out, image)| self.preprocess.tensor_into(image, out))?;
        let labels = match pairs {
            None => indices
                .iter()
                .map(|index| images.samples()[*index].label)
                .collect(),
            Some(pairs) => {
                let examples = &self.order[positions.start / 2..positions.end / 2];
                examples
                    .iter()
                    .map(|index| pairs[*index].kind.label())
                    .collect()
            }
        };
        Ok(Batch {
            images: values,
            shape: [prepared.len(), a, b, c],
            labels,
            indices,
        })
    }
}

impl Iterator for EpochIter {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        let images = self.loader.batch() * self.loader.inner.images_per_example();
        let (position, prepared) = self.queue.take(images)?;
        Some(prepared.and_then(|prepared| self.batch(position, &prepared)))
    }
}

impl Drop for EpochIter {
    fn drop(&mut self) {
        self.queue.stop();
        for worker in self.workers.drain(..) {
            // A worker that panicked has been reported by `take`.
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
#[path = "loader/tests.rs"]
mod tests;
