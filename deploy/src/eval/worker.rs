//! Worker thread of an evaluation: batches of files to logits. Knows no labels.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use data::Sample;
use pixels::preprocess::PreprocessBuffers;

use crate::classifier::Classifier;
use crate::error::{Error, Result, chain};

/// The logits of a batch of files.
pub(super) struct BatchResult {
    /// Indices of the images that could be read.
    pub(super) readable: Vec<usize>,
    /// `[N, K]`, one row for each of them.
    pub(super) logits: Vec<f32>,
    /// Indices of the others, and why they cannot be read.
    pub(super) unreadable: Vec<(usize, String)>,
    pub(super) prepare_time: Duration,
    pub(super) session_time: Duration,
}

/// The batches that threads share. Which images are in a batch does not depend on the threads.
pub(super) struct BatchQueue<'a> {
    classifier: &'a Classifier,
    samples: &'a [Sample],
    batch: usize,
    next: AtomicUsize,
    stopped: AtomicBool,
}

impl<'a> BatchQueue<'a> {
    pub(super) fn new(classifier: &'a Classifier, samples: &'a [Sample], batch: usize) -> Self {
        Self {
            classifier,
            samples,
            batch,
            next: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    /// Lets the threads end after their batch.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Runs batch after batch until there is none, or the receiver has gone.
    pub(super) fn work(&self, send: &SyncSender<(usize, Result<BatchResult>)>) {
        let mut buffers = PreprocessBuffers::new(self.classifier.preprocess());
        let mut numbers = Vec::new();
        while !self.stopped.load(Ordering::Relaxed) {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let first = index * self.batch;
            let indices = first..(first + self.batch).min(self.samples.len());
            if indices.is_empty() {
                return;
            }
            let result = self.run_batch(indices, &mut buffers, &mut numbers);
            if send.send((index, result)).is_err() {
                return;
            }
        }
    }

    fn run_batch(
        &self,
        indices: Range<usize>,
        buffers: &mut PreprocessBuffers,
        numbers: &mut Vec<f32>,
    ) -> Result<BatchResult> {
        let start = Instant::now();
        let len = self.classifier.preprocess().output_len();
        numbers.resize(indices.len() * len, 0.0);
        let (mut readable, mut unreadable) = (Vec::with_capacity(indices.len()), Vec::new());
        for index in indices {
            if self.stopped.load(Ordering::Relaxed) {
                break;
            }
            // Behind the last readable image: one that fails is overwritten by the next.
            let out = &mut numbers[readable.len() * len..][..len];
            match self.prepare(index, buffers, out) {
                Ok(()) => readable.push(index),
                // Reports name the path beside the reason.
                Err(Error::Pixels(error)) => unreadable.push((index, error.reason())),
                Err(error) => unreadable.push((index, chain(&error))),
            }
        }
        let prepare_time = start.elapsed();
        let images = &numbers[..readable.len() * len]; // [N, C, H, W]
        let (logits, session_time) = self.classifier.timed_logits(images, readable.len())?;
        Ok(BatchResult {
            readable,
            logits,
            unreadable,
            prepare_time,
            session_time,
        })
    }

    fn prepare(
        &self,
        index: usize,
        buffers: &mut PreprocessBuffers,
        out: &mut [f32],
    ) -> Result<()> {
        let path = &self.samples[index].path;
        let color = self.classifier.preprocess().color();
        let image = pixels::decode::open_as(path, color, self.classifier.limits())?;
        Ok(buffers.apply_into(&image, out)?)
    }
}
