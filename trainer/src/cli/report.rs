//! The flags of `trainer report`.

use std::path::PathBuf;

use clap::Args;

/// The flags of `trainer report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The runs, by folder or name; several are compared
    #[arg(required = true, value_name = "RUN")]
    pub run: Vec<PathBuf>,
    /// Folder of the runs
    #[arg(long, value_name = "DIR", default_value = data::run_files::RUNS)]
    pub runs: PathBuf,
    /// The page to write [default: RUN/report.html; of several runs: comparison.html]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Folder of the images, if they were moved
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Cache folder [env: CLASSIFIER_CACHE]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
}
