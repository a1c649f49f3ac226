//! `onnx-ir` nodes to layers and steps: one arm per operator.

use super::plan::{Op, Plan, Step};
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

/// The layers of a graph, each kind in graph order.
#[derive(Default)]
pub(super) struct Layers {
    pub(super) convs: Vec<Conv2d>,
    pub(super) norms: Vec<BatchNorm>,
    pub(super) linears: Vec<Linear>,
}

/// A graph as layers and a plan.
pub(super) struct Graph {
    pub(super) layers: Layers,
    pub(super) plan: Plan,
    /// Inputs of the classification layer, once it has been cut off.
    pub(super) num_features: usize,
    path: PathBuf,
    device: Device,
    ids: HashMap<String, usize>,
    /// Rank of every value.
    ranks: Vec<usize>,
}

/// What a node asks for: the operation, its data inputs and the rank of its result.
type Parsed = (Op, usize, usize);

impl Graph {
    /// Reads a file whose operators are all known.
    pub(super) fn read(path: &Path, device: &Device) -> Result<Self> {
        let unreadable = |reason| Error::Unreadable {
            path: path.to_path_buf(),
            reason,
        };
        // Why no simplification: layers must stay in the order of the file's own nodes, to which
        // tuned weights go back.
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

    fn define(&mut self, name: &str, rank: usize) -> usize {
        self.ranks.push(rank);
        self.ids.insert(name.into(), self.ranks.len() - 1);
        self.ranks.len() - 1
    }

    fn push(&mut self, node: &Node) -> Result<()> {
        if matches!(node, Node::Constant(_)) {
            return Ok(());
        }
        let (op, count, rank) = self.parse(node)?;
        let mut inputs = vec![];
        for argument in &node.inputs()[..count] {
            inputs.push(self.ids.get(&argument.name).copied().ok_or_else(|| {
                self.refuse(
                    node,
                    "an input is a constant where an activation is expected".into(),
                )
            })?);
        }
        if inputs
            .iter()
            .any(|&id| self.ranks[id] != self.ranks[inputs[0]])
        {
            return Err(self.refuse(node, "its inputs have different ranks".into()));
        }
        let output = self.define(&node.outputs()[0].name, rank);
        self.plan.steps.push(Step { op, inputs, output });
        Ok(())
    }

    fn parse(&mut self, node: &Node) -> Result<Parsed> {
        let rank = node
            .inputs()
            .first()
            .and_then(|a| self.ids.get(&a.name))
            .map(|&i| self.ranks[i]);
        let Some(rank) = rank else {
            return Err(self.refuse(node, "its first input is not an activation".into()));
        };
        let needs_map = |op: Op| (op, 4);
        let (op, needed) = match node {
            Node::Conv2d(n) => needs_map(self.conv(node, n)?),
            Node::BatchNormalization(n) => needs_map(self.norm(node, n)?),
            Node::Linear(_) | Node::Gemm(_) | Node::MatMul(_) => (self.linear(node)?, 2),
            Node::Relu(_) => (Op::Relu, rank),
            Node::MaxPool2d(n) => needs_map(self.max_pool(node, &n.config)?),
            Node::AveragePool2d(n) => needs_map(self.average_pool(node, &n.config)?),
            Node::GlobalAveragePool(_) => needs_map(Op::PoolMap),
            Node::ReduceMean(n) => match (&n.config.axes, n.config.keepdims) {
                (ReduceAxes::Static(axes), true) if axes == &[2, 3] => needs_map(Op::PoolMap),
                (ReduceAxes::Static(axes), false) if axes == &[2, 3] => {
                    return Ok((Op::PoolRow, 1, 2));
                }
                _ => {
                    return Err(self.refuse(
                        node,
                        "only a mean over height and width is supported".into(),
                    ));
                }
            },
            Node::Flatten(n) if n.config.axis == 1 => return Ok((Op::Flatten, 1, 2)),
            Node::Reshape(n) => match &n.config.shape {
                ReshapeInput::Static(shape) if matches!(shape[..], [0 | -1, _]) => {
                    return Ok((Op::Flatten, 1, 2));
                }
                ReshapeInput::Static(shape) if matches!(shape[..], [n, _] if n > 0) => {
                    let reason =
                        "it fixes the batch size; export the model with a dynamic batch axis";
                    return Err(self.refuse(node, reason.into()));
                }
                _ => {
                    return Err(self.refuse(
                        node,
                        "only a reshape to [batch, features] is supported".into(),
                    ));
                }
            },
            Node::Add(_) => return Ok((Op::Add, 2, rank)),
            Node::Identity(_) => (Op::Same, rank),
            _ => return Err(self.refuse(node, "this form of the operator is not supported".into())),
        };
        if needed != rank {
            return Err(self.refuse(node, format!("its input has rank {rank}, not {needed}")));
        }
        Ok((op, 1, rank))
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
            return Err(self.refuse(node, "its weights are computed at run time".into()));
        };
        let mut layer = BatchNorm::new(1, &self.device);
        layer.weight = self.parameter(node, 1)?;
        layer.bias = self.parameter(node, 2)?;
        layer.running_mean = RunningState::new(self.constant(node, 3)?);
        layer.running_var = RunningState::new(self.constant(node, 4)?);
        layer.epsilon = config.epsilon;
        // ONNX weighs the past, PyTorch the newest batch.
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
                return Err(self.refuse(
                    node,
                    "only alpha = beta = 1 and transA = 0 are supported".into(),
                ));
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
            return Err(self.refuse(node, "a dilated average pool is not supported".into()));
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
            (AutoPad::SameUpper | AutoPad::SameLower, _) => Err(self.refuse(
                node,
                "`auto_pad` is not supported, explicit pads are".into(),
            )),
            (AutoPad::Valid, _) | (_, PaddingConfig2d::Valid) => Ok([(0, 0); 2]),
            (_, PaddingConfig2d::Explicit(top, left, bottom, right)) => {
                Ok([(*top, *bottom), (*left, *right)])
            }
        }
    }

    /// Input `i` as a weight stored in the file, of rank `D`.
    fn constant<const D: usize>(&self, node: &Node, i: usize) -> Result<Tensor<D>> {
        let data = node.inputs().get(i).and_then(Argument::value);
        let Some(data) = data else {
            return Err(self.refuse(node, format!("its input {i} is not stored in the file")));
        };
        let shape = data.shape().to_vec();
        // Exporters write biases as [K], [1, K] and, for a single class, as a scalar.
        let squeezed = D == 1 && shape.iter().filter(|&&n| n != 1).count() <= 1;
        if shape.len() != D && !squeezed {
            return Err(self.refuse(node, format!("its input {i} has shape {shape:?}")));
        }
        let values = data.convert::<f32>().try_into_vec::<f32>();
        let values = values.map_err(|e| self.refuse(node, format!("its input {i}: {e:?}")))?;
        let dims = if squeezed { vec![values.len()] } else { shape };
        Ok(Tensor::from_data(
            TensorData::new(values, dims),
            &self.device,
        ))
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

    fn refuse(&self, node: &Node, reason: String) -> Error {
        Error::UnsupportedNode {
            path: self.path.clone(),
            operator: format!("{:?}", node.node_type()),
            node: node.name().into(),
            reason,
        }
    }
}
