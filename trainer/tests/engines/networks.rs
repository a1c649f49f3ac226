//! A network and images to compare engines with. Also part of `tests/exporter-check`, a package of its own.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use models::{CustomConfig, Network, Spec};

/// Images of noise, `[n, 3, 224, 224]`, the same on every call.
pub(crate) fn noise(n: usize) -> Vec<f32> {
    let mut state = 7u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n * 3 * 224 * 224).map(|_| next()).collect()
}

pub(crate) fn burn(network: &Network, images: &[f32], n: usize) -> Vec<f32> {
    let data = TensorData::new(images.to_vec(), [n, 3, 224, 224]);
    let logits = network
        .valid()
        .forward(Tensor::from_data(data, &Device::default()))
        .unwrap();
    logits.into_data().try_into_vec::<f32>().unwrap()
}

/// Largest difference, relative to the largest |logit|.
pub(crate) fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let largest = a.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
        / largest
}

/// A custom network whose batch norms have seen a few batches.
pub(crate) fn trained_a_little() -> Network {
    let device = Device::default().autodiff();
    let spec = Spec::Custom(CustomConfig::default());
    let network = Network::build(&spec, 3, 1, &device).unwrap();
    let batch = TensorData::new(noise(4), [4, 3, 224, 224]);
    for _ in 0..20 {
        let _ = network
            .forward(Tensor::from_data(batch.clone(), &device))
            .unwrap();
    }
    network.valid()
}
