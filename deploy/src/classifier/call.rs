//! Calls of a classifier: at once, in time, until cancelled, and of many images.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pixels::Frame;

use super::{Classifier, Input};
use crate::cancel::CancelToken;
use crate::error::{Error, Kind, Result};
use crate::pool::Patience;
use crate::prediction::Prediction;

impl Classifier {
    /// Classifies an image in any form: a path, bytes, a decoded image, a frame, prepared numbers.
    ///
    /// # Errors
    /// The image cannot be read or decoded; the model stops, or its answer is not finite.
    pub fn classify_input<'a>(&self, input: impl Into<Input<'a>>) -> Result<Prediction> {
        self.decide(&self.logits(&self.prepare_input(input)?, 1)?)
    }

    /// Classifies pixels that someone else owns, such as a camera's frame, without a copy of them.
    ///
    /// ```no_run
    /// use classifold::{PixelFormat, Pixels};
    /// # let classifier = classifold::Classifier::open("model.onnx")?;
    /// # let buffer = vec![0; 4096 * 3000];
    ///
    /// let frame = Pixels { bytes: &buffer, width: 1280, height: 720, row_stride: 5120, format: PixelFormat::Bgra8 };
    /// println!("{}", classifier.classify_pixels(frame)?.label);
    /// # Ok::<(), classifold::Error>(())
    /// ```
    ///
    /// # Errors
    /// The frame does not lie in its bytes; the model stops.
    pub fn classify_pixels<'a>(&self, frame: impl Into<Frame<'a>>) -> Result<Prediction> {
        self.classify_input(frame.into())
    }

    /// As [`Classifier::classify_input`], but an error of [`Kind::Busy`] where every session is in use.
    ///
    /// # Errors
    /// As [`Classifier::classify_input`]; every session is in use.
    pub fn try_classify<'a>(&self, input: impl Into<Input<'a>>) -> Result<Prediction> {
        let prepared = self.prepare_input(input)?;
        self.call(&prepared, Patience::None, &CancelToken::new())
    }

    /// As [`Classifier::classify_input`], until `token` is cancelled: while it waits for a session, and in the model.
    /// Decoding is not interrupted.
    ///
    /// # Errors
    /// As [`Classifier::classify_input`]; [`Kind::Cancelled`].
    pub fn classify_cancellable<'a>(
        &self,
        input: impl Into<Input<'a>>,
        token: &CancelToken,
    ) -> Result<Prediction> {
        let prepared = self.prepare_input(input)?;
        self.call(&prepared, Patience::Endless, token)
    }

    /// As [`Classifier::classify_input`], for at most this time: decoding, which is not interrupted, waiting for a
    /// session, and the model.
    ///
    /// # Errors
    /// As [`Classifier::classify_input`]; [`Kind::Timeout`].
    pub fn classify_timeout<'a>(
        &self,
        input: impl Into<Input<'a>>,
        timeout: Duration,
    ) -> Result<Prediction> {
        let deadline = Instant::now() + timeout;
        let prepared = self.prepare_input(input)?;
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::timeout());
        }
        let token = CancelToken::new();
        let result = thread::scope(|scope| {
            let (done, wait) = mpsc::channel::<()>();
            let watched = token.clone();
            let watch = move || {
                if wait.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                    watched.cancel();
                }
            };
            thread::Builder::new()
                .spawn_scoped(scope, watch)
                .map_err(Error::no_thread)?;
            let result = self.call(&prepared, Patience::Until(deadline), &token);
            drop(done);
            result
        });
        match result {
            Err(error) if matches!(error.kind(), Kind::Cancelled | Kind::Busy) => {
                Err(Error::timeout())
            }
            result => result,
        }
    }

    fn call(
        &self,
        prepared: &[f32],
        patience: Patience,
        token: &CancelToken,
    ) -> Result<Prediction> {
        let run =
            |engine: &mut dyn crate::engine::Engine| engine.run_cancellable(prepared, 1, token);
        let outputs = self.pool.with_patience(patience, token, run)?;
        self.decide(&self.to_logits(outputs?)?)
    }

    /// Classifies many images on all sessions, in batches, and hands the answers to `sink` in the order of the
    /// images. An image that cannot be read or answered is an error of its own; it fails no other.
    ///
    /// ```no_run
    /// # let classifier = classifold::Classifier::open("model.onnx")?;
    /// let paths = std::fs::read_dir("photos")?.filter_map(|entry| Some(entry.ok()?.path()));
    /// classifier.classify_many(paths, |index, answer| match answer {
    ///     Ok(prediction) => println!("{index}: {}", prediction.label),
    ///     Err(error) => eprintln!("{index}: {error}"),
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn classify_many<'a, I>(&self, inputs: I, mut sink: impl FnMut(usize, Result<Prediction>))
    where
        I: IntoIterator,
        I::Item: Into<Input<'a>>,
        I::IntoIter: Send,
    {
        self.logits_many(inputs, &mut |index, logits| {
            sink(index, logits.and_then(|logits| self.decide(&logits)));
        });
    }

    /// The logits `[K]` of many images, as [`Classifier::classify_many`].
    pub(crate) fn logits_many<'a, I>(
        &self,
        inputs: I,
        sink: &mut dyn FnMut(usize, Result<Vec<f32>>),
    ) where
        I: IntoIterator,
        I::Item: Into<Input<'a>>,
        I::IntoIter: Send,
    {
        let inputs = Mutex::new((0, inputs.into_iter().fuse()));
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let threads = threads.max(self.num_sessions());
        let stopped = AtomicBool::new(false);
        thread::scope(|scope| {
            // Bounded, so that threads do not run far ahead of a slow batch.
            let (send, receive) = mpsc::sync_channel(2 * threads);
            for _ in 0..threads {
                let (send, inputs, stopped) = (send.clone(), &inputs, &stopped);
                scope.spawn(move || self.take_batches(inputs, stopped, &send));
            }
            drop(send);
            // A sink that panics ends the threads: the channel is closed, and they take no more.
            let _stop = StopOnDrop(&stopped);
            let (mut waiting, mut next) = (BTreeMap::new(), 0);
            for (first, rows) in receive {
                waiting.insert(first, rows);
                while let Some(rows) = waiting.remove(&next) {
                    for row in rows {
                        sink(next, row);
                        next += 1;
                    }
                }
            }
        });
    }

    fn take_batches<'a, T: Into<Input<'a>>>(
        &self,
        inputs: &Mutex<(usize, impl Iterator<Item = T>)>,
        stopped: &AtomicBool,
        send: &SyncSender<(usize, Vec<Result<Vec<f32>>>)>,
    ) {
        while !stopped.load(Ordering::Relaxed) {
            let (first, batch) = {
                let mut inputs = inputs.lock().unwrap_or_else(PoisonError::into_inner);
                let batch: Vec<T> = inputs.1.by_ref().take(self.preferred_batch).collect();
                let first = inputs.0;
                inputs.0 += batch.len();
                (first, batch)
            };
            if batch.is_empty() {
                return;
            }
            let prepared = batch.into_iter().map(|input| self.prepare_input(input));
            let rows = self.run_batch(prepared.collect());
            if send.send((first, rows)).is_err() {
                return;
            }
        }
    }

    /// Runs the images that could be prepared as one batch, or one by one where that fails; the logits of each.
    fn run_batch(&self, prepared: Vec<Result<Vec<f32>>>) -> Vec<Result<Vec<f32>>> {
        let numbers: Vec<f32> = prepared.iter().flatten().flatten().copied().collect();
        let count = prepared.iter().filter(|image| image.is_ok()).count();
        let Ok(logits) = self.logits(&numbers, count) else {
            let alone = |image: Result<Vec<f32>>| self.logits(&image?, 1);
            return prepared.into_iter().map(alone).collect();
        };
        let mut rows = logits.chunks_exact(self.classes.len().max(1));
        let row = |image: Result<Vec<f32>>| image.map(|_| rows.next().unwrap_or_default().to_vec());
        prepared.into_iter().map(row).collect()
    }
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
