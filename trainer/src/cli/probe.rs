//! The flags of `trainer probe`.

use std::path::PathBuf;

use clap::Args;

use crate::recipe::{MachineArgs, Memory};

/// The flags of `trainer probe`.
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// Labelled images, as for `trainer fit`
    #[arg(long, value_name = "DIR", default_value = data::catalog::INSECTS)]
    pub data: String,
    /// Backbones, by name or as ONNX files [default: all with a name that are in the cache]
    #[arg(long, value_name = "NAME|FILE.onnx", value_delimiter = ',')]
    pub backbone: Vec<String>,
    /// Seed of the split and of the folds
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Number of folds
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    pub folds: usize,
    /// Chart of accuracy against time to write, as SVG or PNG
    #[arg(long, value_name = "FILE", default_value = "probe.svg")]
    pub out: PathBuf,
    /// Write the result as JSON; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Number of threads [default: all cores]
    #[arg(long)]
    pub threads: Option<usize>,
    /// Disk space for cached features, in the cache folder; 0 turns the cache off
    #[arg(long, value_name = "BYTES", default_value = "2GB")]
    pub feature_cache: Memory,
    /// Cache folder and ONNX Runtime.
    #[command(flatten)]
    pub machine: MachineArgs,
}
