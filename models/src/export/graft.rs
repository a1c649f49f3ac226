//! Graph surgery on the imported file: writes tuned weights back and replaces the classification layer.
//!
//! The file's own nodes, opset and IR version stay.

use super::{bias_or_zeros, tensor};
use crate::error::Result;
use crate::imported::{Imported, separate};
use onnx::{Attr, Document, attribute};
use std::collections::HashMap;

/// The imported document with the network's weights and its new classification layer.
pub(crate) fn graft(network: &Imported) -> Result<Document> {
    let file = &network.backbone.file;
    let mut document = file.document(true)?;
    // As the import did, so that every tensor has the name that it had there.
    separate(&mut document, &file.cut)?;
    write_back(network, &mut document)?;
    let weight = tensor(network.fc.weight.val().into_data())?;
    let bias = bias_or_zeros(&network.fc)?;
    file.cut.replace_layer(&mut document, &weight, &bias)?;
    Ok(document)
}

fn write_back(network: &Imported, document: &mut Document) -> Result<()> {
    let constants = document.graph().node.iter().enumerate();
    let constants = constants.filter(|(_, node)| node.op_type() == "Constant");
    let constants: HashMap<String, usize> = constants
        .filter_map(|(index, node)| Some((node.output.first()?.clone(), index)))
        .collect();
    for (path, data) in crate::state::read(network) {
        let Some(source) = network.source(&path) else {
            continue;
        };
        let new = tensor(data)?;
        match constants.get(&source.name) {
            Some(&index) => {
                let node = &mut document.graph_mut().node[index];
                node.attribute = vec![attribute("value", Attr::Tensor(new))];
            }
            None => document.set_tensor(&source.name, &new)?,
        }
    }
    Ok(())
}
