//! Network to ONNX document; writes no file.

mod custom;
mod graft;

pub(crate) use custom::custom;
pub(crate) use graft::{backbone, features, graft};

use crate::error::Result;
use burn::tensor::TensorData;
use onnx::Tensor;

/// The one output of every exported network, `[batch, K]`.
const LOGITS: &str = "logits";
/// The output of a backbone without its classification layer, `[batch, D]`.
const FEATURES: &str = "features";

/// A tensor of the network as a tensor of the file.
fn tensor(data: TensorData) -> Result<Tensor> {
    let shape = data.shape().to_vec();
    let values = data
        .convert::<f32>()
        .try_into_vec::<f32>()
        .unwrap_or_default();
    Ok(Tensor::f32(&shape, values)?)
}
