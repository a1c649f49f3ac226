//! Command line arguments: clap's structs and nothing else. The settings of `trainer fit` are in
//! [`crate::recipe`].

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use data::Split;

use crate::recipe::{Flags, MachineArgs};
use crate::run_dir::CheckpointKind;

mod audit;
mod inspect;
mod plot;
mod report;

pub use audit::AuditArgs;
pub use inspect::InspectArgs;
pub use plot::PlotArgs;
pub use report::ReportArgs;

/// Trains image classifiers and exports them as verified, self-describing ONNX files.
#[derive(Debug, Parser)]
#[command(name = "trainer", version, arg_required_else_help = true)]
pub struct Cli {
    /// The command and its arguments.
    #[command(subcommand)]
    pub command: Command,
    /// Only warnings and errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// Commands of `trainer`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a classifier and export it as a verified ONNX file
    Fit(Box<FitArgs>),
    /// Score a run's best checkpoint on its data, or on yours
    Eval(EvalArgs),
    /// Write a run's best checkpoint as a verified ONNX file again
    Export(ExportArgs),
    /// Show a run, or several beside each other, as one HTML page
    Report(ReportArgs),
    /// Draw the charts of a run, or of several over each other, as PNG and SVG files
    Plot(PlotArgs),
    /// Show what a network sees: its kernels, its feature maps, and where it looks
    Inspect(Box<InspectArgs>),
    /// Look for leaks, duplicates, odd files and imbalance in a data set
    Audit(AuditArgs),
    /// Draw a contact sheet of augmented images
    Augment(AugmentArgs),
    /// Fetch a public data set or weights into the cache folder
    Fetch(FetchArgs),
    /// Print shell completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// The flags of `trainer fit`.
#[derive(Debug, Args)]
pub struct FitArgs {
    /// Settings that were typed; the same names work in `--config`.
    #[command(flatten)]
    pub settings: Flags,
    /// Settings from a TOML file, with the names of the flags; flags win
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "resume",
        help_heading = "Run"
    )]
    pub config: Option<PathBuf>,
    /// Continue a run: its folder or its name; with `--epochs` past its end
    #[arg(long, value_name = "RUN", help_heading = "Run")]
    pub resume: Option<PathBuf>,
    /// Write the result as JSON; `-` is standard output
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    pub json: Option<PathBuf>,
}

/// The flags of `trainer eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// The run: its folder or its name
    pub run: PathBuf,
    /// Folder of the runs
    #[arg(long, value_name = "DIR", default_value = data::run_files::RUNS)]
    pub runs: PathBuf,
    /// Other data than the run's own: a folder or a CSV file
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
    /// Which images
    #[arg(long, default_value_t = Split::Test)]
    pub split: Split,
    /// Images per batch
    #[arg(long, default_value_t = 32)]
    pub batch: usize,
    /// Threads [default: all cores]
    #[arg(long)]
    pub threads: Option<usize>,
    /// Which checkpoint
    #[arg(long, value_enum, default_value_t = CheckpointKind::Best)]
    pub checkpoint: CheckpointKind,
    /// An unreadable image is an error
    #[arg(long)]
    pub strict_images: bool,
    /// Write the scores as JSON; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the predictions as CSV: path,label,predicted,probability
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Cache folder [env: CLASSIFIER_CACHE]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
}

/// The flags of `trainer export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The run: its folder or its name
    pub run: PathBuf,
    /// Folder of the runs
    #[arg(long, value_name = "DIR", default_value = data::run_files::RUNS)]
    pub runs: PathBuf,
    /// Where to write it [default: RUN/model.onnx]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Which checkpoint
    #[arg(long, value_enum, default_value_t = CheckpointKind::Best)]
    pub checkpoint: CheckpointKind,
    /// Threads [default: all cores]
    #[arg(long)]
    pub threads: Option<usize>,
    /// Cache folder and ONNX Runtime.
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// The flags of `trainer augment`.
#[derive(Debug, Args)]
pub struct AugmentArgs {
    /// A folder or a CSV file of labelled images, or `builtin:insects`
    #[arg(long, default_value = data::catalog::INSECTS)]
    pub data: String,
    /// The image file to write
    #[arg(long, value_name = "FILE", default_value = "sheet.png")]
    pub out: PathBuf,
    /// The augmentation [default: that of `trainer fit`]
    #[arg(long, value_name = "TEXT")]
    pub augment: Option<data::augment::Augment>,
    /// Seed of the augmentation
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Number of images, one row each
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub count: u32,
    /// Cache folder [env: CLASSIFIER_CACHE]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
}

/// The flags of `trainer fetch`.
#[derive(Debug, Args)]
pub struct FetchArgs {
    /// What to fetch
    #[arg(value_enum)]
    pub what: Fetchable,
    /// A mirror's address, a file or a folder to take it from
    #[arg(long, value_name = "URL|FILE|DIR")]
    pub from: Option<String>,
    /// The SHA-256 it must have
    #[arg(long, value_name = "HEX")]
    pub sha256: Option<String>,
    /// Cache folder [env: CLASSIFIER_CACHE]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
}

/// Data sets and weights that can be fetched by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fetchable {
    /// Photographs of ants and bees, the data set of the PyTorch tutorial
    Hymenoptera,
    /// ResNet18 trained on ImageNet, from the ONNX model zoo (Apache-2.0)
    Resnet18,
}
