//! What is computed in which order; holds no weights.

use crate::kernels;
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use burn::tensor::{Tensor, activation::relu, module};

/// What flows between the steps.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// `[N, C, H, W]`.
    Map(Tensor<4>),
    /// `[N, D]`.
    Row(Tensor<2>),
}

/// One operation. The numbers index the layers of `Imported`.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Conv(usize),
    Norm(usize),
    Linear(usize),
    Relu,
    MaxPool(MaxPoolOptions<2>),
    AveragePool(AvgPoolOptions<2>),
    /// Mean over height and width, which stay as dimensions of size one.
    PoolMap,
    /// Mean over height and width, which go.
    PoolRow,
    /// `[N, C, H, W]` to `[N, C · H · W]`.
    Flatten,
    Add,
    Same,
}

/// One operation with the values it reads and the value it writes.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) op: Op,
    pub(crate) inputs: Vec<usize>,
    pub(crate) output: usize,
}

/// The graph in execution order; values are numbered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    pub(crate) num_values: usize,
    pub(crate) input: usize,
    pub(crate) output: usize,
    /// Per value, the last step that reads it.
    pub(crate) last_use: Vec<usize>,
}

impl Plan {
    /// Finds the last reader of every value.
    pub(crate) fn find_last_uses(&mut self) {
        self.last_use = vec![usize::MAX; self.num_values];
        for (i, step) in self.steps.iter().enumerate() {
            for &id in &step.inputs {
                self.last_use[id] = i;
            }
            // A value that is read twice by one step must not be taken by the first read.
            if step.inputs.len() == 2 && step.inputs[0] == step.inputs[1] {
                self.last_use[step.inputs[0]] = usize::MAX;
            }
        }
        self.last_use[self.output] = usize::MAX;
    }
}

/// Applies an operation without weights; `None` where the rank does not fit.
pub(crate) fn apply(op: &Op, x: Value) -> Option<Value> {
    Some(match (op, x) {
        (Op::Relu, Value::Map(x)) => Value::Map(relu(x)),
        (Op::Relu, Value::Row(x)) => Value::Row(relu(x)),
        (Op::MaxPool(options), Value::Map(x)) => Value::Map(kernels::max_pool2d(x, options)),
        (Op::AveragePool(options), Value::Map(x)) => {
            Value::Map(module::avg_pool2d(x, options.clone()))
        }
        (Op::PoolMap, Value::Map(x)) => Value::Map(module::adaptive_avg_pool2d(x, [1, 1])),
        (Op::PoolRow, Value::Map(x)) => {
            Value::Row(module::adaptive_avg_pool2d(x, [1, 1]).flatten(1, 3))
        }
        (Op::Flatten, Value::Map(x)) => Value::Row(x.flatten(1, 3)),
        (Op::Flatten, x @ Value::Row(_)) | (Op::Same, x) => x,
        _ => return None,
    })
}
