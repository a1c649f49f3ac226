//! The flags of `trainer audit`.

use std::path::PathBuf;

use clap::Args;

/// The flags of `trainer audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Labelled images: a folder (train/val/test or one folder of classes), a CSV file
    /// (`path,label` and perhaps `split`), `builtin:insects` or `hymenoptera`
    #[arg(long, value_name = "DIR", default_value = data::catalog::INSECTS)]
    pub data: String,
    /// The same image in two splits is no failure
    #[arg(long)]
    pub allow_leak: bool,
    /// Seed of the split, where the data is not divided
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Threads [default: all cores]
    #[arg(long)]
    pub threads: Option<usize>,
    /// Write everything as JSON; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Cache folder [env: CLASSIFIER_CACHE]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
}
