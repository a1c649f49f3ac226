//! Multiply-accumulate operations of a graph for one image, from the shapes that the file stores.

use std::collections::HashMap;

use crate::document::Document;
use crate::proto::{NodeProto, is_standard_domain};
use crate::value::{Dim, ValueInfo};
use crate::walk;

/// The multiply-accumulate operations of all convolutions and matrix products for one image; `None` where the file
/// leaves out the shape of a value that one of them reads or computes, or has neither.
///
/// ```
/// use classifold_onnx::{GraphBuilder, ModelInfo, Tensor, multiply_accumulates, proto::DataType};
///
/// let mut graph = GraphBuilder::new("head");
/// let x = graph.input("x", DataType::Float, &["batch".into(), 3.into()]);
/// let weight = graph.initializer("w", &Tensor::f32(&[2, 3], vec![0.5; 6])?);
/// let bias = graph.initializer("b", &Tensor::f32(&[2], vec![0.0; 2])?);
/// let y = graph.gemm("fc", &x, &weight, &bias);
/// graph.output(&y, "y", DataType::Float, &["batch".into(), 2.into()]);
/// let document = graph.finish(&ModelInfo::default())?;
/// assert_eq!(multiply_accumulates(&document), Some(6));
/// # Ok::<(), classifold_onnx::Error>(())
/// ```
pub fn multiply_accumulates(document: &Document) -> Option<u64> {
    let graph = document.graph();
    let infos = graph
        .input
        .iter()
        .chain(&graph.output)
        .chain(&graph.value_info);
    let shapes: HashMap<&str, Vec<Dim>> = infos
        .map(|info| (info.name(), ValueInfo::from_proto(info)))
        .filter(|(_, info)| info.ranked)
        .map(|(name, info)| (name, info.dims))
        .collect();
    let shape = |name: &str| {
        let stored = walk::constant(graph, name);
        let stored = stored.map(|tensor| tensor.dims.iter().map(|dim| Dim::Fixed(*dim)).collect());
        stored.or_else(|| shapes.get(name).cloned())
    };
    let nodes = graph
        .node
        .iter()
        .filter(|node| is_standard_domain(node.domain()));
    let macs = nodes
        .map(|node| match node.op_type() {
            "Conv" => convolution(node, &shape),
            "Gemm" | "MatMul" => product(node, &shape),
            _ => Some(0),
        })
        .try_fold(0_u64, |sum, macs| sum.checked_add(macs?));
    macs.filter(|macs| *macs > 0)
}

/// Sizes of a shape without its first axis, the batch.
fn sizes_of_image(shape: &[Dim]) -> Option<u64> {
    let size = |dim: &Dim| match dim {
        Dim::Fixed(size) => u64::try_from(*size).ok(),
        _ => None,
    };
    shape
        .get(1..)?
        .iter()
        .try_fold(1_u64, |product, dim| product.checked_mul(size(dim)?))
}

/// Every value of the output is a sum over a kernel, whose weight is `[C', C / groups, height, width]`.
fn convolution(node: &NodeProto, shape: &dyn Fn(&str) -> Option<Vec<Dim>>) -> Option<u64> {
    let kernel = sizes_of_image(&shape(node.input.get(1)?)?)?;
    sizes_of_image(&shape(node.output.first()?)?)?.checked_mul(kernel)
}

/// Every value of the output is a sum over the axis that both factors share.
fn product(node: &NodeProto, shape: &dyn Fn(&str) -> Option<Vec<Dim>>) -> Option<u64> {
    let first = shape(node.input.first()?)?;
    let shared = match first.last()? {
        Dim::Fixed(size) => u64::try_from(*size).ok()?,
        _ => return None,
    };
    sizes_of_image(&shape(node.output.first()?)?)?.checked_mul(shared)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GraphBuilder, ModelInfo, Tensor, Window, proto::DataType};

    #[test]
    fn a_convolution_counts_its_kernel_for_every_value_of_its_output() {
        let mut graph = GraphBuilder::new("conv");
        let image = ["batch".into(), 3.into(), 8.into(), 10.into()];
        let x = graph.input("x", DataType::Float, &image);
        let weight = Tensor::f32(&[4, 3, 3, 5], vec![0.5; 180]).unwrap();
        let weight = graph.initializer("w", &weight);
        let y = graph.conv("conv", &x, &weight, None, Window::square(3, 1, 1));
        let output = ["batch".into(), 4.into(), 8.into(), 8.into()];
        graph.output(&y, "y", DataType::Float, &output);
        let document = graph.finish(&ModelInfo::default()).unwrap();
        assert_eq!(
            multiply_accumulates(&document),
            Some((4 * 8 * 8) * (3 * 3 * 5))
        );
    }
}
