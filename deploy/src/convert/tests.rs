//! Which kernels ONNX Runtime makes of a quantised file. What it answers: `tests/it/convert.rs`.

use onnx::proto::{DataType, NodeProto};
use onnx::{Dim, GraphBuilder, ModelInfo, Tensor, Window};
use pixels::RgbImage;

use super::*;
use crate::runtime::{self, Search};

fn weights(dims: &[usize]) -> Tensor {
    let len: usize = dims.iter().product();
    let value = |i: usize| (i * 7919 % 1009) as f32 / 504.0 - 1.0;
    Tensor::f32(dims, (0..len).map(value).collect()).unwrap()
}

/// Two convolutions around which a value passes by, pooling, a linear layer.
fn network() -> Document {
    let mut graph = GraphBuilder::new("residual");
    let dims: [Dim; 4] = ["batch".into(), 3.into(), 12.into(), 16.into()];
    let x = graph.input("input", DataType::Float, &dims);
    let w = graph.initializer("conv1.weight", &weights(&[8, 3, 3, 3]));
    let b = graph.initializer("conv1.bias", &weights(&[8]));
    let x = graph.conv("conv1", &x, &w, Some(&b), Window::square(3, 1, 1));
    let x = graph.relu("relu1", &x);
    let x = graph.max_pool("maxpool", &x, Window::square(2, 2, 0));
    let w = graph.initializer("conv2.weight", &weights(&[8, 8, 3, 3]));
    let y = graph.conv("conv2", &x, &w, None, Window::square(3, 1, 1));
    let y = graph.add("add", &y, &x);
    let y = graph.relu("relu2", &y);
    let y = graph.global_average_pool("pool", &y);
    let y = graph.flatten("flatten", &y);
    let w = graph.initializer("fc.weight", &weights(&[2, 8]));
    let b = graph.initializer("fc.bias", &weights(&[2]));
    let y = graph.gemm("fc", &y, &w, &b);
    graph.output(&y, "logits", DataType::Float, &["batch".into(), 2.into()]);
    graph.finish(&ModelInfo::default()).unwrap()
}

/// The operators of the graph that ONNX Runtime runs on the CPU.
fn kernels(path: &Path, folder: &Path) -> Vec<String> {
    let optimised = folder.join("optimised.onnx");
    let builder = ort::session::Session::builder(runtime::environment().unwrap()).unwrap();
    let mut builder = builder.with_optimized_model_path(&optimised).unwrap();
    drop(builder.commit_from_file(path).unwrap());
    let document = Document::open(&optimised).unwrap();
    let nodes = document.graph().node.iter();
    nodes.map(NodeProto::op_type).map(str::to_owned).collect()
}

#[test]
fn every_product_and_all_between_runs_on_integers() {
    let search = Search {
        cache: Some(files::cache::dir(None).unwrap()),
        ..Search::default()
    };
    runtime::load(&runtime::ensure(&search, &|_| {}, true).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [model, out, image] =
        ["model.onnx", "int8.onnx", "image.png"].map(|name| folder.path().join(name));
    network().save(&model).unwrap();
    RgbImage::from_fn(16, 12, |x, y| {
        image::Rgb([(9 * x) as u8, (20 * y) as u8, 77])
    })
    .save(&image)
    .unwrap();
    let calibration = Calibration {
        images: vec![image],
        preprocess:
            "decode(rgb, exif)|resize(12, 16, bilinear, antialias)|scale(1/255)|layout(nchw, f32)"
                .parse()
                .unwrap(),
        scheme: Scheme::Asymmetric,
        limits: pixels::Limits::default(),
    };
    int8(&ModelFile::open(&model).unwrap(), &out, &calibration).unwrap();
    // How values are laid out in memory is the processor's own business.
    let moves = ["Flatten", "MaxPool", "NhwcMaxPool", "Transpose"];
    let mut found = kernels(&out, folder.path());
    found.retain(|op| !moves.contains(&op.as_str()));
    found.sort();
    let expected = [
        "QGemm",
        "QLinearAdd",
        "QLinearConv",
        "QLinearConv",
        "QLinearGlobalAveragePool",
        "QuantizeLinear",
    ];
    assert_eq!(found, expected);
}
