//! Command line arguments: clap's structs and nothing else. The settings of `trainer fit` are in
//! [`crate::recipe`].

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, Parser, Subcommand};
use data::Split;

use crate::recipe::{Flags, MachineArgs};
use crate::run_dir::CheckpointKind;

mod audit;
mod backbones;
mod find_lr;
mod import;
mod inspect;
mod plot;
mod probe;
mod report;
mod runs;

pub use audit::AuditArgs;
pub use backbones::BackbonesArgs;
pub use find_lr::FindLrArgs;
pub use import::ImportArgs;
pub use inspect::InspectArgs;
pub use plot::PlotArgs;
pub use probe::ProbeArgs;
pub use report::ReportArgs;
pub use runs::RunsArgs;

/// Trains image classifiers and exports them as verified, self-describing ONNX files.
#[derive(Debug, Parser)]
#[command(name = "trainer", version, arg_required_else_help = true)]
pub struct Cli {
    /// The command and its arguments.
    #[command(subcommand)]
    pub command: Command,
    /// Print warnings and errors only
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// Commands of `trainer`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a classifier and export it as a verified ONNX file
    #[command(after_help = augment_help())]
    Fit(Box<FitArgs>),
    /// Compare backbones on a data set: held-out accuracy, log loss and time
    Probe(Box<ProbeArgs>),
    /// Find a learning rate: train at rates that rise until the loss diverges, and suggest the best
    #[command(mut_args = find_lr::hide_unused, after_help = augment_help())]
    FindLr(Box<FindLrArgs>),
    /// Score a checkpoint of a run on its data, or on other data
    Eval(EvalArgs),
    /// Export a checkpoint of a run as a verified ONNX file
    Export(ExportArgs),
    /// List the runs with their data, network, accuracy and date
    Runs(RunsArgs),
    /// Write a run, or a comparison of several runs, as one HTML page
    Report(ReportArgs),
    /// Draw the charts of one run, or of several runs over each other, as PNG and SVG files
    Plot(PlotArgs),
    /// Draw a network's kernels and feature maps, and its evidence for a class in an image
    Inspect(Box<InspectArgs>),
    /// Check a data set for leaks, duplicates, unusual files and imbalance
    Audit(AuditArgs),
    /// Draw a contact sheet of augmented images
    #[command(after_help = augment_help())]
    Augment(AugmentArgs),
    /// List the trained networks that `--backbone` knows by name
    Backbones(BackbonesArgs),
    /// Write the network of a PyTorch or safetensors checkpoint as an ONNX file
    Import(ImportArgs),
    /// Fetch a public data set or weights into the cache folder
    Fetch(FetchArgs),
    /// Print shell completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// The operations of `--augment`, below the flags.
fn augment_help() -> String {
    format!("--augment: {}", data::augment::USAGE)
}

/// The flags of `trainer fit`.
#[derive(Debug, Args)]
pub struct FitArgs {
    /// Settings that were typed; the same names work in `--config`.
    #[command(flatten)]
    pub settings: Flags,
    /// Read settings from a TOML file whose keys are names of flags; typed flags take precedence
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "resume",
        help_heading = "Run"
    )]
    pub config: Option<PathBuf>,
    /// Continue a run, given by its folder or name; a higher `--epochs` extends it
    #[arg(long, value_name = "RUN", help_heading = "Run")]
    pub resume: Option<PathBuf>,
    /// Write the result as JSON; `-` is standard output
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    pub json: Option<PathBuf>,
}

/// The flags of `trainer eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// The run, by folder or name
    pub run: PathBuf,
    /// Folder of the runs
    #[arg(long, value_name = "DIR", default_value = data::run_files::RUNS)]
    pub runs: PathBuf,
    /// Data to use instead of the run's own: a folder or a CSV file
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
    /// Split to score: train, val or test
    #[arg(long, default_value_t = Split::Test)]
    pub split: Split,
    /// Images per batch
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    pub batch: u16,
    /// Number of threads [default: all cores]
    #[arg(long)]
    pub threads: Option<usize>,
    /// Checkpoint to use
    #[arg(long, value_enum, default_value_t = CheckpointKind::Best)]
    pub checkpoint: CheckpointKind,
    /// Treat an unreadable image as an error
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
    /// The run, by folder or name
    pub run: PathBuf,
    /// Folder of the runs
    #[arg(long, value_name = "DIR", default_value = data::run_files::RUNS)]
    pub runs: PathBuf,
    /// Folder of the run's images, if they were moved
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
    /// File to write [default: RUN/model.onnx]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Of a verifier, write its encoder alone to this file: one image in, its features out
    #[arg(long, value_name = "FILE", conflicts_with = "out")]
    pub encoder: Option<PathBuf>,
    /// Checkpoint to use
    #[arg(long, value_enum, default_value_t = CheckpointKind::Best)]
    pub checkpoint: CheckpointKind,
    /// Number of threads [default: all cores]
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
    /// The augmentation: operations from the list below, or `none` [default: that of `trainer fit`]
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
    #[arg(value_parser = PossibleValuesParser::new(fetchable()))]
    pub what: String,
    /// A mirror's URL, or a file or folder to take it from
    #[arg(long, value_name = "URL|FILE|DIR")]
    pub from: Option<String>,
    /// Required SHA-256
    #[arg(long, value_name = "HEX")]
    pub sha256: Option<String>,
    /// Cache folder [env: CLASSIFIER_CACHE]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
}

/// Data sets and backbones that can be fetched by name.
fn fetchable() -> Vec<PossibleValue> {
    let data = PossibleValue::new(data::catalog::HYMENOPTERA)
        .help("Images of ants and bees, the data set of the PyTorch tutorial");
    let backbones = data::catalog::BACKBONES.iter().map(|backbone| {
        let data::catalog::Backbone {
            title,
            source,
            trained_on,
            licence,
            ..
        } = backbone;
        let help = format!("{title} trained on {trained_on}, from the {source} ({licence})");
        PossibleValue::new(backbone.name).help(help)
    });
    std::iter::once(data).chain(backbones).collect()
}
