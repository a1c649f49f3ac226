//! Progress bars on a terminal; elsewhere, a line of the log now and then.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressDrawTarget, ProgressState, ProgressStyle};

use super::Printer;

/// Work on fewer images than this is over before anybody reads a log.
const LEAST_LOGGED: u64 = 500;
/// Lines of the log about one piece of work.
const LOGGED_PARTS: u64 = 5;

/// How far something is. It can be told from any thread.
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
    /// Parts of the work that are logged already.
    parts: AtomicU64,
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
                parts: AtomicU64::new(0),
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
    /// So many are done.
    pub fn set_position(&self, done: u64) {
        self.bar.set_position(done);
        if let (Some(log), Some(length)) = (&self.log, self.bar.length())
            && let Some(line) = log.line(done, length)
        {
            log.printer.log(line);
        }
    }

    /// So many are to be done.
    pub fn set_length(&self, length: u64) {
        self.bar.set_length(length);
    }

    /// A text beside the bar.
    pub fn set_message(&self, text: impl Into<Cow<'static, str>>) {
        self.bar.set_message(text);
    }

    /// Takes the bar away.
    pub fn finish_and_clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Log {
    /// A line when another part of long work is done.
    fn line(&self, done: u64, length: u64) -> Option<String> {
        let parts = done * LOGGED_PARTS / length.max(1);
        let is_new = parts > self.parts.fetch_max(parts, Ordering::Relaxed);
        (length >= LEAST_LOGGED && is_new).then(|| format!("{} {done}/{length}", self.what))
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
            parts: AtomicU64::new(0),
        }
    }

    #[test]
    fn long_work_is_logged_once_for_each_fifth() {
        let long = log();
        let lines: Vec<String> = (0..=1000)
            .filter_map(|done| long.line(done, 1000))
            .collect();
        assert_eq!(
            lines,
            ["200", "400", "600", "800", "1000"].map(|done| format!("decoding {done}/1000"))
        );
        assert_eq!(long.line(400, 1000), None, "threads report out of order");
    }

    #[test]
    fn short_work_is_not_logged() {
        let short = log();
        assert!((0..=499).all(|done| short.line(done, 499).is_none()));
        assert_eq!(log().line(3, 0), None, "a length that is not known yet");
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
