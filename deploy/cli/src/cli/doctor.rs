//! The command line of `deploy doctor`.

use std::path::PathBuf;

use clap::Args;
use deploy::Provider;

use super::CacheArgs;

/// The flags of `deploy doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The providers to try
    #[arg(
        long,
        value_name = "PROVIDER,...",
        value_delimiter = ',',
        default_value = "cpu,cuda,tensorrt,tensorrt-rtx,openvino"
    )]
    pub(crate) provider: Vec<Provider>,
    /// Exit with 1 unless all of these providers run, such as `cuda,tensorrt`
    #[arg(long, value_name = "PROVIDER,...", value_delimiter = ',')]
    pub(crate) require: Vec<Provider>,
    /// Print everything: the machine, the libraries found, and what each provider lacks
    #[arg(long, conflicts_with = "json")]
    pub(crate) details: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The ONNX Runtime library to use: a file or its folder [env: ORT_DYLIB_PATH]
    #[arg(long, value_name = "FILE")]
    pub(crate) runtime: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
    /// Try one provider in this process and say how it went as JSON: what every trial is made with
    #[arg(long, hide = true, conflicts_with_all = ["require", "json"])]
    pub(crate) trial: Option<Provider>,
}
