//! Progress bars of training on a terminal, and a line of the log per epoch.

use console::{Printer, ProgressBar};

use super::RunInfo;
use crate::train::{EpochRow, HeadFit, Observer, Phase, StepReport};

/// Observer that prints a line per epoch and moves a bar per phase.
pub(super) struct Progress {
    printer: Printer,
    epochs: usize,
    images: [usize; 2],
    is_cached: bool,
    /// Whether no epochs train the classification layer.
    is_fitted: bool,
    bar: Option<(Phase, ProgressBar)>,
}

impl Progress {
    pub(super) fn new(printer: Printer, info: &RunInfo) -> Self {
        Progress {
            printer,
            epochs: info.epochs,
            images: info.images,
            is_cached: info.is_cached,
            is_fitted: false,
            bar: None,
        }
    }

    fn clear(&mut self) {
        if let Some((_, bar)) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Observer for Progress {
    fn step(&mut self, report: &StepReport) {
        if !self.printer.has_bars() {
            return;
        }
        if self
            .bar
            .as_ref()
            .is_none_or(|(phase, _)| *phase != report.phase)
        {
            self.clear();
            let (phase, images) = match report.phase {
                Phase::Features => ("features of train", self.images[0]),
                Phase::Train => ("train", self.images[0]),
                Phase::Val => ("val", self.images[1]),
            };
            let what = match report.phase {
                Phase::Features => phase.to_owned(),
                _ => format!("epoch {}/{} {phase}", report.epoch, self.epochs),
            };
            let bar = self.printer.image_bar(&what, images as u64);
            self.bar = Some((report.phase, bar));
        }
        if let Some((_, bar)) = &self.bar {
            let progress = &report.progress;
            bar.set_position(progress.images);
            if report.phase == Phase::Features {
                return;
            }
            bar.set_message(format!(
                "loss {:.4} accuracy {:.1} %",
                progress.loss(),
                progress.accuracy()
            ));
        }
    }

    fn head_fitted(&mut self, fit: &HeadFit, seconds: f64) {
        self.clear();
        // Without cached features, epochs of fine-tuning follow.
        self.is_fitted = self.is_cached;
        self.printer.log(fit.line(seconds));
    }

    fn epoch_done(&mut self, row: &EpochRow, new_best: bool) {
        self.clear();
        let scores = format!(
            "train loss {:.4} accuracy {:.1} %  val loss {:.4} accuracy {:.1} %",
            row.train_loss, row.train_accuracy, row.val_loss, row.val_accuracy
        );
        if self.is_fitted {
            return self.printer.log(scores);
        }
        let time = match self.is_cached {
            true => "cached features".to_owned(),
            false => format!(
                "{:.1} s  {:.0} images/s",
                row.train_seconds + row.val_seconds,
                row.train_images_per_second
            ),
        };
        self.printer.log(format!(
            "epoch {:>2}/{}  {scores}  lr {:.1e}  {time}{}",
            row.epoch,
            self.epochs,
            row.lr,
            if new_best { "  best" } else { "" },
        ));
    }

    fn ended(&mut self, _how: Result<crate::train::Ended, &crate::Error>) {
        self.clear();
    }
}
