//! Networks of other libraries as ONNX graphs, with the weights of a checkpoint. It needs no Burn and runs nothing.
//!
//! A family has a module: its configuration comes from the architecture's name, where there is one, and else from the
//! names and shapes of the tensors.

mod mobilenet;
mod position;
mod resnet;
mod vit;
mod writer;

use crate::checkpoint::Weights;
use crate::error::{Error, Result};
use onnx::Document;
use std::path::Path;

pub use vit::{Activation, VitSettings};

/// Rows and columns of images that a network may be written for.
const SIZES: std::ops::RangeInclusive<usize> = 16..=2048;

/// What is known of a checkpoint beside its tensors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckpointOptions {
    /// Name of the architecture: timm's or torchvision's, or a class of transformers.
    pub architecture: Option<String>,
    /// Rows and columns of the images; those that the network was trained with, where they are not given.
    pub image_size: Option<usize>,
    /// Settings of a vision transformer that no tensor tells.
    pub vit: VitSettings,
}

/// A network from a checkpoint.
#[derive(Clone, Debug)]
pub struct ConvertedCheckpoint {
    /// Input `input` `[batch, C, H, W]`; output `logits` `[batch, K]`, or `features` `[batch, D]` of a network without
    /// a classification layer. Opset 17.
    pub document: Document,
    /// Name of the architecture.
    pub architecture: String,
    /// `[C, H, W]` of an image.
    pub image_shape: [usize; 3],
}

#[derive(Clone, Copy)]
enum Family {
    ResNet,
    MobileNet,
    Vit,
}

impl Family {
    /// The family of an architecture.
    fn of_name(name: &str) -> Option<Self> {
        match () {
            () if resnet::knows(name) => Some(Self::ResNet),
            () if mobilenet::knows(name) => Some(Self::MobileNet),
            () if vit::knows(name) => Some(Self::Vit),
            () => None,
        }
    }

    /// The family that a checkpoint's tensors have the names of, which are then those that the family asks for.
    fn of_tensors(weights: &mut Weights) -> Result<Option<Self>> {
        for family in [Self::ResNet, Self::MobileNet, Self::Vit] {
            if family.select(weights)? {
                return Ok(Some(family));
            }
        }
        Ok(None)
    }

    fn select(self, weights: &mut Weights) -> Result<bool> {
        match self {
            Self::ResNet => resnet::select(weights),
            Self::MobileNet => mobilenet::select(weights),
            Self::Vit => vit::select(weights),
        }
    }
}

/// Writes the network of a checkpoint (`.pth` or `.safetensors`) as an ONNX graph. Nothing that the checkpoint's
/// pickle asks for is executed.
///
/// # Errors
/// The file is no checkpoint, its network is not known here, or it has other tensors than the network; they are listed.
pub fn convert_checkpoint(path: &Path, options: &CheckpointOptions) -> Result<ConvertedCheckpoint> {
    let invalid = |message: String, hint: String| Error::Invalid {
        message,
        hint: Some(hint),
    };
    if let Some(size) = options.image_size.filter(|size| !SIZES.contains(size)) {
        let expected = format!("{} to {} pixels", SIZES.start(), SIZES.end());
        return Err(Error::configuration(
            "the size of the images",
            size,
            &expected,
        ));
    }
    let python = python_export(path, options);
    let named = match &options.architecture {
        Some(name) => Some(Family::of_name(name).ok_or_else(|| {
            let known = "known are ResNet, ResNeXt, wide ResNet, MobileNetV2, EfficientNet-Lite 0 to 2 and plain ViT";
            invalid(
                format!("the architecture `{name}` is not written here; {known}"),
                python.clone(),
            )
        })?),
        None => None,
    };
    let mut weights = Weights::open(path)?;
    let family = match named {
        Some(family) => {
            // Where nothing is found, all its tensors are listed as missing.
            family.select(&mut weights)?;
            family
        }
        None => Family::of_tensors(&mut weights)?.ok_or_else(|| {
            invalid(
                format!(
                    "`{}` holds no network that is known here; its tensors are {}",
                    path.display(),
                    weights.some_names()
                ),
                python.clone(),
            )
        })?,
    };
    match family {
        Family::ResNet => resnet::convert(weights, options, &python),
        Family::MobileNet => mobilenet::convert(weights, options, &python),
        Family::Vit => vit::convert(weights, options, &python),
    }
}

/// The line of Python that exports what is not written here.
fn python_export(path: &Path, options: &CheckpointOptions) -> String {
    let size = options.image_size.unwrap_or(224);
    let (file, folder) = (path.display(), files_folder(path));
    let name = options.architecture.as_deref().unwrap_or("NAME");
    // Python's classes have capital letters, timm's names have none.
    let (import, model) = match name.contains(char::is_uppercase) && name != "NAME" {
        true => (
            format!("from transformers import {name}"),
            format!("{name}.from_pretrained(\"{folder}\")"),
        ),
        false => (
            "import timm".to_owned(),
            format!("timm.create_model(\"{name}\", checkpoint_path=\"{file}\", exportable=True)"),
        ),
    };
    format!(
        "export it with Python: python3 -c 'import torch; {import}; b = {{0: \"batch\"}}; \
         torch.onnx.export({model}.eval(), torch.zeros(2, 3, {size}, {size}), \"model.onnx\", dynamo=False, \
         opset_version=17, input_names=[\"input\"], output_names=[\"logits\"], dynamic_axes={{\"input\": b, \
         \"logits\": b}})'"
    )
}

/// The folder of a file, as Python would be given it.
fn files_folder(path: &Path) -> String {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.map_or_else(|| ".".to_owned(), |folder| folder.display().to_string())
}
