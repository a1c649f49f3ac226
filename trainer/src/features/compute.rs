//! Pictures to rows in worker threads: decode, vary, prepare, compute. Keeps nothing.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use data::augment::Augment;
use data::{Limits, Preprocess, RgbImage, Sample};
use deploy::Session;
use models::Network;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::engine::{Engine, burn_rows};
use super::{Hash, View};
use crate::error::Result;

/// Images that Burn computes at a time.
const BURN_BATCH: usize = 32;

/// A picture and those of its views whose rows are missing.
pub(super) struct Job<'a> {
    pub(super) sample: &'a Sample,
    pub(super) image: Hash,
    /// Places in the list of views.
    pub(super) views: Vec<usize>,
}

/// What became of a picture's view: its row, or why there is none.
pub(super) struct Made {
    /// The place of the job.
    pub(super) job: usize,
    /// The place of the view.
    pub(super) view: usize,
    pub(super) row: Result<Vec<f32>, data::pixels::Error>,
}

/// What the workers share.
pub(super) struct Work<'a> {
    pub(super) jobs: &'a [Job<'a>],
    pub(super) views: &'a [View],
    pub(super) preprocess: &'a Preprocess,
    pub(super) threads: usize,
    /// Set it to end the work after the pictures in progress.
    pub(super) stop: &'a AtomicBool,
}

impl Work<'_> {
    /// Does all jobs, in any order; `take` gets what was made.
    pub(super) fn run(
        &self,
        engine: &mut Engine,
        take: &mut dyn FnMut(Made) -> Result<()>,
    ) -> Result<()> {
        let (next, halt) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (mut sessions, burn): (Vec<Option<&mut Session>>, Option<&Network>) = match engine {
            Engine::Sessions(sessions) => (sessions.iter_mut().map(Some).collect(), None),
            Engine::Burn(network) => ((0..self.threads).map(|_| None).collect(), Some(network)),
        };
        sessions.truncate(self.jobs.len().max(1));
        thread::scope(|scope| {
            let (send, receive) = sync_channel(BURN_BATCH);
            for session in sessions {
                let (send, next, halt) = (send.clone(), &next, &halt);
                scope.spawn(move || self.work(session, next, halt, &send));
            }
            drop(send);
            let result = match burn {
                None => receive.into_iter().try_for_each(|made| take(made?)),
                Some(network) => batches(network, receive, take),
            };
            halt.store(true, Ordering::Relaxed);
            result
        })
    }

    /// A worker: takes the next picture until there is none, or nobody waits for it. Without a
    /// session it hands on prepared images in place of rows.
    fn work(
        &self,
        mut session: Option<&mut Session>,
        next: &AtomicUsize,
        halt: &AtomicBool,
        send: &SyncSender<Result<Made>>,
    ) {
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            let Some(Job {
                sample,
                image,
                views,
            }) = self.jobs.get(job)
            else {
                return;
            };
            let picture = data::decode::open(&sample.path, &Limits::default());
            for &view in views {
                if halt.load(Ordering::Relaxed) || self.stop.load(Ordering::Relaxed) {
                    return;
                }
                let prepared = match &picture {
                    Ok(picture) => prepare(picture, image, &self.views[view], self.preprocess),
                    Err(_) => break,
                };
                let made = match (prepared, session.as_deref_mut()) {
                    (Ok(prepared), Some(session)) => session.run(&prepared, 1).map(Ok),
                    (prepared, _) => Ok(prepared),
                };
                let made = made.map(|row| Made { job, view, row });
                if send.send(made.map_err(Into::into)).is_err() {
                    return;
                }
            }
            if let Err(error) = picture {
                let (view, row) = (0, Err(error));
                if send.send(Ok(Made { job, view, row })).is_err() {
                    return;
                }
            }
        }
    }
}

/// Collects prepared images into batches for Burn.
fn batches(
    network: &Network,
    receive: Receiver<Result<Made>>,
    take: &mut dyn FnMut(Made) -> Result<()>,
) -> Result<()> {
    let (mut images, mut places) = (vec![], vec![]);
    let mut flush = |images: &mut Vec<f32>, places: &mut Vec<(usize, usize)>| -> Result<()> {
        if places.is_empty() {
            return Ok(());
        }
        let rows = burn_rows(network, std::mem::take(images), places.len())?;
        let width = rows.len() / places.len();
        for ((job, view), row) in places.drain(..).zip(rows.chunks_exact(width.max(1))) {
            let row = Ok(row.to_vec());
            take(Made { job, view, row })?;
        }
        Ok(())
    };
    let mut failed = vec![];
    for made in receive {
        let Made { job, view, row } = made?;
        match row {
            Ok(image) => {
                images.extend(image);
                places.push((job, view));
            }
            row => failed.push(Made { job, view, row }),
        }
        if places.len() == BURN_BATCH {
            flush(&mut images, &mut places)?;
        }
    }
    flush(&mut images, &mut places)?;
    failed.into_iter().try_for_each(take)
}

/// A view of a picture as the network takes it, `[3, H, W]`.
pub(super) fn prepare(
    picture: &RgbImage,
    image: &Hash,
    view: &View,
    preprocess: &Preprocess,
) -> data::pixels::Result<Vec<f32>> {
    match view {
        View::Plain => preprocess.apply(picture),
        View::Varied { augment, number } => {
            let mut out = vec![0.0; preprocess.output_len()];
            let varied = vary(picture, augment, View::seed(*number, image), preprocess)?;
            preprocess.tensor_into(&varied, &mut out)?;
            Ok(out)
        }
    }
}

/// As the loader varies a picture: without a crop it works on what preprocessing crops.
fn vary(
    picture: &RgbImage,
    augment: &Augment,
    seed: Hash,
    preprocess: &Preprocess,
) -> data::pixels::Result<RgbImage> {
    let mut rng = ChaCha8Rng::from_seed(seed);
    let size = preprocess.size();
    Ok(if augment.has_crop() {
        augment.apply(picture, size, &mut rng)
    } else {
        augment.apply(&preprocess.geometry(picture)?, size, &mut rng)
    })
}
