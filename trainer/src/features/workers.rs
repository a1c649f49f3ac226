//! Worker threads of the feature extraction: decode, augment, prepare, compute. They keep nothing.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use data::augment::Augment;
use data::{DecodedImage, Limits, Preprocess, Sample};
use deploy::Session;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use super::engine::{Engine, GPU_BATCH};
use super::{Hash, View};
use crate::error::Result;

/// An image and those of its views whose features are missing.
pub(super) struct Job<'a> {
    pub(super) sample: &'a Sample,
    pub(super) hash: Hash,
    /// Indices into the list of views.
    pub(super) views: Vec<usize>,
}

/// The features of one view of an image, or why there are none.
pub(super) struct Computed {
    pub(super) job: usize,
    pub(super) view: usize,
    pub(super) row: Result<Vec<f32>, data::pixels::Error>,
}

/// What the workers share.
pub(super) struct Workers<'a> {
    pub(super) jobs: &'a [Job<'a>],
    pub(super) views: &'a [View],
    pub(super) preprocess: &'a Preprocess,
    pub(super) threads: usize,
    /// Set when the work is to end after the images in progress.
    pub(super) stop: &'a AtomicBool,
}

impl Workers<'_> {
    /// Does all jobs, in any order; `take` is given every result.
    pub(super) fn run(
        &self,
        engine: &mut Engine,
        take: &mut dyn FnMut(Computed) -> Result<()>,
    ) -> Result<()> {
        let (next, halt) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (mut sessions, batched): (Vec<Option<&mut Session>>, _) = match engine {
            Engine::PerWorker(sessions) => (sessions.iter_mut().map(Some).collect(), None),
            Engine::Batched(session) => ((0..self.threads).map(|_| None).collect(), Some(session)),
        };
        sessions.truncate(self.jobs.len().max(1));
        thread::scope(|scope| {
            // Bounded: a prepared image takes 600 kB at 224 x 224, and decoding may be faster than the GPU.
            let (send, receive) = sync_channel(GPU_BATCH);
            for session in sessions {
                let (send, next, halt) = (send.clone(), &next, &halt);
                scope.spawn(move || self.run_worker(session, next, halt, &send));
            }
            drop(send);
            let result = match batched {
                None => receive.into_iter().try_for_each(|computed| take(computed?)),
                Some(session) => compute_in_batches(session, receive, take),
            };
            // After an error the workers must not compute the remaining images.
            halt.store(true, Ordering::Relaxed);
            result
        })
    }

    /// A worker: takes the next image until there is none left, or the receiver is gone. Without a session it
    /// sends prepared images in place of features.
    fn run_worker(
        &self,
        mut session: Option<&mut Session>,
        next: &AtomicUsize,
        halt: &AtomicBool,
        send: &SyncSender<Result<Computed>>,
    ) {
        let color = self.preprocess.color();
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            let Some(Job {
                sample,
                hash,
                views,
            }) = self.jobs.get(job)
            else {
                return;
            };
            let image = data::decode::open_as(&sample.path, color, &Limits::default());
            for &view in views {
                if halt.load(Ordering::Relaxed) || self.stop.load(Ordering::Relaxed) {
                    return;
                }
                let prepared = match &image {
                    Ok(image) => prepare(image, hash, &self.views[view], self.preprocess),
                    Err(_) => break,
                };
                let computed = match (prepared, session.as_deref_mut()) {
                    (Ok(prepared), Some(session)) => session.run(&prepared, 1).map(Ok),
                    (prepared, _) => Ok(prepared),
                };
                let computed = computed.map(|row| Computed { job, view, row });
                if send.send(computed.map_err(Into::into)).is_err() {
                    return;
                }
            }
            if let Err(error) = image {
                let (view, row) = (0, Err(error));
                if send.send(Ok(Computed { job, view, row })).is_err() {
                    return;
                }
            }
        }
    }
}

/// Collects prepared images into batches for a GPU.
fn compute_in_batches(
    session: &mut Session,
    receive: Receiver<Result<Computed>>,
    take: &mut dyn FnMut(Computed) -> Result<()>,
) -> Result<()> {
    let (mut images, mut indices) = (vec![], vec![]);
    let mut flush = |images: &mut Vec<f32>, indices: &mut Vec<(usize, usize)>| -> Result<()> {
        let rows = session.run(&std::mem::take(images), indices.len())?;
        let rows = rows.chunks_exact(session.num_outputs());
        for ((job, view), row) in indices.drain(..).zip(rows) {
            let row = Ok(row.to_vec());
            take(Computed { job, view, row })?;
        }
        Ok(())
    };
    let mut failed = vec![];
    for computed in receive {
        let Computed { job, view, row } = computed?;
        match row {
            Ok(image) => {
                images.extend(image);
                indices.push((job, view));
            }
            row => failed.push(Computed { job, view, row }),
        }
        if indices.len() == GPU_BATCH {
            flush(&mut images, &mut indices)?;
        }
    }
    flush(&mut images, &mut indices)?;
    failed.into_iter().try_for_each(take)
}

/// A view of an image as the network takes it, `[C, H, W]`.
pub(super) fn prepare(
    image: &DecodedImage,
    hash: &Hash,
    view: &View,
    preprocess: &Preprocess,
) -> data::pixels::Result<Vec<f32>> {
    match view {
        View::Original => preprocess.apply(image),
        View::Augmented { augment, number } => {
            let mut out = vec![0.0; preprocess.output_len()];
            let augmented = apply(augment, image, View::seed(*number, hash), preprocess)?;
            preprocess.tensor_into(&augmented, &mut out)?;
            Ok(out)
        }
    }
}

/// Augments as the loader does: without a crop of its own, augmentation works on what preprocessing crops.
fn apply(
    augment: &Augment,
    image: &DecodedImage,
    seed: Hash,
    preprocess: &Preprocess,
) -> data::pixels::Result<DecodedImage> {
    let mut rng = ChaCha8Rng::from_seed(seed);
    let size = preprocess.size();
    Ok(if augment.has_crop() {
        augment.apply(image, size, &mut rng)
    } else {
        augment.apply(&preprocess.geometry(image)?, size, &mut rng)
    })
}
