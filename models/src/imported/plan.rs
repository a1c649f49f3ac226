//! Execution plan of an imported graph: operations in order. Holds no weights.

use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use burn::tensor::{Tensor, activation::relu, module};

/// Activation between two steps.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// `[N, C, H, W]`.
    Map(Tensor<4>),
    /// `[N, D]`.
    Row(Tensor<2>),
}

/// Operation of a step; an index is that of a layer of [`Imported`](super::Imported).
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Conv(usize),
    Norm(usize),
    Linear(usize),
    Relu,
    MaxPool(MaxPoolOptions<2>),
    AveragePool(AvgPoolOptions<2>),
    /// `[N, C, H, W]` to `[N, C, 1, 1]`: mean over height and width.
    GlobalAveragePool,
    /// `[N, C, H, W]` to `[N, C]`: mean over height and width.
    SpatialMean,
    /// `[N, C, H, W]` to `[N, C · H · W]`.
    Flatten,
    Add,
    Identity,
}

/// An operation, the indices of the values it reads and of the value it writes.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) op: Op,
    pub(crate) inputs: Vec<usize>,
    pub(crate) output: usize,
}

/// The steps in execution order, and the indices of the graph's values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) num_values: usize,
    pub(crate) input: usize,
    pub(crate) output: usize,
    /// For each value, the last step that reads it; `usize::MAX` where no step may take it.
    pub(crate) last_use: Vec<usize>,
}

impl Plan {
    /// Fills [`last_use`](Self::last_use).
    pub(crate) fn find_last_uses(&mut self) {
        self.last_use = vec![usize::MAX; self.num_values];
        for (i, step) in self.steps.iter().enumerate() {
            for &id in &step.inputs {
                self.last_use[id] = i;
            }
            // The first read of a step must not take a value that its second read needs.
            if step.inputs.len() == 2 && step.inputs[0] == step.inputs[1] {
                self.last_use[step.inputs[0]] = usize::MAX;
            }
        }
        self.last_use[self.output] = usize::MAX;
    }
}

/// Applies an operation without weights.
pub(crate) fn apply(op: &Op, x: Value) -> Value {
    match (op, x) {
        (Op::Relu, Value::Map(x)) => Value::Map(relu(x)),
        (Op::Relu, Value::Row(x)) => Value::Row(relu(x)),
        (Op::MaxPool(options), Value::Map(x)) => Value::Map(kernels::max_pool2d(x, options)),
        (Op::AveragePool(options), Value::Map(x)) => {
            Value::Map(module::avg_pool2d(x, options.clone()))
        }
        (Op::GlobalAveragePool, Value::Map(x)) => {
            Value::Map(module::adaptive_avg_pool2d(x, [1, 1]))
        }
        (Op::SpatialMean, Value::Map(x)) => {
            Value::Row(module::adaptive_avg_pool2d(x, [1, 1]).flatten(1, 3))
        }
        (Op::Flatten, Value::Map(x)) => Value::Row(x.flatten(1, 3)),
        (Op::Flatten, x @ Value::Row(_)) | (Op::Identity, x) => x,
        (op, _) => unreachable!("`parse` has checked the inputs of {op:?}"),
    }
}
