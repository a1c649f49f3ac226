//! What an image, a label and a score are.
//!
//! The rooms, in the order in which data flows through them:
//!
//! - [`folder`], [`split`], [`table`]: which files are images, which class and which split each belongs to;
//! - [`decode`]: bytes to RGB pixels, equal to PIL's;
//! - [`images`], [`loader`], [`augment`]: decoded once, varied, batched in worker threads;
//! - [`unreadable`]: how many images may be left out because they cannot be read;
//! - [`preprocess`]: the one implementation of resize, crop and normalisation, and its text and JSON;
//! - [`audit`]: what is wrong or odd with a set of labelled images;
//! - [`metrics`]: predictions to [`Scores`];
//! - [`card`]: the model card that a `.onnx` file carries; [`class_names`]: for one that carries none;
//! - [`run_files`]: names in a run folder;
//! - [`insects`], `fetch`, [`catalog`]: data without any at hand; [`cache`], [`mod@write`], [`hash`]: where and how files are written, and their SHA-256.
//!
//! This crate knows no tensor framework and no model runtime.

pub mod audit;
pub mod augment;
pub mod cache;
pub mod card;
pub mod catalog;
pub mod class_names;
pub mod decode;
pub mod error;
#[cfg(feature = "fetch")]
pub mod fetch;
pub mod folder;
pub mod hash;
pub mod images;
pub mod insects;
pub mod loader;
pub mod metrics;
pub mod preprocess;
pub mod run_files;
pub mod split;
pub mod table;
pub mod unreadable;
pub mod write;

pub use audit::Audit;
pub use card::Card;
pub use decode::Limits;
pub use error::{Error, Result};
pub use folder::{Dataset, LeftOut, Sample};
pub use metrics::{Prediction, Scores, Tally};
pub use preprocess::Preprocess;
pub use split::Split;
pub use unreadable::Unreadable;

/// The decoded picture type that this crate hands around (RGB, 8 bits).
pub use image::RgbImage;
