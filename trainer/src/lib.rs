//! Trains image classifiers and exports them as verified, self-describing ONNX files.
//!
//! `trainer fit` is a pipeline from values to values, written out in `commands/fit.rs`:
//!
//! ```text
//! flags > Recipe > Dataset > Model > TrainingSet
//!   per epoch: Batch [N, 3, H, W] or [N, D] > logits [N, K] > loss > gradients > Model'
//! > Calibration > Document + Card > Agreement with ONNX Runtime > model.onnx > Scores on the test set
//! ```
//!
//! [`recipe`] knows what is asked, [`run_dir`] where it lands, [`train`](mod@train) is the loop, [`live`] shows it,
//! [`calibrate`] fits a temperature, [`cross_validation`] and [`seeds`] say how far the numbers hold, [`export`]
//! writes the file and [`verify`] compares it with ONNX Runtime. [`report`] shows what a run folder holds,;
//! [`inspect`] draws what the exported network sees. Only [`console`] prints, and draws charts and pages.

pub mod backbone;
pub mod calibrate;
pub mod cli;
pub mod cli_error;
pub mod command_line;
pub mod commands;
pub mod contact_sheet;
pub mod context;
pub mod cross_validation;
pub mod dataset;
pub mod error;
pub mod evaluate;
pub mod examples;
pub mod export;
pub mod features;
pub mod final_evaluation;
pub mod inspect;
pub mod interrupt;
pub mod kfold;
pub mod live;
pub mod model;
pub mod predictions;
pub mod recipe;
pub mod report;
pub mod resolve;
pub mod restore;
pub mod run_dir;
pub mod runtime;
pub mod seeds;
pub mod summary;
mod tensors;
pub mod train;
pub mod training_set;
pub mod verify;

pub use error::{Error, Result};
