//! Exponential moving average of a network's weights over the steps (Polyak and Juditsky, 1992). It knows no optimiser.
//!
//! Of a fine-tuning it is moved back towards the weights at the start: the network on the way between the two often
//! generalises better than either (WiSE-FT: Wortsman and others, 2022, arXiv:2109.01903).

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use models::Network;

/// The share of the past in the newest average, at most.
const LARGEST_DECAY: f64 = 0.9999;

/// The average of the weights so far, or none: then the weights themselves are the result.
pub(super) struct Average {
    network: Option<Network>,
    start: Option<Start>,
}

/// Where a fine-tuning began.
struct Start {
    weights: GradientsParams,
    /// Share of the trained weights; that of the weights at the start is the rest.
    tuned_share: f64,
}

impl Average {
    /// No average.
    pub(super) fn none() -> Self {
        Self {
            network: None,
            start: None,
        }
    }

    /// An average, if one is asked for, that begins with the weights of `network` or continues from them.
    pub(super) fn of(network: &Network, is_asked_for: bool) -> Self {
        Self {
            network: is_asked_for.then(|| network.valid()),
            start: None,
        }
    }

    /// The average begins anew with the weights of `network`.
    pub(super) fn restart(&mut self, network: &Network) {
        *self = Self::of(network, self.network.is_some());
    }

    /// So much of the average are weights in training from now on, and the rest those of `start`.
    pub(super) fn keep_start(&mut self, start: &Network, tuned_share: f64) {
        let is_mixed = self.network.is_some() && tuned_share < 1.0;
        self.start = is_mixed.then(|| Start {
            weights: weights_of(&start.valid()),
            tuned_share,
        });
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
        let steps = steps as f64;
        let mut mixer = Mixer {
            current: weights_of(&current.valid()),
            start: self.start.as_ref(),
            decay: ((1.0 + steps) / (10.0 + steps)).min(LARGEST_DECAY),
        };
        self.network = Some(average.map(&mut mixer));
    }

    /// What is validated, saved as the best and exported; for inference.
    pub(super) fn result(&self, current: &Network) -> Network {
        self.network.clone().unwrap_or_else(|| current.valid())
    }
}

fn weights_of(network: &Network) -> GradientsParams {
    let mut collector = Collector(GradientsParams::new());
    network.visit(&mut collector);
    collector.0
}

/// Tensors of any rank by their parameter: `GradientsParams` is such a map.
struct Collector(GradientsParams);

impl ModuleVisitor for Collector {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.register(param.id, param.val());
    }
}

struct Mixer<'a> {
    current: GradientsParams,
    start: Option<&'a Start>,
    decay: f64,
}

impl ModuleMapper for Mixer<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(current) = self.current.remove::<D>(param.id) else {
            return param;
        };
        let start = self.start.and_then(|start| {
            let weights = start.weights.get::<D>(param.id)?;
            Some((weights.clone(), start.tuned_share))
        });
        // Without a start all of it is the current tensor.
        let (start, share) = start.unwrap_or_else(|| (current.clone(), 1.0));
        let gain = 1.0 - self.decay;
        param.map(|past| move_average(past, [current, start], share, gain))
    }
}

/// past + gain · (start + share · (current - start) - past). In this form a tensor that does not move stays as it is,
/// to the bit.
fn move_average<const D: usize>(
    past: Tensor<D>,
    [current, start]: [Tensor<D>; 2],
    share: f64,
    gain: f64,
) -> Tensor<D> {
    if !kernels::is_cpu(&past.device()) {
        let mixed = start.clone() + (current - start).mul_scalar(share);
        return past.clone() + (mixed - past).mul_scalar(gain);
    }
    let (share, gain) = (share as f32, gain as f32);
    let [average] = kernels::update([past], [current, start], |[past], [current, start]| {
        let mixed = start + share * (current - start);
        [past + gain * (mixed - past)]
    });
    average
}
