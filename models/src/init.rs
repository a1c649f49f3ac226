//! Weight initialisation: random values of PyTorch's distributions. Knows no network.
//!
//! `torch.nn.Conv2d` and `torch.nn.Linear` (`reset_parameters`): weight and bias uniform in
//! ±1/√fan_in. For the weight this is `kaiming_uniform_(a = √5)`: √(6 / ((1 + 5) · fan_in)).

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

/// Source of initial weights: a generator, and the device of the tensors.
pub(crate) struct Init {
    rng: ChaCha8Rng,
    pub(crate) device: Device,
}

impl Init {
    pub(crate) fn new(seed: u64, device: &Device) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            device: device.clone(),
        }
    }

    /// A parameter uniform in ±1/√`fan_in`.
    pub(crate) fn uniform<const D: usize>(
        &mut self,
        shape: [usize; D],
        fan_in: usize,
    ) -> Param<Tensor<D>> {
        let bound = 1.0 / (fan_in as f32).sqrt();
        let count = shape.iter().product();
        let values = (0..count).map(|_| (2.0 * self.unit() - 1.0) * bound);
        parameter(values.collect(), shape, &self.device)
    }

    /// Uniform in [0, 1), 24 bits. Not `rand`'s own distribution: its algorithm may change with a
    /// version, and the same seed must give the same network.
    fn unit(&mut self) -> f32 {
        (self.rng.next_u32() >> 8) as f32 / (1u32 << 24) as f32
    }
}

/// A trainable parameter with row-major values.
pub(crate) fn parameter<const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &Device,
) -> Param<Tensor<D>> {
    from_data(TensorData::new(values, shape), device)
}

/// A trainable parameter with the values of `data`.
pub(crate) fn from_data<const D: usize>(data: TensorData, device: &Device) -> Param<Tensor<D>> {
    Param::initialized(ParamId::new(), Tensor::from_data(data, device)).set_require_grad(true)
}
