//! What of a network training changes: its tensors with their depth, and its batch norms. Knows no optimiser.

use crate::state::{Path, track_path};
use burn::module::{Flag, Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;

/// A tensor that training changes.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainableTensor {
    /// By which gradients and the optimiser's state are found.
    pub id: ParamId,
    /// Name in the network's state, such as `cells.0.conv1.weight`.
    pub name: String,
    /// Its rank; biases and the tensors of norms have 1.
    pub num_dims: usize,
    /// How many numbers it has.
    pub len: usize,
    /// From 0 for the layer that is used first to 1 for the classification layer.
    pub depth: f64,
}

/// The trainable tensors of a module, by their depth. `first_use` says when a tensor is used first, by its path;
/// tensors without an answer keep the module's order and come last. `name` makes names of paths.
pub(crate) fn tensors<M: Module>(
    module: &M,
    first_use: impl Fn(&str) -> Option<usize>,
    name: impl Fn(&str) -> String,
) -> Vec<TrainableTensor> {
    let mut lister = Lister {
        path: Path::default(),
        tensors: vec![],
    };
    module.visit(&mut lister);
    let mut tensors = lister.tensors;
    let use_of = |tensor: &TrainableTensor| first_use(&tensor.name).unwrap_or(usize::MAX);
    // Stable: module order within a step.
    tensors.sort_by_key(use_of);
    // Tensors of one layer have one depth.
    let key = |tensor: &TrainableTensor| {
        let layer = tensor.name.rsplit_once('.').map_or("", |(layer, _)| layer);
        match use_of(tensor) {
            usize::MAX => (usize::MAX, layer.to_owned()),
            step => (step, String::new()),
        }
    };
    let mut layers = vec![];
    let mut layer = 0;
    for index in 0..tensors.len() {
        if index > 0 && key(&tensors[index]) != key(&tensors[index - 1]) {
            layer += 1;
        }
        layers.push(layer);
    }
    for (tensor, index) in tensors.iter_mut().zip(layers) {
        // The classification layer alone is the last of one.
        tensor.depth = if layer == 0 {
            1.0
        } else {
            f64::from(index) / f64::from(layer)
        };
        tensor.name = name(&tensor.name);
    }
    tensors
}

/// Number of batch norms.
pub(crate) fn num_batch_norms<M: Module>(module: &M) -> usize {
    let mut counter = NormCounter { count: 0 };
    module.visit(&mut counter);
    counter.count
}

/// The module with every batch norm in inference mode, or in training mode.
pub(crate) fn set_norms<M: Module>(module: M, inference: bool) -> M {
    module.map(&mut NormMode { inference })
}

struct Lister {
    path: Path,
    tensors: Vec<TrainableTensor>,
}

impl ModuleVisitor for Lister {
    track_path!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.name();
        // The visitor sees running statistics, too.
        if !name.contains("running_") {
            self.tensors.push(TrainableTensor {
                id: param.id,
                name,
                num_dims: D,
                len: param.val().shape().num_elements(),
                depth: 0.0,
            });
        }
    }
}

struct NormCounter {
    count: usize,
}

impl ModuleVisitor for NormCounter {
    // Batch norms alone have flags.
    fn visit_flag(&mut self, _flag: &Param<Flag>) {
        self.count += 1;
    }
}

struct NormMode {
    inference: bool,
}

impl ModuleMapper for NormMode {
    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        flag.with_value(!self.inference)
    }
}
