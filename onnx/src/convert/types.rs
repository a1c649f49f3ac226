//! Type inference: the element type of every value of a graph. Knows no shapes.

use std::collections::HashMap;

use super::{is_standard, unconvertible};
use crate::document::Document;
use crate::error::Result;
use crate::proto::{AttributeProto, DataType, GraphProto, NodeProto, ValueInfoProto};
use crate::value::ValueInfo;
use crate::walk;

/// Element types by value; `Undefined` for what is no tensor.
pub(super) type Types = HashMap<String, DataType>;

/// Operators whose first output has the type of their first input in every opset, and whose
/// floating-point inputs may all be in half precision. Sorted. Source:
/// <https://onnx.ai/onnx/operators/>.
const OUTPUT_LIKE_FIRST_INPUT: [&str; 99] = [
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

/// Whether an operator computes in the type of its input, so that half precision may be fed.
pub(super) fn computes_in_input_type(node: &NodeProto) -> bool {
    let op = node.op_type();
    is_standard(node)
        && (OUTPUT_LIKE_FIRST_INPUT.binary_search(&op).is_ok()
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
/// An unknown operator computes a value whose type the file does not have.
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
        for (index, output) in node.output.iter().enumerate() {
            if output.is_empty() {
                continue;
            }
            let declared = types.get(output).copied();
            let declared = declared.filter(|elem_type| *elem_type != DataType::Undefined);
            // The operator's rule decides. The file's own word is for operators without a rule.
            let elem_type = output_type(graph, node, index, &types).or(declared);
            let elem_type = elem_type.ok_or_else(|| {
                let reason = format!("the file does not say what type `{output}` has");
                unconvertible(node, &reason)
            })?;
            types.insert(output.clone(), elem_type);
        }
    }
    Ok(types)
}

/// The type of a node's output by the rule of its operator.
fn output_type(
    graph: &GraphProto,
    node: &NodeProto,
    output: usize,
    types: &Types,
) -> Option<DataType> {
    let input_type = |index: usize| types.get(node.input.get(index)?).copied();
    let attribute = |name: &str| node.attribute.iter().find(|a| a.name() == name);
    if !is_standard(node) {
        return None;
    }
    match (node.op_type(), output) {
        ("MaxPool" | "TopK", 1) | ("Shape" | "Size" | "ArgMax" | "ArgMin" | "NonZero", _) => {
            Some(DataType::Int64)
        }
        ("Dropout", 1) => Some(DataType::Bool),
        ("Equal" | "Greater" | "Less" | "GreaterOrEqual" | "LessOrEqual", _) => {
            Some(DataType::Bool)
        }
        ("And" | "Or" | "Xor" | "Not" | "IsNaN" | "IsInf", _) => Some(DataType::Bool),
        ("Where" | "CastLike", _) => input_type(1),
        ("OneHot", _) => input_type(2),
        ("Cast", _) => Some(data_type(i32::try_from(attribute("to")?.i()).ok()?)),
        ("Constant", _) => {
            let constant = walk::constant(graph, node.output.first()?)?;
            Some(data_type(constant.data_type()))
        }
        ("ConstantOfShape", _) => Some(match attribute("value") {
            Some(value) => data_type(value.t.as_deref()?.data_type()),
            None => DataType::Float,
        }),
        ("If", _) => body_output(attribute("then_branch")?, output),
        // The body's first output is the condition of the loop.
        ("Loop", _) => body_output(attribute("body")?, output + 1),
        ("Scan", _) => body_output(attribute("body")?, output),
        (op, _) if OUTPUT_LIKE_FIRST_INPUT.binary_search(&op).is_ok() => input_type(0),
        _ => None,
    }
}

/// The declared type of a subgraph's output.
fn body_output(attribute: &AttributeProto, index: usize) -> Option<DataType> {
    let declared: &ValueInfoProto = attribute.g.as_deref()?.output.get(index)?;
    let elem_type = ValueInfo::from_proto(declared).elem_type;
    (elem_type != DataType::Undefined).then_some(elem_type)
}

fn data_type(number: i32) -> DataType {
    DataType::try_from(number).unwrap_or(DataType::Undefined)
}

#[cfg(test)]
mod tests {
    use super::OUTPUT_LIKE_FIRST_INPUT;

    #[test]
    fn the_operators_are_in_order() {
        assert!(OUTPUT_LIKE_FIRST_INPUT.is_sorted());
    }
}
