//! Operators that can be trained: numbers as ONNX Runtime's, gradients as finite differences say.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends where something is wrong"
)]

#[path = "operators/families.rs"]
mod families;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use deploy::runtime::{self, Search};
use families::{FAMILIES, IMAGE, Net};
use models::{Backbone, Network, Spec};
use onnx::proto::DataType;
use onnx::{Attr, Document};

fn open(document: &Document, folder: &Path) -> Arc<Backbone> {
    let search = Search::new(&data::cache::dir(None).unwrap());
    let found = runtime::ensure(&search, &|line| println!("{line}"), true).unwrap();
    runtime::load(&found).unwrap();
    let path = folder.join("net.onnx");
    document.save(&path).unwrap();
    trainer::backbone::open(&path, None, IMAGE, 1).unwrap()
}

fn images(count: usize) -> Vec<f32> {
    let mut net = Net::new();
    net.seed = 11;
    net.numbers(count * IMAGE.iter().product::<usize>())
}

/// The mean of the squares of the features, and the features' network.
fn loss(network: &Network, device: &Device) -> Tensor<1> {
    let [a, b, c] = IMAGE;
    let data = TensorData::new(images(3), [3, a, b, c]);
    let features = network.features(Tensor::from_data(data, device)).unwrap();
    features.powi_scalar(2).mean()
}

/// A gradient as numbers, and how the tensor's own numbers change along a random direction.
fn check_gradients(name: &str, network: &Network) {
    let device = Device::flex().autodiff();
    let network = network.clone().with_norms_in_inference_mode(true);
    let gradients = loss(&network, &device).backward();
    let gradients = GradientsParams::from_grads(gradients, &network);
    let state: BTreeMap<_, _> = network.state().into_iter().collect();
    let mut directions = Net::new();
    for tensor in network.trainable_tensors() {
        if !tensor.name.starts_with("backbone.") {
            continue;
        }
        let gradient = match tensor.num_dims {
            1 => gradients.get::<1>(tensor.id).map(Tensor::into_data),
            2 => gradients.get::<2>(tensor.id).map(Tensor::into_data),
            3 => gradients.get::<3>(tensor.id).map(Tensor::into_data),
            _ => gradients.get::<4>(tensor.id).map(Tensor::into_data),
        };
        let gradient =
            gradient.unwrap_or_else(|| panic!("{name}: {} has no gradient", tensor.name));
        let gradient = gradient.try_into_vec::<f32>().unwrap();
        let direction = directions.numbers(gradient.len());
        let slope: f32 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
        let size = gradient.iter().map(|g| g * g).sum::<f32>().sqrt()
            * direction.iter().map(|d| d * d).sum::<f32>().sqrt();
        let moved = |step: f32| {
            let mut state = state.clone();
            let data = state.get_mut(&tensor.name).unwrap();
            let values = data.clone().try_into_vec::<f32>().unwrap();
            let values = values.iter().zip(&direction).map(|(w, d)| w + step * d);
            *data = TensorData::new(values.collect::<Vec<f32>>(), data.shape().to_vec());
            let moved = network.clone().load_state(&state).unwrap().valid();
            loss(&moved, &Device::flex()).into_scalar::<f32>()
        };
        let step = 2e-3;
        let expected = (moved(step) - moved(-step)) / (2.0 * step);
        // Rounding of the loss, and kinks of the activations within the step.
        let tolerance = 0.02 * size + 1e-3;
        assert!(
            (slope - expected).abs() <= tolerance,
            "{name}: {} has the slope {slope}, not {expected} (of at most {size})",
            tensor.name
        );
    }
}

#[test]
fn every_family_computes_what_onnx_runtime_computes_and_has_the_gradients_of_finite_differences() {
    for (name, opset, family) in FAMILIES {
        let folder = tempfile::tempdir().unwrap();
        let mut net = Net::new();
        let (value, channels) = family(&mut net);
        let backbone = open(&net.finish(&value, channels, opset), folder.path());
        let device = Device::flex().autodiff();
        let network = Network::build(&Spec::Imported(backbone), 2, 0, &device)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let len = IMAGE.iter().product();
        let each: Vec<Vec<f32>> = images(5).chunks(len).map(<[f32]>::to_vec).collect();
        let off = trainer::backbone::prove_import(&network, &each)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(off < 1e-5, "{name}: off by {off:e}");
        check_gradients(name, &network);
    }
}

/// The network of a family.
fn imported(name: &str, folder: &Path) -> Network {
    let mut families = FAMILIES.iter();
    let (_, opset, family) = families.find(|family| family.0 == name).unwrap();
    let mut net = Net::new();
    let (value, channels) = family(&mut net);
    let backbone = open(&net.finish(&value, channels, *opset), folder);
    let device = Device::flex().autodiff();
    Network::build(&Spec::Imported(backbone), 2, 0, &device).unwrap()
}

#[test]
fn constants_that_normalise_bound_or_mask_are_not_trained() {
    let folder = tempfile::tempdir().unwrap();
    let tensors = imported("attention with a class token", folder.path()).trainable_tensors();
    let dims: Vec<usize> = tensors.iter().map(|tensor| tensor.num_dims).collect();
    // Patches, class token, positions, queries with keys and values; the mask and the scale are not.
    assert_eq!(dims, [4, 1, 3, 3, 2, 2, 1]);
    let tensors = imported("arithmetic", folder.path()).trainable_tensors();
    assert_eq!(tensors.len(), 2 + 1 + 2, "{tensors:?}");
}

#[test]
fn a_bias_that_the_file_stores_once_for_two_layers_is_trained_for_each() {
    let folder = tempfile::tempdir().unwrap();
    let network = imported("one bias for two layers", folder.path());
    let tensors = network.trainable_tensors();
    let biases: Vec<_> = tensors
        .iter()
        .filter(|tensor| tensor.name.starts_with("backbone.") && tensor.num_dims == 1)
        .collect();
    let [first, second] = biases.as_slice() else {
        panic!("{tensors:?}");
    };
    assert!(first.depth < second.depth);
    let mut state: BTreeMap<_, _> = network.state().into_iter().collect();
    state.insert(first.name.clone(), TensorData::new(vec![1f32; 4], [4]));
    state.insert(second.name.clone(), TensorData::new(vec![-2f32; 4], [4]));
    let network = network.load_state(&state).unwrap();
    // The exported file computes what the network computes.
    let again = open(&network.to_onnx().unwrap(), folder.path());
    let [a, b, c] = IMAGE;
    let input = TensorData::new(images(2), [2, a, b, c]);
    let own = network
        .valid()
        .features(Tensor::from_data(input, &Device::flex()));
    let own = own.unwrap().into_data().try_into_vec::<f32>().unwrap();
    let file = again.extractor.features(&images(2), 2).unwrap();
    for (own, file) in own.iter().zip(file) {
        assert!((own - file).abs() < 1e-5, "{own} {file}");
    }
}

#[test]
fn what_cannot_be_trained_is_refused_by_node_and_can_be_frozen() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |change: &dyn Fn(&mut Net) -> (String, usize)| {
        let mut net = Net::new();
        let (value, channels) = change(&mut net);
        let backbone = open(&net.finish(&value, channels, 18), folder.path());
        let spec = Spec::Imported(backbone);
        let error = Network::build(&spec, 2, 0, &Device::flex()).unwrap_err();
        assert_eq!(
            error.hint().unwrap(),
            "it can be used frozen: leave out `--fine-tune`"
        );
        error.to_string()
    };
    let text = refused(&|net| (net.op("Softsign", &["image"], vec![]), 4));
    assert!(
        text.contains("`Softsign` (node `Softsign1`, opset 18)"),
        "{text}"
    );
    let text = refused(&|net| {
        let x = net.op("Mul", &["image", "image"], vec![]);
        let sizes = net.ints(&[1, 4, 20, 12]);
        let mode = vec![
            ("antialias", Attr::Int(1)),
            ("mode", Attr::Str("linear".into())),
        ];
        (net.op("Resize", &[&x, "", "", &sizes], mode), 4)
    });
    assert!(
        text.contains("node `Resize3` (Resize): `antialias`"),
        "{text}"
    );
    let text = refused(&|net| {
        let half = onnx::TensorData::F16(vec![0x3c00; 16]);
        let half = onnx::Tensor::new(&[4, 4, 1, 1], half).unwrap();
        let weight = net.graph.initializer("half", &half);
        let to = |kind: DataType| vec![("to", Attr::Int(kind as i64))];
        let x = net.op("Cast", &["image"], to(DataType::Float16));
        let x = net.op("Conv", &[&x, &weight], vec![]);
        (net.op("Cast", &[&x], to(DataType::Float)), 4)
    });
    assert!(
        text.contains("its weight `half` is stored as Float16"),
        "{text}"
    );
    let text = refused(&|net| {
        let x = net.op("Greater", &["image", "image"], vec![]);
        (net.op("Where", &[&x, "image", "image"], vec![]), 4)
    });
    assert!(
        text.contains("depends on the numbers of the images"),
        "{text}"
    );
}

#[test]
fn a_window_for_maps_is_not_larger_than_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let network = imported("shuffle with shape arithmetic", folder.path());
    let small = Tensor::<4>::zeros([1, 4, 2, 1], &Device::flex().autodiff());
    let error = network.features(small).unwrap_err().to_string();
    assert!(
        error.contains("its window is larger than the map"),
        "{error}"
    );
}
