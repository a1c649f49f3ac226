//! Requirements of ONNX Runtime and its providers on a machine.
//!
//! [`probe`] checks driver, GPU and libraries of a provider; [`runtime`] finds and installs the ONNX Runtime
//! library, NVIDIA's libraries, TensorRT and plugin providers. Nothing here runs a model, and nothing is installed without
//! being asked for; without the feature `install`, nothing can be.
#![deny(missing_docs)]
#![cfg_attr(
    not(feature = "install"),
    allow(dead_code, reason = "installers use it")
)]

mod dylib;
pub mod error;
mod missing;
#[cfg(feature = "install")]
pub mod pip;
pub mod probe;
pub mod provider;
pub mod runtime;
mod wheels;

pub use error::{Error, Result};
pub use provider::{OpenVinoDevice, Provider};
