//! ONNX files: header, document, conversions, external data.

use std::collections::HashMap;

use onnx::convert::{self, Range, Scheme};
use onnx::proto::{DataLocation, DataType, StringStringEntryProto};
use onnx::surgery;
use onnx::{
    BatchNormInputs, Dim, Document, FeatureCut, GraphBuilder, Header, ModelFile, ModelInfo, Tensor,
    Window, multiply_accumulates, untrainable_operators,
};

use crate::{Target, scratch};

const WORDS: &[&str] = &[
    "Conv",
    "Gemm",
    "Relu",
    "Reshape",
    "Constant",
    "Softmax",
    "QuantizeLinear",
    "If",
    "body",
    "weights.bin",
    "location",
    "offset",
    "length",
    "classifier.version",
    "../",
    "/etc/passwd",
    "ai.onnx",
];

/// The header: what is read of a file of any size.
pub const HEADER: Target = Target {
    name: "onnx-header",
    run: |bytes| {
        // Of a file, where only the header is read.
        let header = scratch::with_file("model.onnx", bytes, Header::open);
        if let Ok(document) = read(bytes) {
            let header = header.expect("a document has a header");
            assert_eq!(header.metadata, document.metadata());
            assert_eq!(header.opset().unwrap_or(1), document.opset());
        }
    },
    seeds,
    words: WORDS,
};

/// The whole model, its tensors, and writing it again.
pub const DOCUMENT: Target = Target {
    name: "onnx-document",
    run: |bytes| {
        let Ok(document) = read(bytes) else {
            return;
        };
        let _ = (document.inputs(), document.outputs(), document.check());
        for tensor in &document.graph().initializer {
            let _ = document.tensor(tensor.name());
        }
        let written = document.to_bytes();
        // As bytes: a number that is not finite is not equal to itself.
        assert_eq!(
            read(&written).expect("its own bytes are read").to_bytes(),
            written
        );
    },
    seeds,
    words: WORDS,
};

/// Surgery, cut before the classification layer, and conversion of what was read.
pub const CONVERT: Target = Target {
    name: "onnx-convert",
    run: |bytes| {
        let Ok(document) = read(bytes) else {
            return;
        };
        let mut freed = document.clone();
        surgery::set_batch_dynamic(freed.graph_mut());
        surgery::prune(freed.graph_mut());
        let _ = (
            multiply_accumulates(&document),
            untrainable_operators(&document),
        );
        if let Ok(cut) = FeatureCut::find(&document) {
            let mut features = document.clone();
            // What was cut is a graph in order, with one output.
            if cut.cut(&mut features).is_ok() {
                assert_eq!(features.outputs().len(), 1);
            }
        }
        let _ = convert::to_half(&mut document.clone());
        let mut quantized = document;
        if convert::prepare(&mut quantized).is_err() {
            return;
        }
        let Ok(values) = convert::calibrated_values(&quantized) else {
            return;
        };
        let range = Range {
            low: -1.0,
            high: 2.0,
        };
        let ranges: HashMap<_, _> = values.into_iter().map(|name| (name, range)).collect();
        let nodes = convert::quantizable_nodes(&quantized).unwrap_or_default();
        let kept: Vec<String> = nodes.into_iter().step_by(2).map(|node| node.name).collect();
        for kept in [&kept[..], &[]] {
            let _ = convert::quantize(&mut quantized.clone(), &ranges, Scheme::Symmetric, kept);
        }
    },
    seeds,
    words: WORDS,
};

const OUTSIDE: &[u8] = b"outside of the folder";

/// Values in a file beside the model. No file outside of its folder may be read.
pub const EXTERNAL_DATA: Target = Target {
    name: "external-data",
    run: |bytes| {
        scratch::with_file("secret.bin", &OUTSIDE.repeat(100), |secret| {
            let root = secret.parent().expect("a file lies in a folder");
            let folder = root.join("folder");
            fs_err::create_dir_all(&folder).expect("the temporary folder can be written");
            fs_err::write(folder.join("weights.bin"), [7; 4096]).expect("it can be written");
            fs_err::write(folder.join("model.onnx"), bytes).expect("it can be written");
            let Ok(mut document) = Document::open(&folder.join("model.onnx")) else {
                return;
            };
            let checked = document.check_external_data();
            if document.inline_external_data().is_ok() {
                checked.expect("what can be read passes the check");
                let written = document.to_bytes();
                let leaks = written.windows(OUTSIDE.len()).any(|part| part == OUTSIDE);
                assert!(!leaks || bytes.windows(OUTSIDE.len()).any(|part| part == OUTSIDE));
            }
        });
    },
    seeds: || {
        let locations = [
            "weights.bin",
            "./weights.bin",
            "../secret.bin",
            "weights.bin/../../secret.bin",
        ];
        locations.into_iter().map(external).collect()
    },
    words: WORDS,
};

fn read(bytes: &[u8]) -> onnx::Result<Document> {
    Document::from_file(&ModelFile::from_bytes(bytes)?)
}

fn network() -> GraphBuilder {
    let mut graph = GraphBuilder::new("small");
    let dims = ["batch".into(), Dim::Fixed(3), Dim::Fixed(8), Dim::Fixed(8)];
    let x = graph.input("image", DataType::Float, &dims);
    let mut weight = |name: &str, dims: &[usize]| {
        let len: usize = dims.iter().product();
        let values = (0..len).map(|index| (index as f32 * 0.37).sin()).collect();
        let tensor = Tensor::f32(dims, values).expect("as many values as the shape has");
        graph.initializer(name, &tensor)
    };
    let (conv, fc, bias) = (
        weight("conv.w", &[4, 3, 3, 3]),
        weight("fc.w", &[3, 4]),
        weight("fc.b", &[3]),
    );
    let [scale, shift, mean, var] =
        ["scale", "shift", "mean", "var"].map(|name| weight(name, &[4]));
    let x = graph.conv("conv", &x, &conv, None, Window::square(3, 2, 1));
    let norm = BatchNormInputs {
        scale: &scale,
        bias: &shift,
        mean: &mean,
        var: &var,
    };
    let x = graph.batch_norm("norm", &x, norm, 1e-5);
    let x = graph.relu("relu", &x);
    let x = graph.global_average_pool("pool", &x);
    let x = graph.flatten("flatten", &x);
    let y = graph.gemm("fc", &x, &fc, &bias);
    graph.output(
        &y,
        "logits",
        DataType::Float,
        &["batch".into(), Dim::Fixed(3)],
    );
    graph
}

fn document() -> Document {
    network()
        .finish(&ModelInfo::default())
        .expect("the graph is whole")
}

fn seeds() -> Vec<Vec<u8>> {
    let whole = document();
    let mut named = whole.clone();
    named.set_metadata("", &[("classifier.version".to_owned(), "1".to_owned())]);
    let mut half = whole.clone();
    convert::to_half(&mut half).expect("it can be converted");
    [whole, named, half]
        .iter()
        .map(Document::to_bytes)
        .collect()
}

/// The network with the first weight at this location.
fn external(location: &str) -> Vec<u8> {
    let mut document = document();
    let tensor = &mut document.graph_mut().initializer[0];
    let entry = |key: &str, value: &str| StringStringEntryProto {
        key: Some(key.to_owned()),
        value: Some(value.to_owned()),
    };
    tensor.raw_data = None;
    tensor.float_data.clear();
    tensor.set_data_location(DataLocation::External);
    tensor.external_data = vec![
        entry("location", location),
        entry("offset", "64"),
        entry("length", "432"),
    ];
    document.to_bytes()
}
