//! The flags of `trainer inspect`.

use std::path::PathBuf;

use clap::Args;
use data::Preprocess;

use crate::recipe::MachineArgs;

/// The flags of `trainer inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The same as `--model`
    #[arg(value_name = "MODEL", conflicts_with = "model")]
    pub file: Option<PathBuf>,
    /// The model file, or a run by its folder or name [default: the latest run]
    #[arg(long, value_name = "FILE|RUN")]
    pub model: Option<PathBuf>,
    /// An image to run the network on; repeat the flag for more
    #[arg(long, value_name = "FILE", required_unless_present = "pair")]
    pub image: Vec<PathBuf>,
    /// Two images that a verifier compares: where they differ, and where they agree; repeat the flag for more
    #[arg(
        long,
        num_args = 2,
        value_names = ["A", "B"],
        conflicts_with_all = ["image", "class", "simplified", "occlusion", "classes", "preprocess"]
    )]
    pub pair: Vec<PathBuf>,
    /// The class whose evidence is shown [default: the predicted one]
    #[arg(long, value_name = "NAME")]
    pub class: Option<String>,
    /// Draw the feature maps of the convolutions in a plain chain, as the course does: without batch
    /// norm, activation, pooling and shortcuts
    #[arg(long)]
    pub simplified: bool,
    /// Also cover the image part by part, and draw how far the probability falls
    #[arg(long)]
    pub occlusion: bool,
    /// Folder for the images; those of an earlier `trainer inspect` are replaced [default: `inspect` in
    /// the run folder, or in this folder]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Folder of the runs
    #[arg(long, value_name = "DIR", default_value = data::run_files::RUNS)]
    pub runs: PathBuf,
    /// Class names of a model without a card, one per line in the order of its outputs
    #[arg(long, value_name = "FILE")]
    pub classes: Option<PathBuf>,
    /// Preprocessing for a model without a card
    #[arg(long, value_name = "TEXT")]
    pub preprocess: Option<Preprocess>,
    /// Number of threads [default: all cores]
    #[arg(long)]
    pub threads: Option<usize>,
    /// Cache folder and ONNX Runtime.
    #[command(flatten)]
    pub machine: MachineArgs,
}
