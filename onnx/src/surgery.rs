//! Changing a graph: finding, renaming, replacing, pruning. What stays keeps its bytes.

use std::collections::{HashMap, HashSet};

use crate::proto::{GraphProto, NodeProto, TensorProto, ValueInfoProto};
use crate::value::ValueInfo;
use crate::walk;

mod batch;

pub use batch::set_batch_dynamic;

/// The index of the node that gives a value; `None` for inputs and initializers.
pub fn producer(graph: &GraphProto, value: &str) -> Option<usize> {
    if value.is_empty() {
        return None;
    }
    graph
        .node
        .iter()
        .position(|node| node.output.iter().any(|output| output == value))
}

/// The indices of the nodes that take a value, in order; also through a subgraph of theirs.
pub fn consumers(graph: &GraphProto, value: &str) -> Vec<usize> {
    if value.is_empty() {
        return Vec::new();
    }
    let takes = |node: &NodeProto| taken(node).contains(value);
    graph
        .node
        .iter()
        .enumerate()
        .filter(|(_, node)| takes(node))
        .map(|(i, _)| i)
        .collect()
}

/// Whether a value is an output of the graph.
pub fn is_output(graph: &GraphProto, value: &str) -> bool {
    graph.output.iter().any(|output| output.name() == value)
}

/// A name that the graph does not use: `base`, or `base` with a number.
pub fn unique_name(graph: &GraphProto, base: &str) -> String {
    let mut used: HashSet<&str> = HashSet::new();
    for node in &graph.node {
        used.insert(node.name());
        used.extend(node.output.iter().map(String::as_str));
        used.extend(taken(node));
    }
    used.extend(graph.initializer.iter().map(TensorProto::name));
    used.extend(
        graph
            .input
            .iter()
            .chain(&graph.output)
            .map(ValueInfoProto::name),
    );
    let numbered = (1..).map(|number| format!("{base}_{number}"));
    let mut names = std::iter::once(base.to_owned()).chain(numbered);
    names
        .find(|name| !used.contains(name.as_str()))
        .unwrap_or_default()
}

/// Calls a value by another name wherever it is given, taken or described, in subgraphs too. The
/// name must be free: [`unique_name`].
pub fn rename_value(graph: &mut GraphProto, from: &str, to: &str) {
    if from.is_empty() || from == to {
        return;
    }
    let rename = |name: &mut String| {
        if name == from {
            to.clone_into(name);
        }
    };
    for node in &mut graph.node {
        node.input
            .iter_mut()
            .chain(&mut node.output)
            .for_each(rename);
        for attribute in &mut node.attribute {
            let bodies = attribute
                .g
                .as_deref_mut()
                .into_iter()
                .chain(&mut attribute.graphs);
            bodies.for_each(|body| rename_value(body, from, to));
        }
    }
    graph
        .initializer
        .iter_mut()
        .filter_map(|t| t.name.as_mut())
        .for_each(rename);
    let described = graph
        .input
        .iter_mut()
        .chain(&mut graph.output)
        .chain(&mut graph.value_info);
    described
        .filter_map(|info| info.name.as_mut())
        .for_each(rename);
    for annotation in &mut graph.quantization_annotation {
        let parameters = annotation.quant_parameter_tensor_names.iter_mut();
        parameters
            .filter_map(|entry| entry.value.as_mut())
            .chain(&mut annotation.tensor_name)
            .for_each(rename);
    }
}

/// Makes these values the outputs, in place of those there were. What only the old ones needed
/// stays until [`prune`].
pub fn set_outputs(graph: &mut GraphProto, outputs: &[ValueInfo]) {
    graph.output = outputs.iter().map(ValueInfo::to_proto).collect();
}

/// As [`set_outputs`], by name: type and shape are left for the reader to infer, as ONNX Runtime
/// does.
///
/// ```
/// let mut graph = onnx::proto::GraphProto::default();
/// onnx::surgery::expose(&mut graph, &["/conv1/Conv_output_0".into()]);
/// assert!(onnx::surgery::is_output(&graph, "/conv1/Conv_output_0"));
/// assert_eq!(graph.output[0].r#type, None);
/// ```
pub fn expose(graph: &mut GraphProto, values: &[String]) {
    let bare = |name: &String| ValueInfoProto {
        name: Some(name.clone()),
        ..Default::default()
    };
    graph.output = values.iter().map(bare).collect();
}

/// Removes the nodes that no output needs, the initializers that no node needs, and what describes
/// their values; hands back how many nodes and initializers went.
pub fn prune(graph: &mut GraphProto) -> (usize, usize) {
    let (keep, needed) = reachable(graph);
    let before = (graph.node.len(), graph.initializer.len());
    let mut keep = keep.into_iter();
    graph.node.retain(|_| keep.next().unwrap_or(true));
    // Up to IR version 3 an initializer is an input, too; a true input stays, needed or not.
    let gone: HashSet<String> = graph
        .initializer
        .iter()
        .map(|tensor| tensor.name().to_owned())
        .filter(|name| !needed.contains(name))
        .collect();
    graph
        .initializer
        .retain(|tensor| !gone.contains(tensor.name()));
    graph.input.retain(|input| !gone.contains(input.name()));
    graph.sparse_initializer.retain(|sparse| {
        sparse
            .values
            .as_ref()
            .is_none_or(|values| needed.contains(values.name()))
    });
    let given: HashSet<&str> = graph
        .node
        .iter()
        .flat_map(|node| &node.output)
        .map(String::as_str)
        .collect();
    let lives = |name: &str| given.contains(name) || needed.contains(name);
    graph.value_info.retain(|info| lives(info.name()));
    graph
        .quantization_annotation
        .retain(|annotation| lives(annotation.tensor_name()));
    (
        before.0 - graph.node.len(),
        before.1 - graph.initializer.len(),
    )
}

/// Which nodes the outputs need, and every name that those nodes and outputs take.
fn reachable(graph: &GraphProto) -> (Vec<bool>, HashSet<String>) {
    let mut producers: HashMap<&str, usize> = HashMap::new();
    for (index, node) in graph.node.iter().enumerate() {
        producers.extend(node.output.iter().map(|output| (output.as_str(), index)));
    }
    let mut keep = vec![false; graph.node.len()];
    let mut needed: HashSet<&str> = HashSet::new();
    let mut todo: Vec<&str> = graph.output.iter().map(ValueInfoProto::name).collect();
    let annotations = graph.quantization_annotation.iter();
    todo.extend(
        annotations
            .flat_map(|a| &a.quant_parameter_tensor_names)
            .map(|e| e.value()),
    );
    while let Some(name) = todo.pop() {
        if name.is_empty() || !needed.insert(name) {
            continue;
        }
        if let Some(&index) = producers.get(name)
            && !std::mem::replace(&mut keep[index], true)
        {
            todo.extend(taken(&graph.node[index]));
        }
    }
    (keep, needed.into_iter().map(str::to_owned).collect())
}

/// Every name that a node takes: its inputs, and all that its subgraphs name (some of it their own,
/// which does no harm).
fn taken(node: &NodeProto) -> HashSet<&str> {
    let mut names: HashSet<&str> = node.input.iter().map(String::as_str).collect();
    for body in node.attribute.iter().flat_map(walk::subgraphs) {
        names.extend(body.output.iter().map(ValueInfoProto::name));
        names.extend(body.node.iter().flat_map(taken));
    }
    names
}
