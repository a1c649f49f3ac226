//! What `trainer inspect` sees in ResNet18 is what PyTorch sees in it.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends where something is wrong"
)]

use std::path::{Path, PathBuf};

use data::Preprocess;
use data::preprocess::Color;
use deploy::Model;
use deploy::runtime::{self, Search};
use onnx::proto::DataType;
use onnx::{Dim, Document, ModelFile, Tensor, ValueInfo, surgery};
use serde::Deserialize;
use trainer::inspect::attention::{self, Maps};
use trainer::inspect::inspected_model::{Attribution, InspectedModel, Overrides};
use trainer::inspect::tiles;

/// `tests/reference/activations.json`, of `scripts/reference/activations.py`.
#[derive(Deserialize)]
struct Reference {
    kernels: Vec<f32>,
    photo: String,
    network: Vec<Figures>,
    simplified: Vec<Figures>,
    head: Head,
    cams: Vec<Cams>,
}

#[derive(Deserialize)]
struct Figures {
    name: String,
    shape: [usize; 3],
    mean: f64,
    norm: f64,
    at: Vec<usize>,
    values: Vec<f32>,
}

#[derive(Deserialize)]
struct Head {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

#[derive(Deserialize)]
struct Cams {
    photo: String,
    predicted: usize,
    logits: Vec<f32>,
    grad_cam: Vec<f32>,
    eigen_cam: Vec<f32>,
    resized: Vec<f32>,
}

fn reference() -> Reference {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/reference/activations.json");
    serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap()
}

/// Material beside the checkout; without it a test is skipped, but not in CI.
fn shared(path: &str) -> Option<PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared")
        .join(path);
    if found.exists() {
        return Some(found);
    }
    assert!(std::env::var_os("CI").is_none(), "needs ../shared/{path}");
    println!("skipped: needs ../shared/{path}");
    None
}

fn open(model: &Path, simplified: bool) -> InspectedModel {
    let search = Search::new(&data::cache::dir(None).unwrap());
    let found = runtime::ensure(&search, &|line| println!("{line}"), true).unwrap();
    runtime::load(&found).unwrap();
    let overrides = Overrides {
        classes: None,
        preprocess: Some(Preprocess::imagenet()),
    };
    let file = ModelFile::open(model).unwrap();
    let opened = Model::from_file(&file).unwrap();
    InspectedModel::open(&file, &opened, overrides, simplified, 2).unwrap()
}

/// Largest difference, of the largest expected value.
fn difference(expected: &[f32], found: &[f32]) -> f32 {
    assert_eq!(expected.len(), found.len());
    let largest = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    let pairs = expected.iter().zip(found);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest
}

#[test]
fn kernels_and_every_feature_map_of_resnet18_are_pytorchs() {
    let found = (shared("weights/resnet18.onnx"), shared("data/hymenoptera"));
    let (Some(model), Some(photos)) = found else {
        return;
    };
    let reference = reference();
    for (simplified, figures) in [(false, &reference.network), (true, &reference.simplified)] {
        let mut model = open(&model, simplified);
        let view = model.inspect(&photos.join(&reference.photo)).unwrap();
        assert_eq!(model.convs().len(), figures.len());
        let mut worst = 0.0f32;
        for (conv, figures) in model.convs().iter().zip(figures) {
            let last = figures.name.rsplit('.').next().unwrap();
            assert!(conv.name.contains(last), "{} {}", conv.name, figures.name);
            let maps = Maps::from_tap(view.value(&conv.output).unwrap()).unwrap();
            assert_eq!([maps.channels, maps.height, maps.width], figures.shape);
            let values: Vec<f32> = figures.at.iter().map(|at| maps.numbers[*at]).collect();
            let numbers = maps.numbers.iter().map(|v| f64::from(*v));
            let (sum, squares) = numbers.fold((0.0, 0.0), |(s, q), v| (s + v, q + v * v));
            let mean = sum / maps.numbers.len() as f64;
            let usual = figures.norm / (maps.numbers.len() as f64).sqrt();
            let off = [
                difference(&figures.values, &values),
                ((mean - figures.mean).abs() / usual) as f32,
                ((squares.sqrt() / figures.norm - 1.0).abs()) as f32,
            ];
            let off = off.into_iter().fold(0.0, f32::max);
            assert!(off < 2e-5, "{}: {off:e}", conv.name);
            worst = worst.max(off);
        }
        println!("simplified {simplified}: at most {worst:e} of the largest value apart");
        assert_eq!(model.left_out().len(), if simplified { 3 } else { 0 });

        let weight = model.kernels(&view).unwrap();
        let sheet = tiles::kernels(&weight, Color::Rgb).unwrap().colour.unwrap();
        // Row 2, column 4 of every kernel: tiles of 7 x 16 pixels and gaps of 4.
        let pixels = (0..64u32).flat_map(|kernel| {
            let corner = |index: u32| index * (7 * 16 + 4) + 4;
            let (x, y) = (corner(kernel % 8) + 4 * 16, corner(kernel / 8) + 2 * 16);
            sheet.get_pixel(x, y).0
        });
        for (found, expected) in pixels.zip(&reference.kernels) {
            let off = (f32::from(found) - expected).abs();
            assert!(off < 0.51, "{found}, not {expected}");
        }
    }
}

/// ResNet18 with the classification layer of a run.
fn with_head(model: &Path, head: &Head, folder: &Path) -> PathBuf {
    let mut document = Document::open(model).unwrap();
    let classes = head.bias.len();
    let weight = Tensor::f32(&[classes, 512], head.weight.clone()).unwrap();
    document.set_tensor("fc.weight", &weight).unwrap();
    let bias = Tensor::f32(&[classes], head.bias.clone()).unwrap();
    document.set_tensor("fc.bias", &bias).unwrap();
    let dims = vec!["batch".into(), Dim::from(classes)];
    let output = ValueInfo::new("output", DataType::Float, dims);
    surgery::set_outputs(document.graph_mut(), &[output]);
    let path = folder.join("model.onnx");
    document.save(&path).unwrap();
    path
}

#[test]
fn the_activation_map_is_pytorchs_grad_cam_times_the_number_of_places() {
    let found = (shared("weights/resnet18.onnx"), shared("data/hymenoptera"));
    let (Some(model), Some(photos)) = found else {
        return;
    };
    let (reference, folder) = (reference(), tempfile::tempdir().unwrap());
    let mut model = open(&with_head(&model, &reference.head, folder.path()), false);
    for expected in &reference.cams {
        let view = model.inspect(&photos.join(&expected.photo)).unwrap();
        assert_eq!(view.predicted(), expected.predicted);
        let attribution = model.attribution(&view, expected.predicted).unwrap();
        let Some(Attribution::ClassMap {
            heat, bias, error, ..
        }) = attribution
        else {
            panic!("no class activation map: {attribution:?}");
        };
        let logit = expected.logits[expected.predicted];
        assert!((heat.mean() as f32 + bias - logit).abs() < 1e-4 && error < 1e-5);
        let cells = (heat.width * heat.height) as f32;
        let cam: Vec<f32> = heat.values.iter().map(|v| v.max(0.0) / cells).collect();
        let grad_cam = difference(&expected.grad_cam, &cam);
        let peak = heat.peak();
        let mut fine = heat.positive().resized(224, 224);
        fine.values.iter_mut().for_each(|v| *v /= peak);
        let some = (0..224)
            .step_by(37)
            .flat_map(|y| (0..224).step_by(41).map(move |x| (x, y)));
        let some: Vec<f32> = some.map(|(x, y)| fine.values[y * 224 + x]).collect();
        let resized = difference(&expected.resized, &some);
        let last = view.value("/layer4/layer4.1/relu_1/Relu_output_0").unwrap();
        let eigen = attention::eigen(&Maps::from_tap(last).unwrap());
        let eigen = difference(&expected.eigen_cam, &eigen.values);
        println!(
            "{}: of the greatest value apart: Grad-CAM {grad_cam:e}, enlarged {resized:e}, \
             Eigen-CAM {eigen:e}",
            expected.photo
        );
        assert!(grad_cam < 2e-5 && resized < 2e-5 && eigen < 2e-5);
    }
}
