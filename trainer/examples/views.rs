//! How many views of a picture a frozen backbone should see: cross-validated log loss of several
//! numbers of views beside that of a fresh view every epoch.
//!
//! Reads training pictures only. Every fold is a whole `fit` with its recipe: 10 epochs, Adam at
//! 1e-3, batches of 32, a tenth of the training part to choose the best epoch. The table that
//! `docs/benchmarks/views.md` shows is its output:
//!
//!     cargo run --release -p trainer --example views -- DIR BACKBONE.onnx
#![expect(clippy::print_stdout, reason = "an example prints its table")]

use std::path::Path;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use burn::tensor::{Device, Tensor, TensorData};
use data::{Preprocess, Sample, Tally};
use models::{Network, Spec};
use trainer::features::{Cupboard, Extractor, Options, RowLoader, Rows, View};
use trainer::fit::{Feed, FitOptions, OptimizerOptions, Room, fit};
use trainer::recipe::{Criterion, DeviceKind, OptimizerKind, SaveKind, SchedulerKind};
use trainer::run_dir::RunDir;

const SEEDS: u64 = 5;
const FOLDS: usize = 5;
/// One tenth of what is trained on chooses the best epoch.
const TENTHS: usize = 10;
const EPOCHS: usize = 10;
const KEPT: [usize; 6] = [1, 2, 3, 4, 6, 8];

/// A way to choose the views of the epochs: places in the list of all views.
struct Way {
    name: String,
    views: Vec<usize>,
}

/// The plain view and the first varied ones; fresh is another varied one in each epoch.
fn ways() -> Vec<Way> {
    let kept = KEPT.map(|count| Way {
        name: count.to_string(),
        views: (0..count).collect(),
    });
    let varied = [2, 3].map(|count| Way {
        name: format!("{count} varied, none plain"),
        views: (1..=count).collect(),
    });
    let fresh = Way {
        name: "fresh".into(),
        views: (1..=EPOCHS).collect(),
    };
    std::iter::once(fresh).chain(kept).chain(varied).collect()
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &'static str| arguments.next().context(what);
    let (folder, backbone) = (next("no folder")?, next("no backbone")?);
    let dataset = data::Dataset::open(Path::new(&folder), 0)?;
    let pictures: Vec<Sample> = dataset.train.iter().chain(&dataset.val).cloned().collect();
    let cache = data::cache::dir(None)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let found = deploy::runtime::find(&deploy::runtime::Search::from_env(None, &cache))?;
    deploy::runtime::load(&found)?;
    let classes = dataset.classes.clone();
    let network = |seed| {
        let spec = Spec::Imported {
            path: backbone.clone().into(),
            fine_tune: false,
        };
        Network::build(&spec, classes.len(), seed, &Device::flex())
    };
    let cross = Cross {
        networks: (0..SEEDS).map(network).collect::<Result<_, _>>()?,
        classes: classes.clone(),
        runs: tempfile::tempdir()?,
    };
    let options = Options {
        cupboard: Cupboard::new(&cache, 2_000_000_000),
        device: DeviceKind::Cpu,
        threads,
        memory_bytes: 2_000_000_000,
        strict: true,
    };
    let mut extractor = Extractor::new(&cross.networks[0], &Preprocess::imagenet(), options);
    let views = View::first(1 + EPOCHS, &data::augment::Augment::default());
    let stop = AtomicBool::new(false);
    let found = extractor.rows(&pictures, &views, &stop, &mut |_, _| {})?;
    let rows = found.context("nobody stops it")?.rows;
    println!(
        "{} training pictures, {} classes, {SEEDS} seeds x {FOLDS} folds\n",
        pictures.len(),
        cross.classes.len()
    );
    let ways = ways();
    let mut table = vec![];
    for way in &ways {
        table.push(cross.seeds(&rows, way)?);
    }
    print(&ways, &table);
    Ok(())
}

/// Held-out mean log loss and accuracy, one per seed.
type Column = Vec<(f64, f64)>;

struct Cross {
    /// One per seed.
    networks: Vec<Network>,
    classes: Vec<String>,
    runs: tempfile::TempDir,
}

impl Cross {
    fn seeds(&self, rows: &Rows, way: &Way) -> Result<Column> {
        let one = |seed| {
            let mut tally = Tally::new(self.classes.clone());
            let folds = folds(rows.samples(), seed);
            for held_out in 0..FOLDS {
                self.fold(rows, way, (seed, &folds, held_out), &mut tally)?;
            }
            let scores = tally.scores();
            Ok((scores.loss, scores.accuracy))
        };
        (0..SEEDS).map(one).collect()
    }

    /// Fits to all folds but one and counts how it does on that one.
    fn fold(
        &self,
        rows: &Rows,
        way: &Way,
        (seed, folds, held_out): (u64, &[usize], usize),
        tally: &mut Tally,
    ) -> Result<()> {
        let places = |of: &dyn Fn(usize) -> bool| -> Vec<usize> {
            (0..folds.len()).filter(|&place| of(folds[place])).collect()
        };
        let own = |part: usize| part / TENTHS == held_out;
        let is_val = |part: usize| !own(part) && part % TENTHS == 0;
        let train = rows.select(&places(&|part| !own(part) && !is_val(part)), &way.views);
        let val = rows.select(&places(&is_val), &[0]);
        let train = RowLoader::new(train, 32, Some(seed));
        let val = RowLoader::new(val, 32, None);
        let run = RunDir::create(self.runs.path(), None)?;
        let room = Room {
            train: Feed::Features(&train),
            val: Feed::Features(&val),
            backbone: None,
            classes: &self.classes,
            run: &run,
            stop: &AtomicBool::new(false),
        };
        let network = self.networks[seed as usize].clone();
        let outcome = fit(network, &room, &recipe(), None, &mut ())?;
        let batch = rows.plain(places(&own));
        let count = batch.labels.len();
        let width = batch.features.len() / count;
        let features = TensorData::new(batch.features, [count, width]);
        let logits = outcome
            .network
            .classify(Tensor::from_data(features, &Device::flex()));
        let logits = logits.into_data().try_into_vec::<f32>();
        let logits = logits.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        for (row, label) in logits.chunks_exact(self.classes.len()).zip(batch.labels) {
            tally.add(row, label);
        }
        Ok(())
    }
}

/// For each picture a part, drawn by seed, evenly within its class: its fold and which tenth of it.
fn folds(samples: &[Sample], seed: u64) -> Vec<usize> {
    let mut parts = vec![0; samples.len()];
    let num_classes = samples
        .iter()
        .map(|sample| sample.label + 1)
        .max()
        .unwrap_or(0);
    let mut next = 0;
    for class in 0..num_classes {
        let own: Vec<usize> = (0..samples.len())
            .filter(|&i| samples[i].label == class)
            .collect();
        for place in data::loader::order(own.len(), seed, u64::from(class)) {
            // Neighbours go to different folds.
            parts[own[place]] = (next % FOLDS) * TENTHS + (next / FOLDS) % TENTHS;
            next += 1;
        }
    }
    parts
}

fn recipe() -> FitOptions {
    FitOptions {
        epochs: EPOCHS,
        lr: 1e-3,
        optimizer: OptimizerOptions {
            kind: OptimizerKind::Adam,
            weight_decay: 0.0,
            momentum: 0.9,
        },
        scheduler: SchedulerKind::Plateau,
        early_stop: None,
        save: SaveKind::Best,
        best_by: Criterion::ValAccuracy,
    }
}

fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    values.clone().sum::<f64>() / values.count() as f64
}

fn print(ways: &[Way], table: &[Column]) {
    println!("| views | log loss | less fresh, mean | standard error | accuracy | by seed |");
    println!("|---|---|---|---|---|---|");
    for (way, column) in ways.iter().zip(table) {
        let off: Vec<f64> = column
            .iter()
            .zip(&table[0])
            .map(|(a, b)| a.0 - b.0)
            .collect();
        let mean_off = mean(off.iter().copied());
        let variance: f64 = off.iter().map(|x| (x - mean_off).powi(2)).sum();
        let count = off.len() as f64;
        let error = (variance / (count - 1.0) / count).sqrt();
        let by_seed: Vec<String> = column
            .iter()
            .map(|(loss, _)| format!("{loss:.4}"))
            .collect();
        println!(
            "| {} | {:.4} | {:+.4} | {:.4} | {:.2} % | {} |",
            way.name,
            mean(column.iter().map(|(loss, _)| *loss)),
            mean_off,
            error,
            100.0 * mean(column.iter().map(|(_, accuracy)| *accuracy)),
            by_seed.join(", "),
        );
    }
}
