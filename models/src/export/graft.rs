//! Graph surgery on the imported file: writes tuned weights back and replaces the classification layer.
//!
//! The file's own nodes, opset and IR version stay. Frozen weights are byte-identical to the file's.

use super::{FEATURES, LOGITS, bias_or_zeros, tensor};
use crate::error::Result;
use crate::imported::{
    Imported, NO_CLASSIFICATION_LAYER, Source, changed, classification_input, not_a_classifier,
};
use burn::tensor::{Device, Tensor, TensorData};
use onnx::proto::{DataType, GraphProto};
use onnx::{Attr, Document, ModelFile, ValueInfo, attribute, node, surgery};
use std::collections::BTreeMap;

/// The imported document with the network's weights and its new classification layer.
pub(crate) fn graft(network: &Imported) -> Result<Document> {
    let mut document = open(network)?;
    replace_head(network, &mut document)?;
    document.check()?;
    Ok(document)
}

/// The imported document without its classification layer; its output is `features`, `[batch, D]`.
pub(crate) fn backbone(network: &Imported) -> Result<Document> {
    let mut document = open(network)?;
    let features = cut_head(network, document.graph_mut())?;
    let name = surgery::unique_name(document.graph(), FEATURES);
    surgery::rename_value(document.graph_mut(), &features, &name);
    document.check()?;
    Ok(document)
}

/// The imported file with the network's weights and a dynamic batch axis.
fn open(network: &Imported) -> Result<Document> {
    let path = &network.origin.path;
    // Names and shapes of the weights were paired with those of exactly that file.
    let file = ModelFile::open(path)?;
    if file.sha256() != network.origin.sha256 {
        return Err(changed(path));
    }
    let mut document = Document::from_file(&file)?;
    document.inline_external_data()?;
    surgery::set_batch_dynamic(document.graph_mut());
    if network.origin.fine_tune {
        write_back(network, &mut document)?;
    }
    Ok(document)
}

fn write_back(network: &Imported, document: &mut Document) -> Result<()> {
    let state: BTreeMap<_, _> = crate::state::read(network).into_iter().collect();
    for Source { name, weight } in &network.sources {
        let data = state
            .get(name)
            .expect("`pair` names sources as the state does");
        let data = data.clone();
        let data = if weight.transposed {
            transpose(data)
        } else {
            data
        };
        let mut new = tensor(data)?;
        // The file may store a bias as [1, K]; its shape stays.
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
    Tensor::<2>::from_data(data, &Device::default())
        .transpose()
        .into_data()
}

fn replace_head(network: &Imported, document: &mut Document) -> Result<()> {
    let weight = tensor(network.fc.weight.val().into_data())?;
    let classes = weight.dims[0];
    let bias = bias_or_zeros(&network.fc)?;
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

/// Removes the old classification layer, whose names are free then. Its input is the graph's output;
/// returns the name of that value.
fn cut_head(network: &Imported, graph: &mut GraphProto) -> Result<String> {
    let features = classification_input(graph)
        .ok_or_else(|| not_a_classifier(&network.origin.path, NO_CLASSIFICATION_LAYER))?;
    let [_, num_features] = network.fc.weight.val().dims();
    surgery::set_outputs(graph, &[row(&features, num_features)]);
    surgery::prune(graph);
    Ok(features)
}

/// An output `[batch, size]`.
fn row(name: &str, size: usize) -> ValueInfo {
    let dims = vec!["batch".into(), size.into()];
    ValueInfo::new(name, DataType::Float, dims)
}
