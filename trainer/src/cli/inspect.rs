//! The flags of `trainer inspect`.

use std::path::PathBuf;

use clap::Args;
use data::Preprocess;

use crate::recipe::MachineArgs;

/// The flags of `trainer inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A model file, or a run: its folder or its name
    #[arg(value_name = "MODEL|RUN")]
    pub model: PathBuf,
    /// An image to show to the network; repeat the flag for more
    #[arg(long, value_name = "FILE", required = true)]
    pub image: Vec<PathBuf>,
    /// The class whose evidence is shown [default: the predicted one]
    #[arg(long, value_name = "NAME")]
    pub class: Option<String>,
    /// Feature maps of the convolutions alone, one behind the other, as the course has it: without
    /// batch norm, activation, pooling and shortcuts
    #[arg(long)]
    pub simplified: bool,
    /// Also hide the image part by part, and show where that matters
    #[arg(long)]
    pub occlusion: bool,
    /// Folder of the drawn images; earlier ones of `trainer inspect` are replaced [default: `inspect`
    /// in the run's folder, or here]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Folder of the runs
    #[arg(long, value_name = "DIR", default_value = data::run_files::RUNS)]
    pub runs: PathBuf,
    /// Class names of a model without a card, one per line in the order of its outputs
    #[arg(long, value_name = "FILE")]
    pub classes: Option<PathBuf>,
    /// Steps from an image to the input of a model without a card
    #[arg(long, value_name = "TEXT")]
    pub preprocess: Option<Preprocess>,
    /// Threads [default: all cores]
    #[arg(long)]
    pub threads: Option<usize>,
    /// Cache folder and ONNX Runtime.
    #[command(flatten)]
    pub machine: MachineArgs,
}
