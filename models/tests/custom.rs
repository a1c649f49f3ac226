//! The custom network: size, names, shapes, seeds, state.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor};
use classifold_models::{CellKind, CustomConfig, Distance, Network, Spec};
use std::collections::BTreeMap;

fn network(seed: u64, device: &Device) -> Network {
    Network::build(&Spec::Custom(CustomConfig::default()), 2, seed, device).unwrap()
}

#[test]
fn has_the_courses_number_of_parameters() {
    let network = network(0, &Device::default().autodiff());
    assert_eq!(network.num_parameters(), (77_154, 77_154));
    assert_eq!(network.name(), "custom resnet (8, 16, 32, 64)");
}

#[test]
fn names_its_tensors_as_pytorch_would() {
    let state: BTreeMap<_, _> = network(0, &Device::default()).state().into_iter().collect();
    for (name, shape) in [
        ("conv1.weight", vec![8, 3, 7, 7]),
        ("bn1.running_var", vec![8]),
        ("cells.0.conv1.weight", vec![16, 8, 3, 3]),
        ("cells.2.project.weight", vec![64, 32, 1, 1]),
        ("fc.weight", vec![2, 64]),
    ] {
        assert_eq!(state[name].shape().to_vec(), shape, "{name}");
    }
    assert_eq!(state.len(), 2 + 4 + 3 * (4 + 2 + 4 + 2 + 1) + 2);
}

#[test]
fn takes_pictures_that_are_not_square_and_any_batch() {
    let device = Device::default();
    let network = network(0, &device);
    for (n, h, w) in [(1, 224, 224), (2, 97, 131), (7, 64, 48)] {
        let images = Tensor::<4>::random([n, 3, h, w], Distribution::Default, &device);
        assert_eq!(network.forward(images).unwrap().dims(), [n, 2]);
    }
}

#[test]
fn a_seed_gives_the_same_weights_and_another_seed_others() {
    let device = Device::default();
    let bytes = |seed| {
        let state = network(seed, &device).state();
        state
            .into_iter()
            .map(|(_, t)| t.try_into_vec::<f32>().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(bytes(3), bytes(3));
    assert_ne!(bytes(3), bytes(4));
}

#[test]
fn initial_weights_fill_pytorchs_range() {
    let state: BTreeMap<_, _> = network(0, &Device::default()).state().into_iter().collect();
    for (name, fan_in) in [
        ("conv1.weight", 147.0),
        ("cells.1.conv2.bias", 288.0),
        ("fc.weight", 64.0),
    ] {
        let bound = 1.0 / f32::sqrt(fan_in);
        let values = state[name].clone().try_into_vec::<f32>().unwrap();
        let largest = values.iter().fold(0f32, |m, v| m.max(v.abs()));
        assert!(
            largest <= bound && largest > 0.8 * bound,
            "{name}: {largest} of {bound}"
        );
    }
}

#[test]
fn state_moves_between_networks_and_training_goes_on() {
    let device = Device::default().autodiff();
    let state: BTreeMap<_, _> = network(1, &device).state().into_iter().collect();
    let loaded = network(2, &device).load_state(&state).unwrap();
    for (name, tensor) in loaded.state() {
        assert_eq!(tensor, state[&name], "{name}");
    }
    let images = Tensor::<4>::random([2, 3, 64, 64], Distribution::Default, &device);
    let gradients = loaded.forward(images).unwrap().sum().backward();
    assert!(loaded.fc().weight.val().grad(&gradients).is_some());
}

#[test]
fn state_of_another_network_is_refused_by_name() {
    let device = Device::default();
    let wide = CustomConfig {
        width: 9,
        ..CustomConfig::default()
    };
    let wide = Network::build(&Spec::Custom(wide), 2, 0, &device).unwrap();
    let state = wide.state().into_iter().collect();
    let error = network(0, &device)
        .load_state(&state)
        .unwrap_err()
        .to_string();
    assert!(error.contains("`bn1.bias` is"), "{error}");
}

#[test]
fn validation_leaves_the_running_statistics_alone_and_training_moves_them() {
    let device = Device::default().autodiff();
    let network = network(0, &device);
    let mean = |n: &Network| {
        let state: BTreeMap<_, _> = n.state().into_iter().collect();
        state["bn1.running_mean"]
            .clone()
            .try_into_vec::<f32>()
            .unwrap()
    };
    let before = mean(&network);
    let plain = device.clone().inner();
    let images = Tensor::<4>::random([2, 3, 64, 64], Distribution::Default, &plain);
    let _ = network.valid().forward(images.clone());
    assert_eq!(mean(&network), before);
    let _ = network.forward(Tensor::from_inner(images)).unwrap();
    assert_ne!(mean(&network), before);
}

#[test]
fn a_temperature_divides_the_logits_and_nothing_else() {
    let device = Device::default();
    let images = Tensor::<4>::random([3, 3, 64, 48], Distribution::Default, &device);
    let values = |logits: Tensor<2>| logits.into_data().try_into_vec::<f32>().unwrap();
    let before = values(network(0, &device).forward(images.clone()).unwrap());
    let warmer = network(0, &device).with_temperature(0.25);
    for (after, before) in values(warmer.forward(images).unwrap()).iter().zip(&before) {
        assert!((after - 4.0 * before).abs() <= 1e-5 * before.abs().max(1.0));
    }
    let state: BTreeMap<_, _> = network(0, &device).state().into_iter().collect();
    for (name, data) in warmer.state() {
        assert_eq!(data == state[&name], !name.starts_with("fc."), "{name}");
    }
}

#[test]
fn trainable_tensors_run_from_the_stem_to_the_classification_layer() {
    let network = network(0, &Device::default());
    let tensors = network.trainable_tensors();
    let (first, last) = (&tensors[0], tensors.last().unwrap());
    assert_eq!(
        (first.name.as_str(), first.num_dims, first.depth),
        ("conv1.weight", 4, 0.0)
    );
    assert_eq!(
        (last.name.as_str(), last.num_dims, last.depth),
        ("fc.bias", 1, 1.0)
    );
    assert!(tensors.is_sorted_by(|a, b| a.depth <= b.depth));
    assert!(
        tensors
            .iter()
            .all(|tensor| !tensor.name.contains("running_"))
    );
    assert_eq!(last.id, network.fc().bias.as_ref().unwrap().id);
    assert_eq!(network.num_batch_norms(), 7);
}

#[test]
fn a_plain_network_has_no_skips() {
    let config = CustomConfig {
        cell: CellKind::Plain,
        image_size: 32,
        ..CustomConfig::default()
    };
    let device = Device::default();
    let plain = Network::build(&Spec::Custom(config), 2, 3, &device).unwrap();
    // Batch norms of (B), and none of the projections: 8 x 16 + 16 x 32 + 32 x 64 weights.
    assert_eq!(plain.name(), "custom plain network (8, 16, 32, 64)");
    let original = CustomConfig {
        cell: CellKind::Original,
        ..config
    };
    let original = Network::build(&Spec::Custom(original), 2, 3, &device).unwrap();
    let [plain_count, count] = [&plain, &original].map(|network| network.num_parameters().0);
    assert_eq!(plain_count, count - 2688);
    let document = plain.to_onnx().unwrap();
    let types = document.graph().node.iter().map(|node| node.op_type());
    let count = |name: &str| types.clone().filter(|op_type| *op_type == name).count();
    assert_eq!(
        ["Conv", "BatchNormalization", "Relu", "Add"].map(count),
        [7, 7, 7, 0]
    );
    let images = Tensor::random([3, 3, 32, 48], Distribution::Default, &device);
    assert_eq!(plain.forward(images).unwrap().dims(), [3, 2]);
}

#[test]
fn a_verifier_has_one_logit_in_which_neither_image_is_the_first() {
    let device = Device::default();
    let spec = Spec::Custom(CustomConfig {
        image_size: 32,
        ..CustomConfig::default()
    });
    for (distance, head_parameters, output) in [
        (Distance::AbsoluteDifference, 65, "same"),
        (Distance::Cosine, 2, "same"),
        // Its bias is half the margin, which nothing trains.
        (Distance::Euclidean, 1, "distance"),
    ] {
        let network = Network::build(&spec, distance, 4, &device).unwrap();
        let expected = 77_154 - 130 + head_parameters;
        assert_eq!(network.num_parameters(), (expected, expected));
        let tensors = network.trainable_tensors().into_iter();
        assert_eq!(tensors.map(|tensor| tensor.len).sum::<usize>(), expected);
        let features = |images: Tensor<4>| network.features(images).unwrap();
        let shape = [3, 3, 32, 48];
        let [a, b] =
            [0, 1].map(|_| features(Tensor::random(shape, Distribution::Default, &device)));
        // Pair by pair: a0, b0, a1, b1, a2, b2.
        let pairs = |first: &Tensor<2>, second: &Tensor<2>| {
            let pairs = Tensor::stack::<3>(vec![first.clone(), second.clone()], 1);
            network.compare(pairs.reshape([6, 64])).into_data()
        };
        let logits = pairs(&a, &b);
        assert_eq!(logits.shape().to_vec(), [3, 1]);
        assert_eq!(logits, pairs(&b, &a), "{distance:?}");
        // The distance of the features, as programs that keep them compute it, through the layer.
        let read = |tensor: Tensor<2>| tensor.into_data().try_into_vec::<f32>().unwrap();
        let weight = read(network.fc().weight.val());
        let bias = network.fc().bias.as_ref().unwrap().val().into_data();
        let bias = bias.try_into_vec::<f32>().unwrap()[0];
        let (a, b) = (read(a), read(b));
        let rows = a.chunks_exact(64).zip(b.chunks_exact(64));
        for (found, (a, b)) in logits.try_into_vec::<f32>().unwrap().iter().zip(rows) {
            let terms = weight.iter().zip(distance.between(a, b));
            let logit: f64 = terms.map(|(w, x)| f64::from(*w) * x).sum();
            let expected = logit + f64::from(bias);
            assert!(
                (f64::from(*found) - expected).abs() < 1e-4,
                "{distance:?}: {found} {expected}"
            );
        }

        let document = network.to_verifier_onnx().unwrap();
        let names = |infos: Vec<onnx::ValueInfo>| {
            let names = infos.into_iter().map(|i| i.to_string());
            names.collect::<Vec<_>>()
        };
        let image = "Float [batch, 3, 32, 32]";
        assert_eq!(
            names(document.inputs()),
            [format!("a: {image}"), format!("b: {image}")]
        );
        let output = format!("{output}: Float [batch, 1]");
        assert_eq!(names(document.outputs()), [output]);
        let (_, head) = onnx::siamese::separate(&document).unwrap();
        assert_eq!((head.distance, head.width), (distance, 64));
    }
    let classifier = Network::build(&spec, 1, 4, &device).unwrap();
    let error = classifier.to_verifier_onnx().unwrap_err().to_string();
    assert!(error.contains("a head for pairs"), "{error}");
}

#[test]
fn features_that_are_equal_or_0_have_gradients() {
    let device = Device::default().autodiff();
    let spec = Spec::Custom(CustomConfig::default());
    for distance in [Distance::Cosine, Distance::Euclidean] {
        let network = Network::build(&spec, distance, 4, &device).unwrap();
        let features = Tensor::<2>::zeros([4, 64], &device).require_grad();
        let gradients = network.compare(features.clone()).sum().backward();
        let gradient = features.grad(&gradients).unwrap().into_data();
        let gradient = gradient.try_into_vec::<f32>().unwrap();
        assert_eq!(gradient, [0.0; 4 * 64], "{distance:?}");
    }
}
