//! The course's simplified forward pass: the convolutions of a network in a chain, without batch norm,
//! activation, pooling and shortcuts.

use onnx::{Document, surgery};

use super::graph_analysis::{self, Conv};
use crate::error::{Error, Result};

/// Convolutions in a chain.
#[derive(Clone, Debug)]
pub struct Chain {
    /// The graph that computes them, among what is left of the network's own.
    pub document: Document,
    /// Its convolutions, in order; their outputs are the chain's.
    pub convs: Vec<Conv>,
    /// Names of the others, whose input channels do not match: projections of shortcuts.
    pub left_out: Vec<String>,
}

/// Chains the convolutions of a network. One whose input channels are not the output channels of the
/// one before is left out: in residual networks, the projections on the shortcuts.
///
/// # Errors
/// There is no convolution, or it is quantised.
pub fn chain(document: &Document) -> Result<Chain> {
    let refuse = |reason: &str| Error::Inspect {
        path: document.path().map(Into::into).unwrap_or_default(),
        reason: reason.into(),
    };
    let graph = document.graph();
    let mut chained = document.clone();
    let (mut convs, mut left_out) = (Vec::<Conv>::new(), vec![]);
    let mut channels = 0;
    for conv in graph_analysis::convolutions(graph) {
        let node = &graph.node[conv.node_index];
        if node.op_type() != "Conv" {
            return Err(refuse(
                "its convolutions are quantised and cannot be chained",
            ));
        }
        let [out_channels, in_channels] = channels_of(document, &conv)
            .ok_or_else(|| refuse("the weights of its convolutions are not in the file"))?;
        let Some(before) = convs.last() else {
            channels = out_channels;
            convs.push(conv);
            continue;
        };
        // A projection takes the input of its residual cell, not the output of the convolution before it.
        if in_channels != channels {
            left_out.push(conv.name);
            continue;
        }
        let mut node = node.clone();
        let output = surgery::unique_name(chained.graph(), "simplified");
        node.input[0].clone_from(&before.output);
        node.output = vec![output.clone()];
        node.name = Some(output.clone());
        chained.graph_mut().node.push(node);
        channels = out_channels;
        convs.push(Conv { output, ..conv });
    }
    if convs.is_empty() {
        return Err(refuse("it has no convolution"));
    }
    Ok(Chain {
        document: chained,
        convs,
        left_out,
    })
}

/// Output and input channels of a convolution, also where its weight is stored in another precision.
fn channels_of(document: &Document, conv: &Conv) -> Option<[usize; 2]> {
    let mut weight = conv.weight.clone();
    loop {
        if let Ok(tensor) = document.tensor(&weight) {
            let (&out_channels, &per_group) = (tensor.dims.first()?, tensor.dims.get(1)?);
            return Some([out_channels, per_group * conv.group]);
        }
        let node = graph_analysis::producer(document.graph(), &weight)?;
        if !["DequantizeLinear", "Cast"].contains(&node.op_type()) {
            return None;
        }
        weight.clone_from(node.input.first()?);
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use models::{CustomConfig, Network, Spec};
    use onnx::Document;

    use super::chain;
    use crate::Error;

    fn custom() -> Document {
        let spec = Spec::Custom(CustomConfig::default());
        let network = Network::build(&spec, 2, 0, &Device::flex()).unwrap();
        network.to_onnx().unwrap()
    }

    #[test]
    fn the_chain_of_the_custom_network_leaves_its_projections_out() {
        let chain = chain(&custom()).unwrap();
        let projections = ["cells.0.project", "cells.1.project", "cells.2.project"];
        assert_eq!(chain.left_out, projections);
        let names: Vec<_> = chain.convs.iter().map(|conv| conv.name.as_str()).collect();
        assert_eq!(names[..3], ["conv1", "cells.0.conv1", "cells.0.conv2"]);
        assert_eq!(names.len(), 7);
        // Each takes what the one before gives.
        let graph = chain.document.graph();
        for pair in chain.convs.windows(2) {
            let node = super::graph_analysis::producer(graph, &pair[1].output).unwrap();
            assert_eq!((node.op_type(), &node.input[0]), ("Conv", &pair[0].output));
            assert_eq!(node.input[1], pair[1].weight);
        }
        chain.document.check().unwrap();
    }

    #[test]
    fn quantised_convolutions_are_not_chained() {
        let mut document = custom();
        let nodes = &mut document.graph_mut().node;
        nodes[0].op_type = Some("ConvInteger".into());
        let error = chain(&document).unwrap_err();
        assert!(matches!(&error, Error::Inspect { reason, .. } if reason.contains("quantised")));
    }
}
