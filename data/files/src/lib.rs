//! Where the programs keep files, and how they write and check them.
//!
//! A leaf that all other crates may use: it knows no format and no image.

pub mod cache;
pub mod error;
pub mod hash;
pub mod http;
pub mod write;

pub use error::{Error, Result};
