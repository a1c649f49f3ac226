//! The library on real files, through the real ONNX Runtime.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests and helpers"
)]

#[cfg(feature = "ndarray")]
mod arrays;
mod batch;
mod calls;
mod classifier;
#[cfg(feature = "eval")]
mod convert;
mod encoder;
#[cfg(feature = "eval")]
mod eval;
#[cfg(feature = "eval")]
mod finite;
mod foreign;
mod golden;
mod gpu;
mod openvino;
mod output_kind;
mod outputs;
mod process;
mod refuse;
mod replaced;
mod runtime;
mod session;
#[cfg(feature = "tracing")]
mod spans;
mod support;
mod taps;
mod verifier;
