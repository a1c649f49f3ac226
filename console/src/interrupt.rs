//! Interruption by Ctrl-C: the first asks the command to stop where it can, the second ends the process at
//! once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

use crate::Printer;

/// The exit code of a process that SIGINT ended, as shells report it.
const KILLED_BY_SIGINT: i32 = 130;

/// Whether the user has asked for a stop. Its clones share the answer.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// An interrupt that Ctrl-C requests, as [`watch`](Self::watch) has it.
    ///
    /// # Errors
    /// When the system does not let signals be handled.
    pub fn on_ctrl_c(printer: &Printer, answer: &'static str) -> anyhow::Result<Self> {
        let interrupt = Self::default();
        interrupt.watch(printer, answer)?;
        Ok(interrupt)
    }

    /// Watches for Ctrl-C from now on; `answer` is printed at the first. A process may do this once.
    ///
    /// # Errors
    /// When the system does not let signals be handled.
    pub fn watch(&self, printer: &Printer, answer: &'static str) -> anyhow::Result<()> {
        let (asked, printer) = (self.clone(), printer.clone());
        // Under `nohup` this signal is ignored, but `ctrlc` takes it over.
        #[cfg(unix)]
        let stays_ignored = ignore_hangup();
        // `ctrlc` calls this on a thread of its own, where printing and locking are allowed.
        ctrlc::set_handler(move || {
            if asked.request() {
                printer.answer(answer);
            } else {
                // What it covers the terminal with would stay there.
                printer.end_pane();
                leave();
            }
        })
        .context("Ctrl-C cannot be watched for")?;
        #[cfg(unix)]
        if stays_ignored {
            ignore_hangup();
        }
        Ok(())
    }

    /// Asks for a stop; whether this is the first time.
    pub fn request(&self) -> bool {
        !self.0.swap(true, Ordering::SeqCst)
    }

    /// Whether a stop was asked for.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// The flag itself, for code that knows nothing of a console.
    pub fn flag(&self) -> &Arc<AtomicBool> {
        &self.0
    }
}

/// Ignores SIGHUP; whether it was ignored before.
#[cfg(unix)]
#[expect(unsafe_code, reason = "there is no safe interface to signals")]
fn ignore_hangup() -> bool {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: ignoring a signal installs no code that could run at a bad moment.
    let before = unsafe { signal(Signal::SIGHUP, SigHandler::SigIgn) };
    matches!(before, Ok(SigHandler::SigIgn))
}

#[expect(
    clippy::exit,
    reason = "the user asked twice; files are never half-written"
)]
fn leave() -> ! {
    std::process::exit(KILLED_BY_SIGINT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_hear_of_the_first_request() {
        let interrupt = Interrupt::default();
        let clone = interrupt.clone();
        assert!(!clone.is_requested());
        assert!(interrupt.request(), "the first");
        assert!(!clone.request(), "the second");
        assert!(clone.is_requested() && clone.flag().load(Ordering::SeqCst));
    }
}
