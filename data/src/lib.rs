//! Labelled images: what belongs to which class and split, batches of them, and scores.
//!
//! The modules, in the order in which data flows through them:
//!
//! - [`folder`], [`split`], [`table`]: which files are images, which class and which split each belongs to;
//! - [`images`], [`loader`], [`augment`]: decoded once, varied, batched in worker threads;
//! - [`unreadable`]: how many images may be left out because they cannot be read;
//! - [`audit`]: what is wrong or odd with a set of labelled images;
//! - [`metrics`]: predictions to [`Scores`];
//! - [`class_names`]: names of classes for a model without a card;
//! - [`run_files`]: names in a run folder;
//! - [`insects`], `fetch`, [`catalog`]: data without any at hand.
//!
//! Decoding, preprocessing and the model card are the crate [`pixels`]; the cache folder, atomic
//! writing and hashes are [`files`]. Their modules are here under their own names, too.
//!
//! This crate knows no tensor framework and no model runtime.

pub mod audit;
pub mod augment;
pub mod catalog;
pub mod class_names;
pub mod error;
#[cfg(feature = "fetch")]
pub mod fetch;
pub mod folder;
pub mod images;
pub mod insects;
pub mod loader;
pub mod metrics;
pub mod run_files;
pub mod split;
pub mod table;
pub mod unreadable;

pub use audit::Audit;
pub use error::{Error, Result};
pub use files::{cache, hash, write};
pub use folder::{Dataset, LeftOut, Sample};
pub use metrics::{Prediction, Scores, Tally};
pub use pixels::{Card, Limits, Preprocess, RgbImage, Unreadable, card, decode, preprocess};
pub use split::Split;
pub use {files, pixels};
