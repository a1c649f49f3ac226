//! How many views of an image a frozen backbone should see: cross-validated log loss of several
//! numbers of views beside that of a fresh view every epoch.
//!
//! Reads training images only. Every fold is a whole `fit` with its recipe: Adam at 1e-3, batches
//! of 32, a tenth of the training part to choose the best epoch; here with 20 seeds and 10 epochs.
//! `docs/benchmarks/views.md` shows its output:
//!
//!     cargo run --release -p trainer --example views -- DIR BACKBONE.onnx 20 10
#![expect(clippy::print_stdout, reason = "an example prints its table")]

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use burn::tensor::Device;
use data::{Preprocess, Sample, Tally};
use models::{Network, Spec};
use trainer::evaluate::evaluate;
use trainer::examples::{Batching, Purpose};
use trainer::features::{Extractor, ExtractorOptions, FeatureCache, Features, View};
use trainer::interrupt::Interrupt;
use trainer::recipe::Recipe;
use trainer::run_dir::RunDir;
use trainer::train::{Checkpoint, Checkpoints, TrainOptions, train};
use trainer::training_set::TrainingSet;

const FOLDS: usize = 5;
/// One tenth of what is trained on chooses the best epoch.
const TENTHS: usize = 10;
/// Varied views, of which fresh sees another one in each epoch.
const VARIED: usize = 10;
const KEPT: [usize; 6] = [1, 2, 3, 4, 6, 8];

/// A way to choose the views of the epochs: indices into the list of all views.
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
        views: (1..=VARIED).collect(),
    };
    std::iter::once(fresh).chain(kept).chain(varied).collect()
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &'static str| arguments.next().context(what);
    let (folder, backbone) = (next("no folder")?, next("no backbone")?);
    let seeds: u64 = next("no number of seeds")?.parse()?;
    let epochs: usize = next("no number of epochs")?.parse()?;
    let dataset = data::Dataset::open(Path::new(&folder), 0)?;
    let samples: Vec<Sample> = dataset.train.iter().chain(&dataset.val).cloned().collect();
    let cache = data::cache::dir(None)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let found = deploy::runtime::find(&deploy::runtime::Search::from_env(None, Some(&cache)))?;
    deploy::runtime::load(&found)?;
    let classes = dataset.classes.clone();
    let backbone = trainer::backbone::open(Path::new(&backbone), None, [3, 224, 224], threads)?;
    let network = |seed| {
        let spec = Spec::Frozen(backbone.clone());
        Network::build(&spec, classes.len(), seed, &Device::flex())
    };
    let cross = Cross {
        networks: (0..seeds).map(network).collect::<Result<_, _>>()?,
        classes: classes.clone(),
        runs: tempfile::tempdir()?,
        epochs,
    };
    let options = ExtractorOptions {
        cache: FeatureCache::new(&cache, 2_000_000_000),
        provider: deploy::Provider::Cpu,
        threads,
        memory_bytes: 2_000_000_000,
        strict: true,
    };
    let mut extractor = Extractor::new(&backbone, &Preprocess::imagenet(), options);
    let views = View::first(1 + VARIED, &data::augment::Augment::default());
    let interrupt = Interrupt::default();
    let extracted = extractor.extract(&samples, &views, &interrupt, &mut |_, _| {})?;
    let rows = extracted.features;
    println!(
        "{} training images, {} classes, {seeds} seeds x {FOLDS} folds, {epochs} epochs\n",
        samples.len(),
        cross.classes.len()
    );
    let ways = ways();
    let mut table = vec![];
    for way in &ways {
        table.push(cross.seeds(&rows, way)?);
    }
    print(&ways, &table, "best", |held| held.best);
    print(&ways, &table, "last", |held| held.last);
    Ok(())
}

/// Held-out mean log loss and accuracy of the best epoch's network, which `fit` exports, and of the
/// last one's.
struct Held {
    best: (f64, f64),
    last: (f64, f64),
}

struct Cross {
    /// One per seed.
    networks: Vec<Network>,
    classes: Vec<String>,
    runs: tempfile::TempDir,
    epochs: usize,
}

impl Cross {
    /// One per seed.
    fn seeds(&self, rows: &Features, way: &Way) -> Result<Vec<Held>> {
        let one = |seed| {
            let mut tallies = [(); 2].map(|()| Tally::new(self.classes.clone()));
            let folds = folds(rows.samples(), seed);
            for held_out in 0..FOLDS {
                self.fold(rows, way, (seed, &folds, held_out), &mut tallies)?;
            }
            let [best, last] = tallies.map(|tally| tally.scores());
            Ok(Held {
                best: (best.loss, best.accuracy),
                last: (last.loss, last.accuracy),
            })
        };
        (0..self.networks.len() as u64).map(one).collect()
    }

    /// Fits to all folds but one and counts how it does on that one.
    fn fold(
        &self,
        rows: &Features,
        way: &Way,
        (seed, folds, held_out): (u64, &[usize], usize),
        tallies: &mut [Tally; 2],
    ) -> Result<()> {
        let indices = |is_wanted: &dyn Fn(usize) -> bool| -> Vec<usize> {
            (0..folds.len())
                .filter(|&index| is_wanted(folds[index]))
                .collect()
        };
        let own = |part: usize| part / TENTHS == held_out;
        let is_val = |part: usize| !own(part) && part.is_multiple_of(TENTHS);
        let batching = Batching {
            seed,
            ..Batching::plain(32, Preprocess::imagenet(), 1)
        };
        let select = |indices: &[usize], views: &[usize]| {
            let views = views.iter().map(|&view| {
                let rows = indices.iter().flat_map(|&index| rows.row(view, index));
                rows.copied().collect()
            });
            let samples = indices.iter().map(|&index| rows.samples()[index].clone());
            Arc::new(Features::new(
                samples.collect(),
                rows.width(),
                views.collect(),
            ))
        };
        let train_rows = select(&indices(&|part| !own(part) && !is_val(part)), &way.views);
        let data = TrainingSet::new(
            self.classes.clone(),
            batching.features(train_rows, Purpose::Training),
            batching.features(select(&indices(&is_val), &[0]), Purpose::Validation),
            batching.clone(),
        );
        let run = RunDir::create(self.runs.path(), None)?;
        let network = self.networks[seed as usize].clone();
        let (options, interrupt) = (recipe(self.epochs), Interrupt::default());
        let checkpoints = Checkpoints::in_folder(&run, None);
        let trained = train(
            network.into(),
            &data,
            &options,
            checkpoints,
            &mut (),
            &interrupt,
        )?;
        let last = Checkpoint::open(&run.last())?.network(trained.network.clone())?;
        let held_out = batching.features(select(&indices(&own), &[0]), Purpose::Evaluation);
        for (network, tally) in [trained.network, last].iter().zip(tallies) {
            let evaluation = evaluate(network, &held_out, &self.classes, &mut |_| {})?;
            for (row, label) in evaluation.logits.iter().zip(held_out.labels()) {
                tally.add(row, label);
            }
        }
        Ok(())
    }
}

/// For each image a part, drawn by seed, evenly within its class: its fold and which tenth of it.
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
        for index in data::loader::order(own.len(), seed, u64::from(class)) {
            // Neighbours go to different folds.
            parts[own[index]] = (next % FOLDS) * TENTHS + (next / FOLDS) % TENTHS;
            next += 1;
        }
    }
    parts
}

fn recipe(epochs: usize) -> TrainOptions {
    TrainOptions {
        epochs,
        ..TrainOptions::from(&Recipe::default())
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Rows of the table; differences from the first way are paired by seed.
fn print(ways: &[Way], table: &[Vec<Held>], epoch: &str, of: impl Fn(&Held) -> (f64, f64)) {
    println!("{epoch} epoch\n");
    println!("| views | log loss | less fresh | standard error | accuracy |");
    println!("|---|---|---|---|---|");
    let first: Vec<f64> = table[0].iter().map(|held| of(held).0).collect();
    for (way, column) in ways.iter().zip(table) {
        let (losses, accuracies): (Vec<f64>, Vec<f64>) = column.iter().map(&of).unzip();
        let off: Vec<f64> = losses.iter().zip(&first).map(|(a, b)| a - b).collect();
        let squares: Vec<f64> = off.iter().map(|x| (x - mean(&off)).powi(2)).collect();
        let error = (mean(&squares) / (off.len() - 1) as f64).sqrt();
        println!(
            "| {} | {:.4} | {:+.4} | {error:.4} | {:.2} % |",
            way.name,
            mean(&losses),
            mean(&off),
            100.0 * mean(&accuracies),
        );
    }
    println!();
}
