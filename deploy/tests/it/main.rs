//! The library on real files, through the real ONNX Runtime.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests and their helpers"
)]

mod classifier;
mod eval;
mod foreign;
mod golden;
mod refuse;
mod runtime;
mod support;
