//! The flags of `deploy diff`.

use std::path::PathBuf;

use clap::Args;
use data::{Preprocess, Split};
use deploy::{Precision, Provider};

use super::{MachineArgs, OutputKindArg};

/// The flags of `deploy diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The first model file, or a run by its folder or name
    #[arg(value_name = "A")]
    pub(crate) first: PathBuf,
    /// The second model file, or a run [default: A, with another provider or precision]
    #[arg(value_name = "B", required_unless_present_any = ["provider_b", "precision_b"])]
    pub(crate) second: Option<PathBuf>,
    /// Precision in which the models compute [default: as each file says]
    #[arg(long, value_name = "PRECISION")]
    pub(crate) precision: Option<Precision>,
    /// Precision in which B computes, in place of `--precision`
    #[arg(long, value_name = "PRECISION")]
    pub(crate) precision_b: Option<Precision>,
    /// Execution provider of B, in place of `--provider`
    #[arg(long, value_name = "PROVIDER")]
    pub(crate) provider_b: Option<Provider>,
    /// A folder or a CSV file of labelled images, or `builtin:insects` [default: the data of A's run, or of B's]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<String>,
    /// The split to compare on: `train`, `val` or `test`
    #[arg(long, default_value_t = Split::Test)]
    pub(crate) split: Split,
    /// Use exactly the images of this list, such as a run's `split.csv`
    #[arg(long, value_name = "FILE")]
    pub(crate) list: Option<PathBuf>,
    /// Treat an unreadable image as an error
    #[arg(long)]
    pub(crate) strict_images: bool,
    /// Write the results as JSON; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write both predictions for every image as CSV
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
    /// A file of class names for a model without a card, one per line in the order of the outputs
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    pub(crate) classes: Option<PathBuf>,
    /// Preprocessing steps for a model without a card
    #[arg(long, value_name = "TEXT", help_heading = "Model")]
    pub(crate) preprocess: Option<Preprocess>,
    /// The output to read of a model without a card, where it has several
    #[arg(long, value_name = "NAME", help_heading = "Model")]
    pub(crate) output: Option<String>,
    /// Meaning of the output of a model without a card [default: as the graph and the numbers for drawn images say]
    #[arg(long, value_enum, value_name = "KIND", help_heading = "Model")]
    pub(crate) output_kind: Option<OutputKindArg>,
    /// The folder of the runs
    #[arg(long, value_name = "DIR", default_value = data::run_files::RUNS, help_heading = "Model")]
    pub(crate) runs: PathBuf,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}
