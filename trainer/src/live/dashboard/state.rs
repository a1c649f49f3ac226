//! Dashboard state, as numbers. It reads no clock: all times come from what training reports.

use std::path::PathBuf;

use super::super::RunInfo;
use crate::train::{EpochRow, Phase, StepReport};

#[derive(Clone, Debug)]
pub(super) struct DashboardState {
    pub(super) run: PathBuf,
    pub(super) epochs: usize,
    /// The epoch in progress, counted from 1.
    pub(super) epoch: usize,
    pub(super) images: [usize; 2],
    pub(super) rows: Vec<EpochRow>,
    /// The best epoch so far.
    pub(super) best: Option<usize>,
    /// The newest reports of this epoch.
    pub(super) train: Option<StepReport>,
    pub(super) val: Option<StepReport>,
}

impl DashboardState {
    pub(super) fn new(info: &RunInfo) -> Self {
        DashboardState {
            run: info.run.clone(),
            epochs: info.epochs,
            epoch: info.rows.len() + 1,
            images: info.images,
            rows: info.rows.clone(),
            best: info.best,
            train: None,
            val: None,
        }
    }

    pub(super) fn epoch_started(&mut self, epoch: usize) {
        self.epoch = epoch;
        (self.train, self.val) = (None, None);
    }

    pub(super) fn step(&mut self, report: &StepReport) {
        match report.phase {
            Phase::Features => {}
            Phase::Train => self.train = Some(*report),
            Phase::Val => self.val = Some(*report),
        }
    }

    pub(super) fn epoch_done(&mut self, row: &EpochRow, new_best: bool) {
        if new_best {
            self.best = Some(row.epoch);
        }
        self.rows.push(row.clone());
    }

    pub(super) fn best_row(&self) -> Option<&EpochRow> {
        self.rows.iter().find(|row| Some(row.epoch) == self.best)
    }

    /// Images done of those of this epoch, both phases.
    pub(super) fn images_done(&self) -> (u64, u64) {
        let done = [self.train, self.val].map(|report| report.map_or(0, |r| r.progress.images));
        (done.iter().sum(), self.images.iter().sum::<usize>() as u64)
    }

    /// Training images per second, of this epoch or else the last.
    pub(super) fn images_per_second(&self) -> Option<f64> {
        let now = self.train.map(|report| report.progress.images_per_second());
        now.or_else(|| self.rows.last().map(|row| row.train_images_per_second))
    }

    /// Share of training in which steps waited for their batches, percent.
    pub(super) fn wait_percent(&self) -> Option<f64> {
        let share = |wait: f64, all: f64| 100.0 * wait / all.max(f64::MIN_POSITIVE);
        let now = self.train.map(|report| {
            let progress = report.progress;
            share(progress.wait_seconds, progress.seconds)
        });
        let last = || {
            self.rows
                .last()
                .map(|row| share(row.train_wait_seconds, row.train_seconds))
        };
        now.or_else(last)
    }

    /// Seconds until all epochs are done, by the mean of those done, or by this one's images.
    pub(super) fn seconds_left(&self) -> Option<f64> {
        let spent: f64 = [self.train, self.val]
            .into_iter()
            .flatten()
            .map(|report| report.progress.seconds)
            .sum();
        let (done, all) = self.images_done();
        let of_epoch = if self.rows.is_empty() {
            if done == 0 {
                return None;
            }
            spent * all as f64 / done as f64
        } else {
            let seconds = |row: &EpochRow| row.train_seconds + row.val_seconds;
            self.rows.iter().map(seconds).sum::<f64>() / self.rows.len() as f64
        };
        let epochs = self.epochs.saturating_sub(self.rows.len()) as f64;
        // Where the last epoch is done, its reports are still here.
        let spent = if self.rows.len() < self.epoch {
            spent
        } else {
            0.0
        };
        Some((epochs * of_epoch - spent).max(0.0))
    }
}
