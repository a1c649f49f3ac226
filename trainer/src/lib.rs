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
//! [`recipe`] holds the settings, [`run_dir`] the run folder, [`train`](mod@train) the loop, and [`live`] its
//! observers. [`calibrate`] fits a temperature; [`cross_validation`] and [`seeds`] measure how reliable the
//! scores are; [`export`] writes the file and [`verify`] compares it with ONNX Runtime. [`report`] makes
//! pages of run folders; [`inspect`] draws what the exported network sees. Only [`console`] prints, and draws
//! charts and pages.

#![allow(
    missing_docs,
    reason = "only our programs use it: a doc comment says what a name does not"
)]

pub mod backbone;
pub mod calibrate;
pub mod checkpoint_config;
pub mod cli;
pub mod cli_error;
pub mod command_line;
pub mod commands;
pub mod context;
pub mod cross_validation;
pub mod dataset;
pub mod device;
pub mod error;
pub mod evaluate;
pub mod examples;
pub mod export;
pub mod features;
pub mod final_evaluation;
pub mod golden_images;
pub mod head;
pub mod inspect;
pub mod interrupt;
pub mod kfold;
pub mod live;
pub mod model;
pub mod named_backbones;
pub mod output_files;
pub mod pair_evaluation;
pub mod pair_score;
pub mod preprocessing;
pub mod probe;
pub mod recipe;
pub mod resolve;
pub mod restore;
pub mod run_dir;
pub mod run_table;
pub mod runtime;
pub mod seeds;
mod tensors;
pub mod train;
pub mod training_set;
pub mod verify;

pub use error::{Error, Result};
