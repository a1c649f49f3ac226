//! Learning rate range test (Smith 2017, section 3.3): training steps at a rate that rises exponentially, until the
//! loss diverges. It saves nothing and prints nothing.

use serde::Serialize;

use super::clipping::clip_by_norm;
use super::fine_tuning::LearningRates;
use super::fit_head::fit_head_of_backbone;
use super::gradients::{Accumulator, differentiate};
use super::{Begun, Checkpoints, Phase, Progress, TrainOptions, begin_or_resume};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::model::Model;
use crate::training_set::TrainingSet;

/// The rates of the first and the last step.
const LOWEST: f64 = 1e-7;
const HIGHEST: f64 = 10.0;
/// The smoothed loss has diverged at so many times its least value, as in fastai.
const DIVERGED: f64 = 4.0;
/// The share that a step's loss keeps of the running mean by which divergence is seen.
const MEMORY: f64 = 0.9;
/// Half of the steps over which the curve is smoothed, and slopes are taken, as a share of all steps.
const HALF_WINDOW: f64 = 0.05;
/// The first of so many parts of the steps, at rates below 1e-5: they show the loss before it falls, and its noise.
const QUIET: usize = 4;
/// The share of that loss that it must fall by, so that its fall is no noise.
const LEAST_FALL: f64 = 0.05;

/// A step of a range test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RangeStep {
    pub lr: f64,
    /// Mean loss of the step's images, before it.
    pub loss: f64,
    /// Mean loss of the steps around it.
    pub smoothed: f64,
}

/// The losses of a range test and the learning rate that they suggest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RangeTest {
    pub steps: Vec<RangeStep>,
    /// Mean loss of the first quarter of the steps, whose rates are too low to change it; 0 where there is no step.
    pub initial_loss: f64,
    /// The rate at which the loss diverged, where it did.
    pub diverged_at: Option<f64>,
    /// The rate of the steepest descent; none where the loss does not fall.
    pub suggestion: Option<f64>,
}

/// Trains for `num_steps` steps at rates from 1e-7 to 10, or until the loss diverges. `done` gets the number of steps.
///
/// # Errors
/// When the training is interrupted, or an image fails.
pub fn range_test(
    mut model: Model,
    data: &TrainingSet,
    options: &TrainOptions,
    num_steps: usize,
    interrupt: &Interrupt,
    done: &mut dyn FnMut(usize),
) -> Result<RangeTest> {
    let options = &options.for_data(data)?;
    let mut checkpoints = Checkpoints::in_memory();
    let Begun {
        mut optimizer,
        mut state,
        ..
    } = begin_or_resume(&mut model, data, options, &mut checkpoints)?;
    if options.fine_tuning.is_some() {
        let begun = (&mut model, &mut state);
        fit_head_of_backbone(begun, data, options, &mut (), interrupt)?;
    }
    let rates = LearningRates::new(&model.network, options.fine_tuning.as_ref());
    let device = model.device().autodiff();
    // Epochs follow each other for ever.
    let mut batches = (1..).flat_map(|epoch| {
        let batches = data.train.batches(epoch, 0).enumerate();
        batches.map(move |(number, batch)| (epoch, number, batch))
    });
    let mut losses = Losses::default();
    let mut diverged_at = None;
    for step in 0..num_steps {
        let lr = rate(step, num_steps);
        let mut accumulator = Accumulator::new(options.accumulate);
        let mut progress = Progress::default();
        let gradients = loop {
            interrupt.check()?;
            let (epoch, number, batch) = batches.next().expect("a training set has images");
            let (inputs, targets) = options.mixing.apply(batch?, data, epoch, number);
            let objective = &options.objective;
            let (gradients, logits) = differentiate(&model, inputs, &targets, options, &device)?;
            match progress.add(&logits, &targets, objective, Phase::Train, epoch) {
                Ok(()) => {}
                Err(Error::LossNotFinite { .. }) => break None,
                Err(error) => return Err(error),
            }
            let weight = objective.total_weight(&targets);
            if let Some(mean) = accumulator.add(&model.network, gradients, weight, false) {
                break Some(mean);
            }
        };
        let Some(gradients) = gradients else {
            diverged_at = Some(lr);
            break;
        };
        let has_diverged = losses.add(progress.loss());
        if has_diverged {
            diverged_at = Some(lr);
            break;
        }
        let gradients = clip_by_norm(gradients, &model.network, options.clip_norm);
        model.network = optimizer.step(rates.at(lr), model.network, gradients);
        done(step + 1);
    }
    Ok(RangeTest::new(&losses.values, num_steps, diverged_at))
}

/// The rate of a step, counted from 0.
fn rate(step: usize, num_steps: usize) -> f64 {
    let share = step as f64 / (num_steps - 1) as f64;
    LOWEST * (HIGHEST / LOWEST).powf(share)
}

/// Losses so far, and their running mean.
#[derive(Debug, Default)]
struct Losses {
    values: Vec<f64>,
    sum: f64,
    /// The least running mean.
    least: Option<f64>,
}

impl Losses {
    /// Adds a step's loss. Returns whether the loss has diverged.
    fn add(&mut self, loss: f64) -> bool {
        self.values.push(loss);
        self.sum = MEMORY * self.sum + (1.0 - MEMORY) * loss;
        // Without the zero that the sum begins with (Kingma and Ba 2015, section 3).
        let count = i32::try_from(self.values.len()).unwrap_or(i32::MAX);
        let mean = self.sum / (1.0 - MEMORY.powi(count));
        let least = self.least.map_or(mean, |least| least.min(mean));
        self.least = Some(least);
        mean > DIVERGED * least
    }
}

impl RangeTest {
    /// The curve of the losses of steps that were done, of so many.
    fn new(losses: &[f64], num_steps: usize, diverged_at: Option<f64>) -> Self {
        let half = ((HALF_WINDOW * num_steps as f64).round() as usize).max(1);
        // About each step, not behind it as a running mean is: that would see a fall at a higher rate than it was at.
        let smoothed = |step: usize| {
            // Not shorter than half at the ends: a single loss there would pass for a minimum.
            let last = (step + half).min(losses.len() - 1);
            let window = &losses[step.saturating_sub(half)..=last];
            window.iter().sum::<f64>() / window.len() as f64
        };
        let steps: Vec<RangeStep> = (0..losses.len())
            .map(|step| RangeStep {
                lr: rate(step, num_steps),
                loss: losses[step],
                smoothed: smoothed(step),
            })
            .collect();
        let quiet = (num_steps / QUIET).max(1).min(losses.len());
        let initial_loss = losses[..quiet].iter().sum::<f64>() / quiet.max(1) as f64;
        Self {
            suggestion: steepest_descent(&steps, half, quiet, initial_loss),
            steps,
            initial_loss,
            diverged_at,
        }
    }
}

/// The rate at which the smoothed loss falls fastest per factor of the rate, after the quiet steps and before its
/// minimum.
fn steepest_descent(
    steps: &[RangeStep],
    half: usize,
    quiet: usize,
    initial_loss: f64,
) -> Option<f64> {
    let by_loss = |a: &usize, b: &usize| steps[*a].smoothed.total_cmp(&steps[*b].smoothed);
    let minimum = (0..steps.len()).min_by(by_loss)?;
    if steps[minimum].smoothed > (1.0 - LEAST_FALL) * initial_loss {
        return None;
    }
    // All slopes are over the same factor, so their differences compare.
    let difference = |step: usize| {
        let (before, after) = (step.saturating_sub(half), (step + half).min(minimum));
        steps[after].smoothed - steps[before].smoothed
    };
    let steepest = (quiet..=minimum).min_by(|a, b| difference(*a).total_cmp(&difference(*b)))?;
    Some(steps[steepest].lr)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flat at 0.7, then down to 0.1 about the step 60 in a logistic curve, then up from step 80 on.
    fn losses(noise: f64) -> Vec<f64> {
        let loss = |step: i32| {
            let fall = 0.6 / (1.0 + (-f64::from(step - 60) / 3.0).exp());
            let rise = 0.002 * f64::from((step - 80).max(0)).powi(2);
            let noise = noise * f64::from((step * 7919) % 97 - 48) / 48.0;
            0.7 - fall + rise + noise
        };
        (0..95).map(loss).collect()
    }

    #[test]
    fn rates_rise_by_the_same_factor_from_1e_7_to_10() {
        let rates: Vec<f64> = (0..100).map(|step| rate(step, 100)).collect();
        assert!((rates[0] / 1e-7 - 1.0).abs() < 1e-12);
        assert!((rates[99] / 10.0 - 1.0).abs() < 1e-12);
        let factors = rates.windows(2).map(|pair| pair[1] / pair[0]);
        for factor in factors {
            assert!((factor / 10_f64.powf(8.0 / 99.0) - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn the_suggestion_is_where_the_loss_falls_fastest() {
        for noise in [0.0, 0.05] {
            let test = RangeTest::new(&losses(noise), 100, None);
            let found = test.suggestion.unwrap();
            let (low, high) = (rate(57, 100), rate(63, 100));
            assert!((low..=high).contains(&found), "{noise}: {found}");
        }
        // The mean of eleven steps, and of six at the end.
        let test = RangeTest::new(&losses(0.0), 100, Some(5.0));
        assert_eq!(test.steps.len(), 95);
        for (step, window) in [(50, 45..=55), (94, 89..=94)] {
            let count = window.clone().count() as f64;
            let mean = window.map(|step| test.steps[step].loss).sum::<f64>() / count;
            assert!((test.steps[step].smoothed - mean).abs() < 1e-12);
        }
        assert!((test.initial_loss - 0.7).abs() < 1e-3);
    }

    #[test]
    fn a_loss_that_does_not_fall_suggests_nothing() {
        let flat: Vec<f64> = losses(0.02).into_iter().take(40).collect();
        let rising: Vec<f64> = (0..50)
            .map(f64::from)
            .map(|step| 0.7 + step / 50.0)
            .collect();
        for losses in [flat, rising, vec![], vec![0.7]] {
            assert_eq!(RangeTest::new(&losses, 100, None).suggestion, None);
        }
    }

    #[test]
    fn a_loss_of_four_times_the_least_has_diverged_and_one_bad_batch_has_not() {
        let mut losses = Losses::default();
        assert!(
            [0.7, 0.5, 0.4, 0.4, 1.4, 0.4]
                .iter()
                .all(|loss| !losses.add(*loss))
        );
        // 0.9 of about 0.5 and 0.1 of 30.
        assert!(losses.add(30.0));
    }
}
