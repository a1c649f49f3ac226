//! What the end-to-end tests stand on: a [`Workshop`] that runs the real binaries, pictures and
//! small models for them, and eyes for what a run leaves. It knows nothing of their insides.
//!
//! `cargo test --release --workspace` builds the binaries and runs everything.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "this package is tests"
)]

pub mod checkpoint_file;
pub mod mount;
pub mod pictures;
pub mod run_folder;
pub mod shared;
pub mod tiny_models;
pub mod tool;
pub mod workshop;

pub use tool::{Done, Tool};
pub use workshop::Workshop;
