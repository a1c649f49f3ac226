//! All printing: the log and progress go to standard error, results to standard output.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde::Serialize;

/// Where and how much is printed.
#[derive(Clone, Debug)]
pub(crate) struct Printer {
    quiet: bool,
    terminal: bool,
    color: bool,
}

impl Printer {
    pub(crate) fn new(quiet: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            quiet,
            terminal,
            color: terminal && !no_color,
        }
    }

    /// A line of the log.
    pub(crate) fn log(&self, text: impl AsRef<str>) {
        if !self.quiet {
            to_stderr(text.as_ref());
        }
    }

    /// Something to be wary of; printed even when quiet.
    pub(crate) fn warn(&self, text: impl AsRef<str>) {
        let mark = if self.color {
            "\u{1b}[33mwarning:\u{1b}[0m"
        } else {
            "warning:"
        };
        to_stderr(&format!("{mark} {}", text.as_ref()));
    }

    /// A result, for people; to standard error where standard output carries JSON.
    pub(crate) fn result(text: impl AsRef<str>, json: Option<&Path>) -> io::Result<()> {
        match json {
            Some(path) if path.as_os_str() == "-" => {
                to_stderr(text.as_ref());
                Ok(())
            }
            _ => line(text.as_ref()),
        }
    }

    /// A result, for programs: to the file, or to standard output when it is `-`.
    pub(crate) fn json(&self, target: &Path, value: &impl Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(value)? + "\n";
        if target.as_os_str() == "-" {
            Ok(bytes(text.as_bytes())?)
        } else {
            Ok(data::write::atomically(target, text.as_bytes())?)
        }
    }

    /// A bar over images; plain lines now and then where there is no terminal.
    pub(crate) fn images(&self, what: &str, length: usize) -> Progress {
        let bar = if self.terminal && !self.quiet {
            let template = "{prefix} {bar:24} {pos}/{len} {rate} eta {eta}";
            let style = ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .with_key(
                    "rate",
                    |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                        out.write_fmt(format_args!("{:.0}/s", state.per_sec()))
                            .unwrap_or_default();
                    },
                )
                .progress_chars("=> ");
            let bar =
                ProgressBar::with_draw_target(Some(length as u64), ProgressDrawTarget::stderr());
            bar.set_style(style);
            bar.set_prefix(what.to_owned());
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        } else {
            ProgressBar::hidden()
        };
        Progress {
            bar,
            lines: !self.terminal && !self.quiet,
            what: what.to_owned(),
            length,
            tenths: std::cell::Cell::new(0),
        }
    }

    /// A bar over turns of a benchmark, with a line of text beside it; only on a terminal.
    pub(crate) fn turns(&self, what: &str, length: usize) -> Turns {
        let bar = if self.terminal && !self.quiet {
            let style = ProgressStyle::with_template("{prefix} {bar:16} {pos}/{len} {wide_msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> ");
            let bar =
                ProgressBar::with_draw_target(Some(length as u64), ProgressDrawTarget::stderr());
            bar.set_style(style);
            bar.set_prefix(what.to_owned());
            bar
        } else {
            ProgressBar::hidden()
        };
        Turns { bar }
    }
}

/// How far a benchmark is.
#[derive(Debug)]
pub(crate) struct Turns {
    bar: ProgressBar,
}

impl Turns {
    /// A turn begins or is over.
    pub(crate) fn at(&self, done: usize, text: String) {
        self.bar.set_position(done as u64);
        self.bar.set_message(text);
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// How far something is.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    lines: bool,
    what: String,
    length: usize,
    tenths: std::cell::Cell<usize>,
}

impl Progress {
    /// So many are done.
    pub(crate) fn at(&self, done: usize) {
        self.bar.set_position(done as u64);
        let tenths = done * 10 / self.length.max(1);
        // A line for each fifth of long work.
        if self.lines && self.length >= 500 && tenths / 2 > self.tenths.get() / 2 {
            to_stderr(&format!("{} {done}/{}", self.what, self.length));
            self.tenths.set(tenths);
        }
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Prints the text of an error, whatever `--quiet` says.
pub(crate) fn error(text: &str) {
    to_stderr(text);
}

/// A line of the result on standard output.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Bytes of the result on standard output.
pub(crate) fn bytes(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// A closed or full standard error is nobody's business.
fn to_stderr(text: &str) {
    writeln!(io::stderr().lock(), "{text}").unwrap_or_default();
}
