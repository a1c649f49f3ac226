//! Freeing a graph from the batch size it was exported with.

use std::collections::HashSet;

use super::{consumers, taken};
use crate::proto::tensor_shape_proto::Value;
use crate::proto::{GraphProto, NodeProto, TensorProto};
use crate::tensor::{Tensor, TensorData};
use crate::value::{Dim, ValueInfo, shape_mut};
use crate::walk;

/// Makes the first dimension of every input (of rank 2 and more) and output `batch`. The shapes of
/// values in between are dropped: they hold the old batch size.
///
/// If that size was fixed, it may also begin the constant shape of a `Reshape`, where a 0 ("as in the
/// input") takes its place; hands back the names of those constants. NB: a batch size that other
/// operators hold is not found; running the graph at another size shows it.
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
    let fits = inputs
        .map(|info| (info, 2))
        .chain(graph.output.iter_mut().map(|info| (info, 1)));
    for (info, least_rank) in fits {
        let Some(dims) = shape_mut(info).filter(|dims| dims.len() >= least_rank) else {
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

/// Puts 0 for the batch size in the constant shapes that reshape what depends on an input.
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
    let mut moving: HashSet<&str> = inputs.collect();
    let mut names: Vec<String> = Vec::new();
    for node in &graph.node {
        if taken(node).iter().any(|name| moving.contains(name)) {
            moving.extend(node.output.iter().map(String::as_str));
        }
        if let [data, shape] = node.input.as_slice()
            && reshapes(node)
            && moving.contains(data.as_str())
            && !names.contains(shape)
        {
            names.push(shape.clone());
        }
    }
    names.retain(|name| {
        consumers(graph, name).iter().all(|index| {
            let node = &graph.node[*index];
            reshapes(node)
                && node
                    .input
                    .first()
                    .is_some_and(|data| moving.contains(data.as_str()))
        })
    });
    names.retain(|name| {
        let new = freed(graph, name, size);
        let slot = constant_mut(graph, name);
        let Some((slot, new)) = slot.zip(new) else {
            return false;
        };
        *slot = TensorProto {
            name: slot.name.take(),
            ..new.to_proto("")
        };
        true
    });
    names
}

/// A `Reshape` in which 0 means "as in the input"
/// (<https://onnx.ai/onnx/operators/onnx__Reshape.html>).
fn reshapes(node: &NodeProto) -> bool {
    let literal = node
        .attribute
        .iter()
        .any(|a| a.name() == "allowzero" && a.i() != 0);
    node.op_type() == "Reshape" && !literal
}

/// The shape with 0 for the batch size, if it begins with that.
fn freed(graph: &GraphProto, name: &str, size: i64) -> Option<Tensor> {
    let tensor = Tensor::from_proto(&*walk::constant(graph, name)?).ok()?;
    match tensor.data {
        TensorData::I64(mut shape) if shape.len() >= 2 && shape[0] == size => {
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
    if let Some(slot) = graph
        .initializer
        .iter_mut()
        .position(|tensor| tensor.name() == name)
    {
        return graph.initializer.get_mut(slot);
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
