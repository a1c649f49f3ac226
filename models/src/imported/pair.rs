//! Pairing of the network's tensors with the weights of the file, proven by their values.
//!
//! `onnx-ir` renames weights, and tuned ones must go back into the file under the file's names. Its nodes
//! keep the file's order, so that the k-th convolution here is the k-th `Conv` there. That all values are
//! bit-equal proves each pair.

use super::parse::Graph;
use super::{not_a_classifier, refuse};
use crate::error::Result;
use burn::tensor::Tensor;
use onnx::proto::{NodeProto, is_standard_domain};
use onnx::{Dim, Document, TRAINABLE_OPERATORS, surgery};
use std::path::Path;

/// A tensor of the network with the weight of the file that it was read from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The tensor's name in the network's state, such as `convs.0.weight`.
    pub(crate) name: String,
    pub(crate) weight: Weight,
}

/// A weight of the file.
#[derive(Debug, Clone)]
pub(crate) struct Weight {
    /// Name of the initializer, or of the output of a `Constant` node.
    pub(crate) name: String,
    /// Whether the file stores `[D, K]` where the network has `[K, D]`.
    pub(crate) transposed: bool,
}

/// Refuses the first operator that no layer stands for.
pub(super) fn check_operators(path: &Path, document: &Document) -> Result<()> {
    let opset = document.opset();
    for node in &document.graph().node {
        let standard = is_standard_domain(node.domain());
        if !standard || !TRAINABLE_OPERATORS.contains(&node.op_type()) {
            let operator = match standard {
                true => node.op_type().to_owned(),
                false => format!("{}::{}", node.domain(), node.op_type()),
            };
            let error = refuse::unsupported_operator(path, &operator, node.name(), opset);
            return Err(error);
        }
    }
    Ok(())
}

/// Height and width of the input; 224 where the file has no fixed size.
pub(super) fn input_size(path: &Path, document: &Document) -> Result<(usize, usize)> {
    let inputs = document.inputs();
    let [input] = inputs.as_slice() else {
        let reason = format!("it has {} inputs instead of one", inputs.len());
        return Err(not_a_classifier(path, &reason));
    };
    let size = |dim: &Dim| match dim {
        Dim::Fixed(n) => usize::try_from(*n).expect("`onnx` reads negative sizes as unknown"),
        _ => 224,
    };
    match input.dims.as_slice() {
        [_, Dim::Fixed(3), h, w] => Ok((size(h), size(w))),
        dims => {
            let name = &input.name;
            let reason = format!("its input `{name}` is {dims:?}, not [batch, 3, height, width]");
            Err(not_a_classifier(path, &reason))
        }
    }
}

/// Pairs every tensor of the graph's layers with its weight in the file.
pub(super) fn sources(path: &Path, document: &Document, graph: &Graph) -> Result<Vec<Source>> {
    let mut pairs = Pairs {
        path,
        document,
        sources: vec![],
    };
    let layers = &graph.layers;
    let convs = layers.convs.iter().zip(nodes(document, &["Conv"]));
    for (i, (layer, node)) in convs.enumerate() {
        pairs.push(format!("convs.{i}.weight"), &layer.weight.val(), node, 1)?;
        if let Some(bias) = &layer.bias {
            pairs.push(format!("convs.{i}.bias"), &bias.val(), node, 2)?;
        }
    }
    let norms = layers
        .norms
        .iter()
        .zip(nodes(document, &["BatchNormalization"]));
    for (i, (layer, node)) in norms.enumerate() {
        pairs.push(format!("norms.{i}.weight"), &layer.weight.val(), node, 1)?;
        pairs.push(format!("norms.{i}.bias"), &layer.bias.val(), node, 2)?;
        pairs.push(
            format!("norms.{i}.running_mean"),
            &layer.running_mean.value(),
            node,
            3,
        )?;
        pairs.push(
            format!("norms.{i}.running_var"),
            &layer.running_var.value(),
            node,
            4,
        )?;
    }
    let linears = layers
        .linears
        .iter()
        .zip(nodes(document, &["Gemm", "MatMul"]));
    for (i, (layer, node)) in linears.enumerate() {
        pairs.push(format!("linears.{i}.weight"), &layer.weight.val(), node, 1)?;
        if let Some(bias) = &layer.bias {
            // The bias of a `MatMul` is the other input of the `Add` that follows.
            match node.op_type() {
                "Gemm" => pairs.push(format!("linears.{i}.bias"), &bias.val(), node, 2)?,
                _ => pairs.push_bias_of_add(format!("linears.{i}.bias"), &bias.val(), node)?,
            }
        }
    }
    Ok(pairs.sources)
}

fn nodes<'a>(document: &'a Document, operators: &[&str]) -> Vec<&'a NodeProto> {
    document
        .graph()
        .node
        .iter()
        .filter(|n| operators.contains(&n.op_type()))
        .collect()
}

/// The pairs of the layers so far.
struct Pairs<'a> {
    path: &'a Path,
    document: &'a Document,
    sources: Vec<Source>,
}

impl Pairs<'_> {
    /// Pairs a tensor with an input of `node`.
    fn push<const D: usize>(
        &mut self,
        name: String,
        tensor: &Tensor<D>,
        node: &NodeProto,
        input: usize,
    ) -> Result<()> {
        let weight = node.input.get(input).map_or("", String::as_str);
        self.pair(name, tensor, weight, node)
    }

    /// Pairs a bias with the other input of the `Add` that reads the output of `node`.
    fn push_bias_of_add<const D: usize>(
        &mut self,
        name: String,
        tensor: &Tensor<D>,
        node: &NodeProto,
    ) -> Result<()> {
        let output = &node.output[0];
        let mut nodes = self.document.graph().node.iter();
        let add = nodes.find(|n| n.input.contains(output));
        let bias = add.and_then(|n| n.input.iter().find(|input| *input != output));
        self.pair(name, tensor, bias.map_or("", String::as_str), node)
    }

    fn pair<const D: usize>(
        &mut self,
        name: String,
        tensor: &Tensor<D>,
        weight: &str,
        node: &NodeProto,
    ) -> Result<()> {
        let weight = self.resolve(weight);
        let stored = self.document.tensor(&weight)?;
        let stored = stored.as_f32()?;
        // Bits, not values: NaN equals itself, and -0 is not 0.
        let equals_stored = |tensor: Tensor<D>| {
            let values = tensor.into_data().try_into_vec::<f32>();
            let values = values.expect("`parse` makes tensors in single precision");
            let bits = values.iter().map(|v| v.to_bits());
            bits.eq(stored.iter().map(|v| v.to_bits()))
        };
        let equal = equals_stored(tensor.clone());
        let transposed = !equal && D == 2 && equals_stored(tensor.clone().swap_dims(0, D - 1));
        if !equal && !transposed {
            let reason = format!("its weight `{weight}` could not be found again in the file");
            let (operator, name) = (node.op_type(), node.name());
            return Err(refuse::unsupported_node(self.path, operator, name, &reason));
        }
        self.sources.push(Source {
            name,
            weight: Weight {
                name: weight,
                transposed,
            },
        });
        Ok(())
    }

    /// The stored tensor behind a chain of `Identity` nodes.
    fn resolve(&self, name: &str) -> String {
        let mut name = name.to_owned();
        let graph = self.document.graph();
        while let Some(index) = surgery::producer(graph, &name) {
            let producer = &graph.node[index];
            match (producer.op_type(), producer.input.first()) {
                ("Identity", Some(input)) => name.clone_from(input),
                _ => break,
            }
        }
        name
    }
}
