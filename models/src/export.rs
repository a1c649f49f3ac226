//! Export of a network to an ONNX document. Writes no file.

mod custom;
mod graft;

pub(crate) use custom::custom;
pub(crate) use graft::graft;

use crate::error::Result;
use crate::layers::Linear;
use burn::tensor::TensorData;
use onnx::Tensor;

/// Name of the output of every exported network, `[batch, K]`.
pub(crate) const LOGITS: &str = "logits";

/// Converts Burn's tensor data to a tensor of the file, in single precision.
pub(crate) fn tensor(data: TensorData) -> Result<Tensor> {
    let shape = data.shape().to_vec();
    let values = data.convert::<f32>().try_into_vec::<f32>();
    let values = values.expect("`convert` gives the type that is asked for");
    Ok(Tensor::f32(&shape, values)?)
}

/// The bias of a classification layer, `[K]`; zeros where it has none.
pub(crate) fn bias_or_zeros(fc: &Linear) -> Result<Tensor> {
    let classes = fc.weight.val().dims()[0];
    match &fc.bias {
        Some(bias) => tensor(bias.val().into_data()),
        None => Ok(Tensor::f32(&[classes], vec![0.0; classes])?),
    }
}
