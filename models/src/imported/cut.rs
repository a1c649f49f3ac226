//! Cut of the plan before the classification layer. `onnx` cuts the file's own graph.

use super::not_a_classifier;
use super::parse::Graph;
use super::plan::Op;
use crate::error::Result;
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
