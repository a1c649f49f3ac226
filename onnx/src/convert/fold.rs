//! Folding of batch normalisation, and of constants multiplied or added channel by channel, into the
//! convolution before them. Knows no precision but single.
//!
//! One rounding replaces several, and no node stands between a convolution and its activation, so that
//! the runtime can fuse the two.

use super::is_standard;
use crate::document::Document;
use crate::error::Result;
use crate::proto::{GraphProto, NodeProto};
use crate::surgery;
use crate::tensor::Tensor;

/// y = scale · x + shift for each channel, in double precision.
struct Affine {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

/// Folds into every convolution whose output has no other reader.
pub(super) fn fold(document: &mut Document) -> Result<()> {
    let (mut folded, mut index) = (false, 0);
    while index < document.graph().node.len() {
        if is(&document.graph().node[index], "Conv") {
            while fold_next(document, index)? {
                folded = true;
            }
        }
        index += 1;
    }
    if folded {
        surgery::prune(document.graph_mut());
    }
    Ok(())
}

/// Folds the node after a convolution, if possible.
fn fold_next(document: &mut Document, index: usize) -> Result<bool> {
    let graph = document.graph();
    let conv = &graph.node[index];
    let Some(output) = conv.output.first() else {
        return Ok(false);
    };
    let [next] = surgery::consumers(graph, output)[..] else {
        return Ok(false);
    };
    let Some(new_output) = graph.node[next].output.first().cloned() else {
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
    // A constant `[C, 1, 1]` is one value per channel only behind a convolution of images, rank 4.
    if weight.dims.len() != 4 && !is(&graph.node[next], "BatchNormalization") {
        return Ok(false);
    }
    let Some(affine) = affine(document, &graph.node[next], output, channels)? else {
        return Ok(false);
    };
    let Fused { weight, bias } = fused(&weight, &bias, &affine)?;
    let graph = document.graph_mut();
    graph.node.remove(next);
    let weight_name = surgery::unique_name(graph, &format!("{weight_name}_folded"));
    graph.initializer.push(weight.to_proto(&weight_name));
    let base = if bias_name.is_empty() {
        weight_name.replace("weight", "bias")
    } else {
        format!("{bias_name}_folded")
    };
    let bias_name = surgery::unique_name(graph, &base);
    graph.initializer.push(bias.to_proto(&bias_name));
    let conv = &mut graph.node[index];
    conv.input.truncate(1);
    conv.input.extend([weight_name, bias_name]);
    conv.output[0] = new_output;
    Ok(true)
}

/// Weight `[C_out, C_in, ...]` and bias `[C_out]` of a convolution with the node after it.
struct Fused {
    weight: Tensor,
    bias: Tensor,
}

/// `bias` is empty where the convolution has none.
fn fused(weight: &Tensor, bias: &Tensor, affine: &Affine) -> Result<Fused> {
    let per_channel = (weight.len() / affine.scale.len()).max(1);
    let values = weight.as_f32()?;
    let rows = values.chunks(per_channel).zip(&affine.scale);
    let new = rows.flat_map(|(row, scale)| row.iter().map(move |w| (f64::from(*w) * scale) as f32));
    let old = bias.as_f32()?;
    let old = |channel: usize| old.get(channel).copied().map_or(0.0, f64::from);
    let pairs = affine.scale.iter().zip(&affine.shift).enumerate();
    let shifted = pairs.map(|(channel, (scale, shift))| (old(channel) * scale + shift) as f32);
    Ok(Fused {
        weight: Tensor::f32(&weight.dims, new.collect())?,
        bias: Tensor::f32(&[affine.scale.len()], shifted.collect())?,
    })
}

/// The affine function of each channel by which a node changes `value`; `None` for any other node.
fn affine(
    document: &Document,
    node: &NodeProto,
    value: &str,
    channels: usize,
) -> Result<Option<Affine>> {
    if is(node, "BatchNormalization") {
        return batch_norm(document, node, value, channels);
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
        // Up to opset 6, attributes choose the axes of a broadcast; they are not followed here.
        _ if !is_standard(node) || !node.attribute.is_empty() => return Ok(None),
        ("Mul", _) => (operand, all(0.0)),
        ("Add", _) => (all(1.0), operand),
        ("Sub", true) => (all(1.0), operand.iter().map(|x| -x).collect()),
        ("Sub", false) => (all(-1.0), operand),
        _ => return Ok(None),
    };
    Ok(Some(Affine { scale, shift }))
}

/// `BatchNormalization` in inference mode
/// (<https://onnx.ai/onnx/operators/onnx__BatchNormalization.html>).
fn batch_norm(
    document: &Document,
    node: &NodeProto,
    value: &str,
    channels: usize,
) -> Result<Option<Affine>> {
    let attribute = |name: &str| node.attribute.iter().find(|a| a.name() == name);
    // In training it has more outputs. Before opset 9, `spatial` = 0 normalised every pixel by itself.
    let trains = node.output.iter().skip(1).any(|output| !output.is_empty())
        || attribute("training_mode").is_some_and(|a| a.i() != 0);
    let per_pixel = attribute("spatial").is_some_and(|a| a.i() == 0);
    if trains || per_pixel || node.input.len() != 5 || node.input[0] != value {
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

/// The value per channel of a constant: one number, `[C, 1, 1]` or `[1, C, 1, 1]`.
fn per_channel(operand: &Tensor, channels: usize) -> Result<Option<Vec<f64>>> {
    let numbers = doubles(operand)?;
    // Broadcasting with more axes than `[N, C, H, W]` has would add an axis to the output.
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
