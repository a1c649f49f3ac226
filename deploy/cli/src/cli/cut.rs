//! The command line of `deploy cut`.

use std::path::PathBuf;

use clap::Args;
use data::Preprocess;

use super::LocationArgs;

/// The flags of `deploy cut`.
#[derive(Debug, Args)]
pub(crate) struct CutArgs {
    /// The backbone: an ONNX file, a run by its folder or name, or a name that `trainer backbones` lists
    #[arg(value_name = "BACKBONE")]
    pub(crate) backbone: PathBuf,
    /// The file to write
    #[arg(value_name = "OUT")]
    pub(crate) out: PathBuf,
    /// Value of the graph that holds the features, in place of the one before its classification layer
    #[arg(long, value_name = "VALUE")]
    pub(crate) cut_at: Option<String>,
    /// Preprocessing steps from an image to the input [default: what the file or a JSON file beside it says, or what is
    /// known of its bytes]
    #[arg(long, value_name = "TEXT")]
    pub(crate) preprocess: Option<Preprocess>,
    /// The folder of the runs
    #[arg(long, value_name = "DIR", default_value = data::run_files::RUNS)]
    pub(crate) runs: PathBuf,
    #[command(flatten)]
    pub(crate) location: LocationArgs,
}
