//! Graph analysis: the convolutions of a classifier, its head, and the values between. It runs nothing.

use std::collections::HashSet;

use onnx::proto::{GraphProto, NodeProto};
use onnx::{Document, surgery};

/// A convolution of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv {
    pub node_index: usize,
    /// Name of its node, or of its output where the node has none.
    pub name: String,
    /// Name of its output.
    pub output: String,
    /// Its weight `[out, in / group, h, w]`.
    pub weight: String,
    pub group: usize,
}

/// Head of a classifier: from the last feature maps to the scores in one linear step.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// The last feature maps, `[N, D, h, w]`.
    pub maps: String,
    /// The layer after global average pooling; without one there is a map per class (`D = K`).
    pub linear: Option<Linear>,
    /// The scores as they leave the linear step, before any softmax: `[N, K]`.
    pub scores: String,
}

/// A fully connected layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    pub weight: String,
    /// Whether the weight is `[K, D]`, not `[D, K]`.
    pub rows_are_classes: bool,
    /// Its bias `[K]`.
    pub bias: Option<String>,
}

/// Operators that turn scores into probabilities, or change their shape or precision.
const AFTER_SCORES: [&str; 10] = [
    "Softmax",
    "LogSoftmax",
    "Sigmoid",
    "Identity",
    "Cast",
    "Flatten",
    "Reshape",
    "Squeeze",
    "QuantizeLinear",
    "DequantizeLinear",
];
/// Operators that do not change values in inference, except by rounding.
const PASS_THROUGH: [&str; 8] = [
    "Identity",
    "Cast",
    "Flatten",
    "Reshape",
    "Squeeze",
    "Dropout",
    "QuantizeLinear",
    "DequantizeLinear",
];
/// Operators that may be the mean over a feature map. Only their values tell whether one is: pooling may
/// cover a part.
const POOLS: [&str; 3] = ["GlobalAveragePool", "AveragePool", "ReduceMean"];

/// The convolutions in the order in which they are computed, quantised ones too.
pub fn convolutions(graph: &GraphProto) -> Vec<Conv> {
    let conv = |(node_index, node): (usize, &NodeProto)| {
        let weight = match node.op_type() {
            "Conv" | "ConvInteger" => 1,
            // Its inputs begin with x, the scale and the zero point of x, and w.
            "QLinearConv" => 3,
            _ => return None,
        };
        let output = node.output.first()?.clone();
        Some(Conv {
            node_index,
            name: node_name(node),
            output,
            weight: node.input.get(weight)?.clone(),
            group: int(node, "group")
                .and_then(|g| usize::try_from(g).ok())
                .unwrap_or(1),
        })
    };
    graph.node.iter().enumerate().filter_map(conv).collect()
}

/// The head of the classifier with this output: global average pooling of the last maps, then one linear
/// layer or none. None for other heads.
pub fn head(document: &Document, output: &str) -> Option<Head> {
    let graph = document.graph();
    let scores = back_through(graph, output, &AFTER_SCORES);
    let node = producer(graph, &scores)?;
    let (linear, features) = match node.op_type() {
        "Gemm" => gemm(node)?,
        "Add" => matmul(document, node)?,
        _ => return head_after_pooling(graph, &scores, None, scores.clone()),
    };
    head_after_pooling(graph, &features, Some(linear), scores)
}

/// The values that `output` is computed from, the nearest first: the first input of each node that is no
/// constant. Outputs of `Transpose` are left out, for their axes are no longer `[N, C, H, W]`.
pub fn values_back_from(document: &Document, output: &str) -> Vec<String> {
    let graph = document.graph();
    let (mut values, mut seen) = (vec![], HashSet::new());
    let mut value = output.to_owned();
    while let Some(node) = producer(graph, &value).filter(|_| seen.insert(value.clone())) {
        if node.op_type() != "Transpose" {
            values.push(value);
        }
        let mut inputs = node.input.iter();
        match inputs.find(|input| !input.is_empty() && document.tensor(input).is_err()) {
            Some(input) => value = input.clone(),
            None => break,
        }
    }
    values
}

/// The node that gives a value.
pub(super) fn producer<'a>(graph: &'a GraphProto, value: &str) -> Option<&'a NodeProto> {
    surgery::producer(graph, value).and_then(|index| graph.node.get(index))
}

/// The name of a node, or of its output.
pub(super) fn node_name(node: &NodeProto) -> String {
    let output = node.output.first().map_or("", String::as_str);
    let name = if node.name().is_empty() {
        output
    } else {
        node.name()
    };
    name.to_owned()
}

fn back_through(graph: &GraphProto, value: &str, operators: &[&str]) -> String {
    // A step per node at most, so that a broken graph with a cycle ends.
    let (mut value, mut steps) = (value.to_owned(), graph.node.len());
    while let Some(node) = producer(graph, &value)
        && let Some(input) = node.input.first()
        && operators.contains(&node.op_type())
        && steps > 0
    {
        value.clone_from(input);
        steps -= 1;
    }
    value
}

fn head_after_pooling(
    graph: &GraphProto,
    features: &str,
    linear: Option<Linear>,
    scores: String,
) -> Option<Head> {
    let pooled = back_through(graph, features, &PASS_THROUGH);
    let node = producer(graph, &pooled).filter(|node| POOLS.contains(&node.op_type()))?;
    let maps = node.input.first()?.clone();
    Some(Head {
        maps,
        linear,
        scores,
    })
}

/// A `Gemm` (<https://onnx.ai/onnx/operators/onnx__Gemm.html>, opset 13) that is a plain layer.
fn gemm(node: &NodeProto) -> Option<(Linear, String)> {
    let one = |name| attribute(node, name).is_none_or(|attribute| attribute.f() == 1.0);
    let plain = one("alpha") && one("beta") && int(node, "transA").unwrap_or(0) == 0;
    let linear = Linear {
        weight: node.input.get(1)?.clone(),
        rows_are_classes: int(node, "transB").unwrap_or(0) != 0,
        bias: node.input.get(2).filter(|bias| !bias.is_empty()).cloned(),
    };
    plain.then_some((linear, node.input.first()?.clone()))
}

/// `MatMul` and the addition of a bias.
fn matmul(document: &Document, add: &NodeProto) -> Option<(Linear, String)> {
    let [a, b] = add.input.as_slice() else {
        return None;
    };
    let (product, bias) = if document.tensor(a).is_ok() {
        (b, a)
    } else {
        (a, b)
    };
    let node = producer(document.graph(), product).filter(|node| node.op_type() == "MatMul")?;
    let linear = Linear {
        weight: node.input.get(1)?.clone(),
        rows_are_classes: false,
        bias: Some(bias.clone()),
    };
    Some((linear, node.input.first()?.clone()))
}

fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a onnx::proto::AttributeProto> {
    node.attribute
        .iter()
        .find(|attribute| attribute.name() == name)
}

fn int(node: &NodeProto, name: &str) -> Option<i64> {
    attribute(node, name).map(onnx::proto::AttributeProto::i)
}

#[cfg(test)]
mod tests {
    use onnx::proto::DataType;
    use onnx::{Attr, Document, GraphBuilder, ModelInfo, Tensor, Window};

    use super::{Linear, convolutions, head, values_back_from};

    /// A graph from `image` to `scores`.
    fn graph(build: impl FnOnce(&mut GraphBuilder) -> String) -> Document {
        let mut graph = GraphBuilder::new("test");
        let dims = ["batch".into(), 3usize.into(), 8usize.into(), 8usize.into()];
        graph.input("image", DataType::Float, &dims);
        let ones = |dims: &[usize]| Tensor::f32(dims, vec![1.0; dims.iter().product()]).unwrap();
        graph.initializer("w", &ones(&[4, 3, 3, 3]));
        graph.initializer("kd", &ones(&[2, 4]));
        graph.initializer("dk", &ones(&[4, 2]));
        graph.initializer("b", &ones(&[2]));
        let x = graph.conv("conv", "image", "w", None, Window::square(3, 1, 1));
        graph.relu("relu", &x);
        let y = build(&mut graph);
        graph.output(
            &y,
            "scores",
            DataType::Float,
            &["batch".into(), 2usize.into()],
        );
        graph.finish(&ModelInfo::default()).unwrap()
    }

    fn linear(weight: &str, rows_are_classes: bool) -> Option<Linear> {
        Some(Linear {
            weight: weight.into(),
            rows_are_classes,
            bias: Some("b".into()),
        })
    }

    #[test]
    fn a_gemm_and_a_matmul_behind_the_mean_are_a_head() {
        let plain = graph(|g| {
            let x = g.global_average_pool("pool", "relu");
            let x = g.flatten("flat", &x);
            let x = g.gemm("fc", &x, "kd", "b");
            g.node("Softmax", "probabilities", &[&x], vec![])
        });
        let found = head(&plain, "scores").unwrap();
        assert_eq!((found.maps.as_str(), found.scores.as_str()), ("relu", "fc"));
        assert_eq!(found.linear, linear("kd", true));
        let other = graph(|g| {
            let axes = ("axes", Attr::Ints(vec![2, 3]));
            let x = g.node("ReduceMean", "mean", &["relu"], vec![axes]);
            let x = g.node("MatMul", "product", &[&x, "dk"], vec![]);
            g.node("Add", "sum", &["b", &x], vec![])
        });
        let found = head(&other, "scores").unwrap();
        assert_eq!(found.linear, linear("dk", false));
        assert_eq!(
            (found.maps.as_str(), found.scores.as_str()),
            ("relu", "scores")
        );
    }

    #[test]
    fn maps_of_the_classes_need_no_layer_and_other_heads_are_none() {
        let classes = graph(|g| {
            let x = g.global_average_pool("pool", "relu");
            g.node("Softmax", "probabilities", &[&x], vec![])
        });
        let found = head(&classes, "scores").unwrap();
        assert_eq!((found.linear, found.maps.as_str()), (None, "relu"));
        let two_layers = graph(|g| {
            let x = g.global_average_pool("pool", "relu");
            let x = g.flatten("flat", &x);
            let x = g.relu("between", &x);
            g.gemm("fc", &x, "kd", "b")
        });
        assert_eq!(head(&two_layers, "scores"), None);
        let scaled = graph(|g| {
            let x = g.global_average_pool("pool", "relu");
            let x = g.flatten("flat", &x);
            let alpha = vec![("alpha", Attr::Float(0.5)), ("transB", Attr::Int(1))];
            g.node("Gemm", "fc", &[&x, "kd", "b"], alpha)
        });
        assert_eq!(head(&scaled, "scores"), None);
    }

    #[test]
    fn values_back_from_the_output_pass_constants_and_exchanged_axes() {
        let document = graph(|g| {
            let perm = vec![("perm", Attr::Ints(vec![0, 2, 3, 1]))];
            let x = g.node("Transpose", "nhwc", &["relu"], perm);
            let x = g.flatten("flat", &x);
            g.node("Add", "sum", &["b", &x], vec![])
        });
        let values = values_back_from(&document, "scores");
        assert_eq!(values, ["scores", "flat", "relu", "conv"]);
        let convs = convolutions(document.graph());
        assert_eq!(convs.len(), 1);
        assert_eq!(
            (
                convs[0].node_index,
                convs[0].weight.as_str(),
                convs[0].group
            ),
            (0, "w", 1)
        );
    }
}
