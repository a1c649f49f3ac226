//! Imported networks: frozen and tuned, folded and kept batch norm, back to ONNX.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends where something is wrong"
)]

use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor};
use classifold_models::{Network, Spec};
use onnx::proto::DataType;
use onnx::{BatchNormInputs, Dim, Document, GraphBuilder, ModelInfo, Window};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A small residual classifier with batch norm: 6 x 6 pixels and more, 5 classes.
fn tiny(folder: &Path) -> PathBuf {
    let mut g = GraphBuilder::new("tiny");
    let mut seed = 1u32;
    let mut draw = |dims: &[usize]| {
        let count = dims.iter().product();
        let values = (0..count).map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as f32 / (1 << 24) as f32 - 0.5
        });
        onnx::Tensor::f32(dims, values.collect()).unwrap()
    };
    let ones = onnx::Tensor::f32(&[4], vec![1.5; 4]).unwrap();
    let image = ["batch".into(), Dim::Fixed(3), "h".into(), "w".into()];
    let x = g.input("image", DataType::Float, &image);
    let w = g.initializer("stem.w", &draw(&[4, 3, 3, 3]));
    let x = g.conv("stem", &x, &w, None, Window::square(3, 2, 1));
    let names = ["s", "b", "m", "v"].map(|n| format!("norm.{n}"));
    for name in &names {
        let values = if name == "norm.v" {
            ones.clone()
        } else {
            draw(&[4])
        };
        g.initializer(name, &values);
    }
    let [scale, bias, mean, var] = names.each_ref().map(String::as_str);
    let norm = BatchNormInputs {
        scale,
        bias,
        mean,
        var,
    };
    let x = g.batch_norm("norm", &x, norm, 1e-5);
    let x = g.relu("relu", &x);
    let (w, b) = (
        g.initializer("conv.w", &draw(&[4, 4, 3, 3])),
        g.initializer("conv.b", &draw(&[4])),
    );
    let y = g.conv("conv", &x, &w, Some(&b), Window::square(3, 1, 1));
    let x = g.add("sum", &y, &x);
    let x = g.global_average_pool("pool", &x);
    let x = g.flatten("flatten", &x);
    let (w, b) = (
        g.initializer("head.w", &draw(&[5, 4])),
        g.initializer("head.b", &draw(&[5])),
    );
    let x = g.gemm("head", &x, &w, &b);
    g.output(
        &x,
        "scores",
        DataType::Float,
        &["batch".into(), Dim::Fixed(5)],
    );
    let path = folder.join("tiny.onnx");
    g.finish(&ModelInfo::default())
        .unwrap()
        .save(&path)
        .unwrap();
    path
}

fn import(path: &Path, fine_tune: bool, device: &Device) -> Network {
    let spec = Spec::Imported {
        path: path.into(),
        fine_tune,
    };
    Network::build(&spec, 2, 0, device).unwrap()
}

fn state(network: &Network) -> BTreeMap<String, Vec<f32>> {
    let tensors = network.state().into_iter();
    tensors
        .map(|(name, t)| (name, t.try_into_vec::<f32>().unwrap()))
        .collect()
}

fn step(network: &Network, device: &Device) -> Vec<String> {
    let images = Tensor::<4>::random([3, 3, 10, 14], Distribution::Default, device);
    let gradients = network.forward(images).powi_scalar(2).sum().backward();
    let Network::Imported(net) = network else {
        unreachable!()
    };
    let mut moved = vec![];
    let mut note = |name: &str, has: bool| {
        if has {
            moved.push(name.to_owned())
        }
    };
    note("conv", net.convs[1].weight.val().grad(&gradients).is_some());
    note("norm", net.norms[0].weight.val().grad(&gradients).is_some());
    note("fc", net.fc.weight.val().grad(&gradients).is_some());
    moved
}

#[test]
fn frozen_means_no_gradients_and_statistics_that_do_not_move() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::default().autodiff();
    let network = import(&tiny(folder.path()), false, &device);
    let before = state(&network);
    assert_eq!(step(&network, &device), ["fc"]);
    assert_eq!(state(&network), before);
    // Head: 4 features to 2 classes.
    assert_eq!(network.num_parameters().1, 4 * 2 + 2);
}

#[test]
fn tuned_means_gradients_everywhere_and_statistics_that_move() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::default().autodiff();
    let network = import(&tiny(folder.path()), true, &device);
    let before = state(&network);
    assert_eq!(step(&network, &device), ["conv", "norm", "fc"]);
    let after = state(&network);
    assert_ne!(
        after["norms.0.running_mean"],
        before["norms.0.running_mean"]
    );
}

#[test]
fn a_frozen_export_keeps_the_files_nodes_and_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = tiny(folder.path());
    let network = import(&path, false, &Device::default().autodiff());
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
    let export = import(&path, false, &Device::default()).to_onnx().unwrap();
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
fn tuned_weights_go_back_under_their_own_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = tiny(folder.path());
    let device = Device::default().autodiff();
    let network = import(&path, true, &device);
    let mut tuned: BTreeMap<_, _> = network.state().into_iter().collect();
    for tensor in tuned.values_mut() {
        let shape = tensor.shape().to_vec();
        let values = tensor.clone().try_into_vec::<f32>().unwrap();
        let values: Vec<_> = values.iter().map(|v| v + 0.25).collect();
        *tensor = burn::tensor::TensorData::new(values, shape);
    }
    let network = network.load_state(&tuned).unwrap();
    let export = network.to_onnx().unwrap();
    for (ours, theirs) in [
        ("convs.0.weight", "stem.w"),
        ("norms.0.running_var", "norm.v"),
        ("convs.1.bias", "conv.b"),
    ] {
        let stored = export
            .tensor(theirs)
            .unwrap()
            .as_f32()
            .unwrap()
            .into_owned();
        assert_eq!(
            stored,
            tuned[ours].clone().try_into_vec::<f32>().unwrap(),
            "{theirs}"
        );
    }
    // The export is itself a classifier that can be imported, and computes the same features.
    let again = folder.path().join("again.onnx");
    export.save(&again).unwrap();
    let images = Tensor::<4>::random([2, 3, 12, 8], Distribution::Default, &Device::default());
    let features = |n: &Network| n.valid().features(images.clone()).into_data();
    let imported = import(&again, true, &device);
    assert_eq!(features(&imported), features(&network));
}

#[test]
fn an_operator_without_a_layer_is_refused_by_name_node_and_opset() {
    let folder = tempfile::tempdir().unwrap();
    let path = tiny(folder.path());
    let mut document = Document::open(&path).unwrap();
    document.graph_mut().node[2].op_type = Some("Mish".into());
    document.save(&path).unwrap();
    let spec = Spec::Imported {
        path,
        fine_tune: false,
    };
    let error = Network::build(&spec, 2, 0, &Device::default()).unwrap_err();
    let text = error.to_string();
    for part in ["`Mish`", "node `relu`", "opset 17"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(error.hint().unwrap().contains("BatchNormalization"));
}

#[test]
fn a_file_that_changed_since_the_import_is_not_exported() {
    let folder = tempfile::tempdir().unwrap();
    let path = tiny(folder.path());
    let network = import(&path, false, &Device::default());
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

#[test]
fn resnet18_is_imported_with_its_own_weights() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/weights/resnet18.onnx");
    if !path.exists() {
        assert!(
            std::env::var_os("CI").is_none(),
            "../shared is missing in CI"
        );
        println!("skipped: needs ../shared/weights/resnet18.onnx");
        return;
    }
    let network = import(&path, false, &Device::default().autodiff());
    let Network::Imported(net) = &network else {
        unreachable!()
    };
    assert_eq!(
        (net.convs.len(), net.norms.len(), net.fc.weight.val().dims()),
        (20, 0, [2, 512])
    );
    assert_eq!(network.input_size(), (224, 224));
    assert_eq!(network.num_parameters().1, 1026);
}
