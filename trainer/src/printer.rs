//! All printing: the log and progress go to standard error, results to standard output (to
//! standard error too when standard output carries JSON). Nothing else in this crate prints.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::error::Result;

/// Where and how much is printed.
#[derive(Clone, Debug)]
pub struct Printer {
    quiet: bool,
    json_on_stdout: bool,
    terminal: bool,
    color: bool,
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
            color: terminal && !no_color,
        }
    }

    /// Whether progress bars can be seen.
    pub fn has_bars(&self) -> bool {
        self.terminal && !self.quiet
    }

    /// A line of the log.
    pub fn log(&self, text: impl AsRef<str>) {
        if !self.quiet {
            to_stderr(text.as_ref());
        }
    }

    /// Something to be wary of; printed even when quiet.
    pub fn warn(&self, text: impl AsRef<str>) {
        let mark = if self.color {
            "\u{1b}[33mwarning:\u{1b}[0m"
        } else {
            "warning:"
        };
        to_stderr(&format!("{mark} {}", text.as_ref()));
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
