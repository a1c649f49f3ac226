//! What of a graph depends on its inputs, and the shapes of what does not.

use std::collections::{HashMap, HashSet};

use crate::proto::{GraphProto, NodeProto, TensorProto};
use crate::tensor::{Tensor, TensorData};
use crate::{surgery, walk};

/// A graph with the nodes that compute its values. Nodes may stand in any order.
pub(super) struct Graph<'g> {
    graph: &'g GraphProto,
    producers: HashMap<&'g str, &'g NodeProto>,
    /// The values that depend on an input of the graph.
    moving: HashSet<&'g str>,
}

impl<'g> Graph<'g> {
    pub(super) fn new(graph: &'g GraphProto) -> Self {
        let mut producers = HashMap::new();
        let mut readers: HashMap<&str, Vec<&NodeProto>> = HashMap::new();
        for node in &graph.node {
            producers.extend(node.output.iter().map(|output| (output.as_str(), node)));
            for name in surgery::names_read(node) {
                readers.entry(name).or_default().push(node);
            }
        }
        // Up to IR version 3 an initializer is an input, too.
        let stored: HashSet<&str> = graph.initializer.iter().map(TensorProto::name).collect();
        let inputs = graph.input.iter().map(|input| input.name());
        let mut todo: Vec<&str> = inputs.filter(|name| !stored.contains(name)).collect();
        let mut moving: HashSet<&str> = todo.iter().copied().collect();
        // Forwards through the readers: ONNX Runtime's own tools write nodes that are not in order.
        while let Some(name) = todo.pop() {
            let outputs = readers
                .get(name)
                .into_iter()
                .flatten()
                .flat_map(|node| &node.output);
            todo.extend(
                outputs
                    .map(String::as_str)
                    .filter(|output| moving.insert(output)),
            );
        }
        Self {
            graph,
            producers,
            moving,
        }
    }

    /// The node that computes a value.
    pub(super) fn producer(&self, value: &str) -> Option<&'g NodeProto> {
        self.producers.get(value).copied()
    }

    pub(super) fn num_nodes(&self) -> usize {
        self.graph.node.len()
    }

    /// Whether a value does not depend on any input: it is stored, or computed from what is stored.
    pub(super) fn is_constant(&self, value: &str) -> bool {
        !self.moving.contains(value)
    }

    /// The inputs of a node that depend on an input of the graph.
    pub(super) fn moving_inputs(&self, node: &'g NodeProto) -> Vec<&'g str> {
        let inputs = node.input.iter().map(String::as_str);
        inputs
            .filter(|input| !input.is_empty() && !self.is_constant(input))
            .collect()
    }

    /// The shape of a constant, followed through operators that keep or permute it; `None` where the file does
    /// not tell.
    pub(super) fn constant_shape(&self, value: &str) -> Option<Vec<usize>> {
        self.shape_within(value, self.num_nodes())
    }

    /// `depth` bounds the search in damaged files, whose nodes may form a cycle.
    fn shape_within(&self, value: &str, depth: usize) -> Option<Vec<usize>> {
        if let Some(tensor) = walk::constant(self.graph, value) {
            let dims = tensor.dims.iter();
            return dims.map(|dim| usize::try_from(*dim).ok()).collect();
        }
        let node = self.producer(value)?;
        let of_input = || self.shape_within(node.input.first()?, depth.checked_sub(1)?);
        match node.op_type() {
            "Identity" | "DequantizeLinear" | "Cast" => of_input(),
            "Reshape" => {
                let shape = walk::constant(self.graph, node.input.get(1)?)?;
                match Tensor::from_proto(&shape).ok()?.data {
                    TensorData::I64(dims) => dims
                        .into_iter()
                        .map(|dim| usize::try_from(dim).ok())
                        .collect(),
                    _ => None,
                }
            }
            "Transpose" => {
                let dims = of_input()?;
                let order = node.attribute.iter().find(|a| a.name() == "perm");
                match order {
                    // Without an order it reverses the axes.
                    None => Some(dims.into_iter().rev().collect()),
                    Some(order) => {
                        let axis = |axis: &i64| dims.get(usize::try_from(*axis).ok()?).copied();
                        order.ints.iter().map(axis).collect()
                    }
                }
            }
            _ => None,
        }
    }
}
