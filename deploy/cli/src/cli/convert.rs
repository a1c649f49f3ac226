//! The flags of `deploy convert`.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use data::Split;
use deploy::Precision;

use super::{MachineArgs, ModelArgs};

/// The flags of `deploy convert`.
#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// The same as `--model`
    #[arg(value_name = "MODEL", conflicts_with = "model")]
    pub(crate) file: Option<PathBuf>,
    /// Precision to convert to; input and output stay in single precision
    #[arg(long, value_name = "fp16|int8", value_parser = precision)]
    pub(crate) precision: Precision,
    /// The file to write [default: beside the model, `MODEL.fp16.onnx` or `MODEL.int8.onnx`]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// For int8: use the symmetric range of -127 to 127, which TensorRT needs [default on a GPU]
    #[arg(long)]
    pub(crate) symmetric: bool,
    /// For int8: nodes that stay in single precision: `auto` times which ones are faster so on the provider, `none` leaves
    /// none, `NODE,...` names them [default: auto]
    #[arg(long, value_name = "auto|none|NODE,...")]
    pub(crate) keep_fp32: Option<KeepFp32>,
    /// A folder or a CSV file of images, or `builtin:insects` [default: the run's own data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<String>,
    /// Use exactly the images of this list, such as a run's `split.csv`
    #[arg(long, value_name = "FILE")]
    pub(crate) list: Option<PathBuf>,
    /// For int8: number of training images on which the ranges of values are measured [default: 128]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) images: Option<u16>,
    /// The split on which the converted model is compared with the original
    #[arg(long, default_value_t = Split::Test)]
    pub(crate) split: Split,
    /// Write the results as JSON; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

/// Nodes of a file in 8-bit integers that stay in single precision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum KeepFp32 {
    /// Those that are faster so.
    #[default]
    Auto,
    /// Those of these names, which may be none.
    Nodes(Vec<String>),
}

impl FromStr for KeepFp32 {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "auto" => Self::Auto,
            "none" => Self::Nodes(Vec::new()),
            names => Self::Nodes(names.split(',').map(str::to_owned).collect()),
        })
    }
}

/// A precision for which a file is converted.
fn precision(text: &str) -> Result<Precision, String> {
    match text.parse() {
        Ok(precision @ (Precision::Fp16 | Precision::Int8)) => Ok(precision),
        _ => Err("fp16 or int8".to_owned()),
    }
}
