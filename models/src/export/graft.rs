//! Surgery on the imported file: tuned weights go back, the classification layer is replaced.
//!
//! The file's own nodes stay, and so do its opset and IR version. What was frozen is
//! byte-identical to the source.

use super::{FEATURES, LOGITS, tensor};
use crate::error::{Error, Result};
use crate::imported::{Imported, Source};
use burn::tensor::{Tensor, TensorData};
use onnx::proto::{DataType, GraphProto, NodeProto};
use onnx::{Attr, Document, Header, ValueInfo, attribute, node, surgery};
use std::collections::BTreeMap;

/// The imported document with the network's weights and its new classification layer.
pub(crate) fn graft(network: &Imported) -> Result<Document> {
    let mut document = open(network)?;
    if network.origin.fine_tune {
        write_back(network, &mut document)?;
    }
    replace_head(network, &mut document)?;
    document.check()?;
    Ok(document)
}

/// The imported document up to what the classification layer reads: `features`, `[batch, D]`.
pub(crate) fn backbone(network: &Imported) -> Result<Document> {
    let mut document = open(network)?;
    if network.origin.fine_tune {
        write_back(network, &mut document)?;
    }
    let features = cut_head(network, document.graph_mut())?;
    let name = surgery::unique_name(document.graph(), FEATURES);
    surgery::rename_value(document.graph_mut(), &features, &name);
    document.check()?;
    Ok(document)
}

/// The file that was imported, with a dynamic batch axis.
fn open(network: &Imported) -> Result<Document> {
    let path = &network.origin.path;
    if Header::sha256(path)? != network.origin.sha256 {
        return Err(Error::Changed { path: path.clone() });
    }
    let mut document = Document::open(path)?;
    document.inline_external_data()?;
    surgery::set_batch_dynamic(document.graph_mut());
    Ok(document)
}

fn write_back(network: &Imported, document: &mut Document) -> Result<()> {
    let state: BTreeMap<_, _> = crate::state::read(network).into_iter().collect();
    for Source { name, weight } in &network.sources {
        let Some(data) = state.get(name).cloned() else {
            continue;
        };
        let data = if weight.transposed {
            transpose(data)
        } else {
            data
        };
        let mut new = tensor(data)?;
        // Biases are stored as [K] or [1, K]: the file's shape stays.
        new.dims = document.tensor(&weight.name)?.dims;
        let constant =
            document.graph_mut().node.iter_mut().find(|node| {
                node.op_type() == "Constant" && node.output.first() == Some(&weight.name)
            });
        match constant {
            Some(node) => node.attribute = vec![attribute("value", Attr::Tensor(new))],
            None => document.set_tensor(&weight.name, &new)?,
        }
    }
    Ok(())
}

fn transpose(data: TensorData) -> TensorData {
    Tensor::<2>::from_data(data, &burn::tensor::Device::default())
        .transpose()
        .into_data()
}

fn replace_head(network: &Imported, document: &mut Document) -> Result<()> {
    let weight = tensor(network.fc.weight.val().into_data())?;
    let classes = weight.dims[0];
    let bias = match &network.fc.bias {
        Some(bias) => tensor(bias.val().into_data())?,
        None => onnx::Tensor::f32(&[classes], vec![0.0; classes])?,
    };
    let (opset, ir_version) = (document.opset(), document.model.ir_version());
    let graph = document.graph_mut();
    let features = cut_head(network, graph)?;
    let [weight_name, bias_name, node_name] =
        ["fc.weight", "fc.bias", "fc"].map(|name| surgery::unique_name(graph, name));
    for (name, tensor) in [(&weight_name, &weight), (&bias_name, &bias)] {
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
    let inputs = [features.as_str(), &weight_name, &bias_name];
    graph
        .node
        .push(node("Gemm", &node_name, &inputs, &[LOGITS], attributes));
    surgery::set_outputs(graph, &[row(LOGITS, classes)]);
    Ok(())
}

/// Takes the old classification layer off, so that its names are free; what it read is the output
/// now, and its name is handed back.
fn cut_head(network: &Imported, graph: &mut GraphProto) -> Result<String> {
    let features = features(graph).ok_or_else(|| Error::NotAClassifier {
        path: network.origin.path.clone(),
        reason: "its classification layer could not be found again".into(),
    })?;
    let [_, num_features] = network.fc.weight.val().dims();
    surgery::set_outputs(graph, &[row(&features, num_features)]);
    surgery::prune(graph);
    Ok(features)
}

/// A value `[batch, size]`.
fn row(name: &str, size: usize) -> ValueInfo {
    let dims = vec!["batch".into(), size.into()];
    ValueInfo::new(name, DataType::Float, dims)
}

/// The value that the classification layer reads: back from the output to the last Gemm or
/// MatMul.
pub(crate) fn features(graph: &GraphProto) -> Option<String> {
    let mut value = graph.output.first()?.name().to_owned();
    loop {
        let node: &NodeProto = &graph.node[surgery::producer(graph, &value)?];
        let computed = |name: &&String| {
            surgery::producer(graph, name).is_some_and(|i| graph.node[i].op_type() != "Constant")
        };
        match node.op_type() {
            "Gemm" | "MatMul" => return node.input.first().cloned(),
            "Identity" => value = node.input.first()?.clone(),
            // The bias of a MatMul: one input is computed, the other stored.
            "Add" => value = node.input.iter().find(computed)?.clone(),
            _ => return None,
        }
    }
}
