//! End to end: the real `trainer` and `deploy`, from their arguments to what they leave.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests and helpers"
)]

mod audit;
mod backbone;
mod calibrate;
mod capi;
mod channels;
mod config;
mod feature_table;
mod features;
mod fit;
mod folds;
mod head;
mod hints;
mod import;
mod insects;
mod inspect;
mod kill;
mod live;
mod loop_settings;
mod named_backbones;
mod one_answer;
mod output;
mod pair_runs;
mod pair_tools;
mod pairs;
mod photos;
mod preprocess;
mod probe;
mod refuse_data;
mod refuse_machine;
mod refuse_model;
mod report;
mod resume;
mod seeds;
