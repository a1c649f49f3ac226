//! Backbones whose first convolution takes another number of channels, in ONNX Runtime and in Burn.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends where something is wrong"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use deploy::runtime::{self, Search};
use models::{Backbone, Network, Spec};
use onnx::proto::DataType;
use onnx::{ChannelMix, Dim, GraphBuilder, ModelInfo, Window};
use trainer::backbone::InputImages;

/// Height and width of an image.
const SIZE: [usize; 2] = [9, 7];

/// Values from -1 to 1.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    let number = |index: usize| (((index + seed) * 7919 % 1009) as f32 / 504.5) - 1.0;
    (0..count).map(number).collect()
}

/// Saves `conv 3 x 3 (padding) - relu - pool - gemm`; a named operator reads the images before the convolution, with
/// padding of its own if it is `Pad`.
fn save(folder: &Path, padding: usize, first: Option<&str>) -> PathBuf {
    let mut graph = GraphBuilder::new("net");
    let [height, width] = SIZE.map(|side| Dim::Fixed(side as i64));
    let dims = ["batch".into(), Dim::Fixed(3), height, width];
    let mut x = graph.input("image", DataType::Float, &dims);
    if let Some(operator) = first {
        let pads = onnx::Tensor::i64(&[8], vec![0, 0, 1, 0, 0, 0, 1, 2]).unwrap();
        let pads = graph.initializer("pads", &pads);
        let inputs = [&x, &pads].map(String::as_str);
        let count = if operator == "Pad" { 2 } else { 1 };
        x = graph.node(operator, "stem/first", &inputs[..count], vec![]);
    }
    let tensor = |dims: &[usize], seed| {
        onnx::Tensor::f32(dims, numbers(dims.iter().product(), seed)).unwrap()
    };
    let weight = graph.initializer("conv.weight", &tensor(&[5, 3, 3, 3], 1));
    let x = graph.conv("conv", &x, &weight, None, Window::square(3, 1, padding));
    let x = graph.relu("relu", &x);
    let x = graph.global_average_pool("pool", &x);
    let x = graph.flatten("features", &x);
    let weight = graph.initializer("fc.weight", &tensor(&[2, 5], 2));
    let bias = graph.initializer("fc.bias", &tensor(&[2], 3));
    let x = graph.gemm("fc", &x, &weight, &bias);
    graph.output(
        &x,
        "logits",
        DataType::Float,
        &["batch".into(), Dim::Fixed(2)],
    );
    let path = folder.join("net.onnx");
    graph
        .finish(&ModelInfo::default())
        .unwrap()
        .save(&path)
        .unwrap();
    path
}

fn open(path: &Path, num_channels: usize, channel_mix: Option<ChannelMix>) -> Arc<Backbone> {
    let search = Search::new(&data::cache::dir(None).unwrap());
    let found = runtime::ensure(&search, &|line| println!("{line}"), true).unwrap();
    runtime::load(&found).unwrap();
    let shape = [num_channels, SIZE[0], SIZE[1]];
    let images = InputImages { shape, channel_mix };
    trainer::backbone::open(path, None, images, 1).unwrap()
}

/// Features of images in ONNX Runtime and in Burn, which are the same.
fn features(backbone: &Arc<Backbone>, images: &[f32]) -> Vec<f32> {
    let count = images.len() / backbone.image_shape.iter().product::<usize>();
    let frozen = backbone.extractor.features(images, count).unwrap();
    let device = Device::flex().autodiff();
    let network = Network::build(&Spec::Imported(Arc::clone(backbone)), 2, 0, &device).unwrap();
    let [channels, height, width] = backbone.image_shape;
    let data = TensorData::new(images.to_vec(), [count, channels, height, width]);
    let tuned = network.features(Tensor::from_data(data, &device)).unwrap();
    let tuned = tuned.into_data().try_into_vec::<f32>().unwrap();
    assert!(off(&frozen, &tuned) < 1e-5);
    frozen
}

fn off(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max)
}

/// What the mix makes of images: three channels.
fn mixed(images: &[f32], mix: &ChannelMix) -> Vec<f32> {
    let size = SIZE[0] * SIZE[1];
    let images = images.chunks(mix.num_channels() * size);
    let channel = |image: &[f32], (weights, shift): (&Vec<f64>, &f64)| -> Vec<f32> {
        let pixel = |at: usize| {
            let values = weights.iter().enumerate();
            let sum: f64 = values
                .map(|(c, w)| w * f64::from(image[c * size + at]))
                .sum();
            (sum + shift) as f32
        };
        (0..size).map(pixel).collect()
    };
    let image = |image: &[f32]| -> Vec<f32> {
        let rows = mix.weights.iter().zip(&mix.shifts);
        rows.flat_map(|row| channel(image, row)).collect()
    };
    images.flat_map(image).collect()
}

#[test]
fn the_new_convolution_gives_the_features_of_the_mixed_images() {
    let grey = vec![vec![0.9], vec![1.1], vec![-0.4]];
    let four = [
        [1.0, 0.0, 0.0, 0.3],
        [0.0, 1.0, 0.0, 0.2],
        [0.5, 0.0, 2.0, -0.3],
    ];
    for weights in [grey, four.map(Vec::from).to_vec()] {
        for (shifts, padding, first, is_equal) in [
            ([0.0; 3], 0, None, true),
            ([0.0; 3], 1, None, true),
            ([0.0; 3], 0, Some("Pad"), true),
            ([0.3, -0.2, 0.5], 0, None, true),
            // Padding of the mixed images would be the mix of nothing.
            ([0.3, -0.2, 0.5], 1, None, false),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = save(folder.path(), padding, first);
            let (weights, shifts) = (weights.clone(), shifts.to_vec());
            let mix = ChannelMix { weights, shifts };
            let num_channels = mix.num_channels();
            let images = numbers(3 * num_channels * SIZE[0] * SIZE[1], 5);
            let expected = features(&open(&path, 3, None), &mixed(&images, &mix));
            let changed = open(&path, num_channels, Some(mix));
            let off = off(&features(&changed, &images), &expected);
            assert_eq!(off < 1e-5, is_equal, "{num_channels} channels: {off:e}");
        }
    }
}

#[test]
fn without_weights_alpha_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = save(folder.path(), 1, None);
    let mix = ChannelMix {
        weights: (0..3)
            .map(|c| (0..4).map(|new| f64::from(u8::from(c == new))).collect())
            .collect(),
        shifts: vec![0.0; 3],
    };
    let own = open(&path, 3, None);
    let changed = open(&path, 4, Some(mix));
    assert_ne!(own.file.identity(), changed.file.identity());
    assert_eq!(changed.file.num_parameters, own.file.num_parameters + 5 * 9);
    let size = SIZE[0] * SIZE[1];
    let colours = numbers(3 * size, 5);
    let images = |seed| [colours.clone(), numbers(size, seed)].concat();
    let expected = features(&own, &colours);
    assert!(off(&features(&changed, &images(6)), &expected) < 1e-6);
    assert!(off(&features(&changed, &images(7)), &expected) < 1e-6);
}

#[test]
fn what_reads_the_images_and_is_no_plain_convolution_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = save(folder.path(), 1, Some("Neg"));
    let images = InputImages {
        shape: [1, SIZE[0], SIZE[1]],
        channel_mix: Some(ChannelMix {
            weights: vec![vec![1.0]; 3],
            shifts: vec![0.0; 3],
        }),
    };
    let error = trainer::backbone::open(&path, None, images, 1).unwrap_err();
    let message = error.to_string();
    assert!(
        message.ends_with(
            "net.onnx`: the number of channels cannot be changed: node `stem/first` (Neg) reads its images and is no \
             convolution"
        ),
        "{message}"
    );
    let hint = error.hint().unwrap();
    assert!(hint.contains("export the network itself"), "{hint}");
}
