//! Parser: nodes of `onnx-ir` to layers and steps, one arm per operator. Knows no names of weights.

use super::plan::{Op, Plan, Step};
use super::refuse;
use crate::error::{Error, Result};
use crate::init;
use crate::layers::{BatchNorm, Conv2d, Linear};
use burn::module::{Param, RunningState};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor, TensorData};
use onnx_ir::node::batch_norm::BatchNormConfig;
use onnx_ir::node::padding::{AutoPad, PaddingConfig2d};
use onnx_ir::node::reduce::ReduceAxes;
use onnx_ir::node::reshape::ReshapeInput;
use onnx_ir::{Argument, Node, OnnxGraphBuilder};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Layers of a graph, each kind in graph order.
#[derive(Default)]
pub(super) struct Layers {
    pub(super) convs: Vec<Conv2d>,
    pub(super) norms: Vec<BatchNorm>,
    pub(super) linears: Vec<Linear>,
}

/// Graph as layers and a plan.
pub(super) struct Graph {
    pub(super) layers: Layers,
    pub(super) plan: Plan,
    /// D, the inputs of the classification layer; 0 until that is removed.
    pub(super) num_features: usize,
    path: PathBuf,
    device: Device,
    /// Indices of the values, by the names of `onnx-ir`.
    ids: HashMap<String, usize>,
    /// Rank of every value: 4 for `[N, C, H, W]`, 2 for `[N, D]`.
    ranks: Vec<usize>,
}

/// A node as an operation.
struct Parsed {
    op: Op,
    /// Number of inputs that are activations.
    num_inputs: usize,
    /// Rank of the output.
    rank: usize,
}

impl Parsed {
    /// An operation with one activation.
    fn unary(op: Op, rank: usize) -> Self {
        let num_inputs = 1;
        Self {
            op,
            num_inputs,
            rank,
        }
    }
}

impl Graph {
    /// Reads a file whose operators are all supported.
    pub(super) fn read(path: &Path, device: &Device) -> Result<Self> {
        let unreadable = |reason: String| refuse::unreadable(path, &reason);
        // Without simplification, layers keep the order of the file's nodes, by which `pair` finds the
        // weights that tuned ones replace.
        let ir = OnnxGraphBuilder::new()
            .simplify(false)
            .parse_file(path)
            .map_err(|e| unreadable(e.to_string()))?;
        let [input] = ir.inputs.as_slice() else {
            return Err(unreadable(format!(
                "it has {} inputs instead of one",
                ir.inputs.len()
            )));
        };
        let [output] = ir.outputs.as_slice() else {
            return Err(unreadable(format!(
                "it has {} outputs instead of one",
                ir.outputs.len()
            )));
        };
        let mut graph = Self {
            layers: Layers::default(),
            plan: Plan::default(),
            num_features: 0,
            path: path.to_path_buf(),
            device: device.clone(),
            ids: HashMap::new(),
            ranks: vec![],
        };
        graph.plan.input = graph.define(&input.name, 4);
        for node in &ir.nodes {
            graph.push(node)?;
        }
        graph.plan.output =
            graph.ids.get(&output.name).copied().ok_or_else(|| {
                unreadable(format!("no node computes the output `{}`", output.name))
            })?;
        graph.plan.num_values = graph.ranks.len();
        graph.plan.find_last_uses();
        Ok(graph)
    }

    /// Adds a value and returns its index.
    fn define(&mut self, name: &str, rank: usize) -> usize {
        self.ranks.push(rank);
        self.ids.insert(name.into(), self.ranks.len() - 1);
        self.ranks.len() - 1
    }

    fn push(&mut self, node: &Node) -> Result<()> {
        if matches!(node, Node::Constant(_)) {
            return Ok(());
        }
        let Parsed {
            op,
            num_inputs,
            rank,
        } = self.parse(node)?;
        let mut inputs = vec![];
        for argument in &node.inputs()[..num_inputs] {
            let Some(id) = self.ids.get(&argument.name) else {
                let reason = "an input is a constant where an activation is expected";
                return Err(self.refuse(node, reason));
            };
            inputs.push(*id);
        }
        let mut ranks = inputs.iter().map(|&id| self.ranks[id]);
        if ranks.any(|rank| rank != self.ranks[inputs[0]]) {
            return Err(self.refuse(node, "its inputs have different ranks"));
        }
        let output = self.define(&node.outputs()[0].name, rank);
        self.plan.steps.push(Step { op, inputs, output });
        Ok(())
    }

    fn parse(&mut self, node: &Node) -> Result<Parsed> {
        let first = node.inputs().first();
        let Some(&id) = first.and_then(|argument| self.ids.get(&argument.name)) else {
            return Err(self.refuse(node, "its first input is not an activation"));
        };
        let rank = self.ranks[id];
        let (op, required) = match node {
            Node::Conv2d(n) => (self.conv(node, n)?, 4),
            Node::BatchNormalization(n) => (self.norm(node, n)?, 4),
            Node::Linear(_) | Node::Gemm(_) | Node::MatMul(_) => (self.linear(node)?, 2),
            Node::Relu(_) => (Op::Relu, rank),
            Node::MaxPool2d(n) => (self.max_pool(node, &n.config)?, 4),
            Node::AveragePool2d(n) => (self.average_pool(node, &n.config)?, 4),
            Node::GlobalAveragePool(_) => (Op::GlobalAveragePool, 4),
            Node::ReduceMean(n) => match (&n.config.axes, n.config.keepdims) {
                (ReduceAxes::Static(axes), true) if axes == &[2, 3] => (Op::GlobalAveragePool, 4),
                (ReduceAxes::Static(axes), false) if axes == &[2, 3] => {
                    return Ok(Parsed::unary(Op::SpatialMean, 2));
                }
                _ => {
                    let reason = "only a mean over height and width is supported";
                    return Err(self.refuse(node, reason));
                }
            },
            Node::Flatten(n) if n.config.axis == 1 => return Ok(Parsed::unary(Op::Flatten, 2)),
            Node::Reshape(n) => match &n.config.shape {
                ReshapeInput::Static(shape) if matches!(shape[..], [0 | -1, _]) => {
                    return Ok(Parsed::unary(Op::Flatten, 2));
                }
                ReshapeInput::Static(shape) if matches!(shape[..], [n, _] if n > 0) => {
                    let reason =
                        "it fixes the batch size; export the model with a dynamic batch axis";
                    return Err(self.refuse(node, reason));
                }
                _ => {
                    let reason = "only a reshape to [batch, features] is supported";
                    return Err(self.refuse(node, reason));
                }
            },
            Node::Add(_) => {
                let (op, num_inputs) = (Op::Add, 2);
                return Ok(Parsed {
                    op,
                    num_inputs,
                    rank,
                });
            }
            Node::Identity(_) => (Op::Identity, rank),
            _ => return Err(self.refuse(node, "this form of the operator is not supported")),
        };
        if required != rank {
            let reason = format!("its input has rank {rank}, not {required}");
            return Err(self.refuse(node, &reason));
        }
        Ok(Parsed::unary(op, rank))
    }

    fn conv(&mut self, node: &Node, n: &onnx_ir::node::conv2d::Conv2dNode) -> Result<Op> {
        let weight = self.parameter(node, 1)?;
        let bias = self.optional(node, 2)?;
        let mut options =
            ConvOptions::new(n.config.stride, [0, 0], n.config.dilation, n.config.groups);
        options.padding = self.padding(node, &n.config.padding, &n.config.auto_pad)?;
        self.layers.convs.push(Conv2d {
            weight,
            bias,
            options,
        });
        Ok(Op::Conv(self.layers.convs.len() - 1))
    }

    fn norm(
        &mut self,
        node: &Node,
        n: &onnx_ir::node::batch_norm::BatchNormalizationNode,
    ) -> Result<Op> {
        let BatchNormConfig::Static(config) = &n.config else {
            return Err(self.refuse(node, "its weights are computed at run time"));
        };
        let mut layer = BatchNorm::new(1, &self.device);
        layer.weight = self.parameter(node, 1)?;
        layer.bias = self.parameter(node, 2)?;
        layer.running_mean = RunningState::new(self.constant(node, 3)?);
        layer.running_var = RunningState::new(self.constant(node, 4)?);
        layer.epsilon = config.epsilon;
        // In ONNX, the momentum is the weight of the past; in PyTorch, that of the newest batch.
        layer.momentum = 1.0 - config.momentum;
        self.layers.norms.push(layer);
        Ok(Op::Norm(self.layers.norms.len() - 1))
    }

    fn linear(&mut self, node: &Node) -> Result<Op> {
        let transposed = match node {
            Node::Linear(n) => !n.config.transpose_weight,
            Node::Gemm(n)
                if n.config.alpha == 1.0 && n.config.beta == 1.0 && n.config.trans_a == 0 =>
            {
                n.config.trans_b == 0
            }
            Node::MatMul(_) => true,
            _ => {
                let reason = "only alpha = beta = 1 and transA = 0 are supported";
                return Err(self.refuse(node, reason));
            }
        };
        let weight: Tensor<2> = self.constant(node, 1)?;
        let weight = if transposed {
            weight.transpose()
        } else {
            weight
        }; // [K, D]
        let weight = init::from_data(weight.into_data(), &self.device);
        let bias = self.optional(node, 2)?;
        self.layers.linears.push(Linear { weight, bias });
        Ok(Op::Linear(self.layers.linears.len() - 1))
    }

    fn max_pool(
        &self,
        node: &Node,
        config: &onnx_ir::node::max_pool2d::MaxPool2dConfig,
    ) -> Result<Op> {
        let mut options = MaxPoolOptions::new(config.kernel_size).with_stride(config.strides);
        options.padding = self.padding(node, &config.padding, &config.auto_pad)?;
        options.dilation = config.dilation;
        options.ceil_mode = config.ceil_mode;
        Ok(Op::MaxPool(options))
    }

    fn average_pool(
        &self,
        node: &Node,
        config: &onnx_ir::node::avg_pool2d::AvgPool2dConfig,
    ) -> Result<Op> {
        if config.dilation != [1, 1] {
            return Err(self.refuse(node, "a dilated average pool is not supported"));
        }
        let mut options = AvgPoolOptions::new(config.kernel_size).with_stride(config.strides);
        options.padding = self.padding(node, &config.padding, &config.auto_pad)?;
        options.count_include_pad = config.count_include_pad;
        options.ceil_mode = config.ceil_mode;
        Ok(Op::AveragePool(options))
    }

    /// Padding as `[(top, bottom), (left, right)]`.
    fn padding(
        &self,
        node: &Node,
        padding: &PaddingConfig2d,
        auto_pad: &AutoPad,
    ) -> Result<[(usize, usize); 2]> {
        match (auto_pad, padding) {
            (AutoPad::SameUpper | AutoPad::SameLower, _) => {
                Err(self.refuse(node, "`auto_pad` is not supported, explicit pads are"))
            }
            (AutoPad::Valid, _) | (_, PaddingConfig2d::Valid) => Ok([(0, 0); 2]),
            (_, PaddingConfig2d::Explicit(top, left, bottom, right)) => {
                Ok([(*top, *bottom), (*left, *right)])
            }
        }
    }

    /// Input `i`, a weight stored in the file, as a tensor of rank `D`.
    fn constant<const D: usize>(&self, node: &Node, i: usize) -> Result<Tensor<D>> {
        let data = node.inputs().get(i).and_then(Argument::value);
        let Some(data) = data else {
            return Err(self.refuse(node, &format!("its input {i} is not stored in the file")));
        };
        let shape = data.shape().to_vec();
        // Exporters write biases as [K], [1, K] and, for a single class, as a scalar.
        let squeezed = D == 1 && shape.iter().filter(|&&n| n != 1).count() <= 1;
        if shape.len() != D && !squeezed {
            return Err(self.refuse(node, &format!("its input {i} has shape {shape:?}")));
        }
        let values = data.convert::<f32>().try_into_vec::<f32>();
        let values = values.map_err(|e| self.refuse(node, &format!("its input {i}: {e:?}")))?;
        let dims = if squeezed { vec![values.len()] } else { shape };
        let data = TensorData::new(values, dims);
        Ok(Tensor::from_data(data, &self.device))
    }

    fn parameter<const D: usize>(&self, node: &Node, i: usize) -> Result<Param<Tensor<D>>> {
        self.constant::<D>(node, i)
            .map(|tensor| init::from_data(tensor.into_data(), &self.device))
    }

    fn optional(&self, node: &Node, i: usize) -> Result<Option<Param<Tensor<1>>>> {
        match node.inputs().get(i) {
            Some(a) if !a.is_optional() => self.parameter(node, i).map(Some),
            _ => Ok(None),
        }
    }

    fn refuse(&self, node: &Node, reason: &str) -> Error {
        let operator = format!("{:?}", node.node_type());
        refuse::unsupported_node(&self.path, &operator, node.name(), reason)
    }
}
