//! Siamese graph: one encoder for two images, and how far apart their features are. Knows no images.
//!
//! Bromley et al., "Signature verification using a siamese time delay neural network", 1993. Both images go through
//! the encoder as one batch, so that its nodes and weights are in the file once.

use crate::builder::{Attr, node};
use crate::document::Document;
use crate::error::{Error, Result};
use crate::proto::{DataType, GraphProto, NodeProto};
use crate::surgery;
use crate::value::{Dim, ValueInfo};

/// Names of the two inputs.
pub const INPUTS: [&str; 2] = ["a", "b"];
/// Name of the output: the probability `[N, 1]` that both are the same.
pub const OUTPUT: &str = "same";

/// The first opset in which `Split` is told the number of its outputs.
const SPLIT_COUNTS: i64 = 18;

/// The layer behind the features: `sigmoid(weight · |f(a) - f(b)| + bias)`.
#[derive(Clone, Debug, PartialEq)]
pub struct DistanceHead {
    /// `[D]`.
    pub weight: Vec<f32>,
    /// Added to the product.
    pub bias: f32,
}

/// Makes a verifier of a classifier of one logit: its `Gemm` gets the absolute difference of two images' features, and
/// its logit becomes a probability.
///
/// # Errors
/// The document does not have one input of images, and one logit by a fully connected layer.
///
/// ```
/// use classifold_onnx::{GraphBuilder, ModelInfo, Tensor, proto::DataType, siamese};
///
/// let mut graph = GraphBuilder::new("one logit");
/// let x = graph.input("x", DataType::Float, &["batch".into(), 3.into(), 8.into(), 8.into()]);
/// let pooled = graph.global_average_pool("pool", &x);
/// let features = graph.flatten("flat", &pooled);
/// let weight = graph.initializer("weight", &Tensor::f32(&[1, 3], vec![0.5; 3])?);
/// let bias = graph.initializer("bias", &Tensor::f32(&[1], vec![-1.0])?);
/// let y = graph.gemm("fc", &features, &weight, &bias);
/// graph.output(&y, "logits", DataType::Float, &["batch".into(), 1.into()]);
/// let mut document = graph.finish(&ModelInfo::default())?;
///
/// siamese::join(&mut document)?;
/// let names: Vec<String> = document.inputs().into_iter().map(|input| input.name).collect();
/// assert_eq!(names, ["a", "b"]);
/// let (encoder, head) = siamese::separate(&document)?;
/// assert_eq!(encoder.outputs()[0].to_string(), "flat: Float [batch, 3]");
/// assert_eq!((head.weight, head.bias), (vec![0.5; 3], -1.0));
/// # Ok::<(), classifold_onnx::Error>(())
/// ```
pub fn join(document: &mut Document) -> Result<()> {
    let (inputs, outputs, opset) = (document.inputs(), document.outputs(), document.opset());
    let ([input], [logit]) = (inputs.as_slice(), outputs.as_slice()) else {
        return Err(Error::not_siamese("it has more than one input or output"));
    };
    let graph = document.graph_mut();
    let layer = surgery::producer(graph, &logit.name)
        .filter(|layer| graph.node[*layer].op_type() == "Gemm")
        .ok_or_else(|| Error::not_siamese("its output is not that of a fully connected layer"))?;
    let features = graph.node[layer].input[0].clone();
    let name = |base: &str| surgery::unique_name(graph, base);
    let [a, b] = INPUTS.map(name);
    let [features_a, features_b, difference, distance] =
        ["features_a", "features_b", "difference", "distance"].map(name);
    let same = name(OUTPUT);
    let [join, halve, subtract, absolute, sigmoid] =
        ["join", "halve", "subtract", "absolute", "sigmoid"].map(name);
    graph.node[layer].input[0].clone_from(&distance);
    let mut split = vec![("axis", Attr::Int(0))];
    if opset >= SPLIT_COUNTS {
        split.push(("num_outputs", Attr::Int(2)));
    }
    let concat = vec![("axis", Attr::Int(0))];
    let halves = [features_a.as_str(), features_b.as_str()];
    graph.node.extend([
        node("Concat", &join, &[&a, &b], &[&input.name], concat),
        node("Split", &halve, &[&features], &halves, split),
        node("Sub", &subtract, &halves, &[&difference], vec![]),
        node("Abs", &absolute, &[&difference], &[&distance], vec![]),
        node("Sigmoid", &sigmoid, &[&logit.name], &[&same], vec![]),
    ]);
    let own = graph
        .input
        .iter()
        .position(|info| info.name() == input.name);
    let own = own.expect("the input is one of the graph's");
    let pair = [&a, &b].map(|name| {
        let named = ValueInfo {
            name: name.clone(),
            ..input.clone()
        };
        named.to_proto()
    });
    graph.input.splice(own..=own, pair);
    let probability = ValueInfo::new(&same, DataType::Float, vec!["batch".into(), Dim::Fixed(1)]);
    surgery::set_outputs(graph, &[probability]);
    // Inside, there are twice as many images as a batch of pairs has.
    graph.value_info.clear();
    surgery::sort_nodes(graph)?;
    document.check()
}

/// The parts of a verifier that [`join`] made: the encoder, from images `[N, C, H, W]` to features `[N, D]`, and the
/// layer behind it.
///
/// # Errors
/// The graph is another one.
pub fn separate(document: &Document) -> Result<(Document, DistanceHead)> {
    let inputs = document.inputs();
    let [a, b] = inputs.as_slice() else {
        return Err(Error::not_siamese("it does not have two inputs"));
    };
    let graph = document.graph();
    let is_join = |node: &&NodeProto| {
        node.op_type() == "Concat" && node.input == [a.name.as_str(), b.name.as_str()]
    };
    let images = graph
        .node
        .iter()
        .find(is_join)
        .and_then(|node| node.output.first());
    let images = images.ok_or_else(|| Error::not_siamese("its inputs are not one batch"))?;
    let [sigmoid] = graph.output.as_slice() else {
        return Err(Error::not_siamese("it does not have one output"));
    };
    let sigmoid = produced(graph, sigmoid.name(), "Sigmoid")?;
    let layer = produced(graph, &sigmoid.input[0], "Gemm")?;
    let distance = produced(graph, &layer.input[0], "Abs")?;
    let difference = produced(graph, &distance.input[0], "Sub")?;
    let halves = produced(graph, &difference.input[0], "Split")?;
    if halves.output != difference.input {
        return Err(Error::not_siamese(
            "its difference is not of the two images",
        ));
    }
    let [_, weight, bias] = layer.input.as_slice() else {
        return Err(Error::not_siamese("its layer has no bias"));
    };
    let (weight, bias) = (document.tensor(weight)?, document.tensor(bias)?);
    let (weight, bias) = (weight.as_f32()?, bias.as_f32()?);
    let [bias] = *bias else {
        return Err(Error::not_siamese("its layer has more than one output"));
    };
    let head = DistanceHead {
        weight: weight.into_owned(),
        bias,
    };
    let features = &halves.input[0];
    let width = head.weight.len();
    let output = ValueInfo::new(
        features,
        DataType::Float,
        vec!["batch".into(), width.into()],
    );
    let input = ValueInfo {
        name: images.clone(),
        ..a.clone()
    };
    let mut encoder = document.clone();
    let graph = encoder.graph_mut();
    graph.node.retain(|node| !is_join(&node));
    let is_pair = |name: &str| name == a.name || name == b.name;
    graph.input.retain(|info| !is_pair(info.name()));
    graph.input.insert(0, input.to_proto());
    surgery::set_outputs(graph, &[output]);
    surgery::prune(graph);
    encoder.check()?;
    Ok((encoder, head))
}

/// The node that computes a value, which must be of this type.
fn produced<'a>(graph: &'a GraphProto, value: &str, op_type: &str) -> Result<&'a NodeProto> {
    surgery::producer(graph, value)
        .map(|index| &graph.node[index])
        .filter(|node| node.op_type() == op_type && !node.input.is_empty())
        .ok_or_else(|| {
            Error::not_siamese(&format!("there is no {op_type} that computes `{value}`"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GraphBuilder, ModelInfo, Tensor};

    fn classifier(logits: usize) -> Document {
        let mut graph = GraphBuilder::new("classifier");
        let dims = ["batch".into(), 3.into(), 4.into(), 6.into()];
        // Named as an input of the verifier will be.
        let x = graph.input("a", DataType::Float, &dims);
        let pooled = graph.global_average_pool("pool", &x);
        let features = graph.flatten("flat", &pooled);
        let weight = Tensor::f32(&[logits, 3], vec![0.5; 3 * logits]).unwrap();
        let weight = graph.initializer("w", &weight);
        let bias = Tensor::f32(&[logits], vec![0.0; logits]).unwrap();
        let bias = graph.initializer("b", &bias);
        let y = graph.gemm("fc", &features, &weight, &bias);
        let dims = ["batch".into(), logits.into()];
        graph.output(&y, "logits", DataType::Float, &dims);
        graph.finish(&ModelInfo::default()).unwrap()
    }

    #[test]
    fn names_that_the_graph_uses_are_not_taken_twice() {
        let mut document = classifier(1);
        join(&mut document).unwrap();
        let names: Vec<String> = document.inputs().into_iter().map(|i| i.name).collect();
        assert_eq!(names, ["a_1", "b_1"]);
        let (encoder, _) = separate(&document).unwrap();
        assert_eq!(encoder.inputs()[0].to_string(), "a: Float [batch, 3, 4, 6]");
        assert_eq!(encoder.graph().node.len(), 2);
        assert!(encoder.graph().initializer.is_empty());
    }

    #[test]
    fn other_graphs_are_refused() {
        let error = separate(&classifier(1)).unwrap_err().to_string();
        assert!(error.contains("two inputs"), "{error}");
        let mut verifier = classifier(1);
        join(&mut verifier).unwrap();
        let error = join(&mut verifier.clone()).unwrap_err().to_string();
        assert!(error.contains("more than one input"), "{error}");
        let mut several = classifier(2);
        join(&mut several).unwrap();
        let error = separate(&several).unwrap_err().to_string();
        assert!(error.contains("more than one output"), "{error}");
        let sub = verifier
            .graph()
            .node
            .iter()
            .position(|node| node.op_type() == "Sub");
        verifier.graph_mut().node[sub.unwrap()].op_type = Some("Add".into());
        let error = separate(&verifier).unwrap_err().to_string();
        assert!(error.contains("no Sub"), "{error}");
    }
}
