//! The element type of every value of a graph, as far as a conversion must know it. Shapes are not
//! its business.

use std::collections::HashMap;

use super::{is_standard, refused};
use crate::document::Document;
use crate::error::Result;
use crate::proto::{AttributeProto, DataType, GraphProto, NodeProto, ValueInfoProto};
use crate::value::ValueInfo;
use crate::walk;

/// Element types by value; `Undefined` is no tensor.
pub(super) type Types = HashMap<String, DataType>;

/// Operators whose first output has the type of their first input, at whatever opset they exist, and
/// whose floating-point inputs may all be of half precision. Pages of the operators:
/// <https://onnx.ai/onnx/operators/>.
const LIKE_THE_FIRST: [&str; 99] = [
    "Abs",
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Ceil",
    "Celu",
    "Clip",
    "Compress",
    "Concat",
    "Conv",
    "ConvTranspose",
    "Cos",
    "CumSum",
    "DepthToSpace",
    "Div",
    "Dropout",
    "Einsum",
    "Elu",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Floor",
    "Gather",
    "GatherElements",
    "GatherND",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalLpPool",
    "GlobalMaxPool",
    "GridSample",
    "GroupNormalization",
    "HardSigmoid",
    "HardSwish",
    "Hardmax",
    "Identity",
    "InstanceNormalization",
    "LRN",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "LpNormalization",
    "LpPool",
    "MatMul",
    "Max",
    "MaxPool",
    "Mean",
    "MeanVarianceNormalization",
    "Min",
    "Mish",
    "Mod",
    "Mul",
    "Neg",
    "PRelu",
    "Pad",
    "Pow",
    "RMSNormalization",
    "Range",
    "Reciprocal",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Relu",
    "Reshape",
    "Resize",
    "Round",
    "ScatterElements",
    "ScatterND",
    "Selu",
    "Sigmoid",
    "Sign",
    "Sin",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Swish",
    "Tanh",
    "ThresholdedRelu",
    "Tile",
    "TopK",
    "Transpose",
    "Unsqueeze",
    "Upsample",
];

/// Whether an operator computes in the type that it is fed, so that half precision may be fed.
pub(super) fn follows_its_input(node: &NodeProto) -> bool {
    let op = node.op_type();
    is_standard(node)
        && (LIKE_THE_FIRST.binary_search(&op).is_ok()
            || matches!(
                op,
                "Where"
                    | "ArgMax"
                    | "ArgMin"
                    | "Equal"
                    | "Greater"
                    | "Less"
                    | "GreaterOrEqual"
                    | "LessOrEqual"
                    | "IsNaN"
                    | "Shape"
                    | "Size"
            ))
}

/// The element types of every value of the outermost graph.
///
/// # Errors
/// A node of an unknown operator gives a value whose type the file does not say.
pub(super) fn infer(document: &Document) -> Result<Types> {
    let graph = document.graph();
    let mut types = Types::new();
    let described = graph.input.iter().chain(&graph.value_info);
    for info in described.chain(&graph.output) {
        types.insert(
            info.name().to_owned(),
            ValueInfo::from_proto(info).elem_type,
        );
    }
    for tensor in &graph.initializer {
        types.insert(tensor.name().to_owned(), data_type(tensor.data_type()));
    }
    for sparse in graph
        .sparse_initializer
        .iter()
        .filter_map(|s| s.values.as_ref())
    {
        types.insert(sparse.name().to_owned(), data_type(sparse.data_type()));
    }
    for node in &graph.node {
        for (at, output) in node.output.iter().enumerate() {
            if output.is_empty() {
                continue;
            }
            let said = types.get(output).copied();
            let said = said.filter(|elem_type| *elem_type != DataType::Undefined);
            match given(graph, node, at, &types).or(said) {
                Some(elem_type) => types.insert(output.clone(), elem_type),
                None => {
                    let why = format!("the file does not say what type `{output}` has");
                    return Err(refused(node, &why));
                }
            };
        }
    }
    Ok(types)
}

/// The type of a node's output `at`, by its operator.
fn given(graph: &GraphProto, node: &NodeProto, at: usize, types: &Types) -> Option<DataType> {
    let of_input = |index: usize| types.get(node.input.get(index)?).copied();
    let attribute = |name: &str| node.attribute.iter().find(|a| a.name() == name);
    if !is_standard(node) {
        return None;
    }
    match (node.op_type(), at) {
        ("MaxPool" | "TopK", 1) | ("Shape" | "Size" | "ArgMax" | "ArgMin" | "NonZero", _) => {
            Some(DataType::Int64)
        }
        ("Dropout", 1) => Some(DataType::Bool),
        ("Equal" | "Greater" | "Less" | "GreaterOrEqual" | "LessOrEqual", _) => {
            Some(DataType::Bool)
        }
        ("And" | "Or" | "Xor" | "Not" | "IsNaN" | "IsInf", _) => Some(DataType::Bool),
        ("Where" | "CastLike", _) => of_input(1),
        ("OneHot", _) => of_input(2),
        ("Cast", _) => Some(data_type(i32::try_from(attribute("to")?.i()).ok()?)),
        ("Constant", _) => {
            let constant = walk::constant(graph, node.output.first()?)?;
            Some(data_type(constant.data_type()))
        }
        ("ConstantOfShape", _) => Some(match attribute("value") {
            Some(value) => data_type(value.t.as_deref()?.data_type()),
            None => DataType::Float,
        }),
        ("If", _) => body_output(attribute("then_branch")?, at),
        // The body's first output says whether to go on.
        ("Loop", _) => body_output(attribute("body")?, at + 1),
        ("Scan", _) => body_output(attribute("body")?, at),
        (op, _) if LIKE_THE_FIRST.binary_search(&op).is_ok() => of_input(0),
        _ => None,
    }
}

fn body_output(attribute: &AttributeProto, at: usize) -> Option<DataType> {
    let described: &ValueInfoProto = attribute.g.as_deref()?.output.get(at)?;
    let elem_type = ValueInfo::from_proto(described).elem_type;
    (elem_type != DataType::Undefined).then_some(elem_type)
}

fn data_type(number: i32) -> DataType {
    DataType::try_from(number).unwrap_or(DataType::Undefined)
}

#[cfg(test)]
mod tests {
    use super::LIKE_THE_FIRST;

    #[test]
    fn the_operators_are_in_order() {
        assert!(LIKE_THE_FIRST.is_sorted());
    }
}
