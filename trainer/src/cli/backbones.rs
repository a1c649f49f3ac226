//! The flags of `trainer backbones`.

use std::path::PathBuf;

use clap::Args;

/// The flags of `trainer backbones`.
#[derive(Debug, Args)]
pub struct BackbonesArgs {
    /// Write the list as JSON; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Cache folder [env: CLASSIFIER_CACHE]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// The ONNX Runtime library to use [env: ORT_DYLIB_PATH]
    #[arg(long, value_name = "FILE")]
    pub runtime: Option<PathBuf>,
}
