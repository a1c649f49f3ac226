//! The flags of `trainer import`.

use std::path::PathBuf;

use clap::Args;

use crate::recipe::MachineArgs;

/// The flags of `trainer import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Weights: `.pth`, `.pt` or `.safetensors`; `config.json` beside it names the architecture
    pub checkpoint: PathBuf,
    /// File to write [default: CHECKPOINT with the ending .onnx]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Architecture, as timm or torchvision names it [default: by config.json, else by the tensors]
    #[arg(long, value_name = "NAME")]
    pub architecture: Option<String>,
    /// Rows and columns of the images [default: by the JSON files beside it, else the architecture's]
    #[arg(long, value_name = "N")]
    pub size: Option<usize>,
    /// Cache folder and ONNX Runtime.
    #[command(flatten)]
    pub machine: MachineArgs,
}
