//! Gradients of a batch, and their mean over several batches for one step of the optimiser. They know no loop.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use models::Network;

use super::objective::Targets;
use super::options::TrainOptions;
use crate::error::Result;
use crate::examples::Inputs;
use crate::model::Model;
use crate::tensors;

/// The gradients of a batch's mean loss, and the logits `[N, K]`, row by row.
pub(super) fn differentiate(
    model: &Model,
    inputs: Inputs,
    targets: &Targets,
    options: &TrainOptions,
    device: &Device,
) -> Result<(GradientsParams, Vec<f32>)> {
    // [N, K]; the backward pass computes in the same precision.
    let forward = || model.forward(inputs, device);
    let logits = kernels::with_precision(options.precision, forward)?;
    // A clone shares its values; the loss consumes one of the two.
    let loss = options.objective.loss(logits.clone(), targets);
    let gradients = GradientsParams::from_grads(loss.backward(), &model.network);
    // The logits are read while the device computes the gradients, the one wait of a step.
    Ok((gradients, tensors::read(logits.inner())?))
}

/// The gradients of the batches since the last step.
pub(super) struct Accumulator {
    /// Batches per step of the optimiser.
    batches: usize,
    /// Batches in `mean`.
    count: usize,
    /// Their total weight.
    weight: f64,
    mean: GradientsParams,
}

impl Accumulator {
    pub(super) fn new(batches: usize) -> Self {
        Self {
            batches,
            count: 0,
            weight: 0.0,
            mean: GradientsParams::new(),
        }
    }

    /// Whether no batch waits for a step. Only then may a training be saved: checkpoints hold no gradients.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds the gradients of a batch's mean loss. `weight` is what that mean is over: the number of images, or their
    /// class weights. Returns the gradients of the mean loss of all, where the step is due: after so many batches,
    /// and after the last one of an epoch.
    pub(super) fn add(
        &mut self,
        network: &Network,
        gradients: GradientsParams,
        weight: f64,
        is_last: bool,
    ) -> Option<GradientsParams> {
        self.count += 1;
        self.weight += weight;
        if self.count == 1 {
            self.mean = gradients;
        } else {
            network.visit(&mut MoveMean {
                mean: &mut self.mean,
                new: gradients,
                share: weight / self.weight,
            });
        }
        (is_last || self.count >= self.batches)
            .then(|| std::mem::replace(self, Self::new(self.batches)).mean)
    }
}

/// Moves a mean towards new gradients, which have a share of it. A running mean, not a sum: it stays as large as the
/// gradient of one batch.
struct MoveMean<'a> {
    mean: &'a mut GradientsParams,
    new: GradientsParams,
    share: f64,
}

impl ModuleVisitor for MoveMean<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let new = self.new.remove::<D>(param.id);
        let mean = self.mean.remove::<D>(param.id);
        // A parameter that the loss does not depend on has none.
        if let (Some(mean), Some(new)) = (mean, new) {
            let moved = mean.mul_scalar(1.0 - self.share) + new.mul_scalar(self.share);
            self.mean.register(param.id, moved);
        }
    }
}
