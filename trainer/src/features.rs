//! Features of a frozen backbone: `[D]` for each image, computed once and kept on disk for later runs, or imported from a
//! table that other machines computed. It knows no head, no loss, no loop and no printer.
//!
//! The features of an image depend on its bytes and on the parts of a [`CacheKey`]; those of one key share a
//! [`FeatureTable`], and the tables lie in a [`FeatureCache`]. The original view of an image serves training,
//! validation and test alike, so another split of the same images computes little anew.

mod cache;
mod cache_key;
mod engine;
mod imported;
mod loader;
mod table;
mod workers;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use data::{Preprocess, Sample, Unreadable};
use deploy::Provider;
use models::Backbone;
use rayon::prelude::*;

pub use cache::FeatureCache;
pub use cache_key::{CacheKey, View};
pub use imported::{FeatureTableFile, ImportedFeatures};
pub use loader::{FeatureBatch, FeatureLoader, FeatureOrder, Features};
pub use table::FeatureTable;

use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use engine::Engine;
use workers::{Computed, Job, Workers};

/// SHA-256 of an image file.
pub type Hash = [u8; 32];

/// Number of computed features after which the tables are saved, or a quarter of what they hold: a kill loses
/// no more.
const MOST_UNSAVED: usize = 1000;

/// How features are computed.
#[derive(Clone, Debug)]
pub struct ExtractorOptions {
    pub cache: FeatureCache,
    /// What ONNX Runtime computes on.
    pub provider: Provider,
    pub threads: usize,
    /// Memory for the engine.
    pub memory_bytes: u64,
    /// Whether an unreadable image is an error.
    pub strict: bool,
}

/// Extracted features, with counts and time.
#[derive(Debug)]
pub struct Extracted {
    /// Those of the readable images.
    pub features: Features,
    /// How many were in the cache.
    pub num_cached: usize,
    /// How many were computed now.
    pub num_computed: usize,
    pub seconds: f64,
    pub unreadable: Vec<Unreadable>,
    /// Why the computed ones could not be kept for later.
    pub cache_error: Option<Error>,
}

/// Extracts features of one backbone; the cache keeps them.
pub struct Extractor {
    backbone: Arc<Backbone>,
    preprocess: Preprocess,
    options: ExtractorOptions,
    hashes: HashMap<PathBuf, Hash>,
    engine: Option<Engine>,
}

impl Extractor {
    /// An extractor of a backbone. It opens nothing yet.
    pub fn new(
        backbone: &Arc<Backbone>,
        preprocess: &Preprocess,
        options: ExtractorOptions,
    ) -> Self {
        Self {
            backbone: Arc::clone(backbone),
            preprocess: preprocess.clone(),
            options,
            hashes: HashMap::new(),
            engine: None,
        }
    }

    /// Adds hashes of images that were read a moment ago, so that they are not read again for it.
    pub fn add_hashes(&mut self, samples: &[Sample], hash: &dyn Fn(&Path) -> Option<Hash>) {
        let known = samples
            .iter()
            .filter_map(|sample| Some((sample.path.clone(), hash(&sample.path)?)));
        self.hashes.extend(known);
    }

    /// The features of `samples` in these views, from the cache or computed. `progress` gets the numbers of
    /// computed and of missing features.
    ///
    /// # Errors
    /// When an unreadable image is one too many (the rules of [`data::images::Images::load`]), the engine
    /// fails, or the run is interrupted; what was computed by then is kept.
    pub fn extract(
        &mut self,
        samples: &[Sample],
        views: &[View],
        interrupt: &Interrupt,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Extracted> {
        let started = Instant::now();
        let width = self.backbone.width;
        let mut unreadable = self.hash_all(samples);
        let keys: Vec<CacheKey> = views.iter().map(|view| self.key(view)).collect();
        let open_table = |key| self.options.cache.open(key, width);
        let tables = keys.iter().map(open_table).collect();
        let mut store = Store::new(&self.options.cache, keys, tables, width);
        let jobs = jobs(samples, &self.hashes, &store.tables);
        let missing: usize = jobs.iter().map(|job| job.views.len()).sum();
        if missing > 0 {
            progress(0, missing);
            let engine = match &mut self.engine {
                Some(engine) => engine,
                none => none.insert(Engine::open(
                    &self.backbone,
                    self.options.provider,
                    self.options.threads,
                    self.options.memory_bytes,
                )?),
            };
            let workers = Workers {
                jobs: &jobs,
                views,
                preprocess: &self.preprocess,
                threads: self.options.threads,
                stop: interrupt.flag(),
            };
            let done = workers.run(engine, &mut |Computed { job, view, row }| {
                match row {
                    Ok(row) => store.add(view, jobs[job].hash, &row),
                    Err(error) => {
                        unreadable.insert(jobs[job].sample.path.clone(), error.into());
                    }
                }
                progress(store.num_added, missing);
                Ok(())
            });
            // First save, then fail: what was computed before an error or Ctrl-C is kept.
            store.save();
            done?;
        }
        interrupt.check()?;
        let wanted = samples.len() - unreadable.len();
        let (samples, unreadable) = readable(samples, unreadable, self.options.strict)?;
        Ok(Extracted {
            features: store.gather(samples, &self.hashes),
            num_cached: (wanted * views.len()).saturating_sub(store.num_added),
            num_computed: store.num_added,
            seconds: started.elapsed().as_secs_f64(),
            unreadable,
            cache_error: store.save_error,
        })
    }

    fn key(&self, view: &View) -> CacheKey {
        CacheKey {
            backbone: self.backbone.file.identity(),
            cut: self.backbone.file.cut.values.join(" "),
            preprocess: self.preprocess.to_string(),
            decoder: data::decode::JPEG_DECODER.into(),
            view: view.clone(),
            engine: Engine::name(self.options.provider),
        }
    }

    /// Hashes the files that are not hashed yet; returns those that cannot be read.
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

/// What is to be computed.
fn jobs<'a>(
    samples: &'a [Sample],
    hashes: &HashMap<PathBuf, Hash>,
    tables: &[FeatureTable],
) -> Vec<Job<'a>> {
    let job = |sample: &'a Sample| {
        let hash = *hashes.get(&sample.path)?;
        let missing = |view: &usize| tables[*view].row(&hash).is_none();
        let views: Vec<usize> = (0..tables.len()).filter(missing).collect();
        (!views.is_empty()).then_some(Job {
            sample,
            hash,
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

/// The tables in use, one per view.
struct Store<'a> {
    cache: &'a FeatureCache,
    keys: Vec<CacheKey>,
    tables: Vec<FeatureTable>,
    width: usize,
    /// Whether a table has rows that its file lacks.
    changed: Vec<bool>,
    num_added: usize,
    num_unsaved: usize,
    /// The first failure to save; it is not tried again.
    save_error: Option<Error>,
}

impl<'a> Store<'a> {
    fn new(
        cache: &'a FeatureCache,
        keys: Vec<CacheKey>,
        tables: Vec<FeatureTable>,
        width: usize,
    ) -> Self {
        Self {
            cache,
            changed: vec![false; keys.len()],
            keys,
            tables,
            width,
            num_added: 0,
            num_unsaved: 0,
            save_error: None,
        }
    }

    fn add(&mut self, view: usize, hash: Hash, row: &[f32]) {
        self.tables[view].insert(hash, row);
        self.changed[view] = true;
        self.num_added += 1;
        self.num_unsaved += 1;
        let all: usize = self.tables.iter().map(FeatureTable::len).sum();
        if self.num_unsaved >= MOST_UNSAVED.max(all / 4) {
            self.save();
        }
    }

    /// Saves the tables that changed.
    fn save(&mut self) {
        self.num_unsaved = 0;
        let tables = self.keys.iter().zip(&self.tables).zip(&mut self.changed);
        for ((key, table), changed) in tables {
            if std::mem::take(changed) && self.save_error.is_none() {
                self.save_error = self.cache.save(key, self.width, table).err();
            }
        }
    }

    /// The rows of images, which all tables have.
    fn gather(&self, samples: Vec<Sample>, hashes: &HashMap<PathBuf, Hash>) -> Features {
        let rows = |table: &FeatureTable| {
            let images = samples.iter().filter_map(|sample| hashes.get(&sample.path));
            images
                .filter_map(|image| table.row(image))
                .flatten()
                .copied()
                .collect()
        };
        let views = self.tables.iter().map(rows).collect();
        Features::new(samples, self.width, views)
    }
}

#[cfg(test)]
mod tests;
