//! The command lines of `deploy embed` and `deploy search`.

use std::path::PathBuf;

use clap::Args;

use super::{MachineArgs, ManyImages, Preprocess};

/// The model whose features are taken.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct EncoderArgs {
    /// The model file, or a run by its folder or name [default: the latest run]
    #[arg(long, value_name = "FILE|RUN")]
    pub(crate) model: Option<PathBuf>,
    /// The folder of the runs
    #[arg(long, value_name = "DIR", default_value = data::run_files::RUNS)]
    pub(crate) runs: PathBuf,
    /// Preprocessing steps from an image to the model's input; replaces the card's steps
    #[arg(long, value_name = "TEXT")]
    pub(crate) preprocess: Option<Preprocess>,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

/// The flags of `deploy embed`.
#[derive(Debug, Args)]
pub(crate) struct EmbedArgs {
    #[command(flatten)]
    pub(crate) images: ManyImages,
    /// The file to write: `.npy` of single precision, [N, D], with the paths of its rows in a text file beside it; or
    /// `.parquet` with the columns `path`, `features`, and `backbone`, which says whose features they are
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Scale each row to length 1: dot products are cosines
    #[arg(long)]
    pub(crate) normalize: bool,
    #[command(flatten)]
    pub(crate) encoder: EncoderArgs,
}

/// The flags of `deploy search`.
#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// The image to search for
    #[arg(value_name = "IMAGE")]
    pub(crate) image: PathBuf,
    /// The folder to search, with all folders in it
    #[arg(long = "in", value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Number of images to show
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) top_k: u16,
    #[command(flatten)]
    pub(crate) encoder: EncoderArgs,
}
