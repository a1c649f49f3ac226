//! The operators that can be trained, each with its function. `onnx::TRAINABLE_OPERATORS` lists the same names.

use super::dyn_tensor::DynTensor;
use super::layers::Reduction;
use super::value::{Call, Outcome, Value};
use super::{elementwise, host, layers, movement, resize};
use kernels::Activation;

/// Function of an operator.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Function {
    /// With one output.
    One(One),
    /// With as many outputs as the node.
    Many(fn(&mut Call<'_>) -> Outcome<Vec<Value>>),
}

/// The function of an operator of ONNX's own domain; none for `Constant`, which is stored, and for what cannot be
/// trained.
pub(super) fn function(operator: &str) -> Option<Function> {
    layer(operator)
        .or_else(|| activation(operator))
        .or_else(|| movement(operator))
        .map(Function::One)
        .or_else(|| (operator == "Split").then_some(Function::Many(movement::split)))
}

pub(super) type One = fn(&mut Call<'_>) -> Outcome;

fn layer(operator: &str) -> Option<One> {
    Some(match operator {
        "Conv" => layers::conv,
        "BatchNormalization" => layers::batch_norm,
        "LayerNormalization" => layers::layer_norm,
        "InstanceNormalization" => layers::instance_norm,
        "Gemm" => layers::gemm,
        "MatMul" => layers::matmul,
        "MaxPool" => layers::max_pool,
        "AveragePool" => layers::average_pool,
        "GlobalAveragePool" => |call| layers::global_pool(call, Reduction::Mean),
        "GlobalMaxPool" => |call| layers::global_pool(call, Reduction::Max),
        "ReduceMean" => |call| layers::reduce(call, Reduction::Mean),
        "ReduceSum" => |call| layers::reduce(call, Reduction::Sum),
        "ReduceMax" => |call| layers::reduce(call, Reduction::Max),
        "ReduceL2" => |call| layers::reduce(call, Reduction::L2),
        "Softmax" => layers::softmax,
        _ => return None,
    })
}

fn activation(operator: &str) -> Option<One> {
    Some(match operator {
        "Add" | "Sub" | "Mul" | "Div" | "Pow" => elementwise::arithmetic,
        "Relu" => |call| elementwise::unary(call, DynTensor::relu),
        "LeakyRelu" => elementwise::leaky_relu,
        "PRelu" => elementwise::prelu,
        "Elu" => elementwise::elu,
        "Clip" => elementwise::clip,
        "Sigmoid" => |call| elementwise::unary(call, |x| x.activate(Activation::Sigmoid)),
        "HardSigmoid" => elementwise::hard_sigmoid,
        "HardSwish" => elementwise::hard_swish,
        "Tanh" => |call| elementwise::unary(call, DynTensor::tanh),
        "Softplus" => |call| elementwise::unary(call, elementwise::softplus),
        "Gelu" => elementwise::gelu,
        "Erf" => |call| elementwise::unary(call, |x| x.activate(Activation::Erf)),
        "Exp" => |call| elementwise::unary(call, DynTensor::exp),
        "Log" => |call| elementwise::unary(call, DynTensor::log),
        "Sqrt" => |call| elementwise::unary(call, DynTensor::sqrt),
        "Reciprocal" => |call| elementwise::unary(call, DynTensor::recip),
        "Abs" => |call| elementwise::unary(call, DynTensor::abs),
        "Neg" => |call| elementwise::unary(call, DynTensor::neg),
        "Sin" => |call| elementwise::unary(call, DynTensor::sin),
        "Cos" => |call| elementwise::unary(call, DynTensor::cos),
        "Max" | "Min" => elementwise::extremum,
        "Mod" | "Equal" | "Less" | "Greater" | "And" | "Or" => elementwise::host_binary,
        "Floor" | "Ceil" | "Not" => elementwise::host_unary,
        "IsNaN" => elementwise::is_nan,
        "Where" => movement::choose,
        _ => return None,
    })
}

fn movement(operator: &str) -> Option<One> {
    Some(match operator {
        "Identity" | "Dropout" => movement::identity,
        "Cast" => movement::cast,
        "Flatten" => movement::flatten,
        "Reshape" => movement::reshape,
        "Squeeze" => movement::squeeze,
        "Unsqueeze" => movement::unsqueeze,
        "Transpose" => movement::transpose,
        "Expand" => movement::expand,
        "Slice" => movement::slice,
        "Gather" => movement::gather,
        "Concat" => movement::concat,
        "Pad" => movement::pad,
        "Resize" => resize::resize,
        "Shape" => host::shape,
        "ConstantOfShape" => host::constant_of_shape,
        "Range" => host::range,
        "CumSum" => host::cum_sum,
        "ScatterND" => host::scatter_nd,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::function;
    use onnx::TRAINABLE_OPERATORS;

    #[test]
    fn the_list_of_trainable_operators_is_what_there_are_functions_for() {
        for operator in TRAINABLE_OPERATORS {
            let known = function(operator).is_some() || operator == "Constant";
            assert!(known, "{operator} is listed");
        }
        // Every name in quotes before the tests of this file.
        let (code, _) = include_str!("operators.rs")
            .split_once("#[cfg(test)]")
            .unwrap_or_default();
        let quoted = code.split('"').skip(1).step_by(2);
        let named: Vec<&str> = quoted.filter(|name| function(name).is_some()).collect();
        for operator in &named {
            assert!(
                TRAINABLE_OPERATORS.contains(operator),
                "{operator} is not listed"
            );
        }
        assert_eq!(named.len() + 1, TRAINABLE_OPERATORS.len());
    }
}
