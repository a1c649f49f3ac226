//! Graph surgery: find, rename, replace and prune. What stays keeps its bytes.
//!
//! Knows no operator's meaning.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::error::{Error, Result};
use crate::proto::{GraphProto, NodeProto, TensorProto, ValueInfoProto};
use crate::value::ValueInfo;
use crate::walk;

mod batch;

pub use batch::set_batch_dynamic;

/// The index of the node that computes a value; `None` for inputs and initializers.
pub fn producer(graph: &GraphProto, value: &str) -> Option<usize> {
    if value.is_empty() {
        return None;
    }
    graph
        .node
        .iter()
        .position(|node| node.output.iter().any(|output| output == value))
}

/// The indices of the nodes that read a value, in order; also those whose subgraphs read it.
pub fn consumers(graph: &GraphProto, value: &str) -> Vec<usize> {
    if value.is_empty() {
        return Vec::new();
    }
    let nodes = graph.node.iter().enumerate();
    nodes
        .filter(|(_, node)| names_read(node).contains(value))
        .map(|(index, _)| index)
        .collect()
}

/// Whether a value is an output of the graph.
pub fn is_output(graph: &GraphProto, value: &str) -> bool {
    graph.output.iter().any(|output| output.name() == value)
}

/// A name that the graph does not use: `base`, or `base` with a number.
pub fn unique_name(graph: &GraphProto, base: &str) -> String {
    let used = used_names(graph);
    first_free(base, |name| used.contains(name))
}

/// Every name of a graph's nodes and values, and every name in its subgraphs.
pub(crate) fn used_names(graph: &GraphProto) -> HashSet<&str> {
    let mut used: HashSet<&str> = HashSet::new();
    for node in &graph.node {
        used.insert(node.name());
        used.extend(node.output.iter().map(String::as_str));
        used.extend(names_read(node));
    }
    used.extend(graph.initializer.iter().map(TensorProto::name));
    let infos = graph.input.iter().chain(&graph.output);
    used.extend(infos.map(ValueInfoProto::name));
    used
}

/// `base`, or `base` with the first number that makes it unused.
pub(crate) fn first_free(base: &str, is_used: impl Fn(&str) -> bool) -> String {
    let numbered = (1..).map(|number: u64| format!("{base}_{number}"));
    let mut names = std::iter::once(base.to_owned()).chain(numbered);
    names
        .find(|name| !is_used(name))
        .expect("a graph has fewer names than there are numbers")
}

/// Renames a value wherever it is computed, read or described, in subgraphs too. The new name must be
/// free: [`unique_name`].
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

/// Replaces the outputs. Nodes that only the old outputs needed stay until [`prune`].
pub fn set_outputs(graph: &mut GraphProto, outputs: &[ValueInfo]) {
    graph.output = outputs.iter().map(ValueInfo::to_proto).collect();
}

/// As [`set_outputs`], by name alone: readers infer type and shape, as ONNX Runtime does.
///
/// ```
/// let mut graph = classifold_onnx::proto::GraphProto::default();
/// classifold_onnx::surgery::expose(&mut graph, &["/conv1/Conv_output_0".into()]);
/// assert!(classifold_onnx::surgery::is_output(&graph, "/conv1/Conv_output_0"));
/// assert_eq!(graph.output[0].r#type, None);
/// ```
pub fn expose(graph: &mut GraphProto, values: &[String]) {
    let output = |name: &String| ValueInfoProto {
        name: Some(name.clone()),
        ..Default::default()
    };
    graph.output = values.iter().map(output).collect();
}

/// Removes the nodes that no output needs, the initializers that no node needs, and the descriptions
/// of their values.
///
/// Returns the numbers of nodes and of initializers that it removed.
pub fn prune(graph: &mut GraphProto) -> (usize, usize) {
    let Reachable { nodes, names } = reachable(graph);
    let before = (graph.node.len(), graph.initializer.len());
    let mut nodes = nodes.into_iter();
    graph
        .node
        .retain(|_| nodes.next().expect("`reachable` has a flag for every node"));
    // Up to IR version 3 an initializer is an input, too, and goes. A true input stays even if unused:
    // callers feed it.
    let unused: HashSet<String> = graph
        .initializer
        .iter()
        .map(|tensor| tensor.name().to_owned())
        .filter(|name| !names.contains(name))
        .collect();
    graph
        .initializer
        .retain(|tensor| !unused.contains(tensor.name()));
    graph.input.retain(|input| !unused.contains(input.name()));
    graph.sparse_initializer.retain(|sparse| {
        let values = sparse.values.as_ref();
        values.is_none_or(|values| names.contains(values.name()))
    });
    let outputs = graph.node.iter().flat_map(|node| &node.output);
    let computed: HashSet<&str> = outputs.map(String::as_str).collect();
    let exists = |name: &str| computed.contains(name) || names.contains(name);
    graph.value_info.retain(|info| exists(info.name()));
    graph
        .quantization_annotation
        .retain(|annotation| exists(annotation.tensor_name()));
    (
        before.0 - graph.node.len(),
        before.1 - graph.initializer.len(),
    )
}

/// Puts every node after the nodes that it reads from; of those that may come next, the first of the file does.
///
/// # Errors
/// The nodes form a cycle.
pub fn sort_nodes(graph: &mut GraphProto) -> Result<()> {
    let mut producers: HashMap<&str, usize> = HashMap::new();
    for (index, node) in graph.node.iter().enumerate() {
        producers.extend(node.output.iter().map(|output| (output.as_str(), index)));
    }
    let mut readers: Vec<Vec<usize>> = vec![vec![]; graph.node.len()];
    let mut num_missing = vec![0; graph.node.len()];
    for (index, node) in graph.node.iter().enumerate() {
        // Names that no node of this graph computes are inputs, constants, or a body's own.
        let needed = names_read(node).into_iter().filter(|name| !name.is_empty());
        let needed: HashSet<usize> = needed
            .filter_map(|name| producers.get(name).copied())
            .collect();
        num_missing[index] = needed.len();
        needed.iter().for_each(|&other| readers[other].push(index));
    }
    let is_ready = |index: &usize| num_missing[*index] == 0;
    let mut ready: BTreeSet<usize> = (0..graph.node.len()).filter(is_ready).collect();
    let mut order = Vec::with_capacity(graph.node.len());
    while let Some(index) = ready.pop_first() {
        order.push(index);
        for &reader in &readers[index] {
            num_missing[reader] -= 1;
            if num_missing[reader] == 0 {
                ready.insert(reader);
            }
        }
    }
    if let Some(index) = num_missing.iter().position(|&missing| missing > 0) {
        let node = &graph.node[index];
        let label = format!("`{}` ({})", node.name(), node.op_type());
        let detail = format!("node {label} reads from nodes that form a cycle");
        return Err(Error::graph(&detail));
    }
    let mut nodes: Vec<Option<NodeProto>> = graph.node.drain(..).map(Some).collect();
    let sorted = order.into_iter().filter_map(|index| nodes[index].take());
    graph.node.extend(sorted);
    Ok(())
}

/// The part of a graph that its outputs depend on.
struct Reachable {
    /// For each node, whether an output depends on it.
    nodes: Vec<bool>,
    /// Every name that those nodes and the outputs read.
    names: HashSet<String>,
}

/// Depth-first search from the outputs back to the inputs.
fn reachable(graph: &GraphProto) -> Reachable {
    let mut producers: HashMap<&str, usize> = HashMap::new();
    for (index, node) in graph.node.iter().enumerate() {
        producers.extend(node.output.iter().map(|output| (output.as_str(), index)));
    }
    let mut nodes = vec![false; graph.node.len()];
    let mut names: HashSet<&str> = HashSet::new();
    let mut todo: Vec<&str> = graph.output.iter().map(ValueInfoProto::name).collect();
    // Scales and zero points of annotations are referred to by name, not by an edge of the graph.
    let annotations = graph.quantization_annotation.iter();
    todo.extend(
        annotations
            .flat_map(|a| &a.quant_parameter_tensor_names)
            .map(|e| e.value()),
    );
    while let Some(name) = todo.pop() {
        if name.is_empty() || !names.insert(name) {
            continue;
        }
        if let Some(&index) = producers.get(name)
            && !std::mem::replace(&mut nodes[index], true)
        {
            todo.extend(names_read(&graph.node[index]));
        }
    }
    Reachable {
        nodes,
        names: names.into_iter().map(str::to_owned).collect(),
    }
}

/// Every name that a node reads: its inputs, and every name in its subgraphs.
///
/// Some of the latter are the subgraphs' own. That keeps a node too many at worst, since names are
/// unique in a model.
pub(crate) fn names_read(node: &NodeProto) -> HashSet<&str> {
    let mut names: HashSet<&str> = node.input.iter().map(String::as_str).collect();
    for body in node.attribute.iter().flat_map(walk::subgraphs) {
        names.extend(body.output.iter().map(ValueInfoProto::name));
        names.extend(body.node.iter().flat_map(names_read));
    }
    names
}
