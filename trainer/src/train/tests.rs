//! Whole runs of a tiny network on tiny images.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use burn::tensor::{Device, TensorData};
use data::images::{Images, ImagesOptions};
use data::loader::Order;
use data::{Preprocess, Sample};
use fs_err as fs;
use models::{CustomConfig, Spec};

use super::*;
use crate::evaluate::evaluate;
use crate::examples::{Batching, Purpose};
use crate::recipe::{
    ClassWeights, Criterion, OptimizerKind, SaveKind, SchedulerKind, WeightAverage,
};
use crate::run_dir::RunDir;

mod fine_tune;
mod frozen;
mod settings;

const SIDE: usize = 64;
const BATCH: usize = 4;

/// Class 0 is brighter on the left, class 1 on the right; none is square.
fn draw_images(folder: &Path, split: &str, count: usize) -> Vec<Sample> {
    let draw = |index: usize| {
        let bright_left = index.is_multiple_of(2);
        image::RgbImage::from_fn(80, 72, |x, y| {
            let bright = (x < 40) == bright_left;
            let noise = (x * 31 + y * 17 + index as u32 * 7919) % 97;
            let value = noise as u8 + if bright { 120 } else { 20 };
            image::Rgb([value, value / 2 + (index * 11) as u8, 255 - value])
        })
    };
    let class = |index: usize| ["left", "right"][index % 2];
    (0..count)
        .map(|index| {
            let relative = format!("{split}/{}/{index}.png", class(index));
            let path = folder.join(&relative);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            draw(index).save(&path).unwrap();
            Sample {
                path,
                relative,
                label: (index % 2) as u32,
            }
        })
        .collect()
}

fn preprocess(scale: &str) -> Preprocess {
    format!(
        "decode(rgb, exif)|resize_short(72, bilinear, antialias)|center_crop({SIDE})|scale({scale})|\
         normalize(imagenet)|layout(nchw, f32)"
    )
    .parse()
    .unwrap()
}

struct Workshop {
    folder: tempfile::TempDir,
    train: Arc<Images>,
    val: Arc<Images>,
}

impl Workshop {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let load = |split, count| {
            let samples = draw_images(folder.path(), split, count);
            let options = ImagesOptions {
                budget_bytes: 1 << 30,
                strict: true,
                threads: 2,
                ..ImagesOptions::default()
            };
            Arc::new(Images::load(samples, &options, &|_| {}).unwrap().0)
        };
        // 14 and 6 images: the last batches are not full.
        let (train, val) = (load("train", 14), load("val", 6));
        Self { folder, train, val }
    }

    fn run(&self, name: &str) -> RunDir {
        RunDir::create(self.folder.path(), Some(name)).unwrap()
    }

    fn run_of(&self, name: &str) -> RunDir {
        RunDir::open(self.folder.path(), &run_with_config(self, name)).unwrap()
    }

    fn batching(&self, scale: &str, batch: usize) -> Batching {
        Batching {
            batch,
            order: Order::Shuffled,
            seed: 3,
            augment: Some("crop(0.5..1)|hflip(0.2)".parse().unwrap()),
            augment_val: false,
            preprocess: preprocess(scale),
            threads: 2,
        }
    }

    fn data(&self) -> TrainingSet {
        self.data_of(BATCH, "1/255", ["left", "right"])
    }

    /// `scale` is that of the validation images.
    fn data_of(&self, batch: usize, scale: &str, classes: [&str; 2]) -> TrainingSet {
        let batching = self.batching("1/255", batch);
        let train = batching.images(self.train.clone(), Purpose::Training);
        let val = self.batching(scale, batch);
        let val = val.images(self.val.clone(), Purpose::Validation);
        TrainingSet::new(classes.map(String::from).to_vec(), train, val, batching)
    }

    fn fit(
        &self,
        run: &RunDir,
        options: &TrainOptions,
        resumed: Option<Checkpoint>,
        observer: &mut dyn Observer,
    ) -> Result<Trained> {
        // Another seed after a resume: every weight must come from the checkpoint.
        let seed = if resumed.is_some() { 99 } else { 1 };
        fit(network(seed), &self.data(), options, run, resumed, observer)
    }

    /// Runs, is stopped right after the given step, and is resumed.
    fn interrupted(&self, name: &str, options: &TrainOptions, at: At) -> Trained {
        let run = self.run(name);
        stop_at(network(1), &self.data(), options, &run, at);
        assert!(open(&run).state().rows.len() < options.epochs);
        self.fit(&run, options, Some(open(&run)), &mut ()).unwrap()
    }
}

/// Epoch, phase and step.
type At = (usize, Phase, usize);

/// Interrupts a training right after a step.
struct StopAt {
    interrupt: Interrupt,
    at: At,
    ended: Option<Ended>,
}

impl Observer for StopAt {
    fn step(&mut self, report: &StepReport) {
        if (report.epoch, report.phase, report.progress.step) == self.at {
            self.interrupt.request();
        }
    }

    fn ended(&mut self, how: std::result::Result<Ended, &Error>) {
        self.ended = how.ok();
    }
}

/// Trains in a folder.
fn fit(
    network: Network,
    data: &TrainingSet,
    options: &TrainOptions,
    run: &RunDir,
    resumed: Option<Checkpoint>,
    observer: &mut dyn Observer,
) -> Result<Trained> {
    let checkpoints = Checkpoints::in_folder(run, resumed);
    let interrupt = Interrupt::default();
    train(
        network.into(),
        data,
        options,
        checkpoints,
        observer,
        &interrupt,
    )
}

/// Trains until right after a step, where it is interrupted.
fn stop_at(network: Network, data: &TrainingSet, options: &TrainOptions, run: &RunDir, at: At) {
    let interrupt = Interrupt::default();
    let mut observer = StopAt {
        interrupt: interrupt.clone(),
        at,
        ended: None,
    };
    let checkpoints = Checkpoints::in_folder(run, None);
    let trained = train(
        network.into(),
        data,
        options,
        checkpoints,
        &mut observer,
        &interrupt,
    );
    assert!(
        matches!(trained, Err(Error::Interrupted { run: None })),
        "{at:?}"
    );
    assert_eq!(observer.ended, Some(Ended::Interrupted), "{at:?}");
}

fn network(seed: u64) -> Network {
    let config = CustomConfig {
        width: 4,
        cells: 2,
        growth: 2.0,
        ..CustomConfig::default()
    };
    Network::build(
        &Spec::Custom(config),
        2,
        seed,
        &Device::default().autodiff(),
    )
    .unwrap()
}

fn options(epochs: usize) -> TrainOptions {
    TrainOptions {
        solver: Solver::Loop,
        epochs,
        last_epoch: None,
        lr: 5e-3,
        objective: Objective::default(),
        class_weights: ClassWeights::None,
        mixing: Mixing::default(),
        accumulate: 1,
        precision: kernels::Precision::F32,
        optimizer: OptimizerOptions {
            kind: OptimizerKind::Adam,
            weight_decay: 0.0,
            momentum: 0.9,
        },
        scheduler: SchedulerKind::Plateau,
        warmup: 0.0,
        clip_norm: None,
        weight_average: WeightAverage::None,
        fine_tuning: None,
        early_stop: None,
        save: SaveKind::Best,
        best_by: Criterion::ValAccuracy,
    }
}

fn open(run: &RunDir) -> Checkpoint {
    Checkpoint::open(&run.last()).unwrap()
}

/// The bits of every tensor.
fn bits(network: &Network) -> Vec<(String, Vec<u8>)> {
    let state = network.valid().state().into_iter();
    state
        .map(|(name, data)| (name, data.as_bytes().to_vec()))
        .collect()
}

/// What a clock cannot change.
fn timeless(rows: &[EpochRow]) -> Vec<[u64; 6]> {
    let bits = |row: &EpochRow| {
        [
            row.epoch as f64,
            row.lr,
            row.train_loss,
            row.train_accuracy,
            row.val_loss,
            row.val_accuracy,
        ]
        .map(f64::to_bits)
    };
    rows.iter().map(bits).collect()
}

#[test]
fn an_interrupted_and_resumed_run_ends_with_the_same_bits() {
    let shop = Workshop::new();
    let mut options = options(3);
    for kind in [OptimizerKind::Adam, OptimizerKind::Sgd] {
        options.optimizer.kind = kind;
        let whole_run = shop.run(&format!("{kind:?}"));
        let whole = shop.fit(&whole_run, &options, None, &mut ()).unwrap();
        assert_eq!(whole.ended, Ended::Finished);
        let stops = [
            (1, Phase::Train, 1), // before any epoch is done
            (2, Phase::Train, 2), // in the middle of an epoch
            (2, Phase::Train, 4), // after its last step
            (2, Phase::Val, 1),   // in the validation
            (1, Phase::Val, 2),   // after its last step
        ];
        for (number, at) in stops.into_iter().enumerate() {
            let name = format!("{kind:?}-{number}");
            let outcome = shop.interrupted(&name, &options, at);
            assert_eq!(outcome.ended, Ended::Finished);
            assert_eq!(timeless(&outcome.rows), timeless(&whole.rows), "{at:?}");
            assert_eq!(bits(&outcome.network), bits(&whole.network), "{at:?}");
            let run = RunDir::open(shop.folder.path(), &run_with_config(&shop, &name)).unwrap();
            let (ours, theirs) = (open(&run), open(&whole_run));
            assert_eq!(ours.tensors(), theirs.tensors(), "{at:?}");
            assert_eq!(ours.state().scheduler, theirs.state().scheduler);
            assert_eq!(ours.state().stopping, theirs.state().stopping);
        }
    }
}

fn run_with_config(shop: &Workshop, name: &str) -> std::path::PathBuf {
    let path = shop.folder.path().join(name);
    fs::write(path.join("config.toml"), "").unwrap();
    path
}

#[test]
fn a_finished_run_goes_on_with_more_epochs_as_if_it_had_not_ended() {
    let shop = Workshop::new();
    let whole = shop
        .fit(&shop.run("whole"), &options(4), None, &mut ())
        .unwrap();
    let run = shop.run("longer");
    shop.fit(&run, &options(2), None, &mut ()).unwrap();
    let longer = shop
        .fit(&run, &options(4), Some(open(&run)), &mut ())
        .unwrap();
    assert_eq!(timeless(&longer.rows), timeless(&whole.rows));
    assert_eq!(bits(&longer.network), bits(&whole.network));
    // There is nothing left to do.
    let again = shop
        .fit(&run, &options(4), Some(open(&run)), &mut ())
        .unwrap();
    assert_eq!((again.ended, again.rows.len()), (Ended::Finished, 4));
    assert_eq!(bits(&again.network), bits(&whole.network));
}

#[test]
fn the_network_that_comes_out_is_the_best_epochs_and_scores_what_its_row_says() {
    let shop = Workshop::new();
    let run = shop.run("run");
    let options = TrainOptions {
        best_by: Criterion::ValLoss,
        lr: 0.05,
        ..options(6)
    };
    let outcome = shop.fit(&run, &options, None, &mut ()).unwrap();
    let best = outcome
        .rows
        .iter()
        .min_by(|a, b| a.val_loss.total_cmp(&b.val_loss))
        .unwrap();
    assert_eq!(outcome.epoch, best.epoch);
    assert!(
        outcome.epoch < 6,
        "the last epoch is the best: the test shows nothing"
    );
    let data = shop.data();
    let samples = shop.val.samples();
    let mut told = vec![];
    let mut progress = |done| told.push(done);
    let evaluation = evaluate(&outcome.network, &data.val, &data.classes, &mut progress).unwrap();
    let (scores, predictions) = (evaluation.scores, evaluation.predictions);
    assert!((scores.loss - best.val_loss).abs() < 1e-9);
    assert!((100.0 * scores.accuracy - best.val_accuracy).abs() < 1e-9);
    assert_eq!((scores.count, told), (6, vec![4, 6]));
    for (prediction, sample) in predictions.iter().zip(samples) {
        assert_eq!(prediction.path, sample.relative);
        assert!(sample.relative.contains(&format!("/{}/", prediction.label)));
        assert!(
            (0.5..=1.0).contains(&prediction.probability),
            "{}",
            prediction.probability
        );
    }
    let hits = predictions
        .iter()
        .filter(|p| p.label == p.predicted)
        .count();
    assert!((hits as f64 / 6.0 - scores.accuracy).abs() < 1e-12);
    let text = fs::read_to_string(run.metrics()).unwrap();
    assert_eq!(text.lines().count(), 1 + 6);
    let file = Checkpoint::open(&run.best()).unwrap();
    assert_eq!(file.epochs_done(), best.epoch);
    assert_eq!(open(&run).epochs_done(), 6);
}

#[test]
fn it_learns_to_tell_the_classes_apart() {
    let shop = Workshop::new();
    let outcome = shop
        .fit(&shop.run("run"), &options(8), None, &mut ())
        .unwrap();
    let (first, last) = (&outcome.rows[0], &outcome.rows[7]);
    assert!(
        last.train_loss < 0.7 * first.train_loss,
        "{} {}",
        first.train_loss,
        last.train_loss
    );
    let best = outcome
        .rows
        .iter()
        .map(|row| row.val_accuracy)
        .fold(0.0, f64::max);
    assert!(best > 80.0, "{best} %");
}

#[test]
fn save_decides_which_checkpoints_stay() {
    let shop = Workshop::new();
    let expected = [
        (SaveKind::Best, vec!["best", "last"]),
        (SaveKind::Last, vec!["last"]),
        (SaveKind::All, vec!["best", "epoch-1", "epoch-2", "last"]),
    ];
    for (save, names) in expected {
        let run = shop.run(&format!("{save:?}"));
        let outcome = shop
            .fit(&run, &TrainOptions { save, ..options(2) }, None, &mut ())
            .unwrap();
        let mut found: Vec<_> = fs::read_dir(run.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.ends_with(".csv"))
            .collect();
        found.sort();
        let names: Vec<_> = names
            .iter()
            .map(|name| format!("{name}.safetensors"))
            .collect();
        assert_eq!(found, names);
        if save == SaveKind::Last {
            assert_eq!(outcome.epoch, 2);
        }
    }
}

#[test]
fn a_run_stops_early_after_exactly_n_epochs_without_a_new_best() {
    let shop = Workshop::new();
    let options = TrainOptions {
        early_stop: Some(2),
        lr: 0.05,
        ..options(40)
    };
    let run = shop.run("run");
    let outcome = shop.fit(&run, &options, None, &mut ()).unwrap();
    assert_eq!(outcome.ended, Ended::EarlyStopped);
    assert_eq!(outcome.rows.len(), outcome.epoch + 2);
    // More patience takes it further.
    let patient = TrainOptions {
        early_stop: Some(3),
        ..options
    };
    let outcome = shop.fit(&run, &patient, Some(open(&run)), &mut ()).unwrap();
    assert!(outcome.rows.len() >= outcome.epoch + 3);
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run_and_leaves_the_last_good_checkpoint() {
    let shop = Workshop::new();
    let run = shop.run("run");
    shop.fit(&run, &options(1), None, &mut ()).unwrap();
    let before = fs::read(run.last()).unwrap();
    let data = shop.data();
    let huge = shop.data_of(BATCH, "1e38", ["left", "right"]);
    let check = |result: Result<Trained>, text: &str| {
        let error = result.err().unwrap();
        assert!(matches!(&error, Error::LossNotFinite { loss, .. } if !loss.is_finite()));
        assert!(error.to_string().ends_with(text), "{error}");
        assert!(error.hint().unwrap().contains("--lr"));
        assert_eq!(fs::read(run.last()).unwrap(), before);
    };
    let mut state: BTreeMap<_, _> = network(1).state().into_iter().collect();
    state.insert("fc.bias".into(), TensorData::from([f32::NAN, 0.0]));
    let poisoned = network(1).load_state(&state).unwrap();
    let result = fit(poisoned, &data, &options(3), &run, None, &mut ());
    check(result, "in epoch 1, step 1");
    let resumed = Some(open(&run));
    let result = fit(network(1), &huge, &options(3), &run, resumed, &mut ());
    check(result, "in epoch 2, step 1");
    // The first step is fine; it makes weights that are too large.
    let mut wild = TrainOptions {
        lr: 1e30,
        ..options(3)
    };
    wild.optimizer.kind = OptimizerKind::Sgd;
    let result = fit(network(1), &data, &wild, &run, None, &mut ());
    check(result, "in epoch 1, step 2");
}

#[test]
fn a_checkpoint_of_something_else_is_refused_by_name() {
    let shop = Workshop::new();
    let run = shop.run("run");
    shop.fit(&run, &options(1), None, &mut ()).unwrap();
    let refused = |options: &TrainOptions, batch, classes: [&str; 2], word: &str| {
        let data = shop.data_of(batch, "1/255", classes);
        let resumed = Some(open(&run));
        let error = fit(network(1), &data, options, &run, resumed, &mut ())
            .err()
            .unwrap();
        let text = error.to_string();
        assert!(
            text.contains("last.safetensors") && text.contains(word),
            "{text}"
        );
    };
    let classes = ["left", "right"];
    refused(&options(2), 7, classes, "steps");
    let mut other = options(2);
    other.optimizer.kind = OptimizerKind::Sgd;
    refused(&other, BATCH, classes, "optimiser");
    refused(
        &TrainOptions {
            scheduler: SchedulerKind::Cosine,
            ..options(2)
        },
        BATCH,
        classes,
        "scheduler",
    );
    refused(&options(2), BATCH, ["ants", "bees"], "classes");
}

#[test]
fn a_truncated_checkpoint_is_an_error_that_names_the_file() {
    let shop = Workshop::new();
    let run = shop.run("run");
    shop.fit(&run, &options(1), None, &mut ()).unwrap();
    let bytes = fs::read(run.last()).unwrap();
    for length in [0, 7, 8, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(run.last(), &bytes[..length]).unwrap();
        let error = Checkpoint::open(&run.last()).err().unwrap();
        assert!(
            matches!(error, Error::Checkpoint { .. }),
            "{length}: {error}"
        );
        assert!(error.to_string().contains("last.safetensors"), "{error}");
    }
    fs::write(run.last(), &bytes).unwrap();
    assert_eq!(
        open(&run).state(),
        &Checkpoint::open(&run.best()).unwrap().state().clone()
    );
}
