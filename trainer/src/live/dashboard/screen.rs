//! The terminal: its other screen, its keys, and the bytes that draw. Unix alone.

#[cfg(not(unix))]
#[path = "screen/none.rs"]
mod terminal;
#[cfg(unix)]
#[path = "screen/unix.rs"]
mod terminal;

pub(super) use terminal::{Keys, Screen};
