//! A model in another precision: half-precision numbers, or 8-bit integers between `QuantizeLinear`
//! and `DequantizeLinear`. Graph surgery alone: which ranges the values of a model have is told from
//! outside, since this crate runs nothing.

mod fold;
mod half;
mod opset;
mod quantize;
mod quantize_plan;
mod types;

pub use half::{Half, Kept, to_half};
pub use quantize::{Quantized, Range, Scheme, quantize};
pub use quantize_plan::{observed, prepare};

use std::collections::HashSet;

use crate::document::Document;
use crate::error::{Error, Result};
use crate::proto::{GraphProto, NodeProto};
use crate::surgery;
use crate::walk;

/// Operators of quantised graphs: such a file has its precision already.
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
        Some(node) => Err(refused(node, "the model is quantised already")),
        None => Ok(()),
    }
}

/// A node that cannot be converted, and why.
fn refused(node: &NodeProto, why: &str) -> Error {
    let output = node.output.first().map_or("", String::as_str);
    let domain = match node.domain() {
        "" | "ai.onnx" => String::new(),
        domain => format!("{domain}."),
    };
    Error::Unconvertible {
        op: format!("{domain}{}", node.op_type()),
        node: match node.name() {
            "" => output.to_owned(),
            name => name.to_owned(),
        },
        why: why.to_owned(),
    }
}

/// Whether an operator is ONNX's own.
fn is_standard(node: &NodeProto) -> bool {
    matches!(node.domain(), "" | "ai.onnx")
}

/// Up to IR version 3 every initializer is an input, too, and one that is can be fed: no longer.
fn own_constants(document: &mut Document) {
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

/// The values that depend on an input by more than its shape.
fn moving(graph: &GraphProto) -> HashSet<String> {
    let inputs = graph.input.iter().map(|input| input.name().to_owned());
    let mut moving: HashSet<String> = inputs
        .filter(|name| walk::initializer(graph, name).is_none())
        .collect();
    for node in &graph.node {
        let shape_only = matches!(node.op_type(), "Shape" | "Size") && is_standard(node);
        if !shape_only
            && surgery::taken(node)
                .iter()
                .any(|name| moving.contains(*name))
        {
            moving.extend(node.output.iter().filter(|name| !name.is_empty()).cloned());
        }
    }
    moving
}

/// Every name that a graph uses.
fn names(graph: &GraphProto) -> HashSet<String> {
    let mut names: HashSet<String> = HashSet::new();
    for node in &graph.node {
        names.insert(node.name().to_owned());
        names.extend(node.output.iter().cloned());
        names.extend(surgery::taken(node).into_iter().map(str::to_owned));
    }
    let infos = graph.input.iter().chain(&graph.output);
    names.extend(infos.map(|info| info.name().to_owned()));
    names.extend(
        graph
            .initializer
            .iter()
            .map(|tensor| tensor.name().to_owned()),
    );
    names
}

/// A name that is not used, `base` or `base` with a number; from now on it is.
fn fresh(used: &mut HashSet<String>, base: &str) -> String {
    let numbered = (1..).map(|number| format!("{base}_{number}"));
    let mut names = std::iter::once(base.to_owned()).chain(numbered);
    let name = names.find(|name| !used.contains(name)).unwrap_or_default();
    used.insert(name.clone());
    name
}
