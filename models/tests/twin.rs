//! One training step beside PyTorch's, from the same weights on the same batch.
//!
//! `scripts/reference/twin.py` wrote the values; whole runs would diverge, single steps must not.
#![expect(clippy::unwrap_used, reason = "a test ends where something is wrong")]

use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::{Device, Int, Tensor, TensorData};
use classifold_models::{CellKind, CustomConfig, Distance, Head, Network, Spec};
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// One file: a state of the run, its batch, and what PyTorch made of one more step.
struct Twin {
    tensors: BTreeMap<String, TensorData>,
    pixels: Vec<u8>,
    labels: Vec<i64>,
    cell: CellKind,
}

/// The states that there are: cells and their file.
const STATES: [(CellKind, &str); 4] = [
    (CellKind::Preactivation, "twin_step0"),
    (CellKind::Preactivation, "twin_step5"),
    (CellKind::Preactivation, "twin_step20"),
    (CellKind::Original, "twin_original_step5"),
];

const SHAPE: [usize; 4] = [6, 3, 64, 80];

impl Twin {
    fn read(cell: CellKind, name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/reference");
        let bytes = std::fs::read(folder.join(format!("{name}.safetensors"))).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let mut twin = Self {
            tensors: BTreeMap::new(),
            pixels: vec![],
            labels: vec![],
            cell,
        };
        for (name, view) in file.tensors() {
            let data = view.data();
            match name.as_str() {
                "pixels" => twin.pixels = data.to_vec(),
                "labels" => {
                    let values = data
                        .chunks_exact(8)
                        .map(|b| i64::from_le_bytes(b.try_into().unwrap()));
                    twin.labels = values.collect();
                }
                _ => {
                    let values = data
                        .chunks_exact(4)
                        .map(|b| f32::from_le_bytes(b.try_into().unwrap()));
                    let values: Vec<f32> = values.collect();
                    twin.tensors
                        .insert(name, TensorData::new(values, view.shape().to_vec()));
                }
            }
        }
        twin
    }

    /// The tensors under a prefix such as `before.`, without it.
    fn under(&self, prefix: &str) -> BTreeMap<String, TensorData> {
        let tensors = self.tensors.iter();
        tensors
            .filter_map(|(k, v)| Some((k.strip_prefix(prefix)?.to_owned(), v.clone())))
            .collect()
    }

    fn values(&self, name: &str) -> Vec<f32> {
        values(&self.tensors[name])
    }

    /// The network in the state before the step, and the batch.
    fn load(&self, device: &Device) -> (Network, Tensor<4>, Tensor<1, Int>) {
        let num_classes = self.tensors["before.fc.bias"].shape().num_elements();
        self.load_with(num_classes.into(), device)
    }

    fn load_with(&self, head: Head, device: &Device) -> (Network, Tensor<4>, Tensor<1, Int>) {
        let config = CustomConfig {
            width: 4,
            cell: self.cell,
            ..CustomConfig::default()
        };
        let network = Network::build(&Spec::Custom(config), head, 0, device).unwrap();
        let network = network.load_state(&self.under("before.")).unwrap();
        let pixels = self
            .pixels
            .iter()
            .map(|v| f32::from(*v) / 128.0 - 1.0)
            .collect::<Vec<_>>();
        let images = Tensor::from_data(TensorData::new(pixels, SHAPE), device);
        let labels = Tensor::from_data(
            TensorData::new(self.labels.clone(), [self.labels.len()]),
            device,
        );
        (network, images, labels)
    }
}

fn values(data: &TensorData) -> Vec<f32> {
    data.clone().try_into_vec::<f32>().unwrap()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

#[test]
fn loss_statistics_and_gradients_of_a_step_are_pytorchs() {
    for (cell, step) in STATES {
        let twin = Twin::read(cell, step);
        let device = Device::default().autodiff();
        let (network, images, labels) = twin.load(&device);
        let logits = network.forward(images).unwrap();
        let loss = CrossEntropyLossConfig::new()
            .init(&device)
            .forward(logits.clone(), labels);
        let found = values(&loss.clone().into_data())[0];
        assert!(
            (found - twin.values("loss")[0]).abs() < 1e-6,
            "{step}: loss {found}"
        );
        let gradients = loss.backward();

        let (after, state) = (twin.under("after."), network.state());
        for (name, tensor) in state.iter().filter(|(name, _)| name.contains("running_")) {
            let off = largest_difference(&values(tensor), &values(&after[name]));
            assert!(off < 1e-5, "{step}: {name} is {off} off");
        }

        let is_original = cell == CellKind::Original;
        let compared = compare_gradients(&twin, &network, &gradients, is_original);
        let normalized = if cell == CellKind::Original { 7 } else { 4 };
        assert_eq!(compared, 33 - normalized, "{step}");
    }
}

/// Compares the gradients that are no rounding, and counts them. `without_conv2`: the biases of second convolutions
/// change nothing either.
fn compare_gradients(
    twin: &Twin,
    network: &Network,
    gradients: &burn::tensor::Gradients,
    without_conv2: bool,
) -> usize {
    let mut compared = 0;
    for (name, own) in gradients_by_name(network, gradients) {
        // Before a batch norm a bias changes nothing: its gradient is rounding.
        let is_normalized = name == "conv1.bias"
            || name.ends_with(".conv1.bias")
            || without_conv2 && name.ends_with(".conv2.bias");
        if is_normalized {
            continue;
        }
        let theirs = twin.values(&format!("grad.{name}"));
        let norm = |v: &[f32]| v.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        let difference: Vec<f32> = own.iter().zip(&theirs).map(|(a, b)| a - b).collect();
        let relative = norm(&difference) / norm(&theirs);
        assert!(relative < 0.02, "gradient of {name} is {relative} off");
        compared += 1;
    }
    compared
}

/// Written by `scripts/reference/twin_pairs.py`. What is added to the features of both images has no gradient; it
/// changes a cosine.
#[test]
fn a_step_on_pairs_is_pytorchs() {
    for (distance, name, num_compared) in [
        (Distance::AbsoluteDifference, "twin_pairs", 26),
        (Distance::Cosine, "twin_pairs_cosine", 29),
        (Distance::Euclidean, "twin_pairs_euclidean", 25),
    ] {
        let twin = Twin::read(CellKind::Preactivation, name);
        let device = Device::default().autodiff();
        let (network, images, same) = twin.load_with(distance.into(), &device);
        let logits = network.compare(network.features(images).unwrap()); // [3, 1]
        let off = largest_difference(&values(&logits.clone().into_data()), &twin.values("logits"));
        assert!(off < 1e-5, "{name}: {off}");
        let loss = match distance {
            Distance::Euclidean => {
                let (distances, same) = (logits.neg() + 0.5, same.float().unsqueeze_dim::<2>(1));
                let lacking = (distances.clone().neg() + 1.0).clamp_min(0.0);
                let others = same.clone().neg() + 1.0;
                let squares = same * distances.powf_scalar(2.0) + others * lacking.powf_scalar(2.0);
                squares.mean() / 2.0
            }
            // The sigmoid of the one logit is the softmax of it and 0.
            _ => {
                let both = Tensor::cat(vec![logits.zeros_like(), logits], 1);
                let loss = CrossEntropyLossConfig::new().init(&device);
                loss.forward(both, same)
            }
        };
        let found = values(&loss.clone().into_data())[0];
        let off = (found - twin.values("loss")[0]).abs();
        assert!(off < 1e-6, "{name}: loss {found}");
        let gradients = loss.backward();
        let is_shifted = distance == Distance::Cosine;
        let compared = compare_gradients(&twin, &network, &gradients, !is_shifted);
        assert_eq!(compared, num_compared, "{name}");
    }
}

#[test]
fn logits_in_inference_are_pytorchs() {
    for (cell, step) in STATES {
        let twin = Twin::read(cell, step);
        let (network, images, _) = twin.load(&Device::default());
        let logits = values(&network.forward(images).unwrap().into_data());
        let off = largest_difference(&logits, &twin.values("eval_logits"));
        assert!(off < 1e-5, "{step}: {off} off");
    }
}

/// Every parameter's gradient under the parameter's name.
fn gradients_by_name(
    network: &Network,
    gradients: &burn::tensor::Gradients,
) -> Vec<(String, Vec<f32>)> {
    let Network::Custom(net) = network else {
        unreachable!()
    };
    let mut found = vec![];
    // Half the margin of a Euclidean distance has none.
    let mut put = |name: String, data: Option<TensorData>| {
        if let Some(data) = data {
            found.push((name, values(&data)));
        }
    };
    macro_rules! grad {
        ($name:expr, $param:expr) => {
            put($name, $param.val().grad(gradients).map(Tensor::into_data))
        };
    }
    macro_rules! both {
        ($name:expr, $layer:expr) => {
            grad!(format!("{}.weight", $name), $layer.weight);
            grad!(format!("{}.bias", $name), $layer.bias);
        };
    }
    grad!("conv1.weight".into(), net.conv1.weight);
    grad!("conv1.bias".into(), net.conv1.bias.as_ref().unwrap());
    both!("bn1", net.bn1);
    for (i, cell) in net.cells.iter().enumerate() {
        both!(format!("cells.{i}.bn1"), cell.bn1);
        grad!(format!("cells.{i}.conv1.weight"), cell.conv1.weight);
        grad!(
            format!("cells.{i}.conv1.bias"),
            cell.conv1.bias.as_ref().unwrap()
        );
        both!(format!("cells.{i}.bn2"), cell.bn2);
        grad!(format!("cells.{i}.conv2.weight"), cell.conv2.weight);
        grad!(
            format!("cells.{i}.conv2.bias"),
            cell.conv2.bias.as_ref().unwrap()
        );
        let project = cell.project.as_ref().unwrap();
        grad!(format!("cells.{i}.project.weight"), project.weight);
    }
    grad!("fc.weight".into(), net.fc.weight);
    grad!("fc.bias".into(), net.fc.bias.as_ref().unwrap());
    found
}
