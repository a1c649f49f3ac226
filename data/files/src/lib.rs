//! Cache folder, atomic writing and SHA-256.
//!
//! Every crate of the workspace may use it. Knows no file format.

pub mod cache;
pub mod error;
pub mod hash;
pub mod write;

pub use error::{Error, Result};
