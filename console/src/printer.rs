//! Printer: the log and progress go to standard error, results to standard output (to standard
//! error too where standard output carries JSON).
//!
//! A reader of standard output that has gone away, such as `head`, is no failure. [`Printer::result`]
//! and [`Printer::json`] then print nothing more, and the command ends with its own exit code.
//! [`line()`] and [`bytes`], which are for output without an end, return an
//! error that ends the command; [`exit_code`](crate::exit_code) calls that a success.

mod pane;
mod progress;

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use files::write::is_stdout;
use serde::Serialize;

use pane::{Line, Pane};
pub use progress::ProgressBar;

/// How much is printed. Warnings and errors always are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// No results for people and no log: what counts is the exit code.
    Warnings,
    /// No log.
    Results,
    #[default]
    Everything,
}

/// Printer onto the standard streams.
#[derive(Clone, Debug)]
pub struct Printer {
    verbosity: Verbosity,
    is_stdout_taken: bool,
    is_terminal: bool,
    has_bars: bool,
    has_colors: bool,
    pane: Arc<Pane>,
}

impl Printer {
    pub fn new(verbosity: Verbosity) -> Self {
        let is_terminal = io::stderr().is_terminal();
        // https://no-color.org: set, and not empty.
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            verbosity,
            is_stdout_taken: false,
            is_terminal,
            has_bars: true,
            has_colors: is_terminal && !no_color,
            pane: Arc::default(),
        }
    }

    /// The same where these files are written too: results for people go to standard error if one of them is standard
    /// output.
    #[must_use]
    pub fn with_outputs(&self, outputs: &[Option<&Path>]) -> Self {
        Self {
            is_stdout_taken: outputs.iter().flatten().any(|path| is_stdout(path)),
            ..self.clone()
        }
    }

    #[must_use]
    pub fn without_bars(&self) -> Self {
        Self {
            has_bars: false,
            ..self.clone()
        }
    }

    fn has_log(&self) -> bool {
        self.verbosity >= Verbosity::Everything
    }

    /// Whether progress bars can be seen.
    pub fn has_bars(&self) -> bool {
        self.is_terminal && self.has_bars && self.has_log()
    }

    pub fn has_colors(&self) -> bool {
        self.has_colors
    }

    /// A line of the log.
    pub fn log(&self, text: impl AsRef<str>) {
        if self.has_log() {
            self.print_or_keep(Line::Log(text.as_ref().into()));
        }
    }

    /// A line that answers the user, even when quiet.
    pub fn answer(&self, text: impl AsRef<str>) {
        self.print_or_keep(Line::Log(text.as_ref().into()));
    }

    /// A warning; printed even when quiet.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.print_or_keep(Line::Warning(text.as_ref().into()));
    }

    /// To standard error, or onto the pane of the screen that covers it.
    fn print_or_keep(&self, line: Line) {
        if let Some(line) = self.pane.keep(line) {
            self.print(&line);
        }
    }

    fn print(&self, line: &Line) {
        match line {
            Line::Log(text) => to_stderr(text),
            Line::Warning(text) if self.has_colors => {
                to_stderr(&format!("\u{1b}[33mwarning:\u{1b}[0m {text}"));
            }
            Line::Warning(_) => to_stderr(&line.text()),
        }
    }

    /// From now on the log goes onto a pane of a screen that covers the terminal; `uncover` is
    /// called once, when the pane ends.
    pub fn begin_pane(&self, uncover: Box<dyn FnOnce() + Send>) {
        self.pane.begin(uncover);
    }

    /// The log so far on the pane, as plain text.
    pub fn pane_lines(&self) -> Vec<String> {
        self.pane.lines()
    }

    /// Uncovers the terminal and prints what was on the pane; without one it does nothing.
    pub fn end_pane(&self) {
        for line in self.pane.end() {
            self.print(&line);
        }
    }

    /// A result, for people.
    ///
    /// # Errors
    /// When standard output cannot be written, as on a full disk.
    pub fn result(&self, text: impl AsRef<str>) -> io::Result<()> {
        if self.verbosity < Verbosity::Results {
            return Ok(());
        }
        if self.is_stdout_taken {
            to_stderr(text.as_ref());
            return Ok(());
        }
        forgive_absence(line(text.as_ref()))
    }

    /// A result, for programs: to the file, or to standard output when it is `-`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn json(&self, target: &Path, value: &impl Serialize) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec_pretty(value)?;
        text.push(b'\n');
        Ok(files::write::atomically(target, &text)?)
    }

    /// The text in bold where there are colours.
    pub fn bold(&self, text: &str) -> String {
        if self.has_colors {
            format!("\u{1b}[1m{text}\u{1b}[0m")
        } else {
            text.into()
        }
    }
}

/// Prints the text of an error, however quiet the printer is.
pub fn error(text: &str) {
    to_stderr(text);
}

/// A line of the result on standard output.
///
/// # Errors
/// When it cannot be written, or nobody reads any more.
pub fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")
        // Flushed, so that a closed pipe is noticed here and not when the process ends.
        .and_then(|()| out.flush())
        .map_err(note_absence)
}

/// Bytes of the result on standard output.
///
/// # Errors
/// When they cannot be written, or nobody reads any more.
pub fn bytes(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(note_absence)
}

/// The reader of standard output has gone away. A broken pipe to anything else (a server, say) is
/// another matter, and an error.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads standard output any more")]
struct ReaderGone;

/// Whether the reader of standard output has gone away.
pub(crate) fn is_reader_gone(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<ReaderGone>())
}

pub(crate) fn reader_gone() -> io::Error {
    io::Error::new(ErrorKind::BrokenPipe, ReaderGone)
}

fn note_absence(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::BrokenPipe => reader_gone(),
        _ => error,
    }
}

fn forgive_absence(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if is_reader_gone(&error) => Ok(()),
        other => other,
    }
}

/// A closed or full standard error is no reason to fail: there is no other place for the message.
fn to_stderr(text: &str) {
    writeln!(io::stderr().lock(), "{text}").unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reader_of_standard_output_may_go_away() {
        let broken = || io::Error::from(ErrorKind::BrokenPipe);
        assert!(is_reader_gone(&note_absence(broken())));
        assert!(!is_reader_gone(&broken()));
        assert!(!is_reader_gone(&note_absence(
            ErrorKind::StorageFull.into()
        )));
        assert!(forgive_absence(Err(note_absence(broken()))).is_ok());
        assert!(forgive_absence(Err(broken())).is_err());
    }

    #[test]
    fn json_goes_to_a_file_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scores.json");
        let printer = Printer::new(Verbosity::Warnings);
        printer.json(&path, &["ants", "bees"]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "[\n  \"ants\",\n  \"bees\"\n]\n");
        assert!(printer.json(&folder.path().join("no/such"), &1).is_err());
    }

    #[test]
    fn quiet_printers_have_no_bars() {
        for verbosity in [Verbosity::Warnings, Verbosity::Results] {
            assert!(!Printer::new(verbosity).has_bars());
        }
        let printer = Printer::new(Verbosity::Everything).without_bars();
        assert!(!printer.has_bars());
    }
}
