//! Fine-tuning: which layers of a backbone are trained, and how fast. It knows no data and no loop.

use std::collections::HashSet;

use burn::module::{Module, ModuleMapper, Param, ParamGroup, ParamId};
use burn::optim::lr_scheduler::module_lr_scheduler::{ModuleLearningRate, ModuleLrScheduler};
use burn::tensor::Tensor;
use models::Network;

use crate::recipe::{BatchNormKind, FineTune, Keep, Recipe};

/// Settings of a fine-tuning, besides those of the loop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FineTuning {
    pub layers: FineTune,
    /// Learning rate of the classification layer, as a multiple of that of the backbone's last layer.
    pub head_lr_factor: f64,
    /// Learning rate of the first layer, as such a multiple.
    pub first_lr_factor: f64,
    pub batch_norm: BatchNormKind,
    /// Share of the trained weights in their average; the rest are those at the start.
    pub tuned_share: f64,
    pub keep: Keep,
}

impl FineTuning {
    pub fn of(recipe: &Recipe) -> Option<Self> {
        recipe.is_fine_tuned().then_some(Self {
            layers: recipe.fine_tune,
            head_lr_factor: recipe.head_lr_factor,
            first_lr_factor: recipe.first_lr_factor,
            batch_norm: recipe.batch_norm,
            tuned_share: recipe.tuned_share,
            keep: recipe.keep,
        })
    }

    /// How many numbers of a network training changes.
    pub fn num_trained(&self, network: &Network) -> usize {
        let frozen = self.frozen_tensors(network);
        let tensors = network.trainable_tensors().into_iter();
        let trained = tensors.filter(|tensor| !frozen.contains(&tensor.id));
        trained.map(|tensor| tensor.len).sum()
    }

    /// The network with its batch norms in the mode that was asked for, and the layers before the trained ones left
    /// out of the tape.
    pub(super) fn prepare(&self, network: Network) -> Network {
        let in_inference = self.batch_norm == BatchNormKind::Running;
        let network = network.with_norms_in_inference_mode(in_inference);
        let frozen = self.frozen_tensors(&network);
        network.map(&mut Freeze { frozen })
    }

    /// The tensors before the first layer that is trained.
    fn frozen_tensors(&self, network: &Network) -> HashSet<ParamId> {
        let FineTune::Last(count) = self.layers else {
            return HashSet::new();
        };
        let tensors = network.trainable_tensors();
        // Convolutions and matrix products; the classification layer, at depth 1, is trained anyway.
        let layers = tensors.iter().filter(|tensor| tensor.num_dims > 1);
        let mut depths: Vec<f64> = layers.map(|t| t.depth).filter(|d| *d < 1.0).collect();
        depths.dedup();
        let first = depths.len().saturating_sub(count);
        let Some(&first) = depths.get(first) else {
            return HashSet::new();
        };
        let frozen = tensors.iter().filter(|tensor| tensor.depth < first);
        frozen.map(|tensor| tensor.id).collect()
    }

    /// The multiple of the learning rate for each tensor: from `first_lr_factor` it rises evenly, as a power, to 1 at
    /// the end of the backbone.
    fn factor(&self, depth: f64) -> f64 {
        if depth < 1.0 {
            self.first_lr_factor.powf(1.0 - depth)
        } else {
            self.head_lr_factor
        }
    }
}

/// Learning rates of a network's tensors, as multiples of the schedule's.
pub(super) struct LearningRates {
    factors: Vec<(ParamGroup, f64)>,
}

impl LearningRates {
    pub(super) fn new(network: &Network, fine_tuning: Option<&FineTuning>) -> Self {
        let groups = fine_tuning.map(|fine_tuning| {
            let group = |tensor: models::TrainableTensor| {
                let factor = fine_tuning.factor(tensor.depth);
                (ParamGroup::from_ids(vec![tensor.id]), factor)
            };
            network.trainable_tensors().into_iter().map(group).collect()
        });
        Self {
            factors: groups.unwrap_or_default(),
        }
    }

    pub(super) fn at(&self, lr: f64) -> ModuleLearningRate {
        let groups = self.factors.iter();
        let add = |rates: ModuleLrScheduler, (group, factor): &(ParamGroup, f64)| {
            rates.with_group(group.clone(), lr * factor)
        };
        groups.fold(ModuleLrScheduler::new(lr), add).step()
    }
}

/// The tensors that weight decay leaves alone: norms and biases, of rank 1.
pub(super) fn undecayed(network: &Network) -> ParamGroup {
    let tensors = network.trainable_tensors().into_iter();
    let undecayed = tensors.filter(|tensor| tensor.num_dims <= 1);
    ParamGroup::from_ids(undecayed.map(|tensor| tensor.id).collect())
}

struct Freeze {
    frozen: HashSet<ParamId>,
}

impl ModuleMapper for Freeze {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.frozen.contains(&param.id) {
            true => param.set_require_grad(false),
            false => param,
        }
    }
}
