//! Event log `events.jsonl`: one JSON object a line, each written whole. `docs/live.md` has the keys.

use std::path::PathBuf;

use console::Printer;
use fs_err as fs;
use serde::Serialize;

use super::{RunInfo, Sink, is_logged, now};
use crate::error::Error;
use crate::train::{Ended, EpochRow, Observer, Phase, StepReport};

/// Observer that writes `events.jsonl`.
pub(super) struct EventLog<'a> {
    sink: Sink<'a>,
}

/// A line; `time` is in seconds since 1970.
#[derive(Serialize)]
struct Line<T: Serialize> {
    event: &'static str,
    time: f64,
    #[serde(flatten)]
    rest: T,
}

#[derive(Serialize)]
struct Start {
    run: String,
    epochs: usize,
    train_images: usize,
    val_images: usize,
    resumed: bool,
    epochs_done: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    best_epoch: Option<usize>,
}

/// Loss, accuracy (percent) and times of a phase so far.
#[derive(Serialize)]
struct Step {
    phase: &'static str,
    epoch: usize,
    step: usize,
    steps: usize,
    images: u64,
    loss: f64,
    accuracy: f64,
    seconds: f64,
    wait_seconds: f64,
}

#[derive(Serialize)]
struct Epoch<'a> {
    #[serde(flatten)]
    row: &'a EpochRow,
    best: bool,
}

#[derive(Serialize)]
struct End {
    ended: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl<'a> EventLog<'a> {
    /// A new run begins the file, a resumed one adds to it.
    pub(super) fn open(info: &RunInfo, printer: &'a Printer) -> Self {
        let path: PathBuf = info.run.join(data::run_files::EVENTS);
        let mut options = fs::OpenOptions::new();
        options.create(true).append(true);
        let mut events = EventLog {
            sink: Sink::new(&path, options.open(&path), printer),
        };
        let name = info.run.file_name().unwrap_or_default();
        events.line(
            "start",
            Start {
                run: name.to_string_lossy().into_owned(),
                epochs: info.epochs,
                train_images: info.images[0],
                val_images: info.images[1],
                resumed: info.resumed,
                epochs_done: info.rows.len(),
                best_epoch: info.best,
            },
        );
        events
    }

    fn line<T: Serialize>(&mut self, event: &'static str, rest: T) {
        let time = now();
        // These structs are always JSON.
        if let Ok(mut line) = serde_json::to_vec(&Line { event, time, rest }) {
            line.push(b'\n');
            self.sink.write(&line);
        }
    }
}

impl Observer for EventLog<'_> {
    fn step(&mut self, report: &StepReport) {
        let progress = &report.progress;
        if is_logged(progress.step, report.num_steps) {
            let phase = match report.phase {
                Phase::Features => return,
                Phase::Train => "train",
                Phase::Val => "val",
            };
            self.line(
                "step",
                Step {
                    phase,
                    epoch: report.epoch,
                    step: progress.step,
                    steps: report.num_steps,
                    images: progress.images,
                    loss: progress.loss(),
                    accuracy: progress.accuracy(),
                    seconds: progress.seconds,
                    wait_seconds: progress.wait_seconds,
                },
            );
        }
    }

    fn epoch_done(&mut self, row: &EpochRow, best: bool) {
        self.line("epoch", Epoch { row, best });
    }

    fn ended(&mut self, how: Result<Ended, &Error>) {
        let (ended, error) = match how {
            Ok(Ended::Finished) => ("finished", None),
            Ok(Ended::EarlyStopped) => ("early-stopped", None),
            Ok(Ended::Interrupted) => ("interrupted", None),
            Err(error) => ("failed", Some(error.to_string())),
        };
        self.line("end", End { ended, error });
    }
}
