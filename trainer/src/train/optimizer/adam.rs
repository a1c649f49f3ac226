//! Adam and AdamW with a step in one pass over memory on the CPU. On other devices they are Burn's.
//!
//! Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015; Loshchilov and Hutter, "Decoupled Weight Decay
//! Regularization", 2019. The state is laid out as Burn's, also in files.

use burn::optim::decay::WeightDecayConfig;
use burn::optim::{
    AdamConfig, AdamState, AdamWConfig, AdamWState, AdaptiveMomentumState, Optimizer,
};
use burn::tensor::{Device, Tensor};

/// PyTorch's `eps`. NB: Burn's default is 1e-5.
const EPSILON: f32 = 1e-8;
/// Shares of the past in the mean gradient and in the mean of its squares.
const BETAS: [f32; 2] = [0.9, 0.999];

/// Adam, or AdamW where the decay is decoupled.
#[derive(Clone, Copy, Debug)]
pub(in crate::train) struct Adam {
    pub(in crate::train) weight_decay: f32,
    /// Whether the decay acts on the weights themselves and not through the gradient.
    pub(in crate::train) is_decoupled: bool,
}

impl Optimizer for Adam {
    type State<const D: usize> = AdamState<D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        weights: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AdamState<D>>,
    ) -> (Tensor<D>, Option<AdamState<D>>) {
        if !kernels::is_cpu(&weights.device()) {
            return self.step_by_burn(lr, weights, gradient, state);
        }
        let state = state.map_or_else(
            || AdaptiveMomentumState::new(0, weights.zeros_like(), weights.zeros_like()),
            |state| state.momentum,
        );
        let time = state.time + 1;
        let [beta_1, beta_2] = BETAS;
        // The means begin at zero: they are too small by these factors.
        let correction = |beta: f32| 1.0 - beta.powi(i32::try_from(time).unwrap_or(i32::MAX));
        let root = correction(beta_2).sqrt();
        let (factor, epsilon) = (lr as f32 * root / correction(beta_1), EPSILON * root);
        let (kept, added) = match self.is_decoupled {
            true => (1.0 - lr as f32 * self.weight_decay, 0.0),
            false => (1.0, self.weight_decay),
        };
        let [weights, mean, squares] = kernels::update(
            [weights, state.moment_1, state.moment_2],
            [gradient],
            |[w, mean, squares], [gradient]| {
                let gradient = gradient + added * w;
                let mean = beta_1 * mean + (1.0 - beta_1) * gradient;
                let squares = beta_2 * squares + (1.0 - beta_2) * gradient * gradient;
                let w = kept * w - factor * mean / (squares.sqrt() + epsilon);
                [w, mean, squares]
            },
        );
        let state = AdaptiveMomentumState::new(time, mean, squares);
        (weights, Some(AdamState::new(state)))
    }

    fn to_device<const D: usize>(state: AdamState<D>, device: &Device) -> AdamState<D> {
        AdamState::new(state.momentum.to_device(device))
    }
}

impl Adam {
    fn step_by_burn<const D: usize>(
        &self,
        lr: f64,
        weights: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AdamState<D>>,
    ) -> (Tensor<D>, Option<AdamState<D>>) {
        if self.is_decoupled {
            let adam = AdamWConfig::new()
                .with_epsilon(EPSILON)
                .with_weight_decay(self.weight_decay)
                .build();
            let state = state.map(|state| AdamWState::new(state.momentum));
            let (weights, state) = adam.step(lr, weights, gradient, state);
            return (weights, state.map(|state| AdamState::new(state.momentum)));
        }
        let decay = (self.weight_decay > 0.0).then(|| WeightDecayConfig::new(self.weight_decay));
        AdamConfig::new()
            .with_epsilon(EPSILON)
            .with_weight_decay(decay)
            .build()
            .step(lr, weights, gradient, state)
    }
}
