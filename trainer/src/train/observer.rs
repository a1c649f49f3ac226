//! Observers of a training: the seam between the loop and bars, dashboards and event files.

use super::progress::{Phase, Progress};
use crate::error::Error;
use report::run_files::{EpochRow, HeadFit};

/// Progress of an epoch, reported after every step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    pub phase: Phase,
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// Steps of this phase.
    pub num_steps: usize,
    /// Steps and images done, running loss and accuracy.
    pub progress: Progress,
}

/// Observer of a training; it changes nothing.
pub trait Observer: Send {
    /// An epoch (counted from 1) begins, or continues after a resume.
    fn epoch_started(&mut self, _epoch: usize, _epochs: usize) {}
    fn step(&mut self, _report: &StepReport) {}
    /// The classification layer is at its minimum, after so many seconds.
    fn head_fitted(&mut self, _fit: &HeadFit, _seconds: f64) {}
    /// An epoch is done and saved.
    fn epoch_done(&mut self, _row: &EpochRow, _new_best: bool) {}
    /// Training is over: how it ended, or the error that ended it.
    fn ended(&mut self, _how: Result<Ended, &Error>) {}
}

/// No observer.
impl Observer for () {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Finished,
    /// No new best for the chosen number of epochs.
    EarlyStopped,
    /// Asked to stop; `last` is saved.
    Interrupted,
}
