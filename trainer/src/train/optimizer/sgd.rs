//! Stochastic gradient descent with momentum, as PyTorch's without dampening. A step is one pass over memory on the CPU.

use burn::optim::{Optimizer, RecordState, StateSink, StateSource, join_path};
use burn::tensor::{Device, Tensor};

#[derive(Clone, Copy, Debug)]
pub(in crate::train) struct Sgd {
    pub(in crate::train) momentum: f32,
    pub(in crate::train) weight_decay: f32,
}

/// The decaying sum of the gradients, where there is momentum.
#[derive(Clone, Debug)]
pub(in crate::train) struct Velocity<const D: usize>(Option<Tensor<D>>);

impl Optimizer for Sgd {
    type State<const D: usize> = Velocity<D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        weights: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<Velocity<D>>,
    ) -> (Tensor<D>, Option<Velocity<D>>) {
        let Self {
            momentum,
            weight_decay,
        } = *self;
        let velocity = state.and_then(|state| state.0);
        let velocity = velocity.unwrap_or_else(|| gradient.zeros_like());
        let (weights, velocity) = if kernels::is_cpu(&weights.device()) {
            let lr = lr as f32;
            let [weights, velocity] = kernels::update(
                [weights, velocity],
                [gradient],
                |[w, velocity], [gradient]| {
                    let velocity = momentum * velocity + gradient + weight_decay * w;
                    [w - lr * velocity, velocity]
                },
            );
            (weights, velocity)
        } else {
            let decay = weights.clone().mul_scalar(weight_decay);
            let velocity = velocity.mul_scalar(momentum) + gradient + decay;
            (weights - velocity.clone().mul_scalar(lr), velocity)
        };
        let kept = (momentum > 0.0).then_some(velocity);
        (weights, Some(Velocity(kept)))
    }

    fn to_device<const D: usize>(state: Velocity<D>, device: &Device) -> Velocity<D> {
        Velocity(state.0.map(|velocity| velocity.to_device(device)))
    }
}

/// By the names of Burn's own state.
impl<const D: usize> RecordState for Velocity<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        if let Some(velocity) = &self.0 {
            let path = join_path(prefix, "momentum");
            out.push_tensor(&path, "velocity", velocity.clone().into_data());
        }
    }

    fn state_unflatten(prefix: &str, src: &mut StateSource, device: &Device) -> Option<Self> {
        let data = src.take_tensor(&join_path(prefix, "momentum"), "velocity");
        Some(Self(data.map(|data| Tensor::from_data(data, device))))
    }
}
