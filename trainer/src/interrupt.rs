//! Ctrl-C: the first one asks the run to save and stop, the second one ends the process at once. It knows
//! no training.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::error::{Error, Result};
use crate::printer::Printer;

/// The exit code of a process that SIGINT ended, as shells report it.
const KILLED_BY_SIGINT: i32 = 130;

/// Whether the user has asked the run to stop. Clones share one answer.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    requested: Arc<AtomicBool>,
    run: Arc<OnceLock<PathBuf>>,
}

impl Interrupt {
    /// From now on Ctrl-C interrupts `run`. A process can do this once.
    ///
    /// # Errors
    /// When the system does not let signals be handled.
    pub fn watch(&self, run: &Path, printer: &Printer) -> Result<()> {
        self.run.get_or_init(|| run.to_path_buf());
        let (interrupt, printer) = (self.clone(), printer.clone());
        ctrlc::set_handler(move || {
            if interrupt.request() {
                printer.end_pane();
                leave();
            }
            printer.answer("interrupted: saving after this step (again: stop at once)");
        })
        .map_err(|error| Error::Signals {
            reason: error.to_string(),
        })
    }

    /// Asks the run to stop, as Ctrl-C does; returns whether it was asked before.
    pub fn request(&self) -> bool {
        self.requested.swap(true, Ordering::SeqCst)
    }

    /// Whether the run is to stop.
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }

    /// The flag itself, for work of other crates that ends when it is set.
    pub fn flag(&self) -> &AtomicBool {
        &self.requested
    }

    /// An error when the run is to stop.
    ///
    /// # Errors
    /// [`Error::Interrupted`], which names the run to resume.
    pub fn check(&self) -> Result<()> {
        match self.is_requested() {
            true => Err(self.error()),
            false => Ok(()),
        }
    }

    /// The error that an interrupted run ends with.
    pub fn error(&self) -> Error {
        Error::Interrupted {
            run: self.run.get().cloned(),
        }
    }
}

#[expect(
    clippy::exit,
    reason = "the user asked twice; files are never half-written"
)]
fn leave() -> ! {
    std::process::exit(KILLED_BY_SIGINT)
}
