//! Interruption of a run by Ctrl-C. It knows no training.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use console::Printer;

use crate::error::{Error, Result};

/// Whether the user has asked the run to stop. Clones share one answer.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    requested: console::Interrupt,
    run: Arc<OnceLock<PathBuf>>,
}

impl Interrupt {
    /// From now on Ctrl-C interrupts `run`. A process can do this once.
    pub fn watch(&self, run: &Path, printer: &Printer) -> Result<()> {
        self.run.get_or_init(|| run.to_path_buf());
        let answer = "interrupted: saving after this step (again: stop at once)";
        self.requested
            .watch(printer, answer)
            .map_err(|error| Error::refused(format!("{error:#}")))
    }

    /// Asks the run to stop, as Ctrl-C does; returns whether it was asked before.
    pub fn request(&self) -> bool {
        !self.requested.request()
    }

    pub fn is_requested(&self) -> bool {
        self.requested.is_requested()
    }

    /// The flag itself, for work of other crates that ends when it is set.
    pub fn flag(&self) -> &AtomicBool {
        self.requested.flag()
    }

    /// The flag itself, for options of other crates that own theirs.
    pub fn shared_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(self.requested.flag())
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

    pub fn error(&self) -> Error {
        Error::Interrupted {
            run: self.run.get().cloned(),
        }
    }
}
