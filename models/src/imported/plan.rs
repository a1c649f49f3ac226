//! Execution plan of an imported graph: its nodes in order, and the tensors that training changes.

mod fusion;

use super::operators::{Function, function};
use super::value::{Call, Value};
use super::weights::{self, Weight};
use super::{host, refuse};
use crate::error::{Error, Result};
use crate::init;
use crate::layers::BatchNorm;
use burn::module::RunningState;
use burn::tensor::{Device, Tensor, TensorData};
use onnx::proto::{NodeProto, is_standard_domain};
use onnx::{Document, TRAINABLE_OPERATORS};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// A node with the indices of what it reads and writes.
#[derive(Debug)]
pub(crate) struct Step {
    function: Function,
    node: NodeProto,
    inputs: Vec<Input>,
    /// Index of each output.
    outputs: Vec<usize>,
    /// Index of its batch norm.
    norm: Option<usize>,
    /// Upper bound of the clamp from 0 that the batch norm does in the same pass.
    clamp: Option<f32>,
}

/// Where an input comes from.
#[derive(Debug)]
enum Input {
    Value(usize),
    Weight(usize),
    Constant(onnx::Tensor),
    /// An optional input that is left out, or a tensor of a batch norm.
    Absent,
}

/// A tensor of the network and where the file has it.
#[derive(Debug)]
pub(crate) struct Source {
    /// Name of the initializer, or of the output of a `Constant` node.
    pub(crate) name: String,
    /// The step that reads it first.
    pub(crate) first_use: usize,
}

/// The steps in execution order.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    path: PathBuf,
    opset: i64,
    steps: Vec<Step>,
    num_values: usize,
    input: usize,
    output: usize,
    /// For each value, the last step that reads it.
    last_use: Vec<usize>,
    /// Those of the weights, in their order.
    pub(crate) weights: Vec<Source>,
    /// Those of scale, bias, mean and variance of the batch norms, in their order.
    pub(crate) norms: Vec<[Source; 4]>,
}

/// What a graph stores, as modules.
#[derive(Default)]
pub(super) struct Modules {
    pub(super) weights: Vec<Weight>,
    pub(super) norms: Vec<BatchNorm>,
}

impl Plan {
    /// Reads a document that ends at the features and whose nodes are sorted.
    pub(super) fn read(
        path: &Path,
        document: &Document,
        device: &Device,
    ) -> Result<(Self, Modules)> {
        let graph = document.graph();
        let mut reader = Reader {
            document,
            device,
            weights: weights::weights(graph),
            stored: HashSet::new(),
            indices: HashMap::new(),
            weight_indices: HashMap::new(),
            plan: Self {
                path: path.to_path_buf(),
                opset: document.opset(),
                ..Self::default()
            },
            modules: Modules::default(),
        };
        let initializers = graph.initializer.iter().map(|tensor| tensor.name());
        reader.stored.extend(initializers);
        let inputs = graph.input.iter().map(|input| input.name());
        // Up to IR version 3 an initializer is an input, too.
        let mut images = inputs.filter(|name| !reader.stored.contains(name));
        let image = images.next().unwrap_or_default();
        drop(images);
        reader.plan.input = reader.define(image);
        for node in &graph.node {
            if node.op_type() == "Constant" && is_standard_domain(node.domain()) {
                reader.stored.extend(node.output.iter().map(String::as_str));
            } else {
                reader.push(node)?;
            }
        }
        let output = graph.output.first().map_or("", |output| output.name());
        let output = reader.indices.get(output).copied();
        let (mut plan, modules) = (reader.plan, reader.modules);
        plan.output = output.ok_or_else(|| refuse::unconnected(path))?;
        plan.fuse();
        plan.find_last_uses();
        Ok((plan, modules))
    }

    fn find_last_uses(&mut self) {
        self.last_use = vec![usize::MAX; self.num_values];
        for (index, step) in self.steps.iter().enumerate() {
            for input in &step.inputs {
                if let Input::Value(value) = input {
                    self.last_use[*value] = index;
                }
            }
        }
        self.last_use[self.output] = usize::MAX;
    }

    /// Runs the steps on images.
    pub(super) fn run(
        &self,
        images: Tensor<4>,
        weights: &[Weight],
        norms: &[BatchNorm],
    ) -> Result<Tensor<2>> {
        let device = images.device();
        let mut values: Vec<Option<Value>> = vec![None; self.num_values];
        let images = super::dyn_tensor::DynTensor::from_tensor(images);
        values[self.input] = Some(Value::Device(images));
        for (index, step) in self.steps.iter().enumerate() {
            let mut call = Call {
                node: &step.node,
                opset: self.opset,
                inputs: self.inputs(index, &mut values, weights),
                norm: step.norm.map(|norm| &norms[norm]),
                clamp: step.clamp,
                device: &device,
            };
            let found = match step.function {
                Function::One(function) => function(&mut call).map(|value| vec![value]),
                Function::Many(function) => function(&mut call),
            };
            let found = found.map_err(|reason| self.refuse(&step.node, &reason))?;
            for (&output, value) in step.outputs.iter().zip(found) {
                values[output] = Some(value);
            }
        }
        match values[self.output].take() {
            Some(Value::Device(features)) if features.rank() == 2 => {
                Ok(features.into_tensor().expect("its rank is 2"))
            }
            _ => Err(refuse::no_features(&self.path)),
        }
    }

    /// The inputs of a step. Its last reader takes a value: its memory is free early, and the operator may overwrite
    /// it.
    fn inputs(
        &self,
        index: usize,
        values: &mut [Option<Value>],
        weights: &[Weight],
    ) -> Vec<Option<Value>> {
        let inputs = &self.steps[index].inputs;
        let is_last = |slot: usize, value: usize| {
            let mut later = inputs[slot + 1..].iter();
            self.last_use[value] == index
                && !later.any(|input| matches!(input, Input::Value(other) if *other == value))
        };
        let input = |(slot, input): (usize, &Input)| match input {
            Input::Value(value) if is_last(slot, *value) => values[*value].take(),
            Input::Value(value) => values[*value].clone(),
            Input::Weight(weight) => Some(Value::Device(weights[*weight].value())),
            Input::Constant(tensor) => Some(Value::Host(tensor.clone())),
            Input::Absent => None,
        };
        inputs.iter().enumerate().map(input).collect()
    }

    fn refuse(&self, node: &NodeProto, reason: &str) -> Error {
        refuse::unsupported_node(&self.path, node, reason)
    }
}

/// A plan in the making.
struct Reader<'d> {
    document: &'d Document,
    device: &'d Device,
    /// Names of the values that are weights where they are stored.
    weights: HashSet<&'d str>,
    stored: HashSet<&'d str>,
    /// Indices of the values.
    indices: HashMap<&'d str, usize>,
    weight_indices: HashMap<&'d str, usize>,
    plan: Plan,
    modules: Modules,
}

impl<'d> Reader<'d> {
    /// Adds a value and returns its index.
    fn define(&mut self, name: &'d str) -> usize {
        let index = self.plan.num_values;
        self.plan.num_values += 1;
        self.indices.insert(name, index);
        index
    }

    fn push(&mut self, node: &'d NodeProto) -> Result<()> {
        let path = &self.plan.path;
        let is_standard = is_standard_domain(node.domain());
        let listed = is_standard && TRAINABLE_OPERATORS.contains(&node.op_type());
        let Some(function) = function(node.op_type()).filter(|_| listed) else {
            return Err(refuse::unsupported_operator(path, node, self.plan.opset));
        };
        let is_norm = node.op_type() == "BatchNormalization";
        let mut inputs = vec![];
        for (slot, name) in node.input.iter().enumerate() {
            inputs.push(match is_norm && slot > 0 {
                true => Input::Absent,
                false => self.input(node, name)?,
            });
        }
        let norm = match is_norm {
            true => Some(self.norm(node)?),
            false => None,
        };
        let outputs = node.output.iter().map(|name| self.define(name)).collect();
        // Their tensors would be held for nothing.
        let step = NodeProto {
            input: vec![],
            ..node.clone()
        };
        self.plan.steps.push(Step {
            function,
            node: step,
            inputs,
            outputs,
            norm,
            clamp: None,
        });
        Ok(())
    }

    fn input(&mut self, node: &NodeProto, name: &'d str) -> Result<Input> {
        if name.is_empty() {
            return Ok(Input::Absent);
        }
        if let Some(&value) = self.indices.get(name) {
            return Ok(Input::Value(value));
        }
        if let Some(&weight) = self.weight_indices.get(name) {
            return Ok(Input::Weight(weight));
        }
        if !self.stored.contains(name) {
            let reason = format!("no earlier node computes its input `{name}`");
            return Err(self.plan.refuse(node, &reason));
        }
        let stored = self.document.tensor(name)?;
        let is_trained = self.weights.contains(name)
            && stored.len() > 1
            && stored
                .as_f32()
                .is_ok_and(|values| !weights::is_mask(&values));
        if !is_trained {
            let constant = host::normalised(stored);
            let constant = constant.map_err(|reason| self.plan.refuse(node, &reason))?;
            return Ok(Input::Constant(constant));
        }
        let values = self.numbers(node, name, &stored)?;
        let Some(weight) = Weight::new(values, &stored.dims, self.device) else {
            let reason = format!("its weight `{name}` has {} axes", stored.dims.len());
            return Err(self.plan.refuse(node, &reason));
        };
        self.modules.weights.push(weight);
        let source = self.source(name);
        self.plan.weights.push(source);
        let index = self.plan.weights.len() - 1;
        self.weight_indices.insert(name, index);
        Ok(Input::Weight(index))
    }

    /// The numbers of a weight, which must be stored as they are trained.
    fn numbers(&self, node: &NodeProto, name: &str, stored: &onnx::Tensor) -> Result<Vec<f32>> {
        match &stored.data {
            onnx::TensorData::F32(values) => Ok(values.clone()),
            _ => {
                let kind = stored.elem_type();
                let reason = format!(
                    "its weight `{name}` is stored as {kind:?}; only single precision can be trained"
                );
                Err(self.plan.refuse(node, &reason))
            }
        }
    }

    /// A tensor that the next step reads.
    fn source(&self, name: &str) -> Source {
        Source {
            name: name.to_owned(),
            first_use: self.plan.steps.len(),
        }
    }

    /// The batch norm of a node; returns its index.
    fn norm(&mut self, node: &'d NodeProto) -> Result<usize> {
        let refuse = |reason: &str| self.plan.refuse(node, reason);
        let attribute = |name: &str| node.attribute.iter().find(|a| a.name() == name);
        if attribute("training_mode").is_some_and(|mode| mode.i() != 0) {
            return Err(refuse(
                "it normalises with the statistics of the batch (training_mode = 1)",
            ));
        }
        let [_, names @ ..] = node.input.as_slice() else {
            return Err(refuse("it has no inputs"));
        };
        let mut tensors = vec![];
        for name in names {
            if !self.stored.contains(name.as_str()) {
                return Err(refuse("its weights are computed at run time"));
            }
            let stored = self.document.tensor(name)?;
            let values = self.numbers(node, name, &stored)?;
            tensors.push((values, stored.dims));
        }
        let [(_, dims), ..] = tensors.as_slice() else {
            return Err(refuse("it has no weights"));
        };
        let fits = dims.len() == 1 && tensors.iter().all(|(_, other)| other == dims);
        let (Ok([weight, bias, mean, variance]), [scale, offset, past, spread], true) =
            (<[_; 4]>::try_from(tensors.clone()), names, fits)
        else {
            return Err(refuse("its weights are not four rows of one length"));
        };
        let data = |(values, dims): (Vec<f32>, Vec<usize>)| TensorData::new(values, dims);
        let mut layer = BatchNorm::new(1, self.device);
        layer.weight = init::from_data(data(weight), self.device);
        layer.bias = init::from_data(data(bias), self.device);
        layer.running_mean = RunningState::new(Tensor::from_data(data(mean), self.device));
        layer.running_var = RunningState::new(Tensor::from_data(data(variance), self.device));
        layer.epsilon = f64::from(attribute("epsilon").map_or(1e-5, |a| a.f()));
        // In ONNX, the momentum is the weight of the past; in PyTorch, that of the newest batch.
        layer.momentum = 1.0 - f64::from(attribute("momentum").map_or(0.9, |a| a.f()));
        self.modules.norms.push(layer);
        let sources = [scale, offset, past, spread].map(|name| self.source(name));
        self.plan.norms.push(sources);
        Ok(self.plan.norms.len() - 1)
    }
}
