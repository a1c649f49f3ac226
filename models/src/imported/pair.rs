//! Which weight of the file each layer's tensor is, checked value by value.
//!
//! `onnx-ir` renames what it reads. Its nodes keep the file's order, so the k-th convolution here
//! is the k-th `Conv` there; that every value agrees proves it.

use super::OPERATORS;
use super::parse::Graph;
use crate::error::{Error, Result};
use burn::tensor::Tensor;
use onnx::proto::NodeProto;
use onnx::{Dim, Document, surgery};
use std::path::Path;

/// A tensor of the network and the weight of the file that it was read from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Name in the network's state, such as `convs.0.weight`.
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
        let standard = matches!(node.domain(), "" | "ai.onnx");
        if !standard || !OPERATORS.contains(&node.op_type()) {
            let operator = match standard {
                true => node.op_type().to_owned(),
                false => format!("{}::{}", node.domain(), node.op_type()),
            };
            return Err(Error::UnsupportedOperator {
                path: path.to_path_buf(),
                operator,
                node: node.name().to_owned(),
                opset,
            });
        }
    }
    Ok(())
}

/// Height and width of the input; 224 where the file leaves them open.
pub(super) fn input_size(path: &Path, document: &Document) -> Result<(usize, usize)> {
    let refuse = |reason: String| Error::NotAClassifier {
        path: path.to_path_buf(),
        reason,
    };
    let inputs = document.inputs();
    let [input] = inputs.as_slice() else {
        return Err(refuse(format!(
            "it has {} inputs instead of one",
            inputs.len()
        )));
    };
    let size = |dim: &Dim| match dim {
        Dim::Fixed(n) => usize::try_from(*n).unwrap_or(0),
        _ => 224,
    };
    match input.dims.as_slice() {
        [_, Dim::Fixed(3), h, w] => Ok((size(h), size(w))),
        dims => Err(refuse(format!(
            "its input `{}` is {dims:?}, not [batch, 3, height, width]",
            input.name
        ))),
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
    for (i, (layer, node)) in layers
        .convs
        .iter()
        .zip(nodes(document, &["Conv"]))
        .enumerate()
    {
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
                _ => pairs.push_following(format!("linears.{i}.bias"), &bias.val(), node)?,
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

struct Pairs<'a> {
    path: &'a Path,
    document: &'a Document,
    sources: Vec<Source>,
}

impl Pairs<'_> {
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

    fn push_following<const D: usize>(
        &mut self,
        name: String,
        tensor: &Tensor<D>,
        node: &NodeProto,
    ) -> Result<()> {
        let add = self
            .document
            .graph()
            .node
            .iter()
            .find(|n| n.input.contains(&node.output[0]));
        let bias = add.and_then(|n| n.input.iter().find(|i| **i != node.output[0]));
        let bias = bias.cloned().unwrap_or_default();
        self.pair(name, tensor, &bias, node)
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
        let values = |t: Tensor<D>| t.into_data().try_into_vec::<f32>().unwrap_or_default();
        let same = |own: &[f32]| {
            own.iter()
                .map(|v| v.to_bits())
                .eq(stored.iter().map(|v| v.to_bits()))
        };
        let transposed = match D {
            2 if !same(&values(tensor.clone())) => {
                same(&values(tensor.clone().swap_dims(0, D - 1)))
            }
            _ => false,
        };
        if !transposed && !same(&values(tensor.clone())) {
            return Err(Error::UnsupportedNode {
                path: self.path.to_path_buf(),
                operator: node.op_type().to_owned(),
                node: node.name().to_owned(),
                reason: format!("its weight `{weight}` could not be found again in the file"),
            });
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
        while let Some(producer) = surgery::producer(graph, &name) {
            match (
                graph.node[producer].op_type(),
                graph.node[producer].input.first(),
            ) {
                ("Identity", Some(input)) => name.clone_from(input),
                _ => break,
            }
        }
        name
    }
}
