//! The walk from an output back to its classification layer.

use super::constants::Graph;
use super::{ClassificationLayer, CutRule, FeatureCut, LayerKind};
use crate::proto::{NodeProto, is_standard_domain};

/// Operators whose numbers are those of their first input, moved or retyped.
const MOVING: [&str; 10] = [
    "Identity",
    "Cast",
    "Dropout",
    "Flatten",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "QuantizeLinear",
    "DequantizeLinear",
];

/// Activations that make probabilities of logits.
const PROBABILITIES: [&str; 3] = ["Softmax", "LogSoftmax", "Sigmoid"];

/// Class counts of ImageNet's forms: 1k, 1k with a background class, 21k, and 21k as two papers count it.
const IMAGENET_CLASSES: [usize; 5] = [1000, 1001, 21841, 21843, 11821];

/// The classification layer that gives `output`, with the values that it reads; `None` where there is none.
pub(super) fn classification_layer(graph: &Graph<'_>, output: &str) -> Option<FeatureCut> {
    let found = walk(graph, output, true)?;
    Some(FeatureCut {
        values: found.values,
        pooled: found.rule == CutRule::PooledConvolution,
        rule: found.rule,
        output: output.to_owned(),
        layers: found.layers,
    })
}

struct Found {
    values: Vec<String>,
    rule: CutRule,
    layers: Vec<ClassificationLayer>,
}

/// `may_split`: whether a sum of two layers is followed into both.
fn walk(graph: &Graph<'_>, output: &str, may_split: bool) -> Option<Found> {
    let (mut pooled, mut probabilities) = (false, false);
    let mut value = output;
    // More steps than nodes are a cycle.
    for _ in 0..graph.num_nodes() {
        let node = graph
            .producer(value)
            .filter(|node| is_standard_domain(node.domain()))?;
        let moving = graph.moving_inputs(node);
        value = match (node.op_type(), moving.as_slice()) {
            (op, _) if MOVING.contains(&op) => node.input.first()?,
            (op, _) if PROBABILITIES.contains(&op) => {
                probabilities = true;
                node.input.first()?
            }
            ("Add" | "Sub" | "Mul" | "Div", [one]) => one,
            ("GlobalAveragePool" | "AveragePool" | "ReduceMean", _) if !pooled => {
                pooled = true;
                node.input.first()?
            }
            // After the convolution and before the mean, as in SqueezeNet.
            ("Relu" | "Clip", [one]) if pooled => one,
            ("Gemm" | "MatMul", [one]) if !pooled && node.input.first()? == one => {
                return fully_connected(graph, node);
            }
            ("Conv", [one]) if node.input.first()? == one => {
                return convolution(graph, node, pooled, probabilities);
            }
            ("Add" | "Sum" | "Mean", [one, two]) if !pooled && may_split => {
                return two_layers(graph, one, two);
            }
            _ => return None,
        };
    }
    None
}

fn fully_connected(graph: &Graph<'_>, node: &NodeProto) -> Option<Found> {
    let is_gemm = node.op_type() == "Gemm";
    if is_gemm && int(node, "transA", 0) != 0 {
        return None;
    }
    let rows_are_classes = is_gemm && int(node, "transB", 0) != 0;
    let weight = node.input.get(1)?;
    let shape = graph.constant_shape(weight);
    let (width, classes) = match shape.as_deref() {
        Some([classes, width]) if rows_are_classes => (Some(*width), Some(*classes)),
        Some([width, classes]) => (Some(*width), Some(*classes)),
        Some(_) => return None,
        None => (None, None),
    };
    let layer = ClassificationLayer {
        output: node.output.first()?.clone(),
        kind: if is_gemm {
            LayerKind::Gemm
        } else {
            LayerKind::MatMul
        },
        weight: weight.clone(),
        rows_are_classes,
        bias: node
            .input
            .get(2)
            .filter(|_| is_gemm)
            .filter(|name| !name.is_empty())
            .cloned(),
        alpha: float(node, "alpha", 1.0),
        beta: float(node, "beta", 1.0),
        width,
        classes,
    };
    Some(found(node, CutRule::FullyConnected, layer))
}

/// A convolution of one pixel is a fully connected layer for every pixel.
fn convolution(
    graph: &Graph<'_>,
    node: &NodeProto,
    pooled: bool,
    probabilities: bool,
) -> Option<Found> {
    let weight = node.input.get(1)?;
    let shape = graph.constant_shape(weight)?;
    let [classes, width, 1, 1] = shape[..] else {
        return None;
    };
    if int(node, "group", 1) != 1 {
        return None;
    }
    // The last convolution of a network without a head makes more channels, not classes.
    let classifies = probabilities || classes < width || IMAGENET_CLASSES.contains(&classes);
    let rule = match pooled {
        true if !classifies => return None,
        true => CutRule::PooledConvolution,
        false => CutRule::Convolution,
    };
    let layer = ClassificationLayer {
        output: node.output.first()?.clone(),
        kind: LayerKind::Conv,
        weight: weight.clone(),
        rows_are_classes: true,
        bias: node.input.get(2).filter(|name| !name.is_empty()).cloned(),
        alpha: 1.0,
        beta: 1.0,
        width: Some(width),
        classes: Some(classes),
    };
    Some(found(node, rule, layer))
}

/// Two fully connected layers with the same classes, whose results are added: distilled networks.
fn two_layers(graph: &Graph<'_>, one: &str, two: &str) -> Option<Found> {
    let mut first = walk(graph, one, false)?;
    let second = walk(graph, two, false)?;
    let classes = |found: &Found| found.layers.first().and_then(|layer| layer.classes);
    let is_layer = |found: &Found| found.rule == CutRule::FullyConnected;
    let is_pair = is_layer(&first) && is_layer(&second) && classes(&first).is_some();
    if !is_pair || classes(&first) != classes(&second) {
        return None;
    }
    if first.values != second.values {
        first.values.extend(second.values);
        first.layers.extend(second.layers);
    }
    first.rule = CutRule::TwoLayers;
    Some(first)
}

fn found(node: &NodeProto, rule: CutRule, layer: ClassificationLayer) -> Found {
    Found {
        values: node.input.first().cloned().into_iter().collect(),
        rule,
        layers: vec![layer],
    }
}

fn int(node: &NodeProto, name: &str, default: i64) -> i64 {
    let attribute = node.attribute.iter().find(|a| a.name() == name);
    attribute.map_or(default, |a| a.i())
}

fn float(node: &NodeProto, name: &str, default: f32) -> f32 {
    let attribute = node.attribute.iter().find(|a| a.name() == name);
    attribute.map_or(default, |a| a.f())
}
