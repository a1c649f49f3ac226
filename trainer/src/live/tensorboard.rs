//! TensorBoard's event files: scalars over training steps, in `RUN/tensorboard`.
//!
//! The step of every point, also of epochs, is the number of training steps done: a resumed run tells
//! TensorBoard from which step on an earlier file no longer counts.

mod record;

use console::Printer;
use fs_err as fs;

use super::{RunInfo, Sink, is_logged, now};
use crate::train::{EpochRow, Observer, Phase, Progress, StepReport};
use record::{Event, What, framed};

/// Observer that writes an event file.
pub(super) struct EventFile<'a> {
    sink: Sink<'a>,
    /// Whether earlier files may hold steps that this one repeats.
    resumed: bool,
    steps_per_epoch: usize,
    /// The last report of this training pass that is in the file.
    reported: Progress,
}

impl<'a> EventFile<'a> {
    /// Begins a file of its own; TensorBoard reads all of a folder as one run.
    pub(super) fn open(info: &RunInfo, printer: &'a Printer) -> Self {
        let folder = info.run.join("tensorboard");
        let file = fs::create_dir_all(&folder).and_then(|()| {
            // A second run in the same second takes the next name.
            let name = |seconds: u64| format!("events.out.tfevents.{seconds:010}.trainer");
            let mut seconds = now() as u64;
            loop {
                match fs::File::create_new(folder.join(name(seconds))) {
                    Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => seconds += 1,
                    other => return other,
                }
            }
        });
        let mut events = EventFile {
            sink: Sink::new(&folder, file, printer),
            resumed: info.resumed,
            steps_per_epoch: info.steps_per_epoch,
            reported: Progress::default(),
        };
        events.write(0, What::FileVersion("brain.Event:2".into()));
        events
    }

    fn write(&mut self, step: usize, what: What) {
        self.sink.write(&framed(&Event::new(now(), step, what)));
    }

    fn scalars(&mut self, step: usize, scalars: &[(&str, f64)]) {
        self.write(step, What::scalars(scalars));
    }
}

impl Observer for EventFile<'_> {
    fn step(&mut self, report: &StepReport) {
        if report.phase != Phase::Train {
            return;
        }
        let progress = report.progress;
        let step = (report.epoch - 1) * report.num_steps + progress.step;
        if std::mem::take(&mut self.resumed) {
            self.write(step, What::restart());
            // The steps before are in an earlier file.
            self.reported = progress;
            return;
        }
        if progress.step <= self.reported.step {
            self.reported = Progress::default();
        }
        if is_logged(progress.step, report.num_steps) {
            // A point is the mean since the point before it, not since the start of the epoch.
            let last = std::mem::replace(&mut self.reported, progress);
            let images = (progress.images - last.images) as f64;
            let hits = (progress.correct - last.correct) as f64;
            self.scalars(
                step,
                &[
                    ("step/loss", (progress.loss_sum - last.loss_sum) / images),
                    ("step/accuracy", 100.0 * hits / images),
                ],
            );
        }
    }

    fn epoch_done(&mut self, row: &EpochRow, _new_best: bool) {
        let waits = row.train_wait_seconds / row.train_seconds.max(f64::MIN_POSITIVE);
        self.scalars(
            row.epoch * self.steps_per_epoch,
            &[
                ("loss/train", row.train_loss),
                ("loss/val", row.val_loss),
                ("accuracy/train", row.train_accuracy),
                ("accuracy/val", row.val_accuracy),
                ("lr", row.lr),
                ("images_per_second/train", row.train_images_per_second),
                ("images_per_second/val", row.val_images_per_second),
                ("wait_percent/train", 100.0 * waits),
            ],
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::RunInfo;

    /// The step of every event in a file of frames.
    fn steps(bytes: &[u8]) -> Vec<i64> {
        let mut steps = vec![];
        let mut rest = bytes;
        while let Some((length, after)) = rest.split_first_chunk() {
            let length = u64::from_le_bytes(*length) as usize;
            // A checksum before and one after.
            let event = <Event as prost::Message>::decode(&after[4..4 + length]).unwrap();
            steps.push(event.step);
            rest = &after[length + 8..];
        }
        steps
    }

    #[test]
    fn an_epoch_whose_validation_alone_is_repeated_stands_at_its_last_step() {
        let folder = tempfile::tempdir().unwrap();
        let info = RunInfo {
            run: folder.path().to_path_buf(),
            epochs: 3,
            images: [28, 7],
            steps_per_epoch: 7,
            is_cached: false,
            rows: vec![],
            best: None,
            resumed: true,
        };
        let printer = Printer::new(console::Verbosity::Warnings);
        let mut events = EventFile::open(&info, &printer);
        let progress = Progress {
            step: 1,
            images: 4,
            ..Progress::default()
        };
        let report = |epoch, phase| StepReport {
            epoch,
            phase,
            num_steps: if phase == Phase::Train { 7 } else { 2 },
            progress,
        };
        events.step(&report(2, Phase::Val));
        let row = EpochRow {
            epoch: 2,
            lr: 0.001,
            train_loss: 0.5,
            train_accuracy: 75.0,
            val_loss: 0.6,
            val_accuracy: 70.0,
            train_seconds: 1.0,
            val_seconds: 0.1,
            train_images_per_second: 28.0,
            val_images_per_second: 70.0,
            train_wait_seconds: 0.0,
        };
        events.epoch_done(&row, false);
        events.step(&report(3, Phase::Train));
        let file = fs::read_dir(folder.path().join("tensorboard")).unwrap();
        let path = file.map(|entry| entry.unwrap().path()).next().unwrap();
        assert_eq!(steps(&fs::read(path).unwrap()), [0, 14, 15]);
    }
}
