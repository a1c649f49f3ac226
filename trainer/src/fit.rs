//! Training, epoch by epoch: train, validate, save. It prints nothing and knows no command line.

mod backbone;
mod checkpoint;
mod epoch;
mod feed;
mod optim;
mod rows;
mod schedule;
pub(crate) mod step;
mod stopping;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::tensor::{Device, TensorData};
use models::Network;

pub use backbone::Backbone;
pub use checkpoint::{Checkpoint, State};
pub use epoch::{Phase, Progress};
pub use feed::Feed;
pub use optim::OptimizerOptions;
pub use rows::EpochRow;
pub use schedule::Scheduler;
pub use stopping::{Best, Stopping};

pub(crate) use backbone::cut_graph;

use crate::error::{Error, Result};
use crate::recipe::{Criterion, SaveKind, SchedulerKind};
use crate::run_dir::RunDir;
use epoch::{Pass, Work};

/// How to train.
#[derive(Clone, Debug)]
pub struct FitOptions {
    /// Passes over the training images.
    pub epochs: usize,
    /// Learning rate of the first epoch.
    pub lr: f64,
    /// What moves the weights.
    pub optimizer: OptimizerOptions,
    /// How the learning rate changes.
    pub scheduler: SchedulerKind,
    /// Epochs without a new best before the run stops.
    pub early_stop: Option<usize>,
    /// Which checkpoints stay, and which network comes out.
    pub save: SaveKind,
    /// What makes an epoch the best.
    pub best_by: Criterion,
}

/// What is trained on, and where it lands.
pub struct Room<'a> {
    /// The training images, or their features.
    pub train: Feed<'a>,
    /// The validation images, or their features.
    pub val: Feed<'a>,
    /// What computes the features of pictures in place of Burn, where the network is frozen.
    pub backbone: Option<&'a Backbone>,
    /// Class names in output order.
    pub classes: &'a [String],
    /// The run folder: checkpoints and `metrics.csv`. Without one nothing is written, and the best
    /// weights stay in memory.
    pub run: Option<&'a RunDir>,
    /// Set it to end the run after the step in progress.
    pub stop: &'a AtomicBool,
}

/// Where an epoch has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Training or validation.
    pub phase: Phase,
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// Steps of this phase.
    pub num_steps: usize,
    /// Steps and images done, running loss and accuracy.
    pub progress: Progress,
}

/// Whoever wants to see a run go on.
pub trait Watch {
    /// An epoch (counted from 1) begins, or goes on after a resume.
    fn epoch_started(&mut self, _epoch: usize, _epochs: usize) {}
    /// A step is done.
    fn step(&mut self, _report: &StepReport) {}
    /// An epoch is done and saved.
    fn epoch_done(&mut self, _row: &EpochRow, _new_best: bool) {}
    /// Training is over: how it ended, or the error that ended it.
    fn ended(&mut self, _how: Result<Ended, &Error>) {}
}

/// Nobody watches.
impl Watch for () {}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All epochs are done.
    Finished,
    /// No new best for the given number of epochs.
    EarlyStopped,
    /// Asked to stop; `last` is saved.
    Interrupted,
}

/// What comes out of a run.
pub struct Outcome {
    /// The best epoch's network, or the last's with [`SaveKind::Last`] and when interrupted; for
    /// inference, without autodiff.
    pub network: Network,
    /// The epoch that `network` is of, counted from 1: the best, or else the last.
    pub epoch: usize,
    /// How the run ended.
    pub ended: Ended,
    /// One row per epoch done, those before a resume included.
    pub rows: Vec<EpochRow>,
}

/// Trains `network`, from the start or from a checkpoint.
///
/// Each epoch is one pass over the training images and one over the validation images, then a
/// checkpoint (`best.safetensors` when it is the new best, `last.safetensors` always,
/// `epoch-N.safetensors` with [`SaveKind::All`]) and a row of `metrics.csv`. A run that is
/// interrupted, even in the middle of an epoch, and resumed from `last.safetensors` ends with the
/// same bits as one that was not, on a device that computes the same twice.
///
/// # Errors
/// When a loss is not finite (the weights have not moved by then, and the checkpoints are those
/// of the last good epoch), when an image or a file fails, and when the checkpoint is of another
/// network or data set.
pub fn fit(
    network: Network,
    room: &Room<'_>,
    options: &FitOptions,
    resume: Option<&Checkpoint>,
    watch: &mut dyn Watch,
) -> Result<Outcome> {
    let outcome = train(network, room, options, resume, watch);
    watch.ended(outcome.as_ref().map(|outcome| outcome.ended));
    outcome
}

fn train(
    network: Network,
    room: &Room<'_>,
    options: &FitOptions,
    resume: Option<&Checkpoint>,
    watch: &mut dyn Watch,
) -> Result<Outcome> {
    let (mut run, mut network) = Run::start(network, room, options, resume)?;
    let ended = loop {
        if run.state.epoch > options.epochs {
            break Ended::Finished;
        }
        if run.state.stopping.exhausted(options.early_stop) {
            break Ended::EarlyStopped;
        }
        let mut done = false;
        if !room.stop.load(Ordering::Relaxed) {
            watch.epoch_started(run.state.epoch, options.epochs);
            (network, done) = run.epoch(network, watch)?;
        }
        if !done {
            if let Some(folder) = room.run {
                run.save(&network, &[folder.last()])?;
            }
            break Ended::Interrupted;
        }
    };
    run.outcome(network, ended)
}

/// A run in progress.
struct Run<'a> {
    room: &'a Room<'a>,
    options: &'a FitOptions,
    device: Device,
    optimizer: ModuleOptimizer,
    state: State,
    /// What training has moved by the best epoch, where no folder keeps it.
    best: Option<BTreeMap<String, TensorData>>,
}

impl<'a> Run<'a> {
    fn start(
        network: Network,
        room: &'a Room<'a>,
        options: &'a FitOptions,
        resume: Option<&Checkpoint>,
    ) -> Result<(Self, Network)> {
        for (split, feed) in [("train", room.train), ("val", room.val)] {
            if feed.num_batches() == 0 {
                let data = room.run.map(RunDir::name).unwrap_or_default();
                return Err(Error::EmptySplit {
                    split: split.into(),
                    data,
                });
            }
        }
        let device = step::device(&network);
        let mut run = Self {
            room,
            options,
            device,
            optimizer: options.optimizer.init(),
            state: State {
                format: checkpoint::FORMAT,
                network: network.name(),
                backbone: backbone(&network),
                classes: room.classes.to_vec(),
                epoch: 1,
                train: Progress::default(),
                steps_per_epoch: room.train.num_batches(),
                optimizer: options.optimizer.kind,
                scheduler: Scheduler::new(options.scheduler, options.lr),
                stopping: Stopping::default(),
                rows: vec![],
                parameter_ids: vec![],
            },
            best: None,
        };
        let Some(checkpoint) = resume else {
            return Ok((run, network.valid().train()));
        };
        run.check(checkpoint)?;
        let network = checkpoint.network(network.valid())?.train();
        run.optimizer = checkpoint.optimizer(&network, options.optimizer.init())?;
        run.state = State {
            format: run.state.format,
            backbone: run.state.backbone,
            ..checkpoint.state().clone()
        };
        run.write_rows()?;
        Ok((run, network))
    }

    /// A checkpoint goes on only with what it was made with.
    fn check(&self, checkpoint: &Checkpoint) -> Result<()> {
        let (now, then) = (&self.state, checkpoint.state());
        let differs = |what: &str, then: String, now: String| Error::Checkpoint {
            path: checkpoint.path().to_path_buf(),
            reason: format!("its {what} is {then}, this run's {now}"),
        };
        if then.network != now.network {
            return Err(differs(
                "network",
                then.network.clone(),
                now.network.clone(),
            ));
        }
        if then.classes != now.classes {
            return Err(differs(
                "list of classes",
                then.classes.join(", "),
                now.classes.join(", "),
            ));
        }
        if then.steps_per_epoch != now.steps_per_epoch {
            let steps = |state: &State| format!("{} steps", state.steps_per_epoch);
            return Err(differs("epoch", steps(then), steps(now)));
        }
        if then.optimizer != now.optimizer {
            let name = |state: &State| format!("{:?}", state.optimizer).to_lowercase();
            return Err(differs("optimiser", name(then), name(now)));
        }
        if then.scheduler.kind() != now.scheduler.kind() {
            let name = |state: &State| format!("{:?}", state.scheduler.kind()).to_lowercase();
            return Err(differs("scheduler", name(then), name(now)));
        }
        Ok(())
    }

    /// Trains and validates; `false` when it was stopped before the end.
    fn epoch(&mut self, network: Network, watch: &mut dyn Watch) -> Result<(Network, bool)> {
        let lr = self.state.scheduler.lr(self.options.epochs);
        let mut train = self.state.train;
        let work = Work::Train {
            optimizer: &mut self.optimizer,
            lr,
        };
        let network = Pass {
            work,
            ..pass(self.room, self.room.train, &self.device, &self.state)
        }
        .run(network, &mut train, watch)?;
        self.state.train = train;
        if train.step < self.room.train.num_batches() || self.room.stop.load(Ordering::Relaxed) {
            return Ok((network, false));
        }
        let mut val = Progress::default();
        pass(self.room, self.room.val, &self.device, &self.state).run(
            network.valid(),
            &mut val,
            watch,
        )?;
        if val.step < self.room.val.num_batches() {
            return Ok((network, false));
        }
        self.finish(&network, lr, &val, watch)?;
        Ok((network, true))
    }

    fn finish(
        &mut self,
        network: &Network,
        lr: f64,
        val: &Progress,
        watch: &mut dyn Watch,
    ) -> Result<()> {
        let state = &mut self.state;
        let train = std::mem::take(&mut state.train);
        let epoch = state.epoch;
        let row = EpochRow {
            epoch,
            lr,
            train_loss: train.loss(),
            train_accuracy: train.accuracy(),
            val_loss: val.loss(),
            val_accuracy: val.accuracy(),
            train_seconds: train.seconds,
            val_seconds: val.seconds,
            train_images_per_second: train.images_per_second(),
            val_images_per_second: val.images_per_second(),
            train_wait_seconds: train.wait_seconds,
        };
        state.rows.push(row.clone());
        state.scheduler.epoch_done(row.val_loss);
        let (val_loss, val_accuracy) = (row.val_loss, row.val_accuracy);
        let new_best = state.stopping.observe(
            self.options.best_by,
            Best {
                epoch,
                val_loss,
                val_accuracy,
            },
        );
        state.epoch += 1;
        let keep_best = new_best && self.options.save != SaveKind::Last;
        match self.room.run {
            Some(run) => {
                let mut paths: Vec<PathBuf> = vec![];
                if self.options.save == SaveKind::All {
                    paths.push(run.path().join(format!("epoch-{epoch}.safetensors")));
                }
                if keep_best {
                    paths.push(run.best());
                }
                // `last` comes last: after a kill in between, the run repeats this epoch.
                paths.push(run.last());
                self.save(network, &paths)?;
                self.write_rows()?;
            }
            None if keep_best => {
                self.best = Some(network.valid().trained_state().into_iter().collect());
            }
            None => {}
        }
        watch.epoch_done(&row, new_best);
        Ok(())
    }

    fn write_rows(&self) -> Result<()> {
        let Some(run) = self.room.run else {
            return Ok(());
        };
        rows::write(&run.metrics(), &self.state.rows)
    }

    fn save(&self, network: &Network, paths: &[PathBuf]) -> Result<()> {
        Checkpoint::take(network, &self.optimizer, &self.state)?.save(paths)
    }

    fn outcome(self, network: Network, ended: Ended) -> Result<Outcome> {
        let best = self.state.stopping.best();
        let mut network = network.valid();
        let mut epoch = self.state.epoch - 1;
        let best_file = self.room.run.map(RunDir::best);
        let wanted = ended != Ended::Interrupted && self.options.save != SaveKind::Last;
        // A run that began with `--save last` has no best file.
        if let Some(best) = best.filter(|best| wanted && best.epoch != epoch) {
            if let Some(file) = best_file.filter(|file| file.exists()) {
                let checkpoint = Checkpoint::open(&file)?;
                network = checkpoint.network(network)?;
                epoch = checkpoint.epochs_done();
            } else if let Some(state) = &self.best {
                network = network.load_trained_state(state)?;
                epoch = best.epoch;
            }
        }
        Ok(Outcome {
            network,
            epoch,
            ended,
            rows: self.state.rows,
        })
    }
}

/// The backbone that a checkpoint of this network leaves out, because training does not move it.
fn backbone(network: &Network) -> Option<String> {
    let sha256 = network.backbone_sha256().filter(|_| network.is_frozen());
    sha256.map(str::to_owned)
}

/// A validation pass; the training pass replaces its work.
fn pass<'a>(room: &'a Room<'a>, feed: Feed<'a>, device: &'a Device, state: &State) -> Pass<'a> {
    Pass {
        work: Work::Val,
        feed,
        backbone: room.backbone,
        device,
        epoch: state.epoch,
        stop: room.stop,
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod twin;
