//! Which values of a graph become 8-bit integers, and which nodes compute with them.

use std::collections::{HashMap, HashSet};

use super::types::{self, Types};
use super::{check_unquantized, fold, is_standard, opset};
use crate::document::Document;
use crate::error::{Error, Result};
use crate::proto::{DataType, GraphProto, NodeProto, TensorProto};
use crate::surgery;
use crate::walk;

/// What is quantised.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Values, in the order of the graph, and the value whose range theirs is: their own, or that of
    /// what they were only moved from.
    pub(super) values: Vec<(String, String)>,
    /// Nodes with a constant weight.
    pub(super) linear: HashSet<usize>,
}

/// Makes a graph ready to be quantised: data in other files comes in, the operator set becomes 13 at
/// least (the first in which weights may have a scale for each channel), and what follows a convolution
/// channel by channel is folded into it.
///
/// # Errors
/// [`Error::Unconvertible`](crate::Error::Unconvertible) names the node that is in the way.
pub fn prepare(document: &mut Document) -> Result<()> {
    check_unquantized(document.graph())?;
    document.inline_external_data()?;
    super::own_constants(document);
    opset::raise(document)?;
    fold::fold(document)?;
    document.check()
}

/// The values whose ranges [`quantize`](super::quantize) must be told, of a graph that was
/// [prepared](prepare).
///
/// # Errors
/// As [`prepare`]; [`Error::NothingToConvert`] where no weight is constant.
pub fn observed(document: &Document) -> Result<Vec<String>> {
    let plan = plan(document)?;
    let mut seen = HashSet::new();
    let mut roots: Vec<String> = plan.values.into_iter().map(|(_, root)| root).collect();
    roots.retain(|root| seen.insert(root.clone()));
    Ok(roots)
}

/// What the node does, as far as quantising goes.
enum Kind {
    /// A product with a constant weight: `Conv`, `Gemm`, `MatMul`.
    Linear,
    /// Computes with integers what comes in and what goes out: `Add`, `Concat`, averages.
    Joint,
    /// Moves values or picks some: what comes out has the scale of what goes in.
    Pass,
    /// Computes in single precision.
    Other,
}

pub(super) fn plan(document: &Document) -> Result<Plan> {
    let graph = document.graph();
    let planner = Planner {
        graph,
        types: types::infer(document)?,
        moving: super::moving(graph),
    };
    let mut wanted: HashSet<String> = HashSet::new();
    let mut plan = Plan::default();
    for (at, node) in graph.node.iter().enumerate() {
        match planner.kind(node) {
            Kind::Linear => {
                wanted.insert(node.input[0].clone());
                // ONNX Runtime has integer convolutions with integer outputs only; a product may give
                // floating-point numbers, which a last layer should.
                if node.op_type() == "Conv" {
                    wanted.extend(planner.after(&node.output[0]));
                }
                plan.linear.insert(at);
            }
            Kind::Joint => {
                wanted.extend(node.input.iter().cloned());
                wanted.extend(planner.after(&node.output[0]));
            }
            Kind::Pass | Kind::Other => {}
        }
    }
    if plan.linear.is_empty() {
        let what = "product with constant weights in single precision";
        return Err(Error::NothingToConvert { what });
    }
    let mut roots: HashMap<String, String> = HashMap::new();
    let inputs = graph.input.iter().map(|input| input.name());
    for input in inputs.filter(|input| wanted.contains(*input)) {
        roots.insert(input.to_owned(), input.to_owned());
        plan.values.push((input.to_owned(), input.to_owned()));
    }
    for node in &graph.node {
        let moved_from = match planner.kind(node) {
            Kind::Pass => roots.get(&node.input[0]).cloned(),
            _ => None,
        };
        for output in node
            .output
            .iter()
            .filter(|output| !surgery::is_output(graph, output))
        {
            if wanted.contains(output) || moved_from.is_some() {
                let root = moved_from.as_ref().unwrap_or(output).clone();
                roots.insert(output.clone(), root.clone());
                plan.values.push((output.clone(), root));
            }
        }
    }
    Ok(plan)
}

struct Planner<'g> {
    graph: &'g GraphProto,
    types: Types,
    moving: HashSet<String>,
}

impl Planner<'_> {
    /// Whether a value is computed, in single precision, from an input.
    fn computed(&self, value: &str) -> bool {
        self.types.get(value) == Some(&DataType::Float) && self.moving.contains(value)
    }

    fn kind(&self, node: &NodeProto) -> Kind {
        let of_first = node.input.first().is_some_and(|input| self.computed(input));
        if !is_standard(node) || !of_first || node.output.is_empty() {
            return Kind::Other;
        }
        match node.op_type() {
            "Conv" | "Gemm" | "MatMul" if self.has_constant_weight(node) => Kind::Linear,
            "Add" | "Concat" if node.input.iter().all(|input| self.computed(input)) => Kind::Joint,
            "GlobalAveragePool" | "AveragePool" => Kind::Joint,
            "MaxPool" if node.output.iter().skip(1).all(String::is_empty) => Kind::Pass,
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" | "Transpose" | "Dropout" => Kind::Pass,
            _ => Kind::Other,
        }
    }

    fn has_constant_weight(&self, node: &NodeProto) -> bool {
        let constant = |at: usize| node.input.get(at).and_then(|name| float(self.graph, name));
        let Some(weight) = constant(1) else {
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

    /// What carries a node's result on: its output, or that of the activation which alone takes it and
    /// which cutting the range to the integers' replaces. Nothing for outputs of the graph.
    fn after(&self, output: &str) -> Option<String> {
        if surgery::is_output(self.graph, output) {
            return None;
        }
        if let [only] = surgery::consumers(self.graph, output)[..] {
            let node = &self.graph.node[only];
            let cut = is_standard(node) && (node.op_type() == "Relu" || self.cuts_at_zero(node));
            if cut && node.input[0] == output {
                let next = &node.output[0];
                return (!surgery::is_output(self.graph, next)).then(|| next.clone());
            }
        }
        Some(output.to_owned())
    }

    /// `Clip` from 0 on.
    fn cuts_at_zero(&self, node: &NodeProto) -> bool {
        let least = node.input.get(1).and_then(|name| float(self.graph, name));
        let least = least.and_then(|proto| crate::tensor::Tensor::from_proto(&proto).ok());
        node.op_type() == "Clip"
            && least.is_some_and(|least| least.as_f32().is_ok_and(|values| values[..] == [0.0]))
    }
}

/// A constant in single precision.
pub(super) fn float<'g>(
    graph: &'g GraphProto,
    name: &str,
) -> Option<std::borrow::Cow<'g, TensorProto>> {
    walk::constant(graph, name).filter(|proto| proto.data_type() == DataType::Float as i32)
}
