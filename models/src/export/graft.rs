//! Graph surgery on the imported file: writes tuned weights back and replaces the classification layer.
//!
//! The file's own nodes, opset and IR version stay.

use super::{bias_or_zeros, tensor};
use crate::error::Result;
use crate::imported::{Imported, Source, changed};
use burn::tensor::{Device, Tensor, TensorData};
use onnx::{Attr, Document, ModelFile, attribute, surgery};
use std::collections::BTreeMap;

/// The imported document with the network's weights and its new classification layer.
pub(crate) fn graft(network: &Imported) -> Result<Document> {
    let path = &network.origin.path;
    // Names and shapes of the weights were paired with those of exactly that file.
    let file = ModelFile::open(path)?;
    if file.sha256() != network.origin.sha256 {
        return Err(changed(path));
    }
    let mut document = Document::from_file(&file)?;
    document.inline_external_data()?;
    surgery::set_batch_dynamic(document.graph_mut());
    write_back(network, &mut document)?;
    let weight = tensor(network.fc.weight.val().into_data())?;
    let bias = bias_or_zeros(&network.fc)?;
    network
        .origin
        .cut
        .replace_layer(&mut document, &weight, &bias)?;
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
