//! Progress bars on a terminal; elsewhere, occasional lines of the log.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressDrawTarget, ProgressState, ProgressStyle};

use super::Printer;

/// Lines of the log about one piece of work, at the most.
const LOGGED_PARTS: u64 = 5;
/// Least time before the first line, and between two lines: short work needs none.
const PAUSE: Duration = Duration::from_secs(2);

/// Progress bar, or lines of the log where no bar is seen. Any thread may move it.
#[derive(Debug)]
pub struct ProgressBar {
    bar: indicatif::ProgressBar,
    log: Option<Log>,
}

/// Progress in the log, where no bar is seen.
#[derive(Debug)]
struct Log {
    printer: Printer,
    what: String,
    started: Instant,
    last: Mutex<Logged>,
}

/// The last line of the log.
#[derive(Debug, Default)]
struct Logged {
    /// Parts of the work that were done.
    parts: u64,
    /// Time since the beginning.
    at: Duration,
}

impl Printer {
    /// A bar over `length` images, with their rate and a message; without a terminal, lines of the
    /// log about long work.
    pub fn image_bar(&self, what: &str, length: u64) -> ProgressBar {
        let template = "{prefix} {bar:24} {pos}/{len} {rate} eta {eta} {msg}";
        let is_logged = !self.is_terminal && self.has_log();
        ProgressBar {
            log: is_logged.then(|| Log {
                printer: self.clone(),
                what: what.into(),
                started: Instant::now(),
                last: Mutex::default(),
            }),
            ..self.ticking_bar(what, Some(length), template)
        }
    }

    /// A bar over bytes; their number may be known later.
    pub fn byte_bar(&self, what: &str) -> ProgressBar {
        let template = "{prefix} {bar:24} {bytes}/{total_bytes} {bytes_per_sec} eta {eta}";
        self.ticking_bar(what, None, template)
    }

    /// A bar over turns, with a message as wide as the terminal. It moves with its turns alone: a
    /// benchmark would measure a thread that draws.
    pub fn turn_bar(&self, what: &str, length: u64) -> ProgressBar {
        let template = "{prefix} {bar:16} {pos}/{len} {wide_msg}";
        self.bar(what, Some(length), template)
    }

    fn ticking_bar(&self, what: &str, length: Option<u64>, template: &str) -> ProgressBar {
        let bar = self.bar(what, length, template);
        if self.has_bars() {
            // Between two reports the elapsed time and the rate move on.
            bar.bar.enable_steady_tick(Duration::from_millis(200));
        }
        bar
    }

    fn bar(&self, what: &str, length: Option<u64>, template: &str) -> ProgressBar {
        if !self.has_bars() {
            // With its length, which the lines of the log name.
            let hidden = ProgressDrawTarget::hidden();
            let bar = indicatif::ProgressBar::with_draw_target(length, hidden);
            return ProgressBar { bar, log: None };
        }
        let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
            out.write_fmt(format_args!("{:.0}/s", state.per_sec()))
                .unwrap_or_default();
        };
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .with_key("rate", rate)
            .progress_chars("=> ");
        let stderr = ProgressDrawTarget::stderr();
        let bar = indicatif::ProgressBar::with_draw_target(length, stderr);
        bar.set_style(style);
        bar.set_prefix(what.to_owned());
        ProgressBar { bar, log: None }
    }
}

impl ProgressBar {
    pub fn set_position(&self, done: u64) {
        self.bar.set_position(done);
        if let (Some(log), Some(length)) = (&self.log, self.bar.length())
            && let Some(line) = log.line(done, length, log.started.elapsed())
        {
            log.printer.log(line);
        }
    }

    pub fn set_length(&self, length: u64) {
        self.bar.set_length(length);
    }

    pub fn set_message(&self, text: impl Into<Cow<'static, str>>) {
        self.bar.set_message(text);
    }

    pub fn finish_and_clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Log {
    /// A line when another part of long work is done.
    fn line(&self, done: u64, length: u64, now: Duration) -> Option<String> {
        let parts = (done * LOGGED_PARTS).checked_div(length)?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Threads report out of order.
        if parts <= last.parts || now < last.at + PAUSE {
            return None;
        }
        *last = Logged { parts, at: now };
        Some(format!("{} {done}/{length}", self.what))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verbosity;
    use super::*;

    fn log() -> Log {
        Log {
            printer: Printer::new(Verbosity::Warnings),
            what: "decoding".into(),
            started: Instant::now(),
            last: Mutex::default(),
        }
    }

    /// Lines about 1000 images, each of which takes so long.
    fn lines(log: &Log, each: Duration) -> Vec<String> {
        (0..=1000)
            .filter_map(|done| log.line(done, 1000, each * done as u32))
            .collect()
    }

    #[test]
    fn long_work_is_logged_once_for_each_fifth() {
        let long = log();
        let fifths = ["200", "400", "600", "800", "1000"];
        assert_eq!(
            lines(&long, Duration::from_millis(100)),
            fifths.map(|done| format!("decoding {done}/1000"))
        );
        let late = Duration::from_secs(200);
        assert_eq!(long.line(400, 1000, late), None, "out of order");
    }

    #[test]
    fn short_work_is_hardly_logged() {
        assert!(lines(&log(), Duration::from_micros(100)).is_empty());
        let some = lines(&log(), Duration::from_millis(5));
        assert_eq!(some, ["decoding 400/1000", "decoding 800/1000"]);
        let unknown = log().line(3, 0, Duration::from_secs(9));
        assert_eq!(unknown, None, "a length that is not known yet");
    }

    #[test]
    fn hidden_bars_keep_their_length() {
        let quiet = Printer::new(Verbosity::Warnings);
        let bar = quiet.image_bar("decoding", 7);
        assert_eq!(bar.bar.length(), Some(7));
        bar.set_length(8);
        bar.set_position(8);
        assert_eq!((bar.bar.length(), bar.bar.position()), (Some(8), 8));
        bar.finish_and_clear();
    }
}
