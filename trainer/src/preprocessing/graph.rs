//! Whether a network normalises its images itself.

use onnx::Document;
use onnx::proto::GraphProto;
use onnx::surgery::{consumers, producer};

/// The operator by which the first nodes of a graph shift or scale the input with constants, before any other.
pub(super) fn normalization(document: &Document) -> Option<String> {
    let graph = document.graph();
    let mut value = document.inputs().first()?.name.clone();
    // No path through a graph has more nodes than it.
    for _ in &graph.node {
        let &[reader] = consumers(graph, &value).as_slice() else {
            return None;
        };
        let node = &graph.node[reader];
        match node.op_type() {
            "Add" | "Sub" | "Mul" | "Div" => {
                let mut others = node.input.iter().filter(|name| **name != value);
                let is_constant = others.all(|name| is_constant(graph, name));
                return is_constant.then(|| node.op_type().to_owned());
            }
            "Identity" | "Cast" | "Transpose" => value = node.output.first()?.clone(),
            _ => return None,
        }
    }
    None
}

fn is_constant(graph: &GraphProto, name: &str) -> bool {
    let is_node =
        || producer(graph, name).is_some_and(|index| graph.node[index].op_type() == "Constant");
    graph.initializer.iter().any(|tensor| tensor.name() == name) || is_node()
}
