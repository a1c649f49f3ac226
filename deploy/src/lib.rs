//! Runs ONNX image classifiers through ONNX Runtime.
//!
//! The card of a model file configures everything: class names, preprocessing, meaning of the output. For a file
//! without a card the [`ClassifierBuilder`] takes them.
//!
//! ```no_run
//! let classifier = classifold::Classifier::open("model.onnx")?;
//! let prediction = classifier.classify_path("bee.jpg")?;
//! println!("{} {:.1} %", prediction.label, 100.0 * prediction.probability);
//! # Ok::<(), classifold::Error>(())
//! ```
//!
//! The modules: [`runtime`] finds, installs and loads the ONNX Runtime library; [`session`] is the
//! [`engine`] that runs a model on a [`Provider`], and a [`pool`] holds several of them; [`classifier`] joins
//! them with a card; [`verifier`] says whether two images are the same, and [`encoder`] gives the features of one; [`golden`] checks a classifier against itself, [`taps`] reads the values inside it,
//! [`convert`] writes it in another precision, and [`tuned`] keeps how it runs fastest on a machine. With the feature `eval`, `eval` scores a classifier on
//! labelled images and `diff` compares two of them.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `libjpeg` | yes | every JPEG equal to PIL's, by mozjpeg and a C compiler; without it progressive ones by zune-jpeg |
//! | `ndarray` | no | frames, prepared images, logits and features as arrays |
//! | `install` | no | `runtime::install`, `runtime::ensure` and the like; needs `zip` |
//! | `tracing` | no | spans `decode`, `prepare`, `wait` (for a session) and `run`, of target `classifold` and level debug |
//! | `eval` | no | evaluation, comparison and the choice of calibration images; brings in the crate `data` |
//!
//! What signatures mention of other crates is re-exported here, so that an application depends on `classifold`
//! alone: [`pixels`] (card, preprocessing, decoded images), [`image`], [`onnx`], [`machine`], [`files`], [`ort`] and,
//! with `eval`, `data`.
//!
//! This crate never prints, never downloads of its own accord and keeps nothing global but the one ONNX
//! Runtime of the process and the GPU libraries that were loaded for it.
#![deny(missing_docs)]

/// A span of `tracing` until the end of the block, where that feature is on.
macro_rules! span {
    ($name:literal) => {
        #[cfg(feature = "tracing")]
        let _span = tracing::debug_span!(target: "classifold", $name).entered();
    };
}

mod cancel;
pub mod classifier;
pub mod convert;
#[cfg(feature = "eval")]
pub mod diff;
pub mod encoder;
pub mod engine;
pub mod engine_cache;
pub mod error;
#[cfg(feature = "eval")]
pub mod eval;
pub mod golden;
pub mod model;
mod options;
mod output_kind;
pub mod placement;
pub mod plugin;
pub mod pool;
pub mod precision;
pub mod prediction;
mod presets;
pub mod runtime;
pub mod session;
pub mod taps;
pub mod tuned;
pub mod verifier;

#[cfg(feature = "eval")]
pub use data;
pub use {files, image, machine, onnx, ort, pixels};

pub use files::cache;
pub use machine::{OpenVinoDevice, Provider, probe};
pub use pixels::{
    Card, DecodedImage, Frame, ImageRef, Limits, Nv12, PixelFormat, Pixels, Preprocess, RgbImage,
    Unreadable, YuvMatrix, YuvRange, card, decode, preprocess,
};

pub use cancel::{CancelToken, OnCancel};
pub use classifier::{Classifier, ClassifierBuilder, Input};
pub use encoder::{CutModel, Encoder, FeatureOrigin};
pub use error::{Error, Kind, Result};
pub use model::Model;
pub use placement::{PlacedNode, Placement};
pub use precision::Precision;
pub use prediction::Prediction;
pub use session::{Batch, Bound, ColdStart, Feed, Phases, Session, SessionOptions};
pub use taps::{FeatureShape, Tap, Taps};
pub use verifier::{PairSession, Verification, Verifier};
