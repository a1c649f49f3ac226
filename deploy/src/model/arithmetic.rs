//! Arithmetic of a graph: the precision in which it computes, and whether it mixes the images of a run. Runs nothing.

use std::collections::HashSet;

use onnx::proto::{DataType, GraphProto, NodeProto, TensorProto};
use onnx::{Document, surgery};

/// Precision in which products are computed: `int8` or `fp16` where some are, else `fp32`.
///
/// What a node computes with decides, not how numbers are stored: a converted file may keep most of its numbers in
/// single precision (a mean image, convolutions whose bias half precision loses), and a file may store weights in 16
/// bits and cast them before each product.
pub(crate) fn precision(document: &Document) -> &'static str {
    let (graph, nodes) = (document.graph(), document.all_nodes());
    if nodes.iter().any(|node| computes_integers(graph, node)) {
        return "int8";
    }
    let half: HashSet<&str> = graph
        .initializer
        .iter()
        .filter(|tensor| is_half(tensor))
        .map(TensorProto::name)
        .chain(nodes.iter().filter_map(|node| half_constant(node)))
        .collect();
    let computes_half = |node: &&NodeProto| {
        node.op_type() != "Cast" && node.input.iter().any(|name| half.contains(name.as_str()))
    };
    match nodes.iter().any(computes_half) {
        true => "fp16",
        false => "fp32",
    }
}

/// Whether a node multiplies integers, or a runtime makes such a product of it: both factors come from integers (QDQ).
fn computes_integers(graph: &GraphProto, node: &NodeProto) -> bool {
    let dequantized = |value: &String| {
        surgery::producer(graph, value)
            .is_some_and(|index| graph.node[index].op_type() == "DequantizeLinear")
    };
    match node.op_type() {
        "Conv" | "Gemm" | "MatMul" | "ConvTranspose" => {
            node.input.len() >= 2 && node.input[..2].iter().all(dequantized)
        }
        "ConvInteger" | "MatMulInteger" | "MatMulIntegerToFloat" | "DynamicQuantizeMatMul" => true,
        op => op.starts_with("QLinear") || op == "QGemm",
    }
}

fn is_half(tensor: &TensorProto) -> bool {
    matches!(
        DataType::try_from(tensor.data_type()),
        Ok(DataType::Float16 | DataType::Bfloat16)
    )
}

/// The output of a `Constant` node, if it is in half precision.
fn half_constant(node: &NodeProto) -> Option<&str> {
    let value = node.attribute.iter().find_map(|a| a.t.as_deref())?;
    let is_constant = node.op_type() == "Constant" && is_half(value);
    let output = node.output.first().filter(|_| is_constant)?;
    Some(output)
}

/// Numbers in the weights.
pub(crate) fn num_parameters(graph: &GraphProto) -> u64 {
    let is_number = |tensor: &&TensorProto| {
        is_half(tensor)
            || matches!(
                DataType::try_from(tensor.data_type()),
                Ok(DataType::Int8 | DataType::Uint8 | DataType::Float | DataType::Double)
            )
    };
    let count = |tensor: &TensorProto| {
        let dims = tensor.dims.iter();
        dims.fold(1u64, |n, d| n.saturating_mul((*d).max(0) as u64))
    };
    let tensors = graph.initializer.iter().filter(is_number);
    tensors.map(count).fold(0, u64::saturating_add)
}

/// The operator that takes the range of its integers from all images of a run, if there is one.
pub(crate) fn across_images(document: &Document) -> Option<String> {
    let nodes = document.all_nodes();
    let mut operators = nodes.iter().map(|node| node.op_type());
    let dynamic = operators.find(|op| op.starts_with("DynamicQuantize"))?;
    Some(dynamic.to_owned())
}

/// Whether a batch norm takes mean and variance from the images of a run. ONNX Runtime also changes the weights of such a
/// node while it runs (seen with 1.28.0), so that not even one image at a time gives the same answer twice.
pub(crate) fn is_in_training(document: &Document) -> bool {
    let trains = |node: &&NodeProto| {
        let mut attributes = node.attribute.iter();
        node.op_type() == "BatchNormalization"
            && attributes.any(|a| a.name() == "training_mode" && a.i() != 0)
    };
    document.all_nodes().iter().any(trains)
}

/// The node of an average pool that counts padding and whose last windows may reach beyond it. ONNX Runtime before 1.29
/// divides the sums of those by all numbers of a window (seen with 1.24 and 1.28); opset 19, newer versions and PyTorch
/// leave out what lies beyond.
pub(crate) fn average_beyond_padding(document: &Document) -> Option<String> {
    let is_set = |node: &NodeProto, name: &str| {
        let mut attributes = node.attribute.iter();
        attributes.any(|a| a.name() == name && a.i() != 0)
    };
    let nodes = document.all_nodes();
    let pool = nodes.iter().find(|node| {
        node.op_type() == "AveragePool"
            && is_set(node, "ceil_mode")
            && is_set(node, "count_include_pad")
    });
    let label = |node: &&NodeProto| match node.name() {
        "" => node.output.first().cloned().unwrap_or_default(),
        name => name.to_owned(),
    };
    pool.filter(|_| document.opset() < 19).map(label)
}
