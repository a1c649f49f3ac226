//! Graphs that end at the features: alone, or with a new classification layer.

use super::{ClassificationLayer, FeatureCut, LayerKind};
use crate::builder::{Attr, node};
use crate::document::Document;
use crate::error::Result;
use crate::proto::{DataType, GraphProto, NodeProto, TensorProto};
use crate::surgery;
use crate::tensor::Tensor;
use crate::value::ValueInfo;

/// Name of the output of a graph that ends at the features.
const FEATURES: &str = "features";
/// Name of the output of a graph with a new classification layer.
const LOGITS: &str = "logits";

impl FeatureCut {
    /// Cuts the document: its one output is `features`, `[batch, D]` in single precision. What stays keeps its bytes.
    ///
    /// # Errors
    /// The nodes form a cycle, or the graph is damaged.
    pub fn cut(&self, document: &mut Document) -> Result<()> {
        let value = self.end_at_features(document)?;
        let graph = document.graph_mut();
        let name = surgery::unique_name(graph, FEATURES);
        match surgery::producer(graph, &value) {
            Some(_) => surgery::rename_value(graph, &value, &name),
            // The features are the image itself, or stored.
            None => graph
                .node
                .push(node("Identity", &name, &[&value], &[&name], vec![])),
        }
        surgery::set_outputs(graph, &[row(&name, self.width())]);
        document.check()
    }

    /// Replaces the classification layer: the document's one output is `logits`, `[batch, K]`, of
    /// `weight` `[K, D]` and `bias` `[K]`. What stays keeps its bytes.
    ///
    /// # Errors
    /// The nodes form a cycle, or the graph is damaged.
    pub fn replace_layer(
        &self,
        document: &mut Document,
        weight: &Tensor,
        bias: &Tensor,
    ) -> Result<()> {
        let features = self.end_at_features(document)?;
        let (opset, ir_version) = (document.opset(), document.model.ir_version());
        let graph = document.graph_mut();
        let [weight_name, bias_name, node_name] =
            ["fc.weight", "fc.bias", "fc"].map(|name| surgery::unique_name(graph, name));
        for (name, tensor) in [(&weight_name, weight), (&bias_name, bias)] {
            graph.initializer.push(tensor.to_proto(name));
            // Up to IR version 3 every initializer is an input, too.
            if ir_version < 4 {
                let dims = tensor.dims.iter().map(|&dim| dim.into()).collect();
                let info = ValueInfo::new(name, DataType::Float, dims);
                graph.input.push(info.to_proto());
            }
        }
        let mut attributes = vec![("transB", Attr::Int(1))];
        if opset < 7 {
            // Before opset 7 a Gemm adds a bias of one row only when told to.
            attributes.push(("broadcast", Attr::Int(1)));
        }
        let logits = surgery::unique_name(graph, LOGITS);
        let inputs = [features.as_str(), &weight_name, &bias_name];
        graph
            .node
            .push(node("Gemm", &node_name, &inputs, &[&logits], attributes));
        let classes = weight.dims.first().copied();
        surgery::set_outputs(graph, &[row(&logits, classes)]);
        document.check()
    }

    /// Removes what only the old outputs needed, and adds nodes from the values to one row `[batch, D]` for each
    /// image in single precision. Returns its name.
    fn end_at_features(&self, document: &mut Document) -> Result<String> {
        let is_double_or_half = has_other_floats(document.graph());
        let graph = document.graph_mut();
        surgery::sort_nodes(graph)?;
        // First, so that the names of the old layer are free.
        surgery::expose(graph, &self.values);
        surgery::prune(graph);
        let is_gemm = |layer: &ClassificationLayer| layer.kind == LayerKind::Gemm;
        let are_rows = !self.layers.is_empty() && self.layers.iter().all(is_gemm);
        let mut rows = vec![];
        for value in &self.values {
            let mut value = value.clone();
            let mut append = |op: &str, base: &str, attributes: Vec<(&str, Attr)>| {
                let name = surgery::unique_name(graph, base);
                graph
                    .node
                    .push(node(op, &name, &[&value], &[&name], attributes));
                value = name;
            };
            if is_double_or_half {
                // Nothing where the value is in single precision already: runtimes leave it out.
                let float = DataType::Float as i64;
                append("Cast", "features_float", vec![("to", Attr::Int(float))]);
            }
            if self.pooled {
                append("GlobalAveragePool", "features_pooled", vec![]);
            }
            // A Gemm reads rows; other layers may read [N, D, 1, 1] or [N, 1, D].
            if !are_rows {
                append("Flatten", "features_flat", vec![("axis", Attr::Int(1))]);
            }
            rows.push(value);
        }
        if let [row] = rows.as_slice() {
            return Ok(row.clone());
        }
        let name = surgery::unique_name(graph, "features_joined");
        let inputs: Vec<&str> = rows.iter().map(String::as_str).collect();
        let axis = vec![("axis", Attr::Int(1))];
        graph
            .node
            .push(node("Concat", &name, &inputs, &[&name], axis));
        Ok(name)
    }
}

/// An output `[batch, size]`.
fn row(name: &str, size: Option<usize>) -> ValueInfo {
    let size = size.map_or(crate::value::Dim::Unknown, Into::into);
    ValueInfo::new(name, DataType::Float, vec!["batch".into(), size])
}

/// Whether a graph stores all its floating-point numbers in single precision and quantises none.
pub fn is_single_precision(graph: &GraphProto) -> bool {
    let is_quantised = |node: &NodeProto| node.op_type() == "QuantizeLinear";
    !has_other_floats(graph) && !graph.node.iter().any(is_quantised)
}

/// Whether the graph stores floating-point numbers in other than single precision: its values may have that type.
fn has_other_floats(graph: &GraphProto) -> bool {
    let is_other = |tensor: &TensorProto| {
        [DataType::Float16, DataType::Bfloat16, DataType::Double]
            .iter()
            .any(|kind| tensor.data_type() == *kind as i32)
    };
    let constants = graph.node.iter().flat_map(|node| &node.attribute);
    graph.initializer.iter().any(is_other) || constants.filter_map(|a| a.t.as_deref()).any(is_other)
}
