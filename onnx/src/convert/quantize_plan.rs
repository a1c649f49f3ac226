//! Quantisation plan: the values that become 8-bit integers, and the nodes that compute with them.
//!
//! Knows no ranges and changes no node.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::types::{self, Types};
use super::{check_unquantized, fold, is_standard, label, opset};
use crate::document::Document;
use crate::error::{Error, Result};
use crate::proto::{DataType, GraphProto, NodeProto, TensorProto};
use crate::surgery;
use crate::tensor::Tensor;
use crate::walk;

/// The values and nodes to quantise.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Values in the order of the graph.
    pub(super) values: Vec<QuantizedValue>,
    /// Indices of the nodes with a constant weight.
    pub(super) linear: HashSet<usize>,
    /// Indices of the nodes that read integers.
    pub(super) integer_readers: HashSet<usize>,
    /// The values that come out of a node as integers. The others are quantised for some of their readers.
    pub(super) integer_results: HashSet<String>,
    /// The value that a node only moved, by the moved one.
    pub(super) moved_from: HashMap<String, String>,
}

/// A value to quantise.
#[derive(Debug)]
pub(super) struct QuantizedValue {
    pub(super) name: String,
    /// The value whose range it has: itself, or the one that its nodes only moved.
    pub(super) root: String,
}

/// A node that [`quantize`](super::quantize) makes compute with integers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantizableNode {
    /// The node's name, or its output's where it has none.
    pub name: String,
    /// The operator.
    pub op: String,
    /// Whether it is a product with constant weights, of which at least one must compute with integers.
    pub is_product: bool,
    /// Whether each channel of it is a convolution of its own.
    pub is_depthwise: bool,
}

/// Prepares a graph for [`quantize`](super::quantize): reads external data, raises the operator set to
/// 13 (the first in which weights may have a scale for each channel) and folds batch normalisation.
///
/// # Errors
/// A node cannot be converted.
pub fn prepare(document: &mut Document) -> Result<()> {
    check_unquantized(document.graph())?;
    document.inline_external_data()?;
    super::remove_initializer_inputs(document);
    opset::raise(document)?;
    fold::fold(document)?;
    document.check()
}

/// The values of a [prepared](prepare) graph whose ranges [`quantize`](super::quantize) needs.
///
/// # Errors
/// As [`prepare`], or no weight is constant.
pub fn calibrated_values(document: &Document) -> Result<Vec<String>> {
    let plan = plan(document, &[])?;
    let mut seen = HashSet::new();
    let mut roots: Vec<String> = plan.values.into_iter().map(|value| value.root).collect();
    roots.retain(|root| seen.insert(root.clone()));
    Ok(roots)
}

/// The nodes of a [prepared](prepare) graph that can compute with integers, in the order of the graph.
///
/// # Errors
/// As [`prepare`].
pub fn quantizable_nodes(document: &Document) -> Result<Vec<QuantizableNode>> {
    let planner = Planner::new(document, &[])?;
    let nodes = planner.graph.node.iter();
    let of_node = |node: &NodeProto| {
        let role = planner.role(node);
        matches!(role, Role::Linear | Role::Integer).then(|| QuantizableNode {
            name: label(node),
            op: node.op_type().to_owned(),
            is_product: matches!(role, Role::Linear),
            is_depthwise: planner.is_depthwise(node),
        })
    };
    Ok(nodes.filter_map(of_node).collect())
}

/// Role of a node in a quantised graph.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// A product with a constant weight: `Conv`, `Gemm`, `MatMul`.
    Linear,
    /// Computes integers from integers: `Add`, `Concat`, averages.
    Integer,
    /// Moves or selects values: its output has the scale of its input.
    Move,
    /// Computes in single precision.
    Float,
}

/// The plan in which the nodes of the names `kept` compute in single precision.
pub(super) fn plan(document: &Document, kept: &[String]) -> Result<Plan> {
    let graph = document.graph();
    let planner = Planner::new(document, kept)?;
    let mut wanted: HashSet<String> = HashSet::new();
    let mut plan = Plan::default();
    for (index, node) in graph.node.iter().enumerate() {
        let role = planner.role(node);
        if role != Role::Float {
            plan.integer_readers.insert(index);
        }
        match role {
            Role::Linear => {
                wanted.insert(node.input[0].clone());
                let activation = planner.activation(&node.output[0]);
                plan.integer_results.extend(activation.clone());
                // ONNX Runtime's integer convolutions have integer outputs only. A matrix product may have
                // outputs in single precision, and that of the last layer should.
                if node.op_type() == "Conv" {
                    wanted.extend(activation);
                }
                plan.linear.insert(index);
            }
            Role::Integer => {
                wanted.extend(node.input.iter().cloned());
                let activation = planner.activation(&node.output[0]);
                plan.integer_results.extend(activation.clone());
                wanted.extend(activation);
            }
            Role::Move | Role::Float => {}
        }
    }
    if plan.linear.is_empty() {
        let what = "product with constant weights in single precision";
        return Err(Error::nothing_to_convert(what));
    }
    // Moved values share the scale of their root even where no integer node asks for them: a chain
    // without a gap stays in integers.
    let mut roots: HashMap<String, String> = HashMap::new();
    let inputs = graph.input.iter().map(|input| input.name());
    for input in inputs.filter(|input| wanted.contains(*input)) {
        roots.insert(input.to_owned(), input.to_owned());
        plan.values.push(QuantizedValue {
            name: input.to_owned(),
            root: input.to_owned(),
        });
    }
    for node in &graph.node {
        let is_move = planner.role(node) == Role::Move;
        let input = node.input.first().filter(|_| is_move);
        let root = input.and_then(|input| roots.get(input)).cloned();
        for output in node
            .output
            .iter()
            .filter(|output| !surgery::is_output(graph, output))
        {
            if let Some(input) = input {
                plan.moved_from.insert(output.clone(), input.clone());
            }
            if root.is_some() {
                plan.integer_results.insert(output.clone());
            }
            if wanted.contains(output) || root.is_some() {
                let root = root.as_ref().unwrap_or(output).clone();
                roots.insert(output.clone(), root.clone());
                plan.values.push(QuantizedValue {
                    name: output.clone(),
                    root,
                });
            }
        }
    }
    Ok(plan)
}

struct Planner<'g> {
    graph: &'g GraphProto,
    types: Types,
    /// Values that depend on the values of an input.
    dependent: HashSet<String>,
    /// Names of nodes that compute in single precision.
    kept: &'g [String],
}

impl<'g> Planner<'g> {
    fn new(document: &'g Document, kept: &'g [String]) -> Result<Self> {
        let graph = document.graph();
        Ok(Self {
            graph,
            types: types::infer(document)?,
            dependent: super::input_dependent(graph),
            kept,
        })
    }

    /// Whether a value is computed, in single precision, from an input.
    fn computed(&self, value: &str) -> bool {
        self.types.get(value) == Some(&DataType::Float) && self.dependent.contains(value)
    }

    fn role(&self, node: &NodeProto) -> Role {
        let computed = node.input.first().is_some_and(|input| self.computed(input));
        if !is_standard(node) || !computed || node.output.is_empty() {
            return Role::Float;
        }
        if !self.kept.is_empty() && self.kept.contains(&label(node)) {
            return Role::Float;
        }
        match node.op_type() {
            "Conv" | "Gemm" | "MatMul" if self.has_constant_weight(node) => Role::Linear,
            "Add" | "Concat" if node.input.iter().all(|input| self.computed(input)) => {
                Role::Integer
            }
            "GlobalAveragePool" | "AveragePool" => Role::Integer,
            // Not with the second output: indices are no values of the input.
            "MaxPool" if node.output.iter().skip(1).all(String::is_empty) => Role::Move,
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" | "Transpose" | "Dropout" => Role::Move,
            _ => Role::Float,
        }
    }

    fn has_constant_weight(&self, node: &NodeProto) -> bool {
        let weight = node.input.get(1);
        let Some(weight) = weight.and_then(|name| float_constant(self.graph, name)) else {
            return false;
        };
        let attribute = |name: &str| node.attribute.iter().find(|a| a.name() == name);
        let one = |name: &str| attribute(name).is_none_or(|a| a.f() == 1.0);
        let rank = weight.dims.len();
        match node.op_type() {
            "Conv" => rank >= 3,
            "Gemm" => {
                let plain = attribute("transA").is_none_or(|a| a.i() == 0);
                rank == 2 && plain && one("alpha") && one("beta")
            }
            _ => rank == 2,
        }
    }

    fn is_depthwise(&self, node: &NodeProto) -> bool {
        let groups = node.attribute.iter().find(|a| a.name() == "group");
        let weight = node.input.get(1);
        let weight = weight.and_then(|name| float_constant(self.graph, name));
        let groups = groups.map_or(1, |groups| groups.i());
        groups > 1 && weight.is_some_and(|weight| weight.dims.first() == Some(&groups))
    }

    /// The value to quantise after a node: its output, or that of the ReLU that is its only reader.
    ///
    /// Integers from 0 up cut values as the ReLU does, so the runtime drops that node. `None` for an
    /// output of the graph.
    fn activation(&self, output: &str) -> Option<String> {
        if surgery::is_output(self.graph, output) {
            return None;
        }
        if let [only] = surgery::consumers(self.graph, output)[..] {
            let node = &self.graph.node[only];
            let relu =
                is_standard(node) && (node.op_type() == "Relu" || self.is_clip_from_zero(node));
            if relu && node.input[0] == output {
                let next = &node.output[0];
                return (!surgery::is_output(self.graph, next)).then(|| next.clone());
            }
        }
        Some(output.to_owned())
    }

    /// `Clip` with the lower bound 0, such as ReLU6.
    fn is_clip_from_zero(&self, node: &NodeProto) -> bool {
        let min = node.input.get(1);
        let min = min.and_then(|name| float_constant(self.graph, name));
        let min = min.and_then(|proto| Tensor::from_proto(&proto).ok());
        node.op_type() == "Clip"
            && min.is_some_and(|min| min.as_f32().is_ok_and(|values| values[..] == [0.0]))
    }
}

/// A constant in single precision.
pub(super) fn float_constant<'g>(
    graph: &'g GraphProto,
    name: &str,
) -> Option<Cow<'g, TensorProto>> {
    walk::constant(graph, name).filter(|proto| proto.data_type() == DataType::Float as i32)
}
