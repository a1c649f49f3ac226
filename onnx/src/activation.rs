//! Final activation of a classifier: the function that makes its output of class scores. Reads graphs and runs
//! nothing; what an output's numbers mean is for those who run it.

use crate::proto::{GraphProto, ModelProto, NodeProto, is_standard_domain};
use crate::{surgery, walk};

/// The function that computes an output, as far as its numbers are only moved, cut or scaled after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `Softmax`, or a division by the sum: numbers that sum to 1 before any are taken away.
    Softmax,
    /// `LogSoftmax`.
    LogSoftmax,
    /// `Sigmoid`: a number for itself, from 0 to 1.
    Sigmoid,
}

impl std::fmt::Display for Activation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Softmax => "softmax",
            Self::LogSoftmax => "log-softmax",
            Self::Sigmoid => "sigmoid",
        })
    }
}

/// Nodes that are followed back from the output, and calls of functions within each other: the bounds guard against
/// cycles in damaged files.
const MAX_NODES: usize = 64;
const MAX_CALLS: usize = 8;

/// Operators whose numbers are those of their first input: moved, cut, or left out.
const MOVING: [&str; 24] = [
    "Cast",
    "CastLike",
    "Clip",
    "Compress",
    "Concat",
    "DequantizeLinear",
    "Dropout",
    "Expand",
    "Flatten",
    "Gather",
    "GatherElements",
    "GatherND",
    "Identity",
    "Max",
    "Min",
    "Pad",
    "QuantizeLinear",
    "Reshape",
    "Slice",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
];

impl Activation {
    /// The activation that computes a value of the main graph; `None` where no known one does. Functions of the
    /// file are followed, and so are activations that are written out in smaller operators.
    ///
    /// ```
    /// use classifold_onnx::{Activation, GraphBuilder, proto::DataType};
    ///
    /// let mut graph = GraphBuilder::new("head");
    /// let x = graph.input("x", DataType::Float, &["batch".into(), 3.into()]);
    /// let probabilities = graph.node("Softmax", "probabilities", &[&x], vec![]);
    /// let turned = graph.node("Transpose", "turned", &[&probabilities], vec![]);
    /// graph.output(&turned, "y", DataType::Float, &[3.into(), "batch".into()]);
    /// let model = graph.finish(&Default::default())?.model;
    /// assert_eq!(Activation::of(&model, "y"), Some(Activation::Softmax));
    /// # Ok::<(), classifold_onnx::Error>(())
    /// ```
    pub fn of(model: &ModelProto, output: &str) -> Option<Activation> {
        match search(model, model.graph.as_ref()?, output, MAX_CALLS) {
            Search::Found(activation) => Some(activation),
            Search::Input(_) | Search::Nothing => None,
        }
    }
}

/// Where a search ended.
enum Search {
    Found(Activation),
    /// At this value, which no node of the graph computes.
    Input(String),
    /// At an operator that makes other numbers.
    Nothing,
}

fn search(model: &ModelProto, graph: &GraphProto, output: &str, calls: usize) -> Search {
    let mut value = output.to_owned();
    for _ in 0..MAX_NODES {
        let Some(node) = computing(graph, &value) else {
            return Search::Input(value);
        };
        let next = match node.op_type() {
            // Custom Vision's files end with it: a map from names to the same numbers.
            "ZipMap" => node.input.first().cloned(),
            _ if !is_standard_domain(node.domain()) => {
                match search_function(model, node, &value, calls) {
                    Search::Input(value) => Some(value),
                    ended => return ended,
                }
            }
            "Softmax" => return Search::Found(Activation::Softmax),
            "LogSoftmax" => return Search::Found(Activation::LogSoftmax),
            "Sigmoid" | "HardSigmoid" => return Search::Found(Activation::Sigmoid),
            "Div" if is_divided_by_sum(graph, node) => return Search::Found(Activation::Softmax),
            "Div" | "Reciprocal" if is_logistic(graph, node) => {
                return Search::Found(Activation::Sigmoid);
            }
            "Mul" | "Div" | "Add" | "Sub" => variable_input(graph, node),
            op if MOVING.contains(&op) => node.input.first().cloned(),
            _ => None,
        };
        match next {
            Some(next) => value = next,
            None => return Search::Nothing,
        }
    }
    Search::Nothing
}

/// Continues in the function that a node calls; the value of its input is the caller's.
fn search_function(model: &ModelProto, node: &NodeProto, value: &str, calls: usize) -> Search {
    let is_called = |name: &str, domain: &str| name == node.op_type() && domain == node.domain();
    let mut functions = model.functions.iter();
    let function = functions.find(|function| is_called(function.name(), function.domain()));
    let (Some(function), true) = (function, calls > 0) else {
        return Search::Nothing;
    };
    let index = node.output.iter().position(|output| output == value);
    let Some(output) = index.and_then(|index| function.output.get(index)) else {
        return Search::Nothing;
    };
    let body = GraphProto {
        node: function.node.clone(),
        ..Default::default()
    };
    match search(model, &body, output, calls - 1) {
        Search::Input(name) => {
            let index = function.input.iter().position(|input| *input == name);
            match index.and_then(|index| node.input.get(index)) {
                Some(input) => Search::Input(input.clone()),
                None => Search::Nothing,
            }
        }
        ended => ended,
    }
}

fn computing<'g>(graph: &'g GraphProto, value: &str) -> Option<&'g NodeProto> {
    surgery::producer(graph, value).map(|index| &graph.node[index])
}

/// The one input of a node that is no constant.
fn variable_input(graph: &GraphProto, node: &NodeProto) -> Option<String> {
    let is_variable = |input: &&String| walk::constant(graph, input).is_none();
    let mut variable = node.input.iter().filter(is_variable);
    match (variable.next(), variable.next()) {
        (Some(input), None) => Some(input.clone()),
        _ => None,
    }
}

/// `x / sum(x)`: a softmax that is written out, where `x` is `exp` of the logits.
fn is_divided_by_sum(graph: &GraphProto, node: &NodeProto) -> bool {
    let [numerator, denominator] = node.input.as_slice() else {
        return false;
    };
    // The sum may be given its axis back, or be kept from 0.
    let sum = back_through(
        graph,
        denominator,
        &["Unsqueeze", "Expand", "Clip", "Max", "Cast"],
    );
    let summed = computing(graph, sum).filter(|node| node.op_type() == "ReduceSum");
    summed.is_some_and(|sum| sum.input.first() == Some(numerator))
}

/// `1 / (1 + exp(-x))`: a sigmoid that is written out.
fn is_logistic(graph: &GraphProto, node: &NodeProto) -> bool {
    let computed_by =
        |value: &String, op: &str| computing(graph, value).filter(|node| node.op_type() == op);
    let sum = node.input.last().and_then(|sum| computed_by(sum, "Add"));
    sum.is_some_and(|sum| {
        sum.input
            .iter()
            .any(|term| computed_by(term, "Exp").is_some())
    })
}

/// The value that these operators make theirs of.
fn back_through<'g>(graph: &'g GraphProto, value: &'g str, ops: &[&str]) -> &'g str {
    let mut value = value;
    for _ in 0..MAX_NODES {
        match computing(graph, value).filter(|node| ops.contains(&node.op_type())) {
            Some(node) => value = node.input.first().map_or("", String::as_str),
            None => break,
        }
    }
    value
}
