//! Siamese graph: one encoder for two images, and how far apart their features are. Knows no images.
//!
//! Bromley et al., "Signature verification using a siamese time delay neural network", 1993. Both images go through
//! the encoder as one batch, so that its nodes and weights are in the file once. Every distance is made of operators
//! that give the same bits whichever image is the first.

use crate::builder::{Attr, node};
use crate::document::Document;
use crate::error::{Error, Result};
use crate::proto::{DataType, GraphProto, NodeProto};
use crate::surgery;
use crate::tensor::Tensor;
use crate::value::{Dim, ValueInfo};

/// Names of the two inputs.
pub const INPUTS: [&str; 2] = ["a", "b"];
/// Name of an output that is the probability `[N, 1]` that both are the same.
pub const PROBABILITY: &str = "same";
/// Name of an output that is the distance `[N, 1]` of both.
pub const DISTANCE: &str = "distance";

/// Squares of lengths below it count as it: a length of 0 divides nothing and has no slope.
pub const LEAST_SQUARE: f32 = 1e-12;

/// The first opset in which `Split` is told the number of its outputs.
const SPLIT_COUNTS: i64 = 18;
/// The first opset in which `ReduceSum` gets its axes as an input.
const REDUCE_AXES: i64 = 13;
/// The first opset in which `Max` repeats a single number.
const MAX_REPEATS: i64 = 8;

/// What is computed of the features of two images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distance {
    /// `|f(a) - f(b)|`, number by number.
    #[default]
    AbsoluteDifference,
    /// The cosine of the angle between `f(a)` and `f(b)`.
    Cosine,
    /// The Euclidean distance of `f(a)` and `f(b)`.
    Euclidean,
}

impl Distance {
    /// Numbers that it makes of features `[N, width]`.
    #[must_use]
    pub const fn width(self, width: usize) -> usize {
        match self {
            Self::AbsoluteDifference => width,
            Self::Cosine | Self::Euclidean => 1,
        }
    }

    /// Its name, as on a card.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AbsoluteDifference => "absolute-difference",
            Self::Cosine => "cosine",
            Self::Euclidean => "euclidean",
        }
    }

    /// The distance with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::AbsoluteDifference, Self::Cosine, Self::Euclidean];
        all.into_iter().find(|distance| distance.name() == name)
    }

    /// The distance of two images' features `[D]` in double precision, as the graph has it: `[D]`, or `[1]`. Their order
    /// changes nothing.
    ///
    /// # Panics
    /// When one is longer than the other.
    ///
    /// ```
    /// use classifold_onnx::siamese::Distance;
    ///
    /// let (a, b) = ([3.0, 0.0], [0.0, 4.0]);
    /// assert_eq!(Distance::AbsoluteDifference.between(&a, &b), [3.0, 4.0]);
    /// assert_eq!(Distance::Cosine.between(&a, &b), [0.0]);
    /// assert_eq!(Distance::Euclidean.between(&a, &b), [5.0]);
    /// ```
    #[must_use]
    pub fn between(self, a: &[f32], b: &[f32]) -> Vec<f64> {
        assert_eq!(a.len(), b.len(), "features of one network");
        let pairs = a.iter().zip(b).map(|(a, b)| (f64::from(*a), f64::from(*b)));
        let length = |square: f64| square.max(f64::from(LEAST_SQUARE)).sqrt();
        match self {
            Self::AbsoluteDifference => pairs.map(|(a, b)| (a - b).abs()).collect(),
            Self::Euclidean => vec![length(pairs.map(|(a, b)| (a - b).powi(2)).sum())],
            Self::Cosine => {
                let sums = pairs.fold([0.0; 3], |[aa, bb, ab], (a, b)| {
                    [aa + a * a, bb + b * b, ab + a * b]
                });
                let [aa, bb, ab] = sums;
                vec![ab / (length(aa) * length(bb))]
            }
        }
    }
}

/// The layer behind the features: `sigmoid(weight · |f(a) - f(b)| + bias)`, `sigmoid(weight cos(f(a), f(b)) + bias)` or
/// `weight ‖f(a) - f(b)‖`.
#[derive(Clone, Debug, PartialEq)]
pub struct DistanceHead {
    /// What the weight multiplies.
    pub distance: Distance,
    /// Features D of an image.
    pub width: usize,
    /// `[D]` of the absolute difference, else `[1]`.
    pub weight: Vec<f32>,
    /// Added to the product; 0 of a Euclidean distance.
    pub bias: f32,
}

impl DistanceHead {
    /// The score of two images by their features `[D]`, in double precision: the probability that both are the same, or
    /// their distance.
    ///
    /// # Panics
    /// When the features have another length than those of the layer.
    #[must_use]
    pub fn score(&self, a: &[f32], b: &[f32]) -> f64 {
        let sum = self.sum(a, b);
        match self.distance {
            Distance::AbsoluteDifference | Distance::Cosine => 1.0 / (1.0 + (-sum).exp()),
            Distance::Euclidean => sum,
        }
    }

    /// How similar two images are, without end in either direction: the logit of the probability, or the distance with
    /// a minus.
    ///
    /// # Panics
    /// As [`score`](Self::score).
    ///
    /// ```
    /// use classifold_onnx::siamese::{Distance, DistanceHead};
    ///
    /// let head = |distance, weight| DistanceHead {
    ///     distance,
    ///     width: 1,
    ///     weight: vec![weight],
    ///     bias: 0.0,
    /// };
    /// let difference = head(Distance::AbsoluteDifference, -100.0);
    /// assert_eq!(difference.similarity(&[1.0], &[3.0]), -200.0);
    /// assert_eq!(head(Distance::Euclidean, 2.0).similarity(&[1.0], &[3.0]), -4.0);
    /// ```
    #[must_use]
    pub fn similarity(&self, a: &[f32], b: &[f32]) -> f64 {
        match self.distance {
            Distance::AbsoluteDifference | Distance::Cosine => self.sum(a, b),
            Distance::Euclidean => -self.sum(a, b),
        }
    }

    fn sum(&self, a: &[f32], b: &[f32]) -> f64 {
        let terms = self.distance.between(a, b);
        assert_eq!(terms.len(), self.weight.len(), "features of one network");
        let terms = self.weight.iter().zip(terms);
        terms.map(|(w, x)| f64::from(*w) * x).sum::<f64>() + f64::from(self.bias)
    }
}

/// Makes a verifier of a classifier of one logit: its `Gemm` gets the `distance` of two images' features in place of the
/// `width` features. Its logit becomes a probability; that of a Euclidean distance stays as it is, a distance.
///
/// # Errors
/// The document does not have one input of images, and one logit by a fully connected layer; its opset is too old for
/// the distance.
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
/// siamese::join(&mut document, siamese::Distance::AbsoluteDifference, 3)?;
/// let names: Vec<String> = document.inputs().into_iter().map(|input| input.name).collect();
/// assert_eq!(names, ["a", "b"]);
/// let (encoder, head) = siamese::separate(&document)?;
/// assert_eq!(encoder.outputs()[0].to_string(), "flat: Float [batch, 3]");
/// assert_eq!((head.weight, head.bias), (vec![0.5; 3], -1.0));
/// # Ok::<(), classifold_onnx::Error>(())
/// ```
pub fn join(document: &mut Document, distance: Distance, width: usize) -> Result<()> {
    let (inputs, outputs, opset) = (document.inputs(), document.outputs(), document.opset());
    let ([input], [logit]) = (inputs.as_slice(), outputs.as_slice()) else {
        return Err(Error::not_siamese("it has more than one input or output"));
    };
    if opset < MAX_REPEATS && distance != Distance::AbsoluteDifference {
        let reason = format!("its opset is {opset}, and this distance needs {MAX_REPEATS}");
        return Err(Error::not_siamese(&reason));
    }
    let graph = document.graph_mut();
    let layer = surgery::producer(graph, &logit.name)
        .filter(|layer| graph.node[*layer].op_type() == "Gemm")
        .ok_or_else(|| Error::not_siamese("its output is not that of a fully connected layer"))?;
    let features = graph.node[layer].input[0].clone();
    let [a, b] = INPUTS.map(|base| surgery::unique_name(graph, base));
    let axis = vec![("axis", Attr::Int(0))];
    let mut writer = Writer {
        graph: &mut *graph,
        opset,
    };
    let joined = writer.unique("join");
    let concat = node("Concat", &joined, &[&a, &b], &[&input.name], axis);
    writer.graph.node.push(concat);
    let distances = writer.distance(distance, &features);
    writer.graph.node[layer].input[0] = distances;
    let output = match distance {
        Distance::AbsoluteDifference | Distance::Cosine => {
            let name = writer.unique(PROBABILITY);
            writer.push_named("Sigmoid", &[&logit.name], &name)
        }
        Distance::Euclidean => {
            let name = writer.unique(DISTANCE);
            surgery::rename_value(writer.graph, &logit.name, &name);
            name
        }
    };
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
    let score = ValueInfo::new(
        &output,
        DataType::Float,
        vec!["batch".into(), Dim::Fixed(1)],
    );
    surgery::set_outputs(graph, &[score]);
    // Inside, there are twice as many images as a batch of pairs has.
    graph.value_info.clear();
    // For readers: the nodes do not say how many features there are.
    let described = ValueInfo::new(&features, DataType::Float, vec![Dim::Unknown, width.into()]);
    graph.value_info.push(described.to_proto());
    surgery::sort_nodes(graph)?;
    document.check()
}

/// Adds the nodes of a distance.
struct Writer<'a> {
    graph: &'a mut GraphProto,
    opset: i64,
}

impl Writer<'_> {
    /// The distance of features `[2N, D]`, those of all first images and then those of all second ones: `[N, D]`, or
    /// `[N, 1]`.
    fn distance(&mut self, distance: Distance, features: &str) -> String {
        match distance {
            Distance::AbsoluteDifference => {
                let [a, b] = self.halves(features);
                let difference = self.push("Sub", &[&a, &b], "difference");
                self.push("Abs", &[&difference], "distances")
            }
            Distance::Cosine => {
                let length = self.length(features);
                let unit = self.push("Div", &[features, &length], "directions");
                let [a, b] = self.halves(&unit);
                let products = self.push("Mul", &[&a, &b], "products");
                self.sum(&products, "cosine")
            }
            Distance::Euclidean => {
                let [a, b] = self.halves(features);
                let difference = self.push("Sub", &[&a, &b], "difference");
                self.length(&difference)
            }
        }
    }

    fn halves(&mut self, value: &str) -> [String; 2] {
        let mut attributes = vec![("axis", Attr::Int(0))];
        if self.opset >= SPLIT_COUNTS {
            attributes.push(("num_outputs", Attr::Int(2)));
        }
        let halves = ["features_a", "features_b"].map(|base| self.unique(base));
        let name = self.unique("halve");
        let outputs = [halves[0].as_str(), halves[1].as_str()];
        let split = node("Split", &name, &[value], &outputs, attributes);
        self.graph.node.push(split);
        halves
    }

    /// The lengths of rows, `[N, 1]`.
    fn length(&mut self, rows: &str) -> String {
        let squares = self.push("Mul", &[rows, rows], "squares");
        let sum = self.sum(&squares, "square");
        let least = Tensor::f32(&[1], vec![LEAST_SQUARE]).expect("one number has the shape [1]");
        let least = self.constant("least_square", least);
        let square = self.push("Max", &[&sum, &least], "square_or_least");
        self.push("Sqrt", &[&square], "length")
    }

    /// The sums of rows, `[N, 1]`.
    fn sum(&mut self, rows: &str, base: &str) -> String {
        if self.opset >= REDUCE_AXES {
            let axes = Tensor::i64(&[1], vec![1]).expect("one number has the shape [1]");
            let axes = self.constant("axes", axes);
            return self.push("ReduceSum", &[rows, &axes], base);
        }
        let name = self.unique(base);
        let axes = vec![("axes", Attr::Ints(vec![1]))];
        let sum = node("ReduceSum", &name, &[rows], &[&name], axes);
        self.graph.node.push(sum);
        name
    }

    /// A node and not an initializer, which up to IR version 3 is an input, too.
    fn constant(&mut self, base: &str, value: Tensor) -> String {
        let name = self.unique(base);
        let value = vec![("value", Attr::Tensor(value))];
        self.graph
            .node
            .push(node("Constant", &name, &[], &[&name], value));
        name
    }

    fn push(&mut self, op_type: &str, inputs: &[&str], base: &str) -> String {
        let name = self.unique(base);
        self.push_named(op_type, inputs, &name)
    }

    fn push_named(&mut self, op_type: &str, inputs: &[&str], name: &str) -> String {
        let added = node(op_type, name, inputs, &[name], vec![]);
        self.graph.node.push(added);
        name.to_owned()
    }

    fn unique(&self, base: &str) -> String {
        surgery::unique_name(self.graph, base)
    }
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
    let (features, head) = read_head(document)?;
    let dims = vec!["batch".into(), head.width.into()];
    let output = ValueInfo::new(&features, DataType::Float, dims);
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

/// Name of the features of both images, and the layer behind them.
fn read_head(document: &Document) -> Result<(String, DistanceHead)> {
    let graph = document.graph();
    let [output] = graph.output.as_slice() else {
        return Err(Error::not_siamese("it does not have one output"));
    };
    let sigmoid = produced(graph, output.name(), "Sigmoid").ok();
    let logit = sigmoid.map_or(output.name(), |sigmoid| &sigmoid.input[0]);
    let layer = produced(graph, logit, "Gemm")?;
    let [distances, weight, bias] = layer.input.as_slice() else {
        return Err(Error::not_siamese("its layer has no bias"));
    };
    let (distance, features) = match sigmoid {
        None => {
            let difference = under_length(graph, distances)?;
            (Distance::Euclidean, halved(graph, difference, "Sub")?)
        }
        Some(_) => match produced(graph, distances, "ReduceSum") {
            Ok(cosine) => {
                let unit = halved(graph, &cosine.input[0], "Mul")?;
                let unit = produced(graph, unit, "Div")?;
                (Distance::Cosine, unit.input[0].as_str())
            }
            Err(_) => {
                let absolute = produced(graph, distances, "Abs")?;
                let features = halved(graph, &absolute.input[0], "Sub")?;
                (Distance::AbsoluteDifference, features)
            }
        },
    };
    let (weight, bias) = (document.tensor(weight)?, document.tensor(bias)?);
    let (weight, bias) = (weight.as_f32()?, bias.as_f32()?);
    let [bias] = *bias else {
        return Err(Error::not_siamese("its layer has more than one output"));
    };
    let width = match distance {
        Distance::AbsoluteDifference => weight.len(),
        Distance::Cosine | Distance::Euclidean => described_width(graph, features)?,
    };
    if weight.len() != distance.width(width) {
        return Err(Error::not_siamese("its layer takes more than a distance"));
    }
    let head = DistanceHead {
        distance,
        width,
        weight: weight.into_owned(),
        bias,
    };
    Ok((features.to_owned(), head))
}

/// The width that the graph's description of a value has.
fn described_width(graph: &GraphProto, value: &str) -> Result<usize> {
    let infos = graph.value_info.iter();
    let info = infos
        .map(ValueInfo::from_proto)
        .find(|info| info.name == value);
    match info.as_ref().map(|info| info.dims.as_slice()) {
        Some([_, Dim::Fixed(width)]) if *width > 0 => Ok(*width as usize),
        _ => Err(Error::not_siamese(&format!(
            "the shape of its features `{value}` is not described"
        ))),
    }
}

/// What the length `Sqrt(Max(ReduceSum(x · x), _))` is of.
fn under_length<'a>(graph: &'a GraphProto, length: &str) -> Result<&'a str> {
    let root = produced(graph, length, "Sqrt")?;
    let square = produced(graph, &root.input[0], "Max")?;
    let sum = produced(graph, &square.input[0], "ReduceSum")?;
    let squares = produced(graph, &sum.input[0], "Mul")?;
    Ok(&squares.input[0])
}

/// What the two inputs of a node are the halves of.
fn halved<'a>(graph: &'a GraphProto, value: &str, op_type: &str) -> Result<&'a str> {
    let comparison = produced(graph, value, op_type)?;
    let halves = produced(graph, &comparison.input[0], "Split")?;
    if halves.output != comparison.input {
        let reason = format!("its {op_type} is not of the two images");
        return Err(Error::not_siamese(&reason));
    }
    Ok(&halves.input[0])
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

    /// A classifier of features `[N, 3]`.
    fn classifier(logits: usize) -> Document {
        classifier_of(logits, 3)
    }

    /// As [`classifier`], whose layer takes so many numbers.
    fn classifier_of(logits: usize, width: usize) -> Document {
        let mut graph = GraphBuilder::new("classifier");
        let dims = ["batch".into(), 3.into(), 4.into(), 6.into()];
        // Named as an input of the verifier will be.
        let x = graph.input("a", DataType::Float, &dims);
        let pooled = graph.global_average_pool("pool", &x);
        let features = graph.flatten("flat", &pooled);
        let weight = Tensor::f32(&[logits, width], vec![0.5; width * logits]).unwrap();
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
        join(&mut document, Distance::default(), 3).unwrap();
        let names: Vec<String> = document.inputs().into_iter().map(|i| i.name).collect();
        assert_eq!(names, ["a_1", "b_1"]);
        let (encoder, _) = separate(&document).unwrap();
        assert_eq!(encoder.inputs()[0].to_string(), "a: Float [batch, 3, 4, 6]");
        assert_eq!(encoder.graph().node.len(), 2);
        assert!(encoder.graph().initializer.is_empty());
    }

    #[test]
    fn every_distance_is_read_back_with_its_encoder() {
        for (distance, output) in [
            (Distance::AbsoluteDifference, "same"),
            (Distance::Cosine, "same"),
            (Distance::Euclidean, "distance"),
        ] {
            let mut document = classifier_of(1, distance.width(3));
            join(&mut document, distance, 3).unwrap();
            assert_eq!(
                document.outputs()[0].to_string(),
                format!("{output}: Float [batch, 1]")
            );
            let (encoder, head) = separate(&document).unwrap();
            assert_eq!((head.distance, head.width), (distance, 3));
            assert_eq!(encoder.graph().node.len(), 2, "{distance:?}");
            assert_eq!(encoder.outputs()[0].to_string(), "flat: Float [batch, 3]");
        }
    }

    #[test]
    fn other_graphs_are_refused() {
        let error = separate(&classifier(1)).unwrap_err().to_string();
        assert!(error.contains("two inputs"), "{error}");
        let mut verifier = classifier(1);
        join(&mut verifier, Distance::default(), 3).unwrap();
        let error = join(&mut verifier.clone(), Distance::default(), 3)
            .unwrap_err()
            .to_string();
        assert!(error.contains("more than one input"), "{error}");
        let mut several = classifier(2);
        join(&mut several, Distance::default(), 3).unwrap();
        let error = separate(&several).unwrap_err().to_string();
        assert!(error.contains("more than one output"), "{error}");
        let sub = verifier
            .graph()
            .node
            .iter()
            .position(|node| node.op_type() == "Sub");
        verifier.graph_mut().node[sub.unwrap()].op_type = Some("Add".into());
        let error = separate(&verifier).unwrap_err().to_string();
        assert!(error.contains("there is no Sub"), "{error}");
    }
}
