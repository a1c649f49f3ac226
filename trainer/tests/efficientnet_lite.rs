//! EfficientNet-Lite0 from a PyTorch checkpoint: the same numbers as the reference file, and refusals.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends where something is wrong"
)]

use std::path::{Path, PathBuf};

use deploy::runtime::{self, Search};
use deploy::{Session, SessionOptions};
use models::{CheckpointOptions, convert_checkpoint};
use onnx::Document;
use tests::checkpoint_file::{Tensor, legacy};
use tests::shared;

/// Epsilon of the network's batch norms.
const EPSILON: f32 = 1e-3;

/// Inverted residuals of EfficientNet-Lite0: channels in, expansion, channels out, kernel size.
const BLOCKS: [[usize; 4]; 16] = [
    [32, 1, 16, 3],
    [16, 6, 24, 3],
    [24, 6, 24, 3],
    [24, 6, 40, 5],
    [40, 6, 40, 5],
    [40, 6, 80, 3],
    [80, 6, 80, 3],
    [80, 6, 80, 3],
    [80, 6, 112, 5],
    [112, 6, 112, 5],
    [112, 6, 112, 5],
    [112, 6, 192, 5],
    [192, 6, 192, 5],
    [192, 6, 192, 5],
    [192, 6, 192, 5],
    [192, 6, 320, 3],
];

/// Name of each convolution and of its batch norm, and the shape of its weight, in the order of the graph.
fn layers() -> Vec<(String, String, [usize; 4])> {
    let mut layers = vec![("_conv_stem".into(), "_bn0".into(), [32, 3, 3, 3])];
    for (index, [inputs, expand, outputs, kernel]) in BLOCKS.into_iter().enumerate() {
        let hidden = inputs * expand;
        let mut add = |conv: &str, norm: &str, shape| {
            let child = |name: &str| format!("_blocks.{index}.{name}");
            layers.push((child(conv), child(norm), shape));
        };
        if expand > 1 {
            add("_expand_conv", "_bn0", [hidden, inputs, 1, 1]);
        }
        add("_depthwise_conv", "_bn1", [hidden, 1, kernel, kernel]);
        add("_project_conv", "_bn2", [outputs, hidden, 1, 1]);
    }
    layers.push(("_conv_head".into(), "_bn1".into(), [1280, 320, 1, 1]));
    layers
}

fn filled(name: impl Into<String>, shape: &[usize], value: f32) -> Tensor {
    Tensor {
        name: name.into(),
        shape: shape.to_vec(),
        values: vec![value; shape.iter().product()],
    }
}

/// A checkpoint whose weights are all zero.
fn zeros() -> Vec<Tensor> {
    let mut tensors = vec![];
    for (conv, norm, shape) in layers() {
        tensors.push(filled(format!("{conv}.weight"), &shape, 0.0));
        for part in ["weight", "bias", "running_mean", "running_var"] {
            tensors.push(filled(format!("{norm}.{part}"), &shape[..1], 0.0));
        }
    }
    tensors.push(filled("_fc.weight", &[1000, 1280], 0.0));
    tensors.push(filled("_fc.bias", &[1000], 0.0));
    tensors
}

fn write(folder: &Path, tensors: &[Tensor]) -> PathBuf {
    let path = folder.join("lite0.pth");
    fs_err::write(&path, legacy(tensors)).unwrap();
    path
}

/// The reference file's weights, whose batch norms are folded into the convolutions, as a checkpoint.
fn unfolded(reference: &Document) -> Vec<Tensor> {
    let values = |name: &str| {
        reference
            .tensor(name)
            .unwrap()
            .as_f32()
            .unwrap()
            .into_owned()
    };
    let mut layers = layers().into_iter();
    let mut tensors = vec![];
    for node in &reference.graph().node {
        match node.op_type() {
            "Conv" => {
                let (conv, norm, shape) = layers.next().unwrap();
                tensors.push(Tensor {
                    name: format!("{conv}.weight"),
                    shape: shape.to_vec(),
                    values: values(&node.input[1]),
                });
                tensors.push(Tensor {
                    name: format!("{norm}.bias"),
                    shape: shape[..1].to_vec(),
                    values: values(&node.input[2]),
                });
                // So that the batch norm adds its bias and does nothing else.
                for (part, value) in [
                    ("weight", 1.0),
                    ("running_mean", 0.0),
                    ("running_var", 1.0 - EPSILON),
                ] {
                    tensors.push(filled(format!("{norm}.{part}"), &shape[..1], value));
                }
            }
            "Gemm" => {
                for (part, input, shape) in
                    [("weight", 1, vec![1000, 1280]), ("bias", 2, vec![1000])]
                {
                    tensors.push(Tensor {
                        name: format!("_fc.{part}"),
                        shape,
                        values: values(&node.input[input]),
                    });
                }
            }
            _ => {}
        }
    }
    assert!(layers.next().is_none());
    tensors
}

fn convert(checkpoint: &Path) -> models::Result<Document> {
    let options = CheckpointOptions {
        architecture: Some("tf_efficientnet_lite0".into()),
        ..CheckpointOptions::default()
    };
    Ok(convert_checkpoint(checkpoint, &options)?.document)
}

/// Opens a file in ONNX Runtime, which is installed where it is missing.
fn session(path: &Path) -> Session {
    let search = Search::new(&data::cache::dir(None).unwrap());
    let found = runtime::ensure(&search, &|line| println!("{line}"), true).unwrap();
    runtime::load(&found).unwrap();
    Session::open(path, &SessionOptions::default()).unwrap()
}

/// The reference has TensorFlow's padding as shape arithmetic, ours as attributes of its convolutions.
#[test]
fn static_padding_gives_the_logits_of_the_reference() {
    let Some(reference) = shared::find("weights/efficientnet_lite0.onnx") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = unfolded(&Document::open(&reference).unwrap());
    // As PyTorch writes them; no inference needs them.
    tensors.push(filled("_bn0.num_batches_tracked", &[1], 0.0));
    let checkpoint = write(folder.path(), &tensors);
    let document = convert(&checkpoint).unwrap();
    assert_eq!(document.opset(), 17);
    assert_eq!(
        document.inputs()[0].to_string(),
        "input: Float [batch, 3, 224, 224]"
    );
    assert_eq!(
        document.outputs()[0].to_string(),
        "logits: Float [batch, 1000]"
    );
    let operators = |name: &str| {
        document
            .graph()
            .node
            .iter()
            .filter(|node| node.op_type() == name)
            .count()
    };
    let counts = ["Conv", "BatchNormalization", "Clip", "Add", "Pad", "Shape"].map(operators);
    assert_eq!(counts, [49, 49, 33, 9, 0, 0]);
    let ours = folder.path().join("ours.onnx");
    document.save(&ours).unwrap();
    let (mut ours, mut reference) = (session(&ours), session(&reference));
    let mut state = 7u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    for n in [1, 2, 7] {
        let images: Vec<f32> = (0..n * 3 * 224 * 224).map(|_| noise()).collect();
        let expected = reference.run(&images, n).unwrap();
        let found = ours.run(&images, n).unwrap();
        let largest = expected
            .iter()
            .fold(0.0f32, |most, value| most.max(value.abs()));
        assert!(largest > 0.1, "{largest}");
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found - expected).abs() < 1e-5 * largest,
                "batch {n}: {found} {expected}"
            );
        }
    }
}

#[test]
fn missing_misshapen_and_foreign_tensors_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = |tensors: &[Tensor]| {
        let path = write(folder.path(), tensors);
        let error = convert(&path).unwrap_err();
        assert!(
            error
                .hint()
                .unwrap()
                .contains("timm.create_model(\"tf_efficientnet_lite0\"")
        );
        error.to_string().replace(path.to_str().unwrap(), "FILE")
    };
    let mut tensors = zeros();
    tensors.retain(|tensor| tensor.name != "_fc.bias");
    for tensor in &mut tensors {
        if tensor.name == "_conv_head.weight" {
            tensor.shape = vec![320, 1280, 1, 1];
        }
    }
    tensors.push(filled("head.weight", &[2], 0.0));
    insta::assert_snapshot!(refusal(&tensors), @r"
    `FILE` does not hold the weights of tf_efficientnet_lite0; tensors
      1 missing: `_fc.bias`
      1 of another type or shape: `_conv_head.weight` is Float [320, 1280, 1, 1], not [1280, 320, 1, 1]
      1 not part of the network: `head.weight`
    ");
    // Another network altogether.
    let other = refusal(&[filled("conv1.weight", &[4], 0.0)]);
    insta::assert_snapshot!(other, @r"
    `FILE` does not hold the weights of tf_efficientnet_lite0; tensors
      245 missing: `_conv_stem.weight`, `_bn0.weight`, `_bn0.bias`, `_bn0.running_mean` and 241 more
      1 not part of the network: `conv1.weight`
    ");
}

/// A shape is compared before values are read: this one would take 5 GB.
#[test]
fn a_tensor_that_claims_to_be_huge_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = legacy(&zeros());
    // The stride of the first axis, 27, and the first size, 32, become 0 and fifty million.
    let sizes = [b"J\x20\0\0\0J\x03\0\0\0J\x03\0\0\0J\x03\0\0\0t(J\x1b".as_slice()].concat();
    let at = bytes
        .windows(sizes.len())
        .position(|window| window == sizes)
        .unwrap();
    bytes[at + 1..at + 5].copy_from_slice(&50_000_000i32.to_le_bytes());
    bytes[at + sizes.len() - 1] = 0;
    let path = folder.path().join("huge.pth");
    fs_err::write(&path, bytes).unwrap();
    let error = convert(&path).unwrap_err().to_string();
    assert!(error.contains("huge.pth"), "{error}");
    assert!(
        error.contains("`_conv_stem.weight` is Float [50000000, 3, 3, 3]"),
        "{error}"
    );
}
