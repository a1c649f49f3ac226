//! Cut of a classifier before its classification layer: finds the features of an image in a graph, and writes
//! graphs that end there. Knows no network, no image and no runtime.
//!
//! The layer is found by walking back from an output over operators that move, scale or normalise its numbers.
//! Names, attributes and constants are all that is looked at: no shape is inferred, and no list says which
//! operators a backbone may have.

mod constants;
mod grafting;
mod walk_back;

use std::fmt;

use crate::document::Document;
use crate::error::{Error, Result};
use crate::proto::{DataType, is_standard_domain};
use crate::surgery;
use crate::value::ValueInfo;
use constants::Graph;
pub use grafting::is_single_precision;

/// The features of a graph: the values that its classification layer reads.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureCut {
    /// Names of the values; several are joined to one row.
    pub values: Vec<String>,
    /// How they were found.
    pub rule: CutRule,
    /// Whether they are maps `[N, D, H, W]` that are averaged over height and width.
    pub pooled: bool,
    /// The output that the classification layer leads to.
    pub output: String,
    /// The classification layers, one for each value; none where the graph has none.
    pub layers: Vec<ClassificationLayer>,
}

/// How the features of a graph were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutRule {
    /// Before a `Gemm` or `MatMul`.
    FullyConnected,
    /// Before a convolution of one pixel, which stands for a fully connected layer.
    Convolution,
    /// Before a convolution of one pixel whose map is averaged after it; the map before it is averaged instead.
    PooledConvolution,
    /// Before two fully connected layers whose results are added, as distilled networks have them.
    TwoLayers,
    /// There is no classification layer: the output is the features.
    Output,
    /// The caller named the value.
    Named,
}

impl fmt::Display for CutRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FullyConnected => "the input of its fully connected layer",
            Self::Convolution => "the input of its last convolution, of one pixel",
            Self::PooledConvolution => "the mean over the map that its last convolution reads",
            Self::TwoLayers => "the inputs of its two fully connected layers",
            Self::Output => "its output, for it has no classification layer",
            Self::Named => "the value that was named",
        })
    }
}

/// A classification layer: `output = alpha · features · weight + beta · bias`.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassificationLayer {
    /// Name of its result: `[N, K]`, or a map `[N, K, H, W]` that is averaged later.
    pub output: String,
    /// The operator that computes it.
    pub kind: LayerKind,
    /// Name of its weight, which may be computed from stored ones.
    pub weight: String,
    /// Whether the weight is `[K, D]` (or `[K, D, 1, 1]`), not `[D, K]`.
    pub rows_are_classes: bool,
    /// Name of its bias; an addition after a `MatMul` does not count.
    pub bias: Option<String>,
    /// Factor of the product.
    pub alpha: f32,
    /// Factor of the bias.
    pub beta: f32,
    /// Number of features D, where the weight's shape is stored.
    pub width: Option<usize>,
    /// Number of classes K, where the weight's shape is stored.
    pub classes: Option<usize>,
}

/// The operator of a classification layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerKind {
    /// `Gemm`.
    Gemm,
    /// `MatMul`.
    MatMul,
    /// `Conv` of one pixel.
    Conv,
}

/// Outputs that are looked at first, by their names; exporters of transformers name them so.
const PREFERRED_OUTPUTS: [&str; 4] = ["logits", "pooler_output", "image_embeds", "output"];

impl FeatureCut {
    /// The features of a classifier, found by its graph.
    ///
    /// ```
    /// use classifold_onnx::{CutRule, FeatureCut, GraphBuilder, ModelInfo, Tensor, proto::DataType};
    ///
    /// let mut graph = GraphBuilder::new("classifier");
    /// let x = graph.input("x", DataType::Float, &["batch".into(), 3.into(), 8.into(), 8.into()]);
    /// let pooled = graph.global_average_pool("pool", &x);
    /// let features = graph.flatten("flat", &pooled);
    /// let weight = graph.initializer("w", &Tensor::f32(&[2, 3], vec![0.5; 6])?);
    /// let bias = graph.initializer("b", &Tensor::f32(&[2], vec![0.0; 2])?);
    /// let y = graph.gemm("fc", &features, &weight, &bias);
    /// graph.output(&y, "y", DataType::Float, &["batch".into(), 2.into()]);
    /// let document = graph.finish(&ModelInfo::default())?;
    ///
    /// let cut = FeatureCut::find(&document)?;
    /// assert_eq!((cut.values, cut.rule), (vec!["flat".to_owned()], CutRule::FullyConnected));
    /// # Ok::<(), classifold_onnx::Error>(())
    /// ```
    ///
    /// # Errors
    /// The graph is quantised in a form whose features cannot be read, it has no output that could hold
    /// features, or its nodes form a cycle.
    pub fn find(document: &Document) -> Result<Self> {
        let subject = Subject(document);
        subject.check_arithmetic()?;
        let graph = Graph::new(document.graph());
        let outputs = document.outputs();
        let cuts: Vec<Option<Self>> = outputs
            .iter()
            .map(|output| walk_back::classification_layer(&graph, &output.name))
            .collect();
        let has_layer = cuts.iter().any(Option::is_some);
        let candidates = || {
            outputs
                .iter()
                .zip(&cuts)
                .filter(|(_, cut)| cut.is_some() || !has_layer)
        };
        let preferred = PREFERRED_OUTPUTS.iter().find_map(|name| {
            candidates().find(|(output, _)| output.name == *name && is_row(output))
        });
        let (output, cut) = match preferred {
            Some(found) => found,
            None if has_layer => candidates().next().expect("an output has a layer"),
            None => subject.only_row(&outputs).map(|output| (output, &None))?,
        };
        if let Some(cut) = cut {
            return Ok(cut.clone());
        }
        // A function of the file or an operator of another domain may hold the classification layer.
        let last = graph.producer(&output.name);
        if let Some(last) = last.filter(|node| !is_standard_domain(node.domain())) {
            let operator = format!("{}::{}", last.domain(), last.op_type());
            return Err(subject.refuse(
                &format!(
                    "ends in `{operator}`, whose inside is not searched for a classification layer"
                ),
                "export it without functions, or name the value that holds the features [N, D]",
            ));
        }
        Ok(Self {
            values: vec![output.name.clone()],
            rule: CutRule::Output,
            pooled: false,
            output: output.name.clone(),
            layers: vec![],
        })
    }

    /// The features at a value that the caller names.
    ///
    /// # Errors
    /// No node computes the value, or the graph is quantised in a form whose features cannot be read.
    pub fn at(document: &Document, value: &str) -> Result<Self> {
        Subject(document).check_arithmetic()?;
        let graph = document.graph();
        if surgery::producer(graph, value).is_none() {
            let nearest = nearest_values(document, value).join("`, `");
            return Err(Subject(document).refuse(
                &format!("computes no value `{value}`"),
                &format!("the values with the nearest names are `{nearest}`"),
            ));
        }
        Ok(Self {
            values: vec![value.to_owned()],
            rule: CutRule::Named,
            pooled: false,
            output: value.to_owned(),
            layers: vec![],
        })
    }

    /// Number of features D, where the file stores the shapes of its classification layers.
    pub fn width(&self) -> Option<usize> {
        match self.layers.as_slice() {
            [] => None,
            layers => layers.iter().map(|layer| layer.width).sum(),
        }
    }
}

/// The document that an error is about.
struct Subject<'a>(&'a Document);

impl Subject<'_> {
    /// `problem` is the predicate of a sentence about the file.
    fn refuse(&self, problem: &str, hint: &str) -> Error {
        let subject = match self.0.path() {
            Some(path) => format!("`{}`", path.display()),
            None => "the model".to_owned(),
        };
        Error::unusable(&format!("{subject} {problem}"), hint)
    }

    /// Refuses graphs of dynamic quantisation or of integers.
    fn check_arithmetic(&self) -> Result<()> {
        let Some(operator) = quantised_operator(self.0) else {
            return Ok(());
        };
        Err(self.refuse(
            &format!(
                "computes in 8-bit integers (`{operator}`), which no new classification layer can follow"
            ),
            "take the single-precision file, or one that is quantised with QuantizeLinear and \
             DequantizeLinear (QDQ)",
        ))
    }

    /// The one output that may be a row of features for each image.
    fn only_row<'o>(&self, outputs: &'o [ValueInfo]) -> Result<&'o ValueInfo> {
        let mut rows = outputs.iter().filter(|output| is_row(output));
        match (rows.next(), rows.next()) {
            (Some(output), None) => Ok(output),
            _ => {
                let outputs: Vec<String> = outputs.iter().map(ToString::to_string).collect();
                Err(self.refuse(
                    &format!(
                        "has no classification layer, and none of its outputs is known as features ({})",
                        outputs.join("; ")
                    ),
                    "take an image classifier, or name the value that holds the features [N, D]",
                ))
            }
        }
    }
}

/// Whether an output may be a row for each image: `[N, D]`, or `[N, D, 1, 1]`.
fn is_row(output: &ValueInfo) -> bool {
    let numbers = [DataType::Float, DataType::Float16, DataType::Double];
    let is_one = |dim: &crate::value::Dim| *dim == 1.into();
    numbers.contains(&output.elem_type)
        && match output.dims.as_slice() {
            _ if !output.ranked => true,
            [_, _] => true,
            [_, _, h, w] => is_one(h) && is_one(w),
            _ => false,
        }
}

/// The first operator of dynamic quantisation, or of the form whose values are integers (QOperator): its scales
/// belong to the old classification layer, or depend on the other images of a batch.
fn quantised_operator(document: &Document) -> Option<&str> {
    let nodes = document.graph().node.iter();
    nodes.map(|node| node.op_type()).find(|op| {
        matches!(
            *op,
            "DynamicQuantizeLinear" | "QGemm" | "MatMulInteger" | "ConvInteger"
        ) || op.starts_with("QLinear")
    })
}

/// The operators that fine-tuning can follow: those that `models` has functions for.
pub const TRAINABLE_OPERATORS: [&str; 74] = [
    "Conv",
    "BatchNormalization",
    "LayerNormalization",
    "InstanceNormalization",
    "Gemm",
    "MatMul",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "ReduceMean",
    "ReduceSum",
    "ReduceMax",
    "ReduceL2",
    "Softmax",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Pow",
    "Relu",
    "LeakyRelu",
    "PRelu",
    "Elu",
    "Clip",
    "Sigmoid",
    "HardSigmoid",
    "HardSwish",
    "Tanh",
    "Softplus",
    "Gelu",
    "Erf",
    "Exp",
    "Log",
    "Sqrt",
    "Reciprocal",
    "Abs",
    "Neg",
    "Sin",
    "Cos",
    "Max",
    "Min",
    "Mod",
    "Equal",
    "Less",
    "Greater",
    "And",
    "Or",
    "Floor",
    "Ceil",
    "Not",
    "IsNaN",
    "Where",
    "Identity",
    "Dropout",
    "Cast",
    "Flatten",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "Expand",
    "Slice",
    "Split",
    "Gather",
    "Concat",
    "Pad",
    "Resize",
    "Shape",
    "ConstantOfShape",
    "Range",
    "CumSum",
    "ScatterND",
    "Constant",
];

/// The operators of a graph that fine-tuning cannot follow, each once, in the order of the file; one of another
/// domain with that domain.
pub fn untrainable_operators(document: &Document) -> Vec<String> {
    let mut found: Vec<String> = vec![];
    for node in &document.graph().node {
        let operator = match is_standard_domain(node.domain()) {
            true if TRAINABLE_OPERATORS.contains(&node.op_type()) => continue,
            true => node.op_type().to_owned(),
            false => format!("{}::{}", node.domain(), node.op_type()),
        };
        if !found.contains(&operator) {
            found.push(operator);
        }
    }
    found
}

/// The five computed values whose names share most with `wanted`.
fn nearest_values(document: &Document, wanted: &str) -> Vec<String> {
    let pairs = |text: &str| -> std::collections::HashSet<(char, char)> {
        let lower = text.to_lowercase();
        lower.chars().zip(lower.chars().skip(1)).collect()
    };
    let wanted = pairs(wanted);
    let mut values: Vec<(usize, &String)> = document
        .graph()
        .node
        .iter()
        .filter(|node| node.op_type() != "Constant")
        .flat_map(|node| &node.output)
        .filter(|output| !output.is_empty())
        .map(|output| (pairs(output).intersection(&wanted).count(), output))
        .collect();
    // The sort is stable: among equals the later value comes first, which is nearer to the output.
    values.reverse();
    values.sort_by_key(|(shared, _)| std::cmp::Reverse(*shared));
    values
        .into_iter()
        .take(5)
        .map(|(_, name)| name.clone())
        .collect()
}
