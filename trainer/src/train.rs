//! The training loop, epoch by epoch: train, validate, save; beside it `fit_head`, for a layer on cached features, and
//! for that of a backbone before it is fine-tuned. It prints nothing and knows no command line.
//!
//! Four things vary without a change to [`train`]: the examples ([`Examples`]), the
//! network ([`Model`]), what is minimised ([`Objective`]), and how the weights move ([`OptimizerOptions`] and
//! [`Scheduler`]). `docs/adding-a-model.md` says where another one of each goes.

mod average;
mod best_epoch;
mod checkpoint;
mod checkpoints;
mod choice;
mod clipping;
mod fine_tuning;
mod fit_head;
mod gradients;
mod history;
mod mixing;
mod objective;
mod observer;
mod optimizer;
mod options;
mod progress;
mod range_test;
mod schedule;
mod state;

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use models::Network;

pub use best_epoch::{BestEpoch, EpochScore};
pub use checkpoint::Checkpoint;
pub use checkpoints::Checkpoints;
pub use fine_tuning::FineTuning;
pub use mixing::Mixing;
pub use objective::{Objective, Targets};
pub use observer::{Ended, Observer, StepReport};
pub use optimizer::OptimizerOptions;
pub use options::{Solver, TrainOptions};
pub use progress::{Phase, Progress};
pub use range_test::{RangeStep, RangeTest, range_test};
pub use report::run_files::{EpochRow, FineTuned, HeadFit};
pub use schedule::Scheduler;
pub use state::State;

use average::Average;
use checkpoints::Saved;
use clipping::clip_by_norm;
use fine_tuning::LearningRates;

use crate::error::{Error, Result};
use crate::examples::{Batch, Examples};
use crate::interrupt::Interrupt;
use crate::model::Model;
use crate::recipe::{Criterion, WeightAverage};
use crate::tensors;
use crate::training_set::TrainingSet;
use gradients::{Accumulator, differentiate};
use progress::Clock;

/// A trained network.
pub struct Trained {
    /// The best epoch's network, or the last's with `--save last`; for inference, without autodiff.
    pub network: Network,
    /// The epoch that `network` is of, counted from 1; 0 where a fine-tuning is not better than the frozen backbone.
    pub epoch: usize,
    pub ended: Ended,
    /// One row per epoch done, those before a resume included.
    pub rows: Vec<EpochRow>,
    /// How the classification layer was fitted, where no epochs trained it: it then has one row.
    pub head: Option<HeadFit>,
    /// What fine-tuning changed.
    pub fine_tuned: Option<FineTuned>,
}

impl Trained {
    /// Validation accuracy of the network's epoch, `[0, 1]`; unknown for one of an unfinished epoch.
    pub fn val_accuracy(&self) -> Option<f64> {
        if let Some(fine_tuned) = self.fine_tuned.as_ref().filter(|_| self.epoch == 0) {
            return Some(fine_tuned.frozen.val_accuracy);
        }
        let row = self.rows.iter().find(|row| row.epoch == self.epoch);
        row.map(|row| row.val_accuracy / 100.0)
    }
}

/// Trains a model, from the start or from the checkpoint that `checkpoints` has.
///
/// Each epoch is one pass over the training examples and one over the validation examples, then a
/// checkpoint (`best.safetensors` when it is the new best, `last.safetensors` always,
/// `epoch-N.safetensors` with `--save all`) and a row of `metrics.csv`. A run that is
/// interrupted, even in the middle of an epoch, and resumed from `last.safetensors` ends with the
/// same bits as one that was not, on a device that computes the same twice.
///
/// # Errors
/// When a loss is not finite (the weights have not moved by then, and the checkpoints are those
/// of the last good epoch), when an image or a file fails, when the checkpoint is of another network or
/// data set, and [`Error::Interrupted`] when the run is interrupted, after `last` is saved.
pub fn train(
    model: Model,
    data: &TrainingSet,
    options: &TrainOptions,
    checkpoints: Checkpoints<'_>,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Trained> {
    let run = match options.solver {
        Solver::Loop => run_epochs,
        Solver::Lbfgs { .. } => fit_head::fit_head,
    };
    // In a thread of the pool. A thread outside it would sleep and be woken again for every operation of a network.
    let trained = rayon::scope(|_| {
        let options = options.for_data(data)?;
        run(model, data, &options, checkpoints, observer, interrupt)
    });
    observer.ended(match &trained {
        Ok(trained) => Ok(trained.ended),
        Err(Error::Interrupted { .. }) => Ok(Ended::Interrupted),
        Err(error) => Err(error),
    });
    trained
}

/// The loop over epochs and steps.
fn run_epochs(
    mut model: Model,
    data: &TrainingSet,
    options: &TrainOptions,
    mut checkpoints: Checkpoints<'_>,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Trained> {
    let Begun {
        mut optimizer,
        mut state,
        mut average,
    } = begin_or_resume(&mut model, data, options, &mut checkpoints)?;
    if options.fine_tuning.is_some() && state.frozen.is_none() {
        let begun = (&mut model, &mut state);
        fit_head::fit_head_of_backbone(begun, data, options, observer, interrupt)?;
        checkpoints.save_frozen(&saved(&model, &Average::none(), &optimizer, &state))?;
        average.restart(&model.network);
    }
    if let Some(fine_tuning) = options.fine_tuning.filter(|f| f.tuned_share < 1.0) {
        // NB: not a clone, which would share the running statistics of batch norm.
        let start = checkpoints.frozen_network(model.network.valid())?;
        average.keep_start(&start, fine_tuning.tuned_share);
    }
    let rates = LearningRates::new(&model.network, options.fine_tuning.as_ref());
    let device = model.device().autodiff();
    let ended = loop {
        if let Some(ended) = state.ended(options) {
            break ended;
        }
        if !interrupt.is_requested() {
            observer.epoch_started(state.epoch, options.epochs);
            let clock = Clock::start(&state.train);
            let mut batches = data.train.batches(state.epoch, state.train.step);
            let mut accumulator = Accumulator::new(options.accumulate);
            while let Some(batch) = clock.next(&mut batches, &mut state.train) {
                let (epoch, step) = (state.epoch, state.train.step);
                let (inputs, targets) = options.mixing.apply(batch?, data, epoch, step);
                let objective = &options.objective;
                let (gradients, logits) =
                    differentiate(&model, inputs, &targets, options, &device)?;
                // A loss that is not finite ends the run here, before a weight moves.
                state
                    .train
                    .add(&logits, &targets, objective, Phase::Train, epoch)?;
                let weight = objective.total_weight(&targets);
                let is_last = state.train.step == data.train.num_batches();
                if let Some(mean) = accumulator.add(&model.network, gradients, weight, is_last) {
                    let mean = clip_by_norm(mean, &model.network, options.clip_norm);
                    let lr = state.scheduler.lr(&state.position(options, step));
                    model.network = optimizer.step(rates.at(lr), model.network, mean);
                    average.update(&model.network, state.steps_done());
                }
                clock.tick(&mut state.train);
                observer.step(&report(Phase::Train, epoch, &data.train, &state.train));
                if interrupt.is_requested() && accumulator.is_empty() {
                    break;
                }
            }
        }
        let result = Model::from(average.result(&model.network));
        let validation = match interrupt.is_requested() {
            true => None,
            false => {
                let scored = (&result, options.objective.of_validation());
                validate(scored, &data.val, state.epoch, observer, interrupt)?
            }
        };
        let Some(validation) = validation else {
            checkpoints.save_interrupted(&saved(&model, &average, &optimizer, &state))?;
            return Err(interrupt.error());
        };
        let new_best = state.end_epoch(&validation, options);
        let epoch = saved(&model, &average, &optimizer, &state);
        checkpoints.save_epoch(&epoch, options.save, new_best)?;
        // Where the last epoch is taken whatever its score, none is called the best.
        let best_by = options.best_by.resolve(validation.images as usize);
        let is_best = new_best && best_by != Criterion::Last;
        observer.epoch_done(state.last_row(), is_best);
    };
    let last = average.result(&model.network);
    let best = checkpoints.best_network(last, &state, options)?;
    conclude(best, ended, data, state, options, &checkpoints)
}

/// The result of the loop: of a fine-tuning, the better of the two networks.
fn conclude(
    (mut network, mut epoch): (Network, usize),
    ended: Ended,
    data: &TrainingSet,
    state: State,
    options: &TrainOptions,
    checkpoints: &Checkpoints<'_>,
) -> Result<Trained> {
    let mut fine_tuned = None;
    if let Some(fine_tuning) = &options.fine_tuning {
        // NB: not a clone, which would share the running statistics of batch norm.
        let frozen = checkpoints.frozen_network(network.valid())?;
        let found = choice::compare(
            &frozen,
            &network,
            data,
            &options.objective,
            fine_tuning.keep,
        )?;
        if !found.kept_tuned {
            (network, epoch) = (frozen.into_frozen(), 0);
        }
        checkpoints.keep(found.kept_tuned, options.save)?;
        fine_tuned = Some(found);
    }
    Ok(Trained {
        network,
        epoch,
        ended,
        rows: state.rows,
        head: state.head,
        fine_tuned,
    })
}

fn saved<'a>(
    model: &'a Model,
    average: &'a Average,
    optimizer: &'a ModuleOptimizer,
    state: &'a State,
) -> Saved<'a> {
    Saved {
        network: &model.network,
        average,
        optimizer,
        state,
    }
}

/// The loss and the correct answers of a model on the validation examples; `None` when the run was interrupted before
/// the last of them.
///
/// Epochs and runs are compared by [`Objective::of_validation`], whatever is minimised, and probabilities are calibrated
/// by it.
fn validate(
    (model, objective): (&Model, Objective),
    val: &Examples,
    epoch: usize,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Option<Progress>> {
    let mut progress = Progress::default();
    let device = model.device();
    let clock = Clock::start(&progress);
    let mut batches = val.batches(epoch, 0);
    while let Some(batch) = clock.next(&mut batches, &mut progress) {
        let Batch { inputs, labels } = batch?;
        let logits = tensors::read(model.forward(inputs, &device)?)?; // [N, K]
        progress.add(
            &logits,
            &Targets::Classes(labels),
            &objective,
            Phase::Val,
            epoch,
        )?;
        clock.tick(&mut progress);
        observer.step(&report(Phase::Val, epoch, val, &progress));
        // After the last batch the epoch is complete, and is saved as such.
        if interrupt.is_requested() && progress.step < val.num_batches() {
            return Ok(None);
        }
    }
    Ok(Some(progress))
}

fn report(phase: Phase, epoch: usize, examples: &Examples, progress: &Progress) -> StepReport {
    StepReport {
        phase,
        epoch,
        num_steps: examples.num_batches(),
        progress: *progress,
    }
}

/// A training before its next step, besides its network.
struct Begun {
    optimizer: ModuleOptimizer,
    state: State,
    average: Average,
}

/// Optimiser and state before the first step, or those of the checkpoint, whose weights the network then gets.
fn begin_or_resume(
    model: &mut Model,
    data: &TrainingSet,
    options: &TrainOptions,
    checkpoints: &mut Checkpoints<'_>,
) -> Result<Begun> {
    let mut network = model.network.valid();
    if let Some(fine_tuning) = &options.fine_tuning {
        network = fine_tuning.prepare(network);
    }
    let undecayed = options
        .fine_tuning
        .map(|_| fine_tuning::undecayed(&network));
    let optimizer = options.optimizer.init(undecayed);
    let has_average = options.weight_average == WeightAverage::Ema;
    let frozen = network.is_frozen();
    let state = State {
        format: state::FORMAT,
        network: network.name(),
        backbone: network
            .backbone_sha256()
            // Checkpoints leave out a frozen backbone alone.
            .filter(|_| frozen)
            .map(str::to_owned),
        classes: data.classes.clone(),
        epoch: 1,
        train: Progress::default(),
        steps_per_epoch: data.train.num_batches(),
        optimizer: options.optimizer.kind,
        scheduler: Scheduler::new(options.scheduler, options.lr),
        stopping: BestEpoch::default(),
        rows: vec![],
        head: None,
        frozen: None,
        has_average,
        parameter_ids: vec![],
    };
    let Some(checkpoint) = checkpoints.take_resumed() else {
        let average = Average::of(&network, has_average);
        model.network = network.train();
        return Ok(Begun {
            optimizer,
            state,
            average,
        });
    };
    if let Some((part, then, now)) = state.difference(checkpoint.state()) {
        return Err(Error::Checkpoint {
            path: checkpoint.path().to_path_buf(),
            reason: format!("its {part} is {then}, this run's {now}"),
        });
    }
    let average = Average::of(&checkpoint.network(network.valid())?, has_average);
    model.network = checkpoint.network_in_training(network)?.train();
    let optimizer = checkpoint.optimizer(&model.network, optimizer)?;
    let state = State {
        // The next checkpoint is written in the newest format, whatever this one has.
        format: state.format,
        backbone: state.backbone,
        ..checkpoint.state().clone()
    };
    // A kill between the two writes leaves `metrics.csv` without the last epoch of the checkpoint.
    checkpoints.save_history(&state)?;
    Ok(Begun {
        optimizer,
        state,
        average,
    })
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod twin;
