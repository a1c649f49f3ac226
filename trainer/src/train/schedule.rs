//! Learning rate schedules. They know neither network nor optimiser.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::recipe::SchedulerKind;

/// PyTorch's `ReduceLROnPlateau` at its defaults (mode `min`, threshold relative).
const FACTOR: f64 = 0.1;
const PATIENCE: usize = 10;
const THRESHOLD: f64 = 1e-4;
const MIN_LR: f64 = 0.0;
/// A reduction by less than this is left out.
const EPS: f64 = 1e-8;

/// `StepLR` as in the PyTorch transfer learning tutorial: a tenth every 7 epochs.
const STEP_EPOCHS: usize = 7;
const STEP_GAMMA: f64 = 0.1;

/// Where in a training a step is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    pub epochs: usize,
    pub steps_per_epoch: usize,
    /// Steps done in the epoch in progress.
    pub step: usize,
    /// Share of all steps in which the rate rises.
    pub warmup: f64,
}

/// Learning rate schedule, as PyTorch's schedulers when stepped once per epoch.
///
/// `plateau` is `ReduceLROnPlateau` on the validation loss (factor 0.1, patience 10, relative
/// threshold 1e-4, cooldown 0), `cosine` is `CosineAnnealingLR(T_max = epochs, eta_min = 0)`,
/// `step` is `StepLR(7, 0.1)`. `cosine-steps` is stepped once per step, from the end of the warm-up on.
///
/// In a warm-up the rate rises evenly to that of the schedule (Goyal and others, 2017).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scheduler {
    kind: SchedulerKind,
    base_lr: f64,
    epochs_done: usize,
    plateau_lr: f64,
    best_loss: Option<f64>,
    bad_epochs: usize,
}

impl Scheduler {
    /// A scheduler before the first epoch.
    pub fn new(kind: SchedulerKind, lr: f64) -> Self {
        Self {
            kind,
            base_lr: lr,
            epochs_done: 0,
            plateau_lr: lr,
            best_loss: None,
            bad_epochs: 0,
        }
    }

    pub fn kind(&self) -> SchedulerKind {
        self.kind
    }

    /// The learning rate of the coming step.
    ///
    /// A run that is continued past its end has a longer cosine: hence the number of epochs is in `at`, not in
    /// [`new`](Self::new).
    pub fn lr(&self, at: &Position) -> f64 {
        let num_steps = (at.epochs * at.steps_per_epoch).max(1) as f64;
        let done = (self.epochs_done * at.steps_per_epoch + at.step) as f64;
        let warmup = (at.warmup * num_steps).round();
        if done < warmup {
            return self.base_lr * (done + 1.0) / warmup;
        }
        let cosine = |share: f64| self.base_lr * (1.0 + (PI * share).cos()) / 2.0;
        match self.kind {
            SchedulerKind::None => self.base_lr,
            SchedulerKind::Plateau => self.plateau_lr,
            SchedulerKind::Cosine => cosine(self.epochs_done as f64 / at.epochs.max(1) as f64),
            SchedulerKind::CosineSteps => cosine((done - warmup) / (num_steps - warmup).max(1.0)),
            SchedulerKind::Step => {
                let reductions = self.epochs_done / STEP_EPOCHS;
                self.base_lr * STEP_GAMMA.powi(i32::try_from(reductions).unwrap_or(i32::MAX))
            }
        }
    }

    /// Records an epoch's validation loss.
    pub fn epoch_done(&mut self, val_loss: f64) {
        self.epochs_done += 1;
        if self
            .best_loss
            .is_none_or(|best| val_loss < best * (1.0 - THRESHOLD))
        {
            self.best_loss = Some(val_loss);
            self.bad_epochs = 0;
        } else {
            self.bad_epochs += 1;
        }
        if self.bad_epochs > PATIENCE {
            let lr = (self.plateau_lr * FACTOR).max(MIN_LR);
            if self.plateau_lr - lr > EPS {
                self.plateau_lr = lr;
            }
            self.bad_epochs = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first step of an epoch, of so many epochs of 10 steps.
    fn start_of(epochs: usize) -> Position {
        Position {
            epochs,
            steps_per_epoch: 10,
            step: 0,
            warmup: 0.0,
        }
    }

    fn series(kind: SchedulerKind, losses: &[f64]) -> Vec<f64> {
        let mut scheduler = Scheduler::new(kind, 1e-3);
        let mut rates = vec![];
        for loss in losses {
            rates.push(scheduler.lr(&start_of(losses.len())));
            scheduler.epoch_done(*loss);
        }
        rates.push(scheduler.lr(&start_of(losses.len())));
        rates
    }

    /// The rates of all steps of a training.
    fn steps(kind: SchedulerKind, epochs: usize, steps_per_epoch: usize, warmup: f64) -> Vec<f64> {
        let mut scheduler = Scheduler::new(kind, 1e-3);
        let mut rates = vec![];
        for _ in 0..epochs {
            rates.extend((0..steps_per_epoch).map(|step| {
                scheduler.lr(&Position {
                    epochs,
                    steps_per_epoch,
                    step,
                    warmup,
                })
            }));
            scheduler.epoch_done(1.0);
        }
        rates
    }

    #[test]
    fn cosine_steps_gives_the_rates_of_pytorch() {
        // torch 2.15: `SequentialLR(SGD(lr=1e-3), [LambdaLR(lambda t: (t + 1) / 2), CosineAnnealingLR(T_max=8)],
        // milestones=[2])`, ten steps.
        let expected = [
            5e-4,
            1e-3,
            1e-3,
            9.619_397_662_556_434e-4,
            8.535_533_905_932_738e-4,
            6.913_417_161_825_449e-4,
            5e-4,
            3.086_582_838_174_551e-4,
            1.464_466_094_067_262_6e-4,
            3.806_023_374_435_663e-5,
        ];
        let found = steps(SchedulerKind::CosineSteps, 5, 2, 0.2);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.into_iter().zip(expected) {
            assert_near(found, expected);
        }
    }

    #[test]
    fn a_warm_up_rises_evenly_to_the_rate_of_any_schedule() {
        let rates = steps(SchedulerKind::None, 2, 5, 0.4);
        for (found, expected) in rates.iter().zip([0.25, 0.5, 0.75, 1.0, 1.0, 1.0]) {
            assert_near(*found, 1e-3 * expected);
        }
    }

    fn assert_near(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() <= 1e-12 * expected.abs() + 1e-18,
            "{found} {expected}"
        );
    }

    #[test]
    fn plateau_gives_the_rates_of_pytorch_on_a_series() {
        // torch 2.15, `ReduceLROnPlateau(SGD(lr=1e-3))`, its rate after each `step(loss)`.
        let mut losses = vec![
            1.0, 0.9, 0.95, 0.91, 0.9, 0.899_95, 0.8999, 0.92, 0.93, 0.9, 0.91,
        ];
        losses.extend([0.9, 0.9, 0.9, 0.95, 0.5]);
        losses.extend([0.6; 13]);
        losses.push(0.49);
        losses.extend([0.5; 12]);
        let rates = series(SchedulerKind::Plateau, &losses);
        for (epoch, rate) in rates.iter().skip(1).enumerate() {
            assert_near(
                *rate,
                if epoch < 26 {
                    1e-3
                } else if epoch < 40 {
                    1e-4
                } else {
                    1e-5
                },
            );
        }
    }

    #[test]
    fn plateau_waits_ten_bad_epochs_and_reduces_after_the_eleventh() {
        let rates = series(SchedulerKind::Plateau, &[1.0; 24]);
        // Epoch 1 sets the best loss; bad epochs 1 to 11 follow; the rate falls after the 11th.
        for (epoch, rate) in rates.iter().enumerate() {
            let expected = if epoch < 12 {
                1e-3
            } else if epoch < 23 {
                1e-4
            } else {
                1e-5
            };
            assert_near(*rate, expected);
        }
    }

    #[test]
    fn plateau_takes_only_a_relative_gain_of_more_than_1e_4_for_better() {
        let mut tiny_gains: Vec<f64> = (0..12)
            .map(|i| 1.0 - 0.9e-4 * f64::from(i) / 11.0)
            .collect();
        assert_near(series(SchedulerKind::Plateau, &tiny_gains)[12], 1e-4);
        tiny_gains[6] = 1.0 - 1.1e-4;
        assert_near(series(SchedulerKind::Plateau, &tiny_gains)[12], 1e-3);
    }

    #[test]
    fn plateau_stops_falling_where_a_reduction_is_below_its_eps() {
        let rates = series(SchedulerKind::Plateau, &[1.0; 12 + 11 * 8]);
        // 1e-3, 1e-4, ..., 1e-8: the next step would change it by 0.9e-8 < 1e-8.
        assert_near(rates[rates.len() - 1], 1e-8);
    }

    #[test]
    fn cosine_starts_at_the_base_rate_is_half_in_the_middle_and_ends_at_zero() {
        let rates = series(SchedulerKind::Cosine, &[1.0; 10]);
        assert_near(rates[0], 1e-3);
        assert_near(rates[5], 5e-4);
        assert!(rates[10].abs() < 1e-18);
        assert!(rates.windows(2).all(|pair| pair[1] < pair[0]));
    }

    #[test]
    fn cosine_gives_the_rates_of_pytorch() {
        // torch 2.15, `CosineAnnealingLR(SGD(lr=1e-3), T_max=10)`.
        let expected = [
            0.001,
            0.000_975_528_258_147_576_8,
            0.000_904_508_497_187_473_6,
            0.000_793_892_626_146_236_6,
            0.000_654_508_497_187_473_7,
            0.0005,
            0.000_345_491_502_812_526_33,
            0.000_206_107_373_853_763_5,
            9.549_150_281_252_634e-5,
            2.447_174_185_242_323_5e-5,
        ];
        for (found, expected) in series(SchedulerKind::Cosine, &[1.0; 10])
            .iter()
            .zip(expected)
        {
            assert_near(*found, expected);
        }
    }

    #[test]
    fn cosine_of_a_longer_run_goes_on_above_zero() {
        let mut scheduler = Scheduler::new(SchedulerKind::Cosine, 1e-3);
        (0..10).for_each(|_| scheduler.epoch_done(1.0));
        assert!(scheduler.lr(&start_of(10)) < 1e-18);
        assert_near(scheduler.lr(&start_of(20)), 5e-4);
    }

    #[test]
    fn step_is_a_tenth_every_seven_epochs() {
        let rates = series(SchedulerKind::Step, &[1.0; 15]);
        assert_near(rates[6], 1e-3);
        assert_near(rates[7], 1e-4);
        assert_near(rates[13], 1e-4);
        assert_near(rates[14], 1e-5);
    }

    #[test]
    fn none_is_constant() {
        assert!(
            series(SchedulerKind::None, &[1.0; 30])
                .iter()
                .all(|rate| *rate == 1e-3)
        );
    }

    #[test]
    fn a_scheduler_survives_json_exactly() {
        let mut scheduler = Scheduler::new(SchedulerKind::Plateau, 0.1 + 0.2);
        scheduler.epoch_done(1.0 / 3.0);
        scheduler.epoch_done(0.7);
        let text = serde_json::to_string(&scheduler).unwrap();
        assert_eq!(serde_json::from_str::<Scheduler>(&text).unwrap(), scheduler);
    }
}
