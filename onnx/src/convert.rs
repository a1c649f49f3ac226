//! Conversion to another precision: half precision, or 8-bit integers between `QuantizeLinear` and
//! `DequantizeLinear` (QDQ).
//!
//! Runs no model: the ranges of its values come from the caller.

mod float16;
mod fold;
mod opset;
mod quantize;
mod quantize_plan;
mod types;

pub use float16::{Half, Kept, to_half};
pub use quantize::{Quantized, Range, Scheme, check_kept, quantize};
pub use quantize_plan::{QuantizableNode, calibrated_values, prepare, quantizable_nodes};

use std::collections::HashSet;

use crate::document::Document;
use crate::error::{Error, Result};
use crate::proto::{GraphProto, NodeProto, is_standard_domain};
use crate::surgery;
use crate::walk;

/// Operators of quantised graphs. Such a file is refused: its precision is chosen already.
const QUANTIZED: [&str; 7] = [
    "QuantizeLinear",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "QLinearConv",
    "QLinearMatMul",
    "ConvInteger",
    "MatMulInteger",
];

/// Refuses a graph that is quantised.
fn check_unquantized(graph: &GraphProto) -> Result<()> {
    let quantized = |node: &&NodeProto| QUANTIZED.contains(&node.op_type());
    match graph.node.iter().find(quantized) {
        Some(node) => Err(unconvertible(node, "the model is quantised already")),
        None => Ok(()),
    }
}

fn unconvertible(node: &NodeProto, reason: &str) -> Error {
    Error::unconvertible(&operator(node), &label(node), reason)
}

/// The operator's name, with its domain where that is not ONNX's own.
fn operator(node: &NodeProto) -> String {
    match is_standard(node) {
        true => node.op_type().to_owned(),
        false => format!("{}.{}", node.domain(), node.op_type()),
    }
}

/// The node's name, or its first output's where it has none.
fn label(node: &NodeProto) -> String {
    match node.name() {
        "" => node.output.first().cloned().unwrap_or_default(),
        name => name.to_owned(),
    }
}

/// Whether an operator is ONNX's own.
fn is_standard(node: &NodeProto) -> bool {
    is_standard_domain(node.domain())
}

/// Removes initializers from the inputs. As an input, a weight could be fed in single precision, which
/// a converted graph does not take.
fn remove_initializer_inputs(document: &mut Document) {
    /// The first version in which an initializer need not be an input.
    const IR_VERSION: i64 = 4;
    let version = document.model.ir_version();
    document.model.ir_version = Some(version.max(IR_VERSION));
    let graph = document.graph_mut();
    let constants: HashSet<&str> = graph.initializer.iter().map(|t| t.name()).collect();
    graph
        .input
        .retain(|input| !constants.contains(input.name()));
}

/// The values that depend on the values of an input, not only on its shape.
fn input_dependent(graph: &GraphProto) -> HashSet<String> {
    let inputs = graph.input.iter().map(|input| input.name().to_owned());
    let mut dependent: HashSet<String> = inputs
        .filter(|name| walk::initializer(graph, name).is_none())
        .collect();
    for node in &graph.node {
        let shape_only = matches!(node.op_type(), "Shape" | "Size") && is_standard(node);
        let read = surgery::names_read(node);
        if !shape_only && read.iter().any(|name| dependent.contains(*name)) {
            dependent.extend(node.output.iter().filter(|name| !name.is_empty()).cloned());
        }
    }
    dependent
}

/// The names of a graph, and the new ones of its conversion.
struct UsedNames(HashSet<String>);

impl UsedNames {
    fn new(graph: &GraphProto) -> UsedNames {
        let names = surgery::used_names(graph).into_iter();
        UsedNames(names.map(str::to_owned).collect())
    }

    /// An unused name, `base` or `base` with a number, which is used from now on.
    fn unique(&mut self, base: &str) -> String {
        let name = surgery::first_free(base, |name| self.0.contains(name));
        self.0.insert(name.clone());
        name
    }
}
