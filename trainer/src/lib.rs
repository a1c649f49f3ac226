//! Trains image classifiers and exports them as verified, self-describing ONNX files.
//!
//! `fit` is a line of rooms, each of which takes one value and hands on one value:
//!
//! ```text
//! flags > Recipe > Dataset > Images > Network
//!   per epoch: Batch [N, 3, H, W] > logits [N, K] > loss > gradients > Network'
//! > Document + Card > Agreement with ONNX Runtime > model.onnx > Scores on the test set
//! ```
//!
//! [`recipe`] knows what is asked, [`run_dir`] where it lands, [`fit`] trains, [`evaluate`]
//! scores, [`live`] shows it going on, [`export`] writes the file and [`verify`] holds it against
//! ONNX Runtime; [`inspect`] draws what the exported network sees. Only [`printer`] prints.

pub mod cli;
pub mod commands;
pub mod error;
pub mod evaluate;
pub mod export;
pub mod fault;
pub mod features;
pub mod fit;
pub mod inspect;
pub mod live;
pub mod printer;
pub mod recipe;
pub mod run_dir;
pub mod runtime;
pub mod source;
pub mod stage;
pub mod summary;
pub mod verify;

pub use error::{Error, Result};
