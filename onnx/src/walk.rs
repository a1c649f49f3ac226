//! Traversal and validation of a model: every tensor, every constant, the rules of a graph.
//!
//! Changes no graph: `surgery` does.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, SparseTensorProto};
use crate::proto::{DataType, TensorProto};
use crate::tensor::{Tensor, TensorData};
use crate::{external, tensor};

/// An initializer by name.
pub(crate) fn initializer<'a>(graph: &'a GraphProto, name: &str) -> Option<&'a TensorProto> {
    graph
        .initializer
        .iter()
        .find(|tensor| tensor.name() == name)
}

/// An initializer, or the value of a `Constant` node.
pub(crate) fn constant<'a>(graph: &'a GraphProto, name: &str) -> Option<Cow<'a, TensorProto>> {
    // An optional input that is absent has an empty name.
    if name.is_empty() {
        return None;
    }
    if let Some(tensor) = initializer(graph, name) {
        return Some(Cow::Borrowed(tensor));
    }
    let computes_it = |node: &&NodeProto| {
        node.op_type() == "Constant" && node.output.first().is_some_and(|out| out == name)
    };
    constant_value(graph.node.iter().find(computes_it)?)
}

/// The value of a `Constant` node (<https://onnx.ai/onnx/operators/onnx__Constant.html>, opset 13).
fn constant_value(node: &NodeProto) -> Option<Cow<'_, TensorProto>> {
    let attribute = node.attribute.first()?;
    let name = node.output.first()?;
    let vector = |len: usize| vec![len];
    let (dims, data) = match attribute.name() {
        "value" => return attribute.t.as_deref().map(Cow::Borrowed),
        "value_float" => (vec![], TensorData::F32(vec![attribute.f()])),
        "value_int" => (vec![], TensorData::I64(vec![attribute.i()])),
        "value_string" => (vec![], TensorData::String(vec![attribute.s().to_vec()])),
        "value_floats" => {
            let floats = attribute.floats.clone();
            (vector(floats.len()), TensorData::F32(floats))
        }
        "value_ints" => {
            let ints = attribute.ints.clone();
            (vector(ints.len()), TensorData::I64(ints))
        }
        "value_strings" => {
            let strings = attribute.strings.clone();
            (vector(strings.len()), TensorData::String(strings))
        }
        // A sparse value, which no reader of this crate needs.
        _ => return None,
    };
    Some(Cow::Owned(Tensor { dims, data }.to_proto(name)))
}

/// Calls `visit` with every tensor of a model: also those of training graphs and functions.
pub(crate) fn tensors(model: &ModelProto, visit: &mut dyn FnMut(&TensorProto)) {
    let training = model
        .training_info
        .iter()
        .flat_map(|t| [&t.initialization, &t.algorithm]);
    for graph in training.chain([&model.graph]).flatten() {
        graph_tensors(graph, visit);
    }
    for function in &model.functions {
        function
            .attribute_proto
            .iter()
            .for_each(|a| attribute_tensors(a, visit));
        function
            .node
            .iter()
            .flat_map(|n| &n.attribute)
            .for_each(|a| attribute_tensors(a, visit));
    }
}

/// Every node of a model: of the graph, of bodies and of functions.
pub(crate) fn nodes(model: &ModelProto) -> Vec<&NodeProto> {
    fn add<'a>(nodes: &'a [NodeProto], all: &mut Vec<&'a NodeProto>) {
        for node in nodes {
            all.push(node);
            for body in node.attribute.iter().flat_map(subgraphs) {
                add(&body.node, all);
            }
        }
    }
    let mut all = Vec::new();
    let functions = model.functions.iter().map(|function| &function.node);
    for nodes in model.graph.iter().map(|graph| &graph.node).chain(functions) {
        add(nodes, &mut all);
    }
    all
}

fn graph_tensors(graph: &GraphProto, visit: &mut dyn FnMut(&TensorProto)) {
    graph.initializer.iter().for_each(&mut *visit);
    graph
        .sparse_initializer
        .iter()
        .for_each(|sparse| sparse_tensors(sparse, visit));
    graph
        .node
        .iter()
        .flat_map(|n| &n.attribute)
        .for_each(|a| attribute_tensors(a, visit));
}

fn sparse_tensors(sparse: &SparseTensorProto, visit: &mut dyn FnMut(&TensorProto)) {
    sparse.values.iter().chain(&sparse.indices).for_each(visit);
}

fn attribute_tensors(attribute: &AttributeProto, visit: &mut dyn FnMut(&TensorProto)) {
    attribute
        .t
        .as_deref()
        .into_iter()
        .chain(&attribute.tensors)
        .for_each(&mut *visit);
    let sparse = attribute
        .sparse_tensor
        .as_deref()
        .into_iter()
        .chain(&attribute.sparse_tensors);
    sparse.for_each(|sparse| sparse_tensors(sparse, visit));
    subgraphs(attribute).for_each(|graph| graph_tensors(graph, visit));
}

/// The subgraphs of an attribute: bodies of `If`, `Loop` and `Scan`.
pub(crate) fn subgraphs(attribute: &AttributeProto) -> impl Iterator<Item = &GraphProto> {
    attribute.g.as_deref().into_iter().chain(&attribute.graphs)
}

/// As [`tensors`], mutable.
pub(crate) fn tensors_mut(model: &mut ModelProto, visit: &mut dyn FnMut(&mut TensorProto)) {
    let training = model
        .training_info
        .iter_mut()
        .flat_map(|t| [&mut t.initialization, &mut t.algorithm]);
    for graph in training.chain([&mut model.graph]).flatten() {
        graph_tensors_mut(graph, visit);
    }
    for function in &mut model.functions {
        let nodes = function.node.iter_mut().flat_map(|n| &mut n.attribute);
        nodes
            .chain(&mut function.attribute_proto)
            .for_each(|a| attribute_tensors_mut(a, visit));
    }
}

fn graph_tensors_mut(graph: &mut GraphProto, visit: &mut dyn FnMut(&mut TensorProto)) {
    graph.initializer.iter_mut().for_each(&mut *visit);
    graph
        .sparse_initializer
        .iter_mut()
        .for_each(|sparse| sparse_tensors_mut(sparse, visit));
    let attributes = graph.node.iter_mut().flat_map(|node| &mut node.attribute);
    attributes.for_each(|attribute| attribute_tensors_mut(attribute, visit));
}

fn sparse_tensors_mut(sparse: &mut SparseTensorProto, visit: &mut dyn FnMut(&mut TensorProto)) {
    sparse
        .values
        .iter_mut()
        .chain(&mut sparse.indices)
        .for_each(visit);
}

fn attribute_tensors_mut(attribute: &mut AttributeProto, visit: &mut dyn FnMut(&mut TensorProto)) {
    attribute
        .t
        .as_deref_mut()
        .into_iter()
        .chain(&mut attribute.tensors)
        .for_each(&mut *visit);
    let sparse = attribute
        .sparse_tensor
        .as_deref_mut()
        .into_iter()
        .chain(&mut attribute.sparse_tensors);
    sparse.for_each(|sparse| sparse_tensors_mut(sparse, visit));
    let graphs = attribute
        .g
        .as_deref_mut()
        .into_iter()
        .chain(&mut attribute.graphs);
    graphs.for_each(|graph| graph_tensors_mut(graph, visit));
}

/// Checks names, order of nodes, outputs, and the shapes of initializers.
pub(crate) fn check(graph: &GraphProto) -> Result<()> {
    let invalid = |detail: String| Err(Error::graph(&detail));
    if graph.output.is_empty() {
        return invalid("it has no output".to_owned());
    }
    // Nodes are in topological order: a node may only read names that are known by then.
    let mut known: HashSet<&str> = HashSet::new();
    for tensor in &graph.initializer {
        if tensor.name().is_empty() || !known.insert(tensor.name()) {
            return invalid(format!(
                "two initializers or none are named `{}`",
                tensor.name()
            ));
        }
        check_tensor(tensor)?;
    }
    known.extend(
        graph
            .sparse_initializer
            .iter()
            .filter_map(|s| s.values.as_ref())
            .map(|v| v.name()),
    );
    // A set of their own: up to IR version 3 every initializer is an input, too.
    let mut inputs = HashSet::new();
    for input in &graph.input {
        if input.name().is_empty() || !inputs.insert(input.name()) {
            return invalid(format!("two inputs or none are named `{}`", input.name()));
        }
    }
    known.extend(inputs);
    for (index, node) in graph.node.iter().enumerate() {
        let label = || format!("node {index} (`{}`, {})", node.name(), node.op_type());
        if let Some(input) = node
            .input
            .iter()
            .find(|i| !i.is_empty() && !known.contains(&***i))
        {
            let label = label();
            return invalid(format!(
                "{label} takes `{input}`, which nothing before it gives"
            ));
        }
        for output in node.output.iter().filter(|output| !output.is_empty()) {
            if !known.insert(output) {
                return invalid(format!("{} gives `{output}` a second time", label()));
            }
        }
    }
    match graph
        .output
        .iter()
        .find(|output| !known.contains(output.name()))
    {
        Some(output) => invalid(format!("nothing gives its output `{}`", output.name())),
        None => Ok(()),
    }
}

fn check_tensor(proto: &TensorProto) -> Result<()> {
    let len = tensor::dims(proto)?.iter().product();
    let elem_type = tensor::elem_type(proto)?;
    let damaged = |detail: &str| Err(Error::tensor_damaged(proto.name(), detail));
    match &proto.raw_data {
        _ if external::is_external(proto) => Ok(()),
        Some(_) if elem_type == DataType::String => damaged("strings cannot be raw data"),
        Some(raw) if tensor::raw_bytes(elem_type, len) != Some(raw.len()) => {
            let (dims, bytes) = (&proto.dims, raw.len());
            damaged(&format!(
                "shape {dims:?} does not go with {bytes} bytes of {elem_type:?}"
            ))
        }
        Some(_) => Ok(()),
        // Typed fields: decoding checks them. Raw data was only measured above, without a copy.
        None => Tensor::from_proto(proto).map(|_| ()),
    }
}
