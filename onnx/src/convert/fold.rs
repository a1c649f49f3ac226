//! Batch normalisation, and constants that are multiplied or added channel by channel, go into the
//! convolution before them: one rounding in place of several, and no node between a convolution and
//! its activation.

use super::is_standard;
use crate::document::Document;
use crate::error::Result;
use crate::proto::{GraphProto, NodeProto};
use crate::surgery;
use crate::tensor::Tensor;

/// `y = scale x + shift` for each channel, in double precision.
struct Affine {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

/// Folds wherever the convolution's output goes nowhere else; hands back how many nodes went.
pub(super) fn fold(document: &mut Document) -> Result<usize> {
    let (mut folded, mut at) = (0, 0);
    while at < document.graph().node.len() {
        if is(&document.graph().node[at], "Conv") {
            while fold_one(document, at)? {
                folded += 1;
            }
        }
        at += 1;
    }
    if folded > 0 {
        surgery::prune(document.graph_mut());
    }
    Ok(folded)
}

/// Folds the node after the convolution `at`, if that can be done.
fn fold_one(document: &mut Document, at: usize) -> Result<bool> {
    let graph = document.graph();
    let conv = &graph.node[at];
    let Some(output) = conv.output.first() else {
        return Ok(false);
    };
    let [next] = surgery::consumers(graph, output)[..] else {
        return Ok(false);
    };
    let weight_name = conv.input.get(1).map_or("", String::as_str).to_owned();
    let bias_name = conv.input.get(2).map_or("", String::as_str).to_owned();
    let (Some(weight), Some(bias)) = (
        constant(document, &weight_name)?,
        match bias_name.is_empty() {
            true => Some(Tensor::f32(&[0], Vec::new())?),
            false => constant(document, &bias_name)?,
        },
    ) else {
        return Ok(false);
    };
    let channels = weight.dims.first().copied().unwrap_or(0);
    if surgery::is_output(graph, output) || channels == 0 {
        return Ok(false);
    }
    // `[C, 1, 1]` is channel by channel behind convolutions of images alone.
    if weight.dims.len() != 4 && !is(&graph.node[next], "BatchNormalization") {
        return Ok(false);
    }
    let Some(affine) = affine(document, &graph.node[next], output, channels)? else {
        return Ok(false);
    };
    let (weight, bias) = fused(&weight, &bias, &affine)?;
    let graph = document.graph_mut();
    let last = graph.node.remove(next);
    let weight_name = surgery::unique_name(graph, &format!("{weight_name}_folded"));
    graph.initializer.push(weight.to_proto(&weight_name));
    let base = if bias_name.is_empty() {
        weight_name.replace("weight", "bias")
    } else {
        format!("{bias_name}_folded")
    };
    let bias_name = surgery::unique_name(graph, &base);
    graph.initializer.push(bias.to_proto(&bias_name));
    let conv = &mut graph.node[at];
    conv.input.truncate(1);
    conv.input.extend([weight_name, bias_name]);
    conv.output[0] = last.output.into_iter().next().unwrap_or_default();
    Ok(true)
}

/// Weights `[M, C, ...]` and bias `[M]` (or none) of the convolution and what follows it.
fn fused(weight: &Tensor, bias: &Tensor, affine: &Affine) -> Result<(Tensor, Tensor)> {
    let per_channel = (weight.len() / affine.scale.len()).max(1);
    let values = weight.as_f32()?;
    let rows = values.chunks(per_channel).zip(&affine.scale);
    let new = rows.flat_map(|(row, scale)| row.iter().map(move |w| (f64::from(*w) * scale) as f32));
    let old = bias.as_f32()?;
    let old = |channel: usize| old.get(channel).copied().map_or(0.0, f64::from);
    let pairs = affine.scale.iter().zip(&affine.shift).enumerate();
    let shifted = pairs.map(|(channel, (scale, shift))| (old(channel) * scale + shift) as f32);
    Ok((
        Tensor::f32(&weight.dims, new.collect())?,
        Tensor::f32(&[affine.scale.len()], shifted.collect())?,
    ))
}

/// What a node does to `value`, channel by channel; `None` where it does something else.
fn affine(
    document: &Document,
    node: &NodeProto,
    value: &str,
    channels: usize,
) -> Result<Option<Affine>> {
    if is(node, "BatchNormalization") {
        return normalisation(document, node, value, channels);
    }
    let [first, second] = node.input.as_slice() else {
        return Ok(None);
    };
    let (other, value_first) = match (first == value, second == value) {
        (true, false) => (second, true),
        (false, true) => (first, false),
        _ => return Ok(None),
    };
    let Some(operand) = constant(document, other)? else {
        return Ok(None);
    };
    let Some(operand) = per_channel(&operand, channels)? else {
        return Ok(None);
    };
    let all = |number: f64| vec![number; channels];
    let (scale, shift) = match (node.op_type(), value_first) {
        // Up to opset 6, attributes say how to broadcast.
        _ if !is_standard(node) || !node.attribute.is_empty() => return Ok(None),
        ("Mul", _) => (operand, all(0.0)),
        ("Add", _) => (all(1.0), operand),
        ("Sub", true) => (all(1.0), operand.iter().map(|x| -x).collect()),
        ("Sub", false) => (all(-1.0), operand),
        _ => return Ok(None),
    };
    Ok(Some(Affine { scale, shift }))
}

/// `BatchNormalization` in inference mode.
fn normalisation(
    document: &Document,
    node: &NodeProto,
    value: &str,
    channels: usize,
) -> Result<Option<Affine>> {
    let attribute = |name: &str| node.attribute.iter().find(|a| a.name() == name);
    // Training gives more outputs; before opset 9, `spatial` = 0 normalises every place by itself.
    let trains = node.output.iter().skip(1).any(|output| !output.is_empty())
        || attribute("training_mode").is_some_and(|a| a.i() != 0);
    let by_place = attribute("spatial").is_some_and(|a| a.i() == 0);
    if trains || by_place || node.input.len() != 5 || node.input[0] != value {
        return Ok(None);
    }
    let mut vectors = Vec::with_capacity(4);
    for name in &node.input[1..] {
        match constant(document, name)? {
            Some(tensor) if tensor.dims == [channels] => vectors.push(doubles(&tensor)?),
            _ => return Ok(None),
        }
    }
    let epsilon = attribute("epsilon").map_or(1e-5, |a| f64::from(a.f()));
    let [gamma, beta, mean, var] = &vectors[..] else {
        return Ok(None);
    };
    let scale: Vec<f64> = (0..channels)
        .map(|c| gamma[c] / (var[c] + epsilon).sqrt())
        .collect();
    let shift = (0..channels)
        .map(|c| beta[c] - mean[c] * scale[c])
        .collect();
    Ok(Some(Affine { scale, shift }))
}

/// A constant that broadcasts along batch and places: one number, or `[C, 1, 1]` and `[1, C, 1, 1]`.
fn per_channel(operand: &Tensor, channels: usize) -> Result<Option<Vec<f64>>> {
    let numbers = doubles(operand)?;
    // More axes than an image batch has would add one to the output.
    if operand.dims.len() > 4 {
        return Ok(None);
    }
    if let [number] = numbers[..] {
        return Ok(Some(vec![number; channels]));
    }
    let fits = match operand.dims.as_slice() {
        [1, c, 1, 1] | [c, 1, 1] => *c == channels,
        _ => false,
    };
    Ok(fits.then_some(numbers))
}

/// A constant in single precision.
fn constant(document: &Document, name: &str) -> Result<Option<Tensor>> {
    if !is_constant(document.graph(), name) {
        return Ok(None);
    }
    let tensor = document.tensor(name)?;
    Ok((tensor.elem_type() == crate::proto::DataType::Float).then_some(tensor))
}

fn is_constant(graph: &GraphProto, name: &str) -> bool {
    crate::walk::constant(graph, name).is_some()
}

fn doubles(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.as_f32()?.iter().map(|x| f64::from(*x)).collect())
}

fn is(node: &NodeProto, op: &str) -> bool {
    node.op_type() == op && is_standard(node)
}
