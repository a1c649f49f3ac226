//! Where the classification layer is cut off.

use super::parse::Graph;
use super::plan::Op;
use crate::error::{Error, Result};
use std::path::Path;

/// The graph without its last fully connected layer; its output is that layer's input.
pub(super) fn classification_layer(path: &Path, mut graph: Graph) -> Result<Graph> {
    let refuse = |reason: &str| Error::NotAClassifier {
        path: path.to_path_buf(),
        reason: reason.into(),
    };
    let plan = &mut graph.plan;
    let last = loop {
        let step = plan.steps.iter().position(|s| s.output == plan.output);
        let step = step.ok_or_else(|| refuse("its output is its input"))?;
        match plan.steps[step].op {
            Op::Same => plan.output = plan.steps[step].inputs[0],
            Op::Linear(i) if i + 1 == graph.layers.linears.len() => break step,
            _ => {
                return Err(refuse(
                    "its output does not come from a fully connected layer (Gemm or MatMul)",
                ));
            }
        }
    };
    let features = plan.steps[last].inputs[0];
    // Steps after the layer's own only pass its result on.
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
