//! The flags of `trainer runs`.

use std::path::PathBuf;

use clap::Args;

/// The flags of `trainer runs`.
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// Folder of the runs
    #[arg(long, value_name = "DIR", default_value = data::run_files::RUNS)]
    pub runs: PathBuf,
    /// Write the list as JSON; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}
