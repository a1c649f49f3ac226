//! What ONNX Runtime and its providers need of a machine.
//!
//! [`probe`] says what a provider needs and whether it is there; [`runtime`] finds and installs the ONNX
//! Runtime library, NVIDIA's libraries beside it and TensorRT. Nothing here runs a model, and nothing is
//! installed of its own accord.
#![deny(missing_docs)]

mod dylib;
pub mod error;
mod missing;
pub mod probe;
pub mod provider;
pub mod runtime;
mod wheels;

pub use error::{Error, Result};
pub use provider::Provider;
