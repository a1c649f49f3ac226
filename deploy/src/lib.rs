//! Runs ONNX image classifiers through ONNX Runtime.
//!
//! A model file that carries a card configures everything: class names, preprocessing, meaning of the
//! output. A file without one is told by hand through the [`ClassifierBuilder`].
//!
//! ```no_run
//! let classifier = deploy::Classifier::open("model.onnx")?;
//! let prediction = classifier.classify_path("bee.jpg")?;
//! println!("{} {:.1} %", prediction.label, 100.0 * prediction.probability);
//! # Ok::<(), deploy::Error>(())
//! ```
//!
//! The modules: [`runtime`] finds, installs and loads the ONNX Runtime library; [`session`] is the
//! [`engine`] that runs a model on a [`Provider`], several of them in a [`pool`]; [`classifier`] joins
//! them with a card; [`eval`] scores it on images, [`golden`] checks it against itself, [`taps`] reads
//! the values inside it; [`convert`] writes it in another precision and [`diff`] says what that, or
//! anything else, changed.
//!
//! This crate never prints, never downloads of its own accord and keeps nothing global but the one ONNX
//! Runtime of the process.
#![deny(missing_docs)]

pub mod classifier;
pub mod convert;
pub mod diff;
pub mod engine;
pub mod error;
pub mod eval;
pub mod golden;
pub mod model;
mod options;
pub mod placement;
pub mod pool;
pub mod precision;
pub mod prediction;
mod presets;
pub mod runtime;
pub mod session;
pub mod taps;
pub mod tensorrt_cache;

/// What providers need of the machine and where ONNX Runtime comes from: its errors are in signatures here.
pub use machine;
pub use machine::{Provider, probe};

pub use classifier::{Classifier, ClassifierBuilder};
pub use error::{Error, Kind, Result};
pub use model::Model;
pub use placement::{PlacedNode, Placement};
pub use precision::Precision;
pub use prediction::Prediction;
pub use session::{Batch, Bound, ColdStart, Feed, Phases, Session, SessionOptions};
pub use taps::{Tap, Taps};
