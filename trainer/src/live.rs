//! Observers of a training: log and bars, dashboard, event files.
//!
//! They change nothing of the training. The dashboard alone may request a stop, as Ctrl-C does.

mod dashboard;
mod events;
mod progress;
mod tensorboard;

use std::path::{Path, PathBuf};

use console::Printer;

use crate::context::TrainingContext;
use crate::error::Error;
use crate::examples::Examples;
use crate::interrupt::Interrupt;
use crate::model::Model;
use crate::recipe::{Log, Recipe, Ui};
use crate::run_dir::RunDir;
use crate::train::{
    Checkpoint, Checkpoints, Ended, EpochRow, HeadFit, Observer, StepReport, TrainOptions, Trained,
    train,
};
use crate::training_set::TrainingSet;

/// What observers know before training begins.
#[derive(Clone, Debug)]
pub struct RunInfo {
    pub run: PathBuf,
    pub epochs: usize,
    /// Training and validation images.
    pub images: [usize; 2],
    pub steps_per_epoch: usize,
    /// Whether an epoch reads features that were computed before it: its time is that of the last layer alone.
    pub is_cached: bool,
    /// Epochs done before a resume.
    pub rows: Vec<EpochRow>,
    /// The best of them.
    pub best: Option<usize>,
    /// Whether an earlier run is continued.
    pub resumed: bool,
}

impl RunInfo {
    /// What is known of a training that begins, or continues from a checkpoint.
    pub fn new(
        run: &RunDir,
        epochs: usize,
        data: &TrainingSet,
        resumed: Option<&Checkpoint>,
    ) -> Self {
        let state = resumed.map(Checkpoint::state);
        RunInfo {
            run: run.path().to_path_buf(),
            epochs,
            images: data.num_examples(),
            steps_per_epoch: data.train.num_batches(),
            is_cached: matches!(data.train, Examples::Features(_)),
            rows: state.map(|state| state.rows.clone()).unwrap_or_default(),
            best: state
                .and_then(|state| state.stopping.best())
                .map(|best| best.epoch),
            resumed: resumed.is_some(),
        }
    }
}

pub struct Observers<'a> {
    observers: Vec<Box<dyn Observer + 'a>>,
}

/// The printer for `ui`: with bars where they are wanted and can be seen.
pub fn printer(ui: Ui, printer: &Printer) -> Printer {
    match ui {
        Ui::Plain => printer.without_bars(),
        Ui::Dashboard if !printer.has_bars() => {
            printer.log("no terminal for a dashboard: progress is printed as lines");
            printer.clone()
        }
        Ui::Bar | Ui::Dashboard => printer.clone(),
    }
}

impl<'a> Observers<'a> {
    /// Opens the dashboard and the files that the user asked for. What cannot be opened is a warning, and
    /// training continues without it.
    pub fn open(
        ui: Ui,
        logs: &[Log],
        info: &RunInfo,
        printer: &'a Printer,
        interrupt: &Interrupt,
    ) -> Self {
        let mut observers: Vec<Box<dyn Observer + 'a>> = vec![];
        let is_wanted = |log| logs.contains(&log);
        if is_wanted(Log::Jsonl) {
            observers.push(Box::new(events::EventLog::open(info, printer)));
        }
        if is_wanted(Log::Tensorboard) {
            observers.push(Box::new(tensorboard::EventFile::open(info, printer)));
        }
        let dashboard = (ui == Ui::Dashboard && printer.has_bars())
            .then(|| dashboard::Dashboard::open(info, printer, interrupt));
        let lines = match dashboard {
            Some(Ok(dashboard)) => {
                observers.push(Box::new(dashboard));
                printer.without_bars()
            }
            Some(Err(error)) => {
                printer.warn(format!("no dashboard: {error}"));
                printer.clone()
            }
            None => printer.clone(),
        };
        // Last in, so that the dashboard has the epoch before its line.
        observers.push(Box::new(progress::Progress::new(lines, info)));
        Observers { observers }
    }
}

impl Observer for Observers<'_> {
    fn epoch_started(&mut self, epoch: usize, epochs: usize) {
        for observer in &mut self.observers {
            observer.epoch_started(epoch, epochs);
        }
    }

    fn step(&mut self, report: &StepReport) {
        for observer in &mut self.observers {
            observer.step(report);
        }
    }

    fn head_fitted(&mut self, fit: &HeadFit, seconds: f64) {
        for observer in &mut self.observers {
            observer.head_fitted(fit, seconds);
        }
    }

    fn epoch_done(&mut self, row: &EpochRow, new_best: bool) {
        for observer in &mut self.observers {
            observer.epoch_done(row, new_best);
        }
    }

    fn ended(&mut self, how: Result<Ended, &Error>) {
        for observer in &mut self.observers {
            observer.ended(how);
        }
    }
}

/// Trains in a run folder with lines and bars, from where an interrupted training stopped.
pub fn train_in_folder(
    run: &RunDir,
    model: Model,
    data: &TrainingSet,
    recipe: &Recipe,
    context: &TrainingContext<'_>,
) -> crate::Result<Trained> {
    let resumed = Checkpoint::open_if_any(&run.last())?;
    let options = TrainOptions::from(recipe);
    let info = RunInfo::new(run, options.epochs, data, resumed.as_ref());
    let interrupt = &context.interrupt;
    let mut observers = Observers::open(Ui::Bar, &[], &info, context.printer, interrupt);
    let checkpoints = Checkpoints::in_folder(run, resumed);
    train(
        model,
        data,
        &options,
        checkpoints,
        &mut observers,
        interrupt,
    )
}

/// A file that an observer appends to. When it fails, training continues without it, after one warning.
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
