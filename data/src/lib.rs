//! Labelled image data sets: folders, splits, audit, augmentation, batches and metrics.
//!
//! In the order of the data flow:
//!
//! - [`folder`], [`split`], [`table`]: class and split of every image file;
//! - [`images`], [`augment`], [`loader`]: decoded images, random augmentation, batches in worker threads;
//! - [`unreadable`]: tolerance for images that cannot be read;
//! - [`audit`]: leaks, duplicates and unusual files;
//! - [`metrics`]: predictions to [`Scores`];
//! - [`class_names`], [`preprocessor_config`]: class names and preprocessing for a model without a card;
//! - [`run_files`]: file names in a run folder; [`runs`]: which run a name means, and what it scored;
//! - [`pairs`]: pairs of images, of the same identity or not;
//! - [`insects`], [`signatures`], `fetch`, [`catalog`]: synthetic data sets, and public ones.
//!
//! Decoding, preprocessing and the model card are the crate [`pixels`]; the cache folder, atomic writing and
//! hashes are [`files`]. Their modules are re-exported here.
//!
//! Knows no tensor framework and no model runtime.

pub mod audit;
pub mod augment;
pub mod backbone_preprocess;
pub mod catalog;
pub mod class_names;
mod drawn;
pub mod error;
#[cfg(feature = "fetch")]
pub mod fetch;
pub mod folder;
pub mod images;
pub mod insects;
pub mod loader;
pub mod metrics;
pub mod pairs;
pub mod preprocessor_config;
pub mod run_files;
pub mod runs;
pub mod signatures;
pub mod split;
pub mod table;
mod text;
pub mod unreadable;

pub use audit::Audit;
pub use backbone_preprocess::{BackboneDescription, BackbonePreprocess};
pub use error::{Error, Result};
pub use files::{cache, hash, write};
pub use folder::{Dataset, LeftOut, Sample};
pub use metrics::{Prediction, Scores, Tally};
pub use pairs::{Pair, PairCounts, PairKind, PairOptions, Pairs};
pub use pixels::{
    Card, DecodedImage, ImageRef, Limits, Preprocess, RgbImage, Unreadable, card, decode,
    preprocess,
};
pub use split::Split;
pub use {files, pixels};
