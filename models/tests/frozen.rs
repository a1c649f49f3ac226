//! Frozen backbones: the head alone is trained, and the file keeps the rest.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

#[path = "imported/tiny.rs"]
mod tiny;

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use classifold_models::{BackboneFile, Network, Spec};
use onnx::proto::DataType;
use onnx::{Dim, Document};
use tiny::{backbone, tiny};

/// The file frozen, with a head of two classes.
fn frozen(path: &Path) -> Network {
    let backbone = backbone(path, 4, [3, 10, 14]);
    assert_eq!(backbone.file.cut.width(), Some(4));
    let spec = Spec::Frozen(backbone);
    Network::build(&spec, 2, 0, &Device::default().autodiff()).unwrap()
}

#[test]
fn the_head_alone_has_parameters_and_gradients() {
    let folder = tempfile::tempdir().unwrap();
    let network = frozen(&tiny(folder.path()));
    // 4 features to 2 classes; stem, batch norm and convolution are counted from the file.
    let backbone = 4 * 3 * 9 + 4 * 4 + 4 * 4 * 9 + 4;
    assert_eq!(network.num_parameters(), (backbone + 10, 10));
    let names: Vec<_> = network.state().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["fc.weight", "fc.bias"]);
    let device = Device::default().autodiff();
    let images = Tensor::<4>::ones([3, 3, 10, 14], &device);
    let logits = network.forward(images).unwrap();
    assert_eq!(logits.dims(), [3, 2]);
    let gradients = logits.sum().backward();
    assert!(network.fc().weight.val().grad(&gradients).is_some());
    assert!(network.is_frozen() && network.valid().is_frozen());
}

#[test]
fn what_takes_no_images_is_no_backbone() {
    let folder = tempfile::tempdir().unwrap();
    let path = tiny(folder.path());
    let document = Document::open(&path).unwrap();
    let refused = |change: &dyn Fn(&mut Document), part: &str| {
        let mut document = document.clone();
        change(&mut document);
        document.save(&path).unwrap();
        let error = BackboneFile::open(&path, None).unwrap_err().to_string();
        assert!(
            error.contains("tiny.onnx") && error.contains(part),
            "{error}"
        );
    };
    let info = |name: &str, kind, dims| onnx::ValueInfo::new(name, kind, dims).to_proto();
    refused(
        &|document| {
            let dims = vec!["batch".into(), "sequence".into()];
            document.graph_mut().input[0] = info("image", DataType::Int64, dims);
        },
        "its input is `image: Int64 [batch, sequence]`",
    );
    refused(
        &|document| {
            let dims = vec![Dim::Fixed(4)];
            document
                .graph_mut()
                .input
                .push(info("scale", DataType::Float, dims));
        },
        "has 2 inputs (`image`, `scale`), not one of images",
    );
    refused(
        &|document| document.graph_mut().node.last_mut().unwrap().input[0] = "scores".into(),
        "cycle",
    );
}

#[test]
fn a_frozen_export_keeps_the_files_nodes_and_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = tiny(folder.path());
    let network = frozen(&path);
    let (source, export) = (Document::open(&path).unwrap(), network.to_onnx().unwrap());
    let frozen = source.graph().node.len() - 1;
    assert_eq!(export.graph().node[..frozen], source.graph().node[..frozen]);
    for tensor in &source.graph().initializer {
        let kept = export
            .graph()
            .initializer
            .iter()
            .find(|t| t.name() == tensor.name());
        assert_eq!(
            kept.is_none(),
            tensor.name().starts_with("head."),
            "{}",
            tensor.name()
        );
        assert!(kept.is_none_or(|kept| kept == tensor));
    }
    assert_eq!(export.outputs()[0].to_string(), "logits: Float [batch, 2]");
    assert_eq!(
        (export.opset(), export.model.ir_version),
        (source.opset(), source.model.ir_version)
    );
}

/// The model zoo's ResNet18 is of IR version 3.
#[test]
fn in_an_old_file_the_new_weights_are_inputs_as_all_others_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = tiny(folder.path());
    let mut document = Document::open(&path).unwrap();
    document.model.ir_version = Some(3);
    let inputs: Vec<_> = document
        .graph()
        .initializer
        .iter()
        .map(|tensor| {
            let dims = tensor.dims.iter().map(|&dim| Dim::Fixed(dim)).collect();
            onnx::ValueInfo::new(tensor.name(), DataType::Float, dims).to_proto()
        })
        .collect();
    document.graph_mut().input.extend(inputs);
    document.save(&path).unwrap();
    let export = frozen(&path).to_onnx().unwrap();
    let graph = export.graph();
    for tensor in &graph.initializer {
        assert!(
            graph.input.iter().any(|i| i.name() == tensor.name()),
            "{}",
            tensor.name()
        );
    }
    assert!(graph.input.iter().any(|i| i.name() == "fc.weight"));
    assert_eq!(
        (graph.input.len(), export.inputs().len()),
        (1 + graph.initializer.len(), 1)
    );
}

#[test]
fn a_file_that_changed_since_the_import_is_not_exported() {
    let folder = tempfile::tempdir().unwrap();
    let path = tiny(folder.path());
    let network = frozen(&path);
    let mut document = Document::open(&path).unwrap();
    document.set_metadata("", &[("a".into(), "b".into())]);
    document.save(&path).unwrap();
    assert!(
        network
            .to_onnx()
            .unwrap_err()
            .to_string()
            .contains("has changed")
    );
}
