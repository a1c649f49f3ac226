//! The flags of `deploy convert`.

use std::path::PathBuf;

use clap::Args;
use data::Split;
use deploy::Precision;

use super::{MachineArgs, ModelArgs};

/// The flags of `deploy convert`.
#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// Numbers in which the model is to compute; its input and output stay single precision
    #[arg(long, value_name = "fp16|int8", value_parser = precision)]
    pub(crate) precision: Precision,
    /// Where to write it [default: beside the model, as `MODEL.fp16.onnx` or `MODEL.int8.onnx`]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// For int8: -127 to 127 around zero, as TensorRT needs it [default on a GPU]
    #[arg(long)]
    pub(crate) symmetric: bool,
    /// A folder or a CSV file of images, or `builtin:insects` [default: the run's own data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<String>,
    /// Exactly the images of this list, such as a run's `split.csv`
    #[arg(long, value_name = "FILE")]
    pub(crate) list: Option<PathBuf>,
    /// For int8: how many training images the ranges of values are measured on [default: 128]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) images: Option<u16>,
    /// On which images the converted model is compared with the original
    #[arg(long, default_value_t = Split::Test)]
    pub(crate) split: Split,
    /// Write what was found as JSON; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

/// A precision for which a file is converted.
fn precision(text: &str) -> Result<Precision, String> {
    match text.parse() {
        Ok(precision @ (Precision::Fp16 | Precision::Int8)) => Ok(precision),
        _ => Err("fp16 or int8".to_owned()),
    }
}
