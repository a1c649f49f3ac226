//! Who watches training: lines and bars, the dashboard, files for those who watch elsewhere.
//!
//! Watchers see what [`Watch`] gives them and change nothing; the dashboard alone may ask for a
//! stop, as Ctrl-C does.

mod dashboard;
mod events;
mod progress;
mod tensorboard;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::error::Error;
use crate::fit::{Checkpoint, Ended, EpochRow, StepReport, Watch};
use crate::printer::Printer;
use crate::recipe::{Log, Ui};
use crate::run_dir::RunDir;

/// What watchers know before training begins.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The run folder.
    pub run: PathBuf,
    /// Epochs in all.
    pub epochs: usize,
    /// Training and validation images.
    pub images: [usize; 2],
    /// Training steps of an epoch.
    pub steps_per_epoch: usize,
    /// Epochs done before a resume.
    pub rows: Vec<EpochRow>,
    /// The best of them.
    pub best: Option<usize>,
    /// Whether an earlier run is gone on with.
    pub resumed: bool,
}

impl Opening {
    /// What is known of a run that begins, or goes on from a checkpoint, with so many images in its
    /// training and validation, and so many training steps an epoch.
    pub fn new(
        run: &RunDir,
        epochs: usize,
        (images, steps_per_epoch): ([usize; 2], usize),
        resume: Option<&Checkpoint>,
    ) -> Self {
        let state = resume.map(Checkpoint::state);
        Opening {
            run: run.path().to_path_buf(),
            epochs,
            images,
            steps_per_epoch,
            rows: state.map(|state| state.rows.clone()).unwrap_or_default(),
            best: state
                .and_then(|state| state.stopping.best())
                .map(|best| best.epoch),
            resumed: resume.is_some(),
        }
    }
}

/// All who watch a run.
pub struct Watchers<'a> {
    watchers: Vec<Box<dyn Watch + 'a>>,
}

/// The printer for `ui`: bars where they are wanted and can be seen.
pub fn printer(ui: Ui, printer: &Printer) -> Printer {
    match ui {
        Ui::Plain => printer.without_bars(),
        Ui::Dashboard if !printer.has_bars() => {
            printer.log("no terminal to draw a dashboard on: lines instead");
            printer.clone()
        }
        Ui::Bar | Ui::Dashboard => printer.clone(),
    }
}

impl<'a> Watchers<'a> {
    /// Opens the dashboard and the files that are asked for; what cannot be opened is warned of and
    /// does without. `stop` is set by the dashboard's key.
    pub fn open(
        (ui, logs): (Ui, &[Log]),
        opening: &Opening,
        printer: &'a Printer,
        stop: &Arc<AtomicBool>,
    ) -> Self {
        let mut watchers: Vec<Box<dyn Watch + 'a>> = vec![];
        let asked = |log| logs.contains(&log);
        if asked(Log::Jsonl) {
            watchers.push(Box::new(events::Events::open(opening, printer)));
        }
        if asked(Log::Tensorboard) {
            watchers.push(Box::new(tensorboard::Events::open(opening, printer)));
        }
        let dashboard = (ui == Ui::Dashboard && printer.has_bars())
            .then(|| dashboard::Dashboard::open(opening, printer, stop));
        let lines = match dashboard {
            Some(Ok(dashboard)) => {
                watchers.push(Box::new(dashboard));
                printer.without_bars()
            }
            Some(Err(error)) => {
                printer.warn(format!("no dashboard: {error}"));
                printer.clone()
            }
            None => printer.clone(),
        };
        // Last in, so that the dashboard has the epoch before its line.
        watchers.push(Box::new(progress::Progress::new(lines, opening)));
        Watchers { watchers }
    }
}

impl Watch for Watchers<'_> {
    fn epoch_started(&mut self, epoch: usize, epochs: usize) {
        for watch in &mut self.watchers {
            watch.epoch_started(epoch, epochs);
        }
    }

    fn step(&mut self, report: &StepReport) {
        for watch in &mut self.watchers {
            watch.step(report);
        }
    }

    fn epoch_done(&mut self, row: &EpochRow, new_best: bool) {
        for watch in &mut self.watchers {
            watch.epoch_done(row, new_best);
        }
    }

    fn ended(&mut self, how: Result<Ended, &Error>) {
        for watch in &mut self.watchers {
            watch.ended(how);
        }
    }
}

/// A file that a watcher adds to. Training goes on without it when it fails, after one warning.
struct Sink<'a> {
    path: PathBuf,
    file: Option<fs_err::File>,
    printer: &'a Printer,
}

impl<'a> Sink<'a> {
    fn new(path: &Path, file: std::io::Result<fs_err::File>, printer: &'a Printer) -> Self {
        let mut sink = Sink {
            path: path.to_path_buf(),
            file: None,
            printer,
        };
        match file {
            Ok(file) => sink.file = Some(file),
            Err(error) => sink.fails(&error),
        }
        sink
    }

    /// Adds all of `bytes`, in one go where the system does so.
    fn write(&mut self, bytes: &[u8]) {
        let Some(file) = &mut self.file else { return };
        if let Err(error) = std::io::Write::write_all(file, bytes) {
            self.fails(&error);
        }
    }

    fn fails(&mut self, error: &std::io::Error) {
        self.file = None;
        self.printer
            .warn(format!("`{}` is not written: {error}", self.path.display()));
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

/// Whether a step of a phase is logged: at most twenty of each phase and epoch, evenly spread, and
/// the last.
fn is_logged(step: usize, num_steps: usize) -> bool {
    step.is_multiple_of(num_steps.div_ceil(20).max(1)) || step == num_steps
}

#[cfg(test)]
mod tests {
    use super::is_logged;

    #[test]
    fn at_most_twenty_steps_are_logged_and_the_last_always() {
        for (num_steps, expected) in [(1, 1), (7, 7), (20, 20), (21, 11), (1000, 20), (1001, 20)] {
            let logged = (1..=num_steps).filter(|step| is_logged(*step, num_steps));
            assert_eq!(logged.count(), expected, "{num_steps}");
            assert!(is_logged(num_steps, num_steps));
        }
    }
}
