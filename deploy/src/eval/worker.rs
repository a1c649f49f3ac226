//! What a thread of an evaluation does: batches of files to logits. Knows no labels.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use data::Sample;
use data::preprocess::Preparer;

use crate::classifier::Classifier;
use crate::error::{Error, Result, chain};

/// What became of a batch of files.
pub(super) struct Done {
    /// Places of the images that could be read.
    pub(super) members: Vec<usize>,
    /// `[N, K]`, one row for each of them.
    pub(super) logits: Vec<f32>,
    /// Places of the others, and why they cannot be read.
    pub(super) unreadable: Vec<(usize, String)>,
    pub(super) in_prepare: Duration,
    pub(super) in_session: Duration,
}

/// The work that threads share. Which images are in a batch does not depend on them.
pub(super) struct Work<'a> {
    classifier: &'a Classifier,
    samples: &'a [Sample],
    batch: usize,
    next: AtomicUsize,
    stopped: AtomicBool,
}

impl<'a> Work<'a> {
    pub(super) fn new(classifier: &'a Classifier, samples: &'a [Sample], batch: usize) -> Self {
        Self {
            classifier,
            samples,
            batch,
            next: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    /// Lets the threads end.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Takes the next batch until there is none, or nobody waits for it.
    pub(super) fn all(&self, send: &SyncSender<(usize, Result<Done>)>) {
        let mut preparer = Preparer::new(self.classifier.preprocess());
        let mut numbers = Vec::new();
        while !self.stopped.load(Ordering::Relaxed) {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let first = index * self.batch;
            let places = first..(first + self.batch).min(self.samples.len());
            if places.is_empty() {
                return;
            }
            let done = self.one(places, &mut preparer, &mut numbers);
            if send.send((index, done)).is_err() {
                return;
            }
        }
    }

    fn one(
        &self,
        places: Range<usize>,
        preparer: &mut Preparer,
        numbers: &mut Vec<f32>,
    ) -> Result<Done> {
        let start = Instant::now();
        let len = self.classifier.preprocess().output_len();
        numbers.resize(places.len() * len, 0.0);
        let (mut members, mut unreadable) = (Vec::with_capacity(places.len()), Vec::new());
        for at in places {
            if self.stopped.load(Ordering::Relaxed) {
                break;
            }
            let place = &mut numbers[members.len() * len..][..len];
            match self.prepare(at, preparer, place) {
                Ok(()) => members.push(at),
                // The path is told beside the reason.
                Err(Error::Data(error)) => unreadable.push((at, error.reason())),
                Err(error) => unreadable.push((at, chain(&error))),
            }
        }
        let in_prepare = start.elapsed();
        let images = &numbers[..members.len() * len];
        let (logits, in_session) = self.classifier.timed_logits(images, members.len())?;
        Ok(Done {
            members,
            logits,
            unreadable,
            in_prepare,
            in_session,
        })
    }

    fn prepare(&self, at: usize, preparer: &mut Preparer, out: &mut [f32]) -> Result<()> {
        let path = &self.samples[at].path;
        let image = data::decode::open(path, self.classifier.limits()).map_err(Error::from)?;
        Ok(preparer.apply_into(&image, out)?)
    }
}
