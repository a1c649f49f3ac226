//! Dynamic batch axis: frees a graph from the batch size that it was exported with.

use std::collections::HashSet;

use super::{consumers, names_read};
use crate::proto::tensor_shape_proto::Value;
use crate::proto::{GraphProto, NodeProto, TensorProto};
use crate::tensor::{Tensor, TensorData};
use crate::value::{Dim, ValueInfo, shape_mut};
use crate::walk;

/// Renames the first dimension of every input (of rank 2 and more) and output to `batch`, and drops
/// the shapes of the values between them, which hold the old batch size.
///
/// A fixed batch size may also be the first number in the constant shape of a `Reshape`. It becomes 0
/// there ("as in the input"), and `allowzero` is dropped, which newer exporters write though no shape holds
/// a 0; the names of those constants are returned. A batch size in constants of other operators is not found:
/// running the graph at another size shows it.
pub fn set_batch_dynamic(graph: &mut GraphProto) -> Vec<String> {
    let batch = Value::DimParam("batch".to_owned());
    let constants: HashSet<String> = graph
        .initializer
        .iter()
        .map(|tensor| tensor.name().to_owned())
        .collect();
    let is_input = |name: &str| !constants.contains(name);
    let old = graph
        .input
        .iter()
        .filter(|input| is_input(input.name()))
        .map(|input| ValueInfo::from_proto(input).dims)
        .find_map(|dims| (dims.len() >= 2).then(|| dims[0].clone()));
    let mut changed = false;
    let inputs = graph
        .input
        .iter_mut()
        .filter(|input| is_input(input.name()));
    // An input of rank 1 may be anything; an output of rank 1 is a value per image.
    let infos = inputs
        .map(|info| (info, 2))
        .chain(graph.output.iter_mut().map(|info| (info, 1)));
    for (info, min_rank) in infos {
        let Some(dims) = shape_mut(info).filter(|dims| dims.len() >= min_rank) else {
            continue;
        };
        changed |= dims[0].value.replace(batch.clone()) != Some(batch.clone());
    }
    if changed {
        graph.value_info.clear();
    }
    match old {
        Some(Dim::Fixed(size)) => free_reshapes(graph, size, is_input),
        _ => Vec::new(),
    }
}

/// Replaces the batch size by 0 in the constant shapes that reshape values which depend on an input.
fn free_reshapes(
    graph: &mut GraphProto,
    size: i64,
    is_input: impl Fn(&str) -> bool,
) -> Vec<String> {
    let inputs = graph
        .input
        .iter()
        .map(|input| input.name())
        .filter(|name| is_input(name));
    let mut dependent: HashSet<&str> = inputs.collect();
    let mut names: Vec<String> = Vec::new();
    for node in &graph.node {
        if names_read(node).iter().any(|name| dependent.contains(name)) {
            dependent.extend(node.output.iter().map(String::as_str));
        }
        if let [data, shape] = node.input.as_slice()
            && node.op_type() == "Reshape"
            && dependent.contains(data.as_str())
            && !names.contains(shape)
        {
            names.push(shape.clone());
        }
    }
    // A constant that another node shares must keep its value.
    names.retain(|name| {
        consumers(graph, name).iter().all(|index| {
            let node = &graph.node[*index];
            let data = node.input.first();
            node.op_type() == "Reshape"
                && data.is_some_and(|data| dependent.contains(data.as_str()))
        })
    });
    names.retain(|name| {
        let readers = consumers(graph, name);
        let literal = readers.iter().any(|index| takes_zero(&graph.node[*index]));
        let new = shape_without_batch(graph, name, size, literal);
        let slot = constant_mut(graph, name);
        let Some((slot, new)) = slot.zip(new) else {
            return false;
        };
        *slot = TensorProto {
            name: slot.name.take(),
            ..new.to_proto("")
        };
        for index in readers {
            graph.node[index]
                .attribute
                .retain(|a| a.name() != ALLOW_ZERO);
        }
        true
    });
    names
}

/// The attribute of a `Reshape` in which 0 is a size, not "as in the input"
/// (<https://onnx.ai/onnx/operators/onnx__Reshape.html>).
const ALLOW_ZERO: &str = "allowzero";

fn takes_zero(node: &NodeProto) -> bool {
    let mut attributes = node.attribute.iter();
    attributes.any(|a| a.name() == ALLOW_ZERO && a.i() != 0)
}

/// The shape with 0 in place of the batch size, if it begins with that. Where 0 is a size (`literal`), the shape
/// must hold none.
fn shape_without_batch(graph: &GraphProto, name: &str, size: i64, literal: bool) -> Option<Tensor> {
    let tensor = Tensor::from_proto(&*walk::constant(graph, name)?).ok()?;
    match tensor.data {
        TensorData::I64(mut shape)
            if shape.len() >= 2 && shape[0] == size && !(literal && shape.contains(&0)) =>
        {
            shape[0] = 0;
            Some(Tensor {
                dims: tensor.dims,
                data: TensorData::I64(shape),
            })
        }
        _ => None,
    }
}

/// The message of an initializer or of a `Constant` node's `value`.
fn constant_mut<'a>(graph: &'a mut GraphProto, name: &str) -> Option<&'a mut TensorProto> {
    // By index: borrows of a returned `iter_mut().find()` would last to the end of the function.
    let index = graph.initializer.iter().position(|t| t.name() == name);
    if let Some(index) = index {
        return graph.initializer.get_mut(index);
    }
    let node = graph
        .node
        .iter_mut()
        .find(|node| node.output.iter().any(|o| o == name))?;
    node.attribute
        .iter_mut()
        .find(|a| a.name() == "value")?
        .t
        .as_deref_mut()
}
