//! Ctrl-C: the first asks for what was measured so far, the second ends the program at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;

use crate::printer;

/// The exit code of a process that SIGINT ended, as shells report it.
const KILLED_BY_SIGINT: i32 = 130;

/// A flag that the first Ctrl-C sets.
pub(super) fn on_ctrl_c() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            leave();
        }
        printer::error("interrupted: the results so far follow (again: stop at once)");
    })
    .context("Ctrl-C cannot be watched for")?;
    Ok(stop)
}

#[expect(
    clippy::exit,
    reason = "the user asked twice; files are never half-written"
)]
fn leave() -> ! {
    std::process::exit(KILLED_BY_SIGINT)
}
