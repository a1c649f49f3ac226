//! Cut before the classification layer: in the plan, and in the file's own graph.

use super::not_a_classifier;
use super::parse::Graph;
use super::plan::Op;
use crate::error::Result;
use onnx::proto::{GraphProto, NodeProto};
use onnx::surgery;
use std::path::Path;

/// The graph without its last fully connected layer; its output is that layer's input.
pub(super) fn remove_classification_layer(path: &Path, mut graph: Graph) -> Result<Graph> {
    let refuse = |reason: &str| not_a_classifier(path, reason);
    let plan = &mut graph.plan;
    let last = loop {
        let step = plan.steps.iter().position(|s| s.output == plan.output);
        let step = step.ok_or_else(|| refuse("its output is its input"))?;
        match plan.steps[step].op {
            Op::Identity => plan.output = plan.steps[step].inputs[0],
            Op::Linear(i) if i + 1 == graph.layers.linears.len() => break step,
            _ => {
                return Err(refuse(
                    "its output does not come from a fully connected layer (Gemm or MatMul)",
                ));
            }
        }
    };
    let features = plan.steps[last].inputs[0];
    // The steps after it are `Identity`, by the loop above.
    plan.steps.truncate(last);
    plan.output = features;
    plan.find_last_uses();
    let layer = graph
        .layers
        .linears
        .pop()
        .ok_or_else(|| refuse("it has no fully connected layer"))?;
    let [_, num_features] = layer.weight.val().dims();
    graph.num_features = num_features;
    Ok(graph)
}

/// The value that the classification layer reads, by its name in the file. Searches back from the
/// output to the last `Gemm` or `MatMul`.
pub(crate) fn classification_input(graph: &GraphProto) -> Option<String> {
    let mut value = graph.output.first()?.name().to_owned();
    loop {
        let node: &NodeProto = &graph.node[surgery::producer(graph, &value)?];
        let computed = |name: &&String| {
            surgery::producer(graph, name).is_some_and(|i| graph.node[i].op_type() != "Constant")
        };
        match node.op_type() {
            "Gemm" | "MatMul" => return node.input.first().cloned(),
            "Identity" => value = node.input.first()?.clone(),
            // The bias of a `MatMul`: one input is computed, the other is stored.
            "Add" => value = node.input.iter().find(computed)?.clone(),
            _ => return None,
        }
    }
}
