//! Pictures to batches: ordered, varied, preprocessed in worker threads, ahead of their use.
//!
//! The order and every picture's variation depend on the seed, the epoch and the picture's index
//! alone, never on threads. This room knows no tensor framework.

mod queue;

use crate::augment::Augment;
use crate::images::Images;
use crate::{Preprocess, Result};
use image::RgbImage;
use queue::Queue;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
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
        let queue = Arc::new(Queue::new(
            first_batch..self.num_batches(),
            options.prefetch.max(1),
        ));
        let left = self.num_batches().saturating_sub(first_batch);
        let threads = options.threads.clamp(1, left.max(1));
        let workers = (0..threads).map(|_| {
            let (inner, order, queue) = (self.inner.clone(), order.clone(), queue.clone());
            let batch = self.batch();
            queue.enter();
            std::thread::spawn(move || {
                queue.work(|index, stopped| {
                    let low = index * batch;
                    let indices = &order[low..(low + batch).min(order.len())];
                    inner.make(indices, epoch, stopped)
                });
            })
        });
        let workers = workers.collect();
        EpochIter { queue, workers }
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
    /// Makes a batch; an unfinished one when nobody waits for it any more.
    fn make(&self, indices: &[usize], epoch: u64, stopped: &dyn Fn() -> bool) -> Result<Batch> {
        let length = self.preprocess.output_len();
        let [a, b, c] = self.preprocess.output_shape();
        let mut batch = Batch {
            images: vec![0.0; indices.len() * length],
            shape: [indices.len(), a, b, c],
            labels: indices
                .iter()
                .map(|&i| self.images.samples()[i].label)
                .collect(),
            indices: indices.to_vec(),
        };
        for (&index, out) in indices.iter().zip(batch.images.chunks_exact_mut(length)) {
            if stopped() {
                break;
            }
            self.place(index, epoch, out)?;
        }
        Ok(batch)
    }

    /// Puts one picture's values into `out`.
    fn place(&self, index: usize, epoch: u64, out: &mut [f32]) -> Result<()> {
        let Some(augment) = &self.augment else {
            return self.with_fixed(index, |image| self.preprocess.tensor_into(image, out));
        };
        let mut rng = rng(Purpose::Variation, self.options.seed, epoch, index as u64);
        let size = self.preprocess.size();
        let varied = if augment.has_crop() {
            augment.apply(self.images.get(index)?.as_ref(), size, &mut rng)
        } else {
            self.with_fixed(index, |image| Ok(augment.apply(image, size, &mut rng)))?
        };
        self.preprocess.tensor_into(&varied, out)
    }

    /// Hands on the picture as preprocessing resizes and crops it.
    fn with_fixed<T>(&self, index: usize, then: impl FnOnce(&RgbImage) -> Result<T>) -> Result<T> {
        let make = || self.preprocess.geometry(self.images.get(index)?.as_ref());
        match self.fixed.get(index) {
            None => then(&make()?),
            Some(place) => match place.get() {
                Some(image) => then(image),
                None => {
                    let image = make()?;
                    then(place.get_or_init(|| image))
                }
            },
        }
    }
}

/// The batches of an epoch, in order. After an error there are none.
#[derive(Debug)]
pub struct EpochIter {
    queue: Arc<Queue>,
    workers: Vec<JoinHandle<()>>,
}

impl Iterator for EpochIter {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        self.queue.take()
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
