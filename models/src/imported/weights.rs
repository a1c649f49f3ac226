//! Stored numbers of a graph: which of them training changes, and that each has one reader. Knows no values.

use super::dyn_tensor::DynTensor;
use crate::error::Result;
use crate::init;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use onnx::proto::{GraphProto, NodeProto};
use onnx::{Attr, Document, FeatureCut, node, surgery};
use std::collections::{HashMap, HashSet};

/// A trained tensor, in the shape that the file has.
#[derive(Module, Debug)]
#[expect(missing_docs, reason = "the names say the ranks")]
pub enum Weight {
    Rank1(Param<Tensor<1>>),
    Rank2(Param<Tensor<2>>),
    Rank3(Param<Tensor<3>>),
    Rank4(Param<Tensor<4>>),
    Rank5(Param<Tensor<5>>),
    Rank6(Param<Tensor<6>>),
}

impl Weight {
    /// `None` where no rank from 1 to 6 has the shape.
    pub(super) fn new(values: Vec<f32>, dims: &[usize], device: &Device) -> Option<Self> {
        let data = burn::tensor::TensorData::new(values, dims.to_vec());
        Some(match dims.len() {
            1 => Self::Rank1(init::from_data(data, device)),
            2 => Self::Rank2(init::from_data(data, device)),
            3 => Self::Rank3(init::from_data(data, device)),
            4 => Self::Rank4(init::from_data(data, device)),
            5 => Self::Rank5(init::from_data(data, device)),
            6 => Self::Rank6(init::from_data(data, device)),
            _ => return None,
        })
    }

    pub(super) fn value(&self) -> DynTensor {
        match self {
            Self::Rank1(weight) => DynTensor::from_tensor(weight.val()),
            Self::Rank2(weight) => DynTensor::from_tensor(weight.val()),
            Self::Rank3(weight) => DynTensor::from_tensor(weight.val()),
            Self::Rank4(weight) => DynTensor::from_tensor(weight.val()),
            Self::Rank5(weight) => DynTensor::from_tensor(weight.val()),
            Self::Rank6(weight) => DynTensor::from_tensor(weight.val()),
        }
    }
}

/// The inputs of an operator that are weights where they are stored. Constants of Sub, Div, Pow and Clip are not:
/// they normalise and bound.
fn weight_inputs(operator: &str) -> &'static [usize] {
    match operator {
        "Conv" | "LayerNormalization" | "InstanceNormalization" => &[1, 2],
        "BatchNormalization" => &[1, 2, 3, 4],
        "Gemm" => &[0, 1, 2],
        "MatMul" | "Add" | "Mul" => &[0, 1],
        "PRelu" => &[1],
        _ => &[],
    }
}

/// Whether the numbers of input `index` go on in the output, so that its readers say what they are.
fn passes_on(node: &NodeProto, index: usize) -> bool {
    let moves = matches!(
        node.op_type(),
        "Identity"
            | "Cast"
            | "Transpose"
            | "Reshape"
            | "Flatten"
            | "Squeeze"
            | "Unsqueeze"
            | "Expand"
            | "Gather"
            | "Slice"
            | "Split"
    );
    // A class token is joined to the tokens of the image.
    (moves && index == 0) || node.op_type() == "Concat"
}

/// Names of the stored values that are weights by their readers. Statistics of batch norm count as such.
pub(super) fn weights<'g>(graph: &'g GraphProto) -> HashSet<&'g str> {
    // Backwards from the readers, through what moves numbers.
    let mut producers: HashMap<&str, &NodeProto> = HashMap::new();
    for node in &graph.node {
        producers.extend(node.output.iter().map(|output| (output.as_str(), node)));
    }
    let readers = graph.node.iter().flat_map(|node| {
        let inputs = weight_inputs(node.op_type()).iter();
        let mut read: Vec<&str> = inputs
            .filter_map(|&index| node.input.get(index))
            .map(String::as_str)
            .collect();
        if node.op_type() == "Concat" {
            read.extend(node.input.iter().map(String::as_str));
        }
        read
    });
    let mut todo: Vec<&'g str> = readers.collect();
    let mut found: HashSet<&'g str> = HashSet::new();
    while let Some(name) = todo.pop() {
        if !found.insert(name) {
            continue;
        }
        if let Some(node) = producers.get(name) {
            let inputs = node.input.iter().enumerate();
            let moved = inputs.filter(|(index, _)| passes_on(node, *index));
            todo.extend(moved.map(|(_, input)| input.as_str()));
        }
    }
    found
}

/// Whether the constant of an Add forbids some values and leaves the others, as masks of attention do.
pub(super) fn is_mask(values: &[f32]) -> bool {
    // Swin's masks are 0 and -100, those of other networks -10000, the lowest number or minus infinity.
    values.iter().any(|&value| value <= -100.0)
        && values.iter().all(|&value| value == 0.0 || value <= -100.0)
}

/// Gives every layer a bias, a scale and statistics of its own: exporters store equal tensors once, and training would
/// tie them together. Matrices and kernels that several nodes read stay shared.
pub(crate) fn separate(document: &mut Document, cut: &FeatureCut) -> Result<()> {
    let stored = stored_names(document.graph());
    resolve_identities(document.graph_mut(), &stored);
    let is_old_layer = |node: &NodeProto| {
        let mut outputs = node.output.iter();
        outputs.any(|output| cut.layers.iter().any(|layer| layer.output == *output))
    };
    let mut seen: HashSet<String> = HashSet::new();
    let mut shared = vec![];
    for (index, node) in document.graph().node.iter().enumerate() {
        if is_old_layer(node) {
            continue;
        }
        for (slot, name) in node
            .input
            .iter()
            .enumerate()
            .filter(|(_, name)| stored.contains(*name))
        {
            let is_first = seen.insert(name.clone());
            if !is_first && weight_inputs(node.op_type()).contains(&slot) {
                shared.push((index, slot, name.clone()));
            }
        }
    }
    let mut copies = vec![];
    for (index, slot, name) in shared {
        let tensor = document.tensor(&name)?;
        if tensor.dims.len() != 1 || tensor.len() < 2 || tensor.as_f32().is_err() {
            continue;
        }
        let graph = document.graph_mut();
        let copy = surgery::unique_name(graph, &name);
        graph.node[index].input[slot].clone_from(&copy);
        copies.push(node(
            "Constant",
            &copy,
            &[],
            &[&copy],
            vec![("value", Attr::Tensor(tensor))],
        ));
    }
    document.graph_mut().node.splice(0..0, copies);
    Ok(())
}

/// Names of initializers and of outputs of `Constant` nodes.
fn stored_names(graph: &GraphProto) -> HashSet<String> {
    let constants = graph
        .node
        .iter()
        .filter(|node| node.op_type() == "Constant");
    let initializers = graph
        .initializer
        .iter()
        .map(|tensor| tensor.name().to_owned());
    initializers
        .chain(constants.flat_map(|node| node.output.clone()))
        .collect()
}

/// Lets readers of an `Identity` of a stored tensor read that itself.
fn resolve_identities(graph: &mut GraphProto, stored: &HashSet<String>) {
    let mut origin: HashMap<String, String> = HashMap::new();
    // More rounds than nodes are a cycle; sorted files need one.
    loop {
        let before = origin.len();
        for node in graph
            .node
            .iter()
            .filter(|node| node.op_type() == "Identity")
        {
            if let ([input], [output]) = (node.input.as_slice(), node.output.as_slice()) {
                let source = origin.get(input).unwrap_or(input);
                if stored.contains(source) {
                    origin.insert(output.clone(), source.clone());
                }
            }
        }
        if origin.len() == before {
            break;
        }
    }
    for input in graph.node.iter_mut().flat_map(|node| &mut node.input) {
        if let Some(source) = origin.get(input) {
            input.clone_from(source);
        }
    }
}
