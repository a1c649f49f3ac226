//! All printing: the log and progress go to standard error, results to standard output (to
//! standard error too when standard output carries JSON). Nothing else in this crate prints.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::error::Result;
use pane::{Line, Pane};

mod pane;

/// Where and how much is printed.
#[derive(Clone, Debug)]
pub struct Printer {
    quiet: bool,
    json_on_stdout: bool,
    terminal: bool,
    bars: bool,
    color: bool,
    pane: Arc<Pane>,
}

impl Printer {
    /// A printer; `json` is where `--json` goes, if it was given.
    pub fn new(quiet: bool, json: Option<&Path>) -> Printer {
        let terminal = io::stderr().is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Printer {
            quiet,
            json_on_stdout: json.is_some_and(is_stdout),
            terminal,
            bars: true,
            color: terminal && !no_color,
            pane: Arc::default(),
        }
    }

    /// Whether progress bars can be seen.
    pub fn has_bars(&self) -> bool {
        self.terminal && self.bars && !self.quiet
    }

    /// The same without progress bars.
    #[must_use]
    pub fn without_bars(&self) -> Printer {
        Printer {
            bars: false,
            ..self.clone()
        }
    }

    /// Whether there are colours.
    pub fn has_colors(&self) -> bool {
        self.color
    }

    /// A line of the log.
    pub fn log(&self, text: impl AsRef<str>) {
        if !self.quiet {
            self.line(Line::Log(text.as_ref().into()));
        }
    }

    /// A line that answers the user, even when quiet.
    pub fn answer(&self, text: impl AsRef<str>) {
        self.line(Line::Log(text.as_ref().into()));
    }

    /// Something to be wary of; printed even when quiet.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.line(Line::Warning(text.as_ref().into()));
    }

    /// To standard error, or onto the pane that covers it.
    fn line(&self, line: Line) {
        if let Some(line) = self.pane.take(line) {
            self.print(&line);
        }
    }

    fn print(&self, line: &Line) {
        match line {
            Line::Log(text) => to_stderr(text),
            Line::Warning(text) if self.color => {
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
    pub fn result(&self, text: impl AsRef<str>) {
        match (self.quiet, self.json_on_stdout) {
            (true, _) => {}
            (false, true) => to_stderr(text.as_ref()),
            (false, false) => to_stdout(text.as_ref().as_bytes(), true).unwrap_or_default(),
        }
    }

    /// A result, for programs: to the file, or to standard output when it is `-`.
    pub fn json(&self, target: &Path, value: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(value)?;
        text.push(b'\n');
        if is_stdout(target) {
            return Ok(to_stdout(&text, false)?);
        }
        Ok(data::write::atomically(target, &text)?)
    }

    /// Bytes that are the very purpose of a command, such as shell completions.
    pub fn bytes(&self, bytes: &[u8]) -> Result<()> {
        Ok(to_stdout(bytes, false)?)
    }

    /// The text in bold where there are colours.
    pub fn bold(&self, text: &str) -> String {
        if self.color {
            format!("\u{1b}[1m{text}\u{1b}[0m")
        } else {
            text.into()
        }
    }

    /// A bar over `length` images.
    pub fn image_bar(&self, what: &str, length: u64) -> ProgressBar {
        self.bar(
            what,
            Some(length),
            "{prefix} {bar:24} {pos}/{len} {rate} eta {eta} {msg}",
        )
    }

    /// A bar over bytes; their number may be known later.
    pub fn byte_bar(&self, what: &str) -> ProgressBar {
        self.bar(
            what,
            None,
            "{prefix} {bar:24} {bytes}/{total_bytes} {bytes_per_sec} eta {eta}",
        )
    }

    fn bar(&self, what: &str, length: Option<u64>, template: &str) -> ProgressBar {
        if !self.has_bars() {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .with_key(
                "rate",
                |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
                    out.write_fmt(format_args!("{:.0}/s", state.per_sec()))
                        .unwrap_or_default();
                },
            )
            .progress_chars("=> ");
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
        bar.set_style(style);
        bar.set_prefix(what.to_string());
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}

/// Prints the text of an error, whatever `--quiet` says.
pub fn error(text: &str) {
    to_stderr(text);
}

fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// A closed or full standard error is nobody's business.
fn to_stderr(text: &str) {
    writeln!(io::stderr().lock(), "{text}").unwrap_or_default();
}

/// A reader that has gone away is fine; a full disk is not.
fn to_stdout(bytes: &[u8], newline: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = out
        .write_all(bytes)
        .and_then(|()| {
            if newline {
                out.write_all(b"\n")
            } else {
                Ok(())
            }
        })
        .and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
