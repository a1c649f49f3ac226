//! Initial weights, drawn from PyTorch's distributions; knows no network.
//!
//! `torch.nn.Conv2d` and `torch.nn.Linear` (`reset_parameters`): weight and bias uniform in
//! ±1/√fan_in. For the weight this is `kaiming_uniform_(a = √5)`: √(6 / ((1 + 5) · fan_in)).

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// A trainable parameter with the given values (row-major).
pub(crate) fn parameter<const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &Device,
) -> Param<Tensor<D>> {
    from_data(TensorData::new(values, shape), device)
}

/// A trainable parameter with the given values.
pub(crate) fn from_data<const D: usize>(data: TensorData, device: &Device) -> Param<Tensor<D>> {
    Param::initialized(ParamId::new(), Tensor::from_data(data, device)).set_require_grad(true)
}

/// A parameter drawn uniformly from ±1/√`fan_in`.
pub(crate) fn uniform<const D: usize>(
    shape: [usize; D],
    fan_in: usize,
    rng: &mut ChaCha8Rng,
    device: &Device,
) -> Param<Tensor<D>> {
    let bound = 1.0 / (fan_in as f32).sqrt();
    let count = shape.iter().product();
    let values = (0..count)
        .map(|_| (2.0 * unit(rng) - 1.0) * bound)
        .collect();
    parameter(values, shape, device)
}

/// Uniform in [0, 1), 24 bits.
fn unit(rng: &mut ChaCha8Rng) -> f32 {
    (rng.next_u32() >> 8) as f32 / (1u32 << 24) as f32
}
