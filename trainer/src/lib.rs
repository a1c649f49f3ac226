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
//! scores, [`live`] shows it going on, [`calibrate`] fits a temperature, [`folds`] and [`seeds`] say how
//! far the numbers hold, [`export`] writes the file and [`verify`] holds it against ONNX Runtime.
//! [`report`] shows what a run folder holds; [`inspect`] draws what the exported network sees. Only
//! [`console`] prints, and draws charts and pages.

pub mod answers;
pub mod calibrate;
pub mod cli;
pub mod cli_error;
pub mod command_line;
pub mod commands;
pub mod error;
pub mod evaluate;
pub mod export;
pub mod features;
pub mod fit;
pub mod folds;
pub mod inspect;
pub mod live;
pub mod recipe;
pub mod report;
pub mod run_dir;
pub mod runtime;
pub mod seeds;
pub mod sheet;
pub mod source;
pub mod stage;
pub mod summary;
pub mod verify;

pub use error::{Error, Result};
