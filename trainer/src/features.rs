//! From pictures to what a frozen backbone makes of them: rows `[D]`, each computed once and kept
//! on disk for later runs. It knows no head, no loss and no printer.
//!
//! A row depends on its picture's bytes and on the parts of its [`Key`]; rows of one key share a
//! [`Shelf`], and shelves stand in a [`Cupboard`]. The plain view of a picture serves training,
//! validation and test alike, so another split of the same pictures computes little anew.

mod compute;
mod cupboard;
mod engine;
mod key;
mod rows;
mod shelf;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::module::Module;
use data::{Preprocess, Sample, Unreadable};
use models::Network;
use rayon::prelude::*;

pub use cupboard::Cupboard;
pub use key::{Key, View};
pub use rows::{RowBatch, RowLoader, Rows};
pub use shelf::Shelf;

use crate::error::{Error, Result};
use crate::recipe::DeviceKind;
use compute::{Job, Made, Work};
use engine::Engine;

/// SHA-256 of a picture's file.
pub type Hash = [u8; 32];

/// Rows that are computed before shelves are put away in between: a kill loses no more, or a
/// quarter of what is there.
const UNSAVED: usize = 1000;

/// How rows are made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where rows are kept.
    pub cupboard: Cupboard,
    /// What the network is trained on: on the CPU, ONNX Runtime computes.
    pub device: DeviceKind,
    /// Threads that decode and compute.
    pub threads: usize,
    /// Memory for the engine.
    pub memory_bytes: u64,
    /// Whether an unreadable picture is an error.
    pub strict: bool,
}

/// Rows, and what they took.
#[derive(Debug)]
pub struct Found {
    /// The rows of the readable pictures.
    pub rows: Rows,
    /// Rows that were kept from before.
    pub cached: usize,
    /// Rows that were computed now.
    pub computed: usize,
    /// Seconds that it took.
    pub seconds: f64,
    /// Pictures that were left out.
    pub unreadable: Vec<Unreadable>,
    /// Why rows could not be kept for later.
    pub unkept: Option<Error>,
}

/// Makes rows for one backbone.
pub struct Extractor {
    network: Network,
    preprocess: Preprocess,
    options: Options,
    hashes: HashMap<PathBuf, Hash>,
    engine: Option<Engine>,
}

impl Extractor {
    /// For the frozen part of `network`. Opens nothing yet.
    pub fn new(network: &Network, preprocess: &Preprocess, options: Options) -> Self {
        Self {
            network: network.valid(),
            preprocess: preprocess.clone(),
            options,
            hashes: HashMap::new(),
            engine: None,
        }
    }

    /// Takes over hashes of pictures that were read a moment ago: a row is kept under the hash of
    /// what is decoded next.
    pub fn know(&mut self, samples: &[Sample], hash: &dyn Fn(&Path) -> Option<Hash>) {
        let known = samples
            .iter()
            .filter_map(|sample| Some((sample.path.clone(), hash(&sample.path)?)));
        self.hashes.extend(known);
    }

    /// Rows of `samples` in these views, kept or computed; `None` when `stop` was set before all
    /// were there, which keeps those that were. `progress` gets rows computed and to compute.
    ///
    /// # Errors
    /// When an unreadable picture is one too many (the rules of [`data::images::Images::load`]), or
    /// the engine fails.
    pub fn rows(
        &mut self,
        samples: &[Sample],
        views: &[View],
        stop: &AtomicBool,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Option<Found>> {
        let started = Instant::now();
        let width = self.network.fc().weight.val().dims()[1];
        let mut unreadable = self.hash_all(samples);
        let keys: Vec<Key> = views.iter().map(|view| self.key(view)).collect();
        let take = |key| self.options.cupboard.take(key, width);
        let shelves = keys.iter().map(take).collect();
        let mut store = Store::new(&self.options.cupboard, keys, shelves, width);
        let jobs = jobs(samples, &self.hashes, &store.shelves);
        let missing: usize = jobs.iter().map(|job| job.views.len()).sum();
        if missing > 0 {
            progress(0, missing);
            let engine = match &mut self.engine {
                Some(engine) => engine,
                none => none.insert(open(&self.network, &self.options)?),
            };
            let work = Work {
                jobs: &jobs,
                views,
                preprocess: &self.preprocess,
                threads: self.options.threads,
                stop,
            };
            let done = work.run(engine, &mut |Made { job, view, row }| {
                match row {
                    Ok(row) => store.add(view, jobs[job].image, &row),
                    Err(error) => {
                        unreadable.insert(jobs[job].sample.path.clone(), error.into());
                    }
                }
                progress(store.added, missing);
                Ok(())
            });
            store.save();
            done?;
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let wanted = samples.len() - unreadable.len();
        let (samples, unreadable) = readable(samples, unreadable, self.options.strict)?;
        let rows = store.gather(samples, &self.hashes);
        Ok(Some(Found {
            rows,
            cached: (wanted * views.len()).saturating_sub(store.added),
            computed: store.added,
            seconds: started.elapsed().as_secs_f64(),
            unreadable,
            unkept: store.trouble,
        }))
    }

    fn key(&self, view: &View) -> Key {
        Key {
            backbone: self.network.backbone_sha256().unwrap_or_default().into(),
            cut: self.network.cut().unwrap_or_default().into(),
            preprocess: self.preprocess.to_string(),
            decoder: data::decode::JPEG_DECODER.into(),
            view: view.clone(),
            engine: Engine::name(self.options.device),
        }
    }

    /// Learns the hashes of pictures; gives those that cannot be read.
    fn hash_all(&mut self, samples: &[Sample]) -> HashMap<PathBuf, data::Error> {
        let new = samples
            .par_iter()
            .filter(|sample| !self.hashes.contains_key(&sample.path));
        let hashed: Vec<_> = new
            .map(|sample| (sample.path.clone(), sample.sha256()))
            .collect();
        let mut unreadable = HashMap::new();
        for (path, hash) in hashed {
            match hash {
                Ok(hash) => drop(self.hashes.insert(path, hash)),
                Err(error) => drop(unreadable.insert(path, error)),
            }
        }
        unreadable
    }
}

/// The engine; the cut graph goes through the cache folder, where `deploy cache prune` would find
/// what a kill leaves of it.
fn open(network: &Network, options: &Options) -> Result<Engine> {
    let folder = options.cupboard.folder();
    let writable = options.cupboard.keeps() && fs_err::create_dir_all(folder).is_ok();
    let open = |folder: &Path| {
        let Options {
            device,
            threads,
            memory_bytes,
            ..
        } = *options;
        Engine::open(network, device, threads, memory_bytes, folder)
    };
    match writable.then(|| open(folder)) {
        Some(Ok(engine)) => Ok(engine),
        // A cache folder that is full or read-only is no reason to give up.
        _ => open(&std::env::temp_dir()),
    }
}

/// What is to be computed.
fn jobs<'a>(
    samples: &'a [Sample],
    hashes: &HashMap<PathBuf, Hash>,
    shelves: &[Shelf],
) -> Vec<Job<'a>> {
    let job = |sample: &'a Sample| {
        let image = *hashes.get(&sample.path)?;
        let missing = |view: &usize| shelves[*view].row(&image).is_none();
        let views: Vec<usize> = (0..shelves.len()).filter(missing).collect();
        (!views.is_empty()).then_some(Job {
            sample,
            image,
            views,
        })
    };
    samples.iter().filter_map(job).collect()
}

/// The readable samples, in order, and the others; too many of these are an error.
fn readable(
    samples: &[Sample],
    mut unreadable: HashMap<PathBuf, data::Error>,
    strict: bool,
) -> Result<(Vec<Sample>, Vec<Unreadable>)> {
    let (mut kept, mut left_out) = (vec![], vec![]);
    for sample in samples {
        match unreadable.remove(&sample.path) {
            None => kept.push(sample.clone()),
            Some(error) if strict => return Err(error.into()),
            Some(error) => left_out.push(Unreadable {
                path: sample.path.clone(),
                reason: error.reason(),
            }),
        }
    }
    data::unreadable::check(&left_out, samples.len())?;
    Ok((kept, left_out))
}

/// The shelves in use, one per view.
struct Store<'a> {
    cupboard: &'a Cupboard,
    keys: Vec<Key>,
    shelves: Vec<Shelf>,
    width: usize,
    /// Whether a shelf has rows that its file has not.
    changed: Vec<bool>,
    /// Rows added.
    added: usize,
    unsaved: usize,
    trouble: Option<Error>,
}

impl<'a> Store<'a> {
    fn new(cupboard: &'a Cupboard, keys: Vec<Key>, shelves: Vec<Shelf>, width: usize) -> Self {
        Self {
            cupboard,
            changed: vec![false; keys.len()],
            keys,
            shelves,
            width,
            added: 0,
            unsaved: 0,
            trouble: None,
        }
    }

    fn add(&mut self, view: usize, image: Hash, row: &[f32]) {
        self.shelves[view].insert(image, row);
        self.changed[view] = true;
        self.added += 1;
        self.unsaved += 1;
        let all: usize = self.shelves.iter().map(Shelf::len).sum();
        if self.unsaved >= UNSAVED.max(all / 4) {
            self.save();
        }
    }

    /// Puts away what changed; trouble is remembered, and not looked for twice.
    fn save(&mut self) {
        self.unsaved = 0;
        let shelves = self.keys.iter().zip(&self.shelves).zip(&mut self.changed);
        for ((key, shelf), changed) in shelves {
            if std::mem::take(changed) && self.trouble.is_none() {
                self.trouble = self.cupboard.put(key, self.width, shelf).err();
            }
        }
    }

    /// The rows of pictures that all shelves have.
    fn gather(&self, samples: Vec<Sample>, hashes: &HashMap<PathBuf, Hash>) -> Rows {
        let rows = |shelf: &Shelf| {
            let images = samples.iter().filter_map(|sample| hashes.get(&sample.path));
            images
                .filter_map(|image| shelf.row(image))
                .flatten()
                .copied()
                .collect()
        };
        let views = self.shelves.iter().map(rows).collect();
        Rows::new(samples, self.width, views)
    }
}

#[cfg(test)]
mod tests;
