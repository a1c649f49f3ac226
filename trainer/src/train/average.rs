//! Exponential moving average of a network's weights over the steps (Polyak and Juditsky, 1992). It knows no optimiser.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use models::Network;

/// The share of the past in the newest average, at most.
const LARGEST_DECAY: f64 = 0.9999;

/// The average of the weights so far, or none: then the weights themselves are the result.
pub(super) struct Average {
    network: Option<Network>,
}

impl Average {
    /// No average.
    pub(super) fn none() -> Self {
        Self { network: None }
    }

    /// An average, if one is asked for, that begins with the weights of `network` or continues from them.
    pub(super) fn of(network: &Network, is_asked_for: bool) -> Self {
        Self {
            network: is_asked_for.then(|| network.valid()),
        }
    }

    /// The average begins anew with the weights of `network`.
    pub(super) fn restart(&mut self, network: &Network) {
        *self = Self::of(network, self.network.is_some());
    }

    pub(super) fn get(&self) -> Option<&Network> {
        self.network.as_ref()
    }

    /// Takes in the weights of a network in training after so many steps.
    ///
    /// The average reaches back over a ninth of the steps, so that a short training soon forgets its first weights:
    /// as TensorFlow's `ExponentialMovingAverage` with `num_updates`.
    pub(super) fn update(&mut self, current: &Network, steps: usize) {
        let Some(average) = self.network.take() else {
            return;
        };
        let mut collector = Collector(GradientsParams::new());
        current.valid().visit(&mut collector);
        let steps = steps as f64;
        let mut mixer = Mixer {
            current: collector.0,
            decay: ((1.0 + steps) / (10.0 + steps)).min(LARGEST_DECAY),
        };
        self.network = Some(average.map(&mut mixer));
    }

    /// What is validated, saved as the best and exported; for inference.
    pub(super) fn result(&self, current: &Network) -> Network {
        self.network.clone().unwrap_or_else(|| current.valid())
    }
}

/// Tensors of any rank by their parameter: `GradientsParams` is such a map.
struct Collector(GradientsParams);

impl ModuleVisitor for Collector {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.register(param.id, param.val());
    }
}

struct Mixer {
    current: GradientsParams,
    decay: f64,
}

impl ModuleMapper for Mixer {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(current) = self.current.remove::<D>(param.id) else {
            return param;
        };
        let decay = self.decay;
        // In this form a tensor that does not move stays as it is, to the bit.
        param.map(|past| past.clone() + (current - past).mul_scalar(1.0 - decay))
    }
}
