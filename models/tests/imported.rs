//! Imported networks: folded and kept batch norm, trained, back to ONNX.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends where something is wrong"
)]

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Distribution, Tensor};
use classifold_models::{Network, Spec, TrainableTensor};
use onnx::Document;
use std::collections::BTreeMap;
use std::path::Path;

#[path = "imported/tiny.rs"]
mod tiny;

use tiny::{backbone, tiny};

fn import(path: &Path, device: &Device) -> Network {
    let spec = Spec::Imported(backbone(path, 4, [3, 10, 14]));
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
    let gradients = network
        .forward(images)
        .unwrap()
        .powi_scalar(2)
        .sum()
        .backward();
    let gradients = GradientsParams::from_grads(gradients, network);
    let has = |tensor: &TrainableTensor| match tensor.num_dims {
        1 => gradients.get::<1>(tensor.id).is_some(),
        2 => gradients.get::<2>(tensor.id).is_some(),
        _ => gradients.get::<4>(tensor.id).is_some(),
    };
    let tensors = network.trainable_tensors();
    let moved = tensors.iter().filter(|tensor| has(tensor));
    moved.map(|tensor| tensor.name.clone()).collect()
}

/// The tensors of [`tiny`] that training changes, as the graph uses them.
const TRAINED: [&str; 7] = [
    "backbone.stem.w",
    "backbone.norm.s",
    "backbone.norm.b",
    "backbone.conv.w",
    "backbone.conv.b",
    "fc.weight",
    "fc.bias",
];

#[test]
fn tuned_means_gradients_everywhere_and_statistics_that_move() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::default().autodiff();
    let network = import(&tiny(folder.path()), &device);
    let before = state(&network);
    assert_eq!(step(&network, &device), TRAINED);
    let after = state(&network);
    assert_ne!(after["backbone.norm.m"], before["backbone.norm.m"]);
}

#[test]
fn tuned_weights_go_back_under_their_own_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = tiny(folder.path());
    let device = Device::default().autodiff();
    let network = import(&path, &device);
    let mut tuned: BTreeMap<_, _> = network.state().into_iter().collect();
    for tensor in tuned.values_mut() {
        let shape = tensor.shape().to_vec();
        let values = tensor.clone().try_into_vec::<f32>().unwrap();
        let values: Vec<_> = values.iter().map(|v| v + 0.25).collect();
        *tensor = burn::tensor::TensorData::new(values, shape);
    }
    let network = network.load_state(&tuned).unwrap();
    let export = network.to_onnx().unwrap();
    for theirs in ["stem.w", "norm.v", "conv.b"] {
        let ours = format!("backbone.{theirs}");
        let stored = export
            .tensor(theirs)
            .unwrap()
            .as_f32()
            .unwrap()
            .into_owned();
        assert_eq!(
            stored,
            tuned[&ours].clone().try_into_vec::<f32>().unwrap(),
            "{theirs}"
        );
    }
    // The export is itself a classifier that can be imported, and computes the same features.
    let again = folder.path().join("again.onnx");
    export.save(&again).unwrap();
    let images = Tensor::<4>::random([2, 3, 12, 8], Distribution::Default, &Device::default());
    let features = |n: &Network| n.valid().features(images.clone()).unwrap().into_data();
    let imported = import(&again, &device);
    assert_eq!(features(&imported), features(&network));
}

#[test]
fn an_operator_without_a_layer_is_refused_by_name_node_and_opset() {
    let folder = tempfile::tempdir().unwrap();
    let path = tiny(folder.path());
    let mut document = Document::open(&path).unwrap();
    document.graph_mut().node[2].op_type = Some("Mish".into());
    document.save(&path).unwrap();
    let spec = Spec::Imported(backbone(&path, 4, [3, 10, 14]));
    let error = Network::build(&spec, 2, 0, &Device::default()).unwrap_err();
    let text = error.to_string();
    for part in ["`Mish`", "node `relu`", "opset 17"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(error.hint().unwrap().contains("leave out `--fine-tune`"));
}

#[test]
fn a_file_that_changed_since_the_import_is_not_exported() {
    let folder = tempfile::tempdir().unwrap();
    let path = tiny(folder.path());
    let network = import(&path, &Device::default());
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
    let spec = Spec::Imported(backbone(&path, 512, [3, 224, 224]));
    let network = Network::build(&spec, 2, 0, &Device::default().autodiff()).unwrap();
    let tensors = network.trainable_tensors();
    let kernels = tensors.iter().filter(|tensor| tensor.num_dims == 4);
    assert_eq!((kernels.count(), network.num_batch_norms()), (20, 0));
    assert_eq!(tensors.last().unwrap().name, "fc.bias");
}

#[test]
fn the_depth_of_a_tensor_is_when_the_graph_uses_it() {
    let folder = tempfile::tempdir().unwrap();
    let network = import(&tiny(folder.path()), &Device::default());
    let tensors = network.trainable_tensors();
    let depths: Vec<_> = tensors.iter().map(|t| (t.num_dims, t.depth)).collect();
    // Convolution, its batch norm, a convolution with a bias, the classification layer.
    let expected = [
        (4, 0.0),
        (1, 1.0),
        (1, 1.0),
        (4, 2.0),
        (1, 2.0),
        (2, 3.0),
        (1, 3.0),
    ];
    assert_eq!(
        depths,
        expected.map(|(num_dims, layer)| (num_dims, layer / 3.0))
    );
    assert_eq!(network.num_batch_norms(), 1);
}

#[test]
fn norms_in_inference_mode_keep_their_statistics_and_learn_their_weights() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::default().autodiff();
    let network = import(&tiny(folder.path()), &device).with_norms_in_inference_mode(true);
    let before = state(&network);
    assert_eq!(step(&network, &device), TRAINED);
    assert_eq!(state(&network), before);
    // What inference computes is what training computes.
    let images = Tensor::<4>::random([2, 3, 10, 14], Distribution::Default, &device);
    let trained = network.features(images.clone()).unwrap().into_data();
    let valid = network
        .valid()
        .features(images.inner())
        .unwrap()
        .into_data();
    assert_eq!(trained, valid);
    let network = network.with_norms_in_inference_mode(false);
    step(&network, &device);
    assert_ne!(state(&network), before);
}

/// Burn's operator, by which imported networks are trained: `ceil_mode` with padding that counts. 0 to 35 as 6 x 6 pixels,
/// windows of 3 x 3 with stride 2 and padding 1; gradients of the outputs times 1, 2, 3, ... (PyTorch 2.15, `avg_pool2d`).
#[test]
fn average_pools_beyond_the_edge_are_those_of_pytorch() {
    use burn::tensor::{module::avg_pool2d, ops::AvgPoolOptions};
    const OUTPUT: [f32; 16] = [
        1.55556, 3.33333, 4.66667, 2.66667, 8.33333, 14.0, 16.0, 8.5, 16.33333, 26.0, 28.0, 14.5,
        10.16667, 16.0, 17.0, 8.75,
    ];
    const GRADIENT: [f32; 36] = [
        0.11111, 0.33333, 0.22222, 0.55556, 0.33333, 1.0, 0.66667, 1.55556, 0.88889, 2.0, 1.11111,
        3.11111, 0.55556, 1.22222, 0.66667, 1.44444, 0.77778, 2.11111, 1.55556, 3.33333, 1.77778,
        3.77778, 2.0, 5.33333, 1.0, 2.11111, 1.11111, 2.33333, 1.22222, 3.22222, 3.16667, 6.61111,
        3.44444, 7.16667, 3.72222, 9.72222,
    ];
    let device = Device::default().autodiff();
    let count = |from: usize, to: usize| -> Vec<f32> { (from..to).map(|i| i as f32).collect() };
    let x = Tensor::<1>::from_floats(&count(0, 36)[..], &device)
        .reshape([1, 1, 6, 6])
        .require_grad();
    let mut options = AvgPoolOptions::new([3, 3]).with_stride([2, 2]);
    (
        options.padding,
        options.ceil_mode,
        options.count_include_pad,
    ) = ([(1, 1); 2], true, true);
    let y = avg_pool2d(x.clone(), options);
    let weights = Tensor::<1>::from_floats(&count(1, 17)[..], &device).reshape([1, 1, 4, 4]);
    let gradient = x.grad(&(y.clone() * weights).sum().backward()).unwrap();
    let near = |found: Vec<f32>, expected: &[f32]| {
        let mut pairs = found.iter().zip(expected);
        assert!(
            found.len() == expected.len() && pairs.all(|(a, b)| (a - b).abs() < 1e-5),
            "{found:?}"
        );
    };
    near(y.into_data().try_into_vec().unwrap(), &OUTPUT);
    near(gradient.into_data().try_into_vec().unwrap(), &GRADIENT);
}
