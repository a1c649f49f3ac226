//! Pictures to batches: ordered, varied, preprocessed in worker threads, ahead of their use.
//!
//! The order and every picture's variation depend on the seed, the epoch and the picture's index
//! alone, never on threads. This module knows no tensor framework.

mod queue;

use crate::augment::{Augment, AugmentBuffers};
use crate::images::Images;
use crate::preprocess::Preparer;
use crate::{Preprocess, Result};
use image::RgbImage;
use queue::Queue;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rayon::prelude::*;
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

/// Some pictures of an epoch, ready for a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Values in the order of `shape`.
    pub images: Vec<f32>,
    /// `[N, C, H, W]` (or `[N, H, W, C]` where preprocessing says so).
    pub shape: [usize; 4],
    /// Class indices, `[N]`.
    pub labels: Vec<u32>,
    /// Places in [`Images::samples`], `[N]`.
    pub indices: Vec<usize>,
}

/// How batches are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoaderOptions {
    /// Pictures per batch; the last batch may have fewer.
    pub batch: usize,
    /// Whether every epoch has an order of its own.
    pub shuffle: bool,
    /// Seed of the order and of the variation.
    pub seed: u64,
    /// Worker threads.
    pub threads: usize,
    /// Batches made ahead of their use, at most.
    pub prefetch: usize,
}

impl Default for LoaderOptions {
    fn default() -> Self {
        LoaderOptions {
            batch: 32,
            shuffle: false,
            seed: 0,
            threads: 2,
            prefetch: 2,
        }
    }
}

/// Gives the batches of any epoch.
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
    /// Resized and cropped pictures, where these are the same in every epoch and memory allows.
    fixed: Vec<OnceLock<RgbImage>>,
}

/// Memory that a worker thread reuses.
struct Buffers {
    preprocess: Preparer,
    augment: AugmentBuffers,
}

/// What a random number generator is for.
#[derive(Clone, Copy)]
enum Purpose {
    Order = 1,
    Variation = 2,
}

/// The generator of a (seed, epoch, index): all of them are its key.
fn rng(purpose: Purpose, seed: u64, epoch: u64, index: u64) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    for (place, value) in key.chunks_mut(8).zip([seed, epoch, index, purpose as u64]) {
        place.copy_from_slice(&value.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

impl Loader {
    /// A loader of `images`. Without `augment`, pictures are as preprocessing makes them.
    ///
    /// An `augment` without a crop works on pictures that preprocessing has resized and cropped.
    ///
    /// ```
    /// use data::loader::{Loader, LoaderOptions};
    /// use data::images::{Images, ImagesOptions};
    /// use std::sync::Arc;
    ///
    /// let (images, _) = Images::load(vec![], &ImagesOptions::default(), &|_| {})?;
    /// let options = LoaderOptions { shuffle: true, ..LoaderOptions::default() };
    /// let loader = Loader::new(Arc::new(images), data::Preprocess::imagenet(), None, options);
    /// assert_eq!(loader.epoch(1, 0).count(), 0);
    /// # Ok::<(), data::Error>(())
    /// ```
    #[must_use]
    pub fn new(
        images: Arc<Images>,
        preprocess: Preprocess,
        augment: Option<Augment>,
        options: LoaderOptions,
    ) -> Loader {
        let count = images.samples().len();
        let repeats = augment.as_ref().is_none_or(|augment| !augment.has_crop());
        let affordable = (count * preprocess.output_len()) as u64 <= images.spare_bytes();
        let places = if repeats && affordable { count } else { 0 };
        let fixed = (0..places).map(|_| OnceLock::new()).collect();
        Loader {
            inner: Arc::new(Inner {
                images,
                preprocess,
                augment,
                options,
                fixed,
            }),
        }
    }

    /// Batches in an epoch.
    #[must_use]
    pub fn num_batches(&self) -> usize {
        self.num_images().div_ceil(self.batch())
    }

    /// The pictures.
    #[must_use]
    pub fn images(&self) -> &Arc<Images> {
        &self.inner.images
    }

    /// Pictures in an epoch.
    #[must_use]
    pub fn num_images(&self) -> usize {
        self.inner.images.samples().len()
    }

    /// Pictures per batch, but for the last.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.inner.options.batch.max(1)
    }

    /// The batches of an epoch from `first_batch` on: the same ones that the whole epoch has there.
    ///
    /// Dropping the iterator ends its threads.
    #[must_use]
    pub fn epoch(&self, epoch: u64, first_batch: usize) -> EpochIter {
        let options = &self.inner.options;
        let order = Arc::new(self.order(epoch));
        let first = (first_batch * self.batch()).min(order.len());
        let ahead = options.prefetch.max(1) * self.batch();
        let queue = Arc::new(Queue::new(first..order.len(), ahead));
        let threads = options.threads.clamp(1, (order.len() - first).max(1));
        let workers = (0..threads).map(|_| {
            let (inner, order, queue) = (self.inner.clone(), order.clone(), queue.clone());
            queue.enter();
            std::thread::spawn(move || {
                let mut buffers = Buffers {
                    preprocess: Preparer::new(&inner.preprocess),
                    augment: AugmentBuffers::default(),
                };
                queue.work(|place| inner.picture(&mut buffers, order[place], epoch));
            })
        });
        let workers = workers.collect();
        EpochIter {
            preparer: Preparer::new(&self.inner.preprocess),
            loader: self.clone(),
            order,
            queue,
            workers,
        }
    }

    fn order(&self, epoch: u64) -> Vec<usize> {
        let options = &self.inner.options;
        if options.shuffle {
            order(self.num_images(), options.seed, epoch)
        } else {
            (0..self.num_images()).collect()
        }
    }
}

/// The shuffled order in which `count` pictures come in an epoch (Fisher and Yates).
///
/// ```
/// let mut order = data::loader::order(5, 0, 1);
/// assert_eq!(order, data::loader::order(5, 0, 1));
/// order.sort_unstable();
/// assert_eq!(order, [0, 1, 2, 3, 4]);
/// ```
#[must_use]
pub fn order(count: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut rng = rng(Purpose::Order, seed, epoch, 0);
    for i in (1..count).rev() {
        order.swap(i, rng.random_range(0..=i as u64) as usize);
    }
    order
}

impl Inner {
    /// A picture, varied, of the size that the network takes.
    fn picture(&self, buffers: &mut Buffers, index: usize, epoch: u64) -> Result<RgbImage> {
        let mut rng = rng(Purpose::Variation, self.options.seed, epoch, index as u64);
        let mut vary = |augment: &Augment, image: &RgbImage| {
            augment.apply_with(
                image,
                self.preprocess.size(),
                &mut rng,
                &mut buffers.augment,
            )
        };
        match &self.augment {
            None if self.fixed.is_empty() => {
                Ok(buffers.preprocess.geometry(&*self.images.get(index)?)?)
            }
            None => Ok(self.fixed(index)?.into_owned()),
            Some(augment) if augment.has_crop() => Ok(vary(augment, &*self.images.get(index)?)),
            Some(augment) => Ok(vary(augment, &*self.fixed(index)?)),
        }
    }

    /// The picture as preprocessing resizes and crops it, kept where memory allows.
    fn fixed(&self, index: usize) -> Result<Cow<'_, RgbImage>> {
        let place = self.fixed.get(index);
        if let Some(image) = place.and_then(OnceLock::get) {
            return Ok(Cow::Borrowed(image));
        }
        let image = self.preprocess.geometry(self.images.get(index)?.as_ref())?;
        Ok(match place {
            Some(place) => Cow::Borrowed(place.get_or_init(|| image)),
            None => Cow::Owned(image),
        })
    }
}

/// The batches of an epoch, in order. After an error there are none.
#[derive(Debug)]
pub struct EpochIter {
    loader: Loader,
    order: Arc<Vec<usize>>,
    queue: Arc<Queue<RgbImage>>,
    preparer: Preparer,
    workers: Vec<JoinHandle<()>>,
}

impl EpochIter {
    /// Pictures to numbers, at the last moment: what is ahead takes a quarter of the memory.
    fn batch(&self, place: usize, pictures: &[RgbImage]) -> Result<Batch> {
        let Inner {
            images, preprocess, ..
        } = &*self.loader.inner;
        let indices = self.order[place..place + pictures.len()].to_vec();
        let length = preprocess.output_len();
        let [a, b, c] = preprocess.output_shape();
        let mut numbers = vec![0.0; pictures.len() * length];
        numbers
            .par_chunks_exact_mut(length)
            .zip(pictures)
            .try_for_each(|(out, picture)| self.preparer.tensor_into(picture, out))?;
        let label = |index: &usize| images.samples()[*index].label;
        Ok(Batch {
            images: numbers,
            shape: [pictures.len(), a, b, c],
            labels: indices.iter().map(label).collect(),
            indices,
        })
    }
}

impl Iterator for EpochIter {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        let (place, pictures) = self.queue.take(self.loader.batch())?;
        Some(pictures.and_then(|pictures| self.batch(place, &pictures)))
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
