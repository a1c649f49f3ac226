//! One batch through the network: logits, loss, gradients. It keeps no state.

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use data::loader::Batch;
use models::Network;

use crate::error::{Error, Result};
use crate::features::RowBatch;

/// The device that a network is on, without autodiff.
pub(crate) fn device(network: &Network) -> Device {
    network
        .devices()
        .into_iter()
        .next()
        .unwrap_or_default()
        .without_autodiff()
}

/// A batch's images, `[N, C, H, W]`.
pub(crate) fn images(batch: &mut Batch, device: &Device) -> Tensor<4> {
    let images = std::mem::take(&mut batch.images);
    Tensor::from_data(TensorData::new(images, batch.shape), device)
}

/// A batch's features, `[N, D]`.
pub(crate) fn rows(batch: &RowBatch, device: &Device) -> Tensor<2> {
    let count = batch.labels.len();
    let shape = [count, batch.features.len() / count.max(1)];
    Tensor::from_data(TensorData::new(batch.features.clone(), shape), device)
}

/// Mean cross-entropy of `logits` `[N, K]`, as `torch.nn.CrossEntropyLoss()`.
pub(crate) fn cross_entropy(logits: Tensor<2>, labels: &[u32]) -> Tensor<1> {
    let labels: Vec<i64> = labels.iter().map(|label| i64::from(*label)).collect();
    let labels = TensorData::new(labels, [logits.dims()[0], 1]);
    let labels = Tensor::<2, Int>::from_data(labels, &logits.device());
    log_softmax(logits, 1).gather(1, labels).mean().neg()
}

/// The values of a tensor, row by row: waits for the device.
pub(crate) fn read(tensor: Tensor<2>) -> Result<Vec<f32>> {
    let failed = |reason: String| Error::Burn {
        what: "the logits cannot be read",
        reason,
    };
    let data = tensor
        .try_into_data()
        .map_err(|error| failed(error.to_string()))?;
    data.try_to_vec().map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(logits: [[f32; 3]; 2], labels: [u32; 2]) -> f32 {
        let logits = Tensor::from_floats(logits, &Device::default());
        cross_entropy(logits, &labels).into_scalar()
    }

    #[test]
    fn cross_entropy_is_that_of_pytorch() {
        // torch 2.15: `cross_entropy(tensor([[2, -1, 0.5], [0.1, 0.2, 3]]), tensor([0, 1]))`
        let found = loss([[2.0, -1.0, 0.5], [0.1, 0.2, 3.0]], [0, 1]);
        assert!((found - 1.575_456_4).abs() < 1e-6, "{found}");
    }

    #[test]
    fn cross_entropy_of_huge_logits_is_finite() {
        let found = loss([[1e4, -1e4, 0.0], [1e4, -1e4, 0.0]], [0, 1]);
        assert!((found - 1e4).abs() < 1e-2, "{found}");
    }
}
