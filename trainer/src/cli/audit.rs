//! The flags of `trainer audit`.

use std::path::PathBuf;

use clap::Args;

use crate::recipe::Task;

/// The flags of `trainer audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Labelled images: a folder (train/val/test or one folder of classes), a CSV file
    /// (columns `path,label`, optionally `split`; of pairs `path_a,path_b,label`), `builtin:insects`,
    /// `builtin:signatures` or `hymenoptera` [default: builtin:insects; of pairs builtin:signatures]
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
    /// What is to be learnt of the images
    #[arg(long, value_enum, default_value_t)]
    pub task: Task,
    /// Accept the same image in two splits
    #[arg(long)]
    pub allow_leak: bool,
    /// Seed of the split, for data without splits of its own
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Number of threads [default: all cores]
    #[arg(long)]
    pub threads: Option<usize>,
    /// Write the whole audit as JSON; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the images of the findings as a page, for a look at them
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Cache folder [env: CLASSIFIER_CACHE]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
}
