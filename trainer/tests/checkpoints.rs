//! Networks of checkpoints: the answers of the libraries that they are from, and refusals.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends where something is wrong"
)]

use std::path::{Path, PathBuf};

use deploy::runtime::{self, Search};
use deploy::{Session, SessionOptions};
use models::{CheckpointOptions, convert_checkpoint};
use onnx::{Document, FeatureCut, ModelFile};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize};
use serde::Deserialize;
use serde_json::Value;
use tests::checkpoint_file::{Tensor, legacy};
use trainer::checkpoint_config;

/// A network of `tests/reference/checkpoints.json`, which `scripts/reference/checkpoints.py` writes.
#[derive(Clone, Deserialize)]
struct Case {
    name: String,
    architecture: Option<String>,
    /// Rows and columns of its images.
    size: usize,
    config: Option<Value>,
    tensors: Vec<(String, Vec<usize>)>,
    /// Place of each tensor in the network's state, from which its values are made.
    places: Vec<u32>,
    /// Logits or features of two images.
    answer: Vec<Vec<f32>>,
}

fn cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/reference/checkpoints.json");
    serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap()
}

fn case(name: &str) -> Case {
    let cases = cases();
    cases.into_iter().find(|case| case.name == name).unwrap()
}

/// Numbers in [0, 1), as in the script.
fn noise(count: usize, seed: u32) -> impl Iterator<Item = f32> {
    let begin = seed.wrapping_mul(40_503);
    (0..count as u32).map(move |index| {
        let mut x = index.wrapping_mul(2_654_435_761).wrapping_add(begin);
        for _ in 0..2 {
            x = (x ^ (x >> 16)).wrapping_mul(0x045d_9f3b);
        }
        ((x ^ (x >> 16)) >> 8) as f32 / (1 << 24) as f32
    })
}

impl Case {
    /// The tensors with their values, as in the script.
    fn filled(&self) -> Vec<Tensor> {
        let tensors = self.tensors.iter().zip(&self.places);
        tensors
            .map(|((name, shape), place)| {
                let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
                let count: usize = shape.iter().product();
                let fan_in: usize = shape.iter().skip(1).product();
                let (offset, scale) = match shape.len() {
                    _ if ends(&["running_var"]) => (1.0, 0.5),
                    1 if !ends(&["bias", "running_mean", "embedding"]) => (1.0, 0.5),
                    1 => (0.0, 0.4),
                    _ => (0.0, (18.0 / fan_in as f64).sqrt() as f32),
                };
                let values = noise(count, *place).map(|value| offset + scale * (value - 0.5));
                Tensor {
                    name: name.clone(),
                    shape: shape.clone(),
                    values: values.collect(),
                }
            })
            .collect()
    }

    fn images(&self) -> Vec<f32> {
        let values = noise(2 * 3 * self.size * self.size, 999);
        values.map(|value| 4.0 * value - 2.0).collect()
    }

    fn options(&self) -> CheckpointOptions {
        CheckpointOptions {
            architecture: self.architecture.clone(),
            image_size: Some(self.size),
            ..CheckpointOptions::default()
        }
    }
}

/// A file of half or single precision.
fn safetensors(tensors: &[Tensor], dtype: Dtype, bits: impl Fn(f32) -> Vec<u8>) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|tensor| {
            tensor
                .values
                .iter()
                .flat_map(|value| bits(*value))
                .collect()
        })
        .collect();
    let views = tensors.iter().zip(&bytes).map(|(tensor, bytes)| {
        let view = TensorView::new(dtype, tensor.shape.clone(), bytes).unwrap();
        (tensor.name.as_str(), view)
    });
    serialize(views, None).unwrap()
}

fn single(value: f32) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs_err::write(&path, bytes).unwrap();
    path
}

/// Loads ONNX Runtime, which is installed where it is missing.
fn load_runtime() {
    let search = Search::new(&data::cache::dir(None).unwrap());
    let found = runtime::ensure(&search, &|line| println!("{line}"), true).unwrap();
    runtime::load(&found).unwrap();
}

fn session(document: &Document) -> Session {
    let file = ModelFile::from_bytes(document.to_bytes()).unwrap();
    Session::from_file(&file, &SessionOptions::default()).unwrap()
}

#[test]
fn networks_answer_as_those_of_their_own_library() {
    load_runtime();
    let cases = cases();
    assert_eq!(cases.len(), 24);
    for case in cases {
        let folder = tempfile::tempdir().unwrap();
        let tensors = case.filled();
        let path = write(
            folder.path(),
            "model.safetensors",
            &safetensors(&tensors, Dtype::F32, single),
        );
        let mut options = case.options();
        if let Some(config) = &case.config {
            write(folder.path(), "config.json", config.to_string().as_bytes());
            options = CheckpointOptions {
                image_size: options.image_size,
                ..checkpoint_config::beside(&path).unwrap().unwrap()
            };
        }
        let found = convert_checkpoint(&path, &options).unwrap();
        assert_eq!(
            found.image_shape,
            [3, case.size, case.size],
            "{}",
            case.name
        );
        // The cut before the classification layer is found, or there is none.
        let cut = FeatureCut::find(&found.document).unwrap();
        let is_classifier = found.document.outputs()[0].name == "logits";
        assert_eq!(cut.layers.is_empty(), !is_classifier, "{}", case.name);
        let (mut session, images) = (session(&found.document), case.images());
        let expected = case.answer.concat();
        let largest = expected
            .iter()
            .fold(0.0f32, |most, value| most.max(value.abs()));
        let both = session.run(&images, 2).unwrap();
        let alone = session.run(&images[..images.len() / 2], 1).unwrap();
        assert_eq!(both.len(), expected.len(), "{}", case.name);
        assert_eq!(alone.len(), expected.len() / 2, "{}", case.name);
        for values in [both, alone] {
            for (value, expected) in values.iter().zip(&expected) {
                let difference = (value - expected).abs() / largest;
                assert!(difference < 1e-4, "{}: {value} {expected}", case.name);
            }
        }
    }
}

/// The network of a file with these bytes, as an ONNX file.
fn converted(bytes: &[u8], options: &CheckpointOptions) -> models::Result<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "net.bin", bytes);
    Ok(convert_checkpoint(&path, options)?.document.to_bytes())
}

/// Why a file with these tensors is refused, and what to do.
fn refusal(tensors: &[Tensor], options: &CheckpointOptions) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "net.pth", &legacy(tensors));
    let error = convert_checkpoint(&path, options).unwrap_err();
    let text = format!("{error}\nhint: {}", error.hint().unwrap());
    text.replace(path.to_str().unwrap(), "net.pth")
}

fn named(architecture: &str) -> CheckpointOptions {
    CheckpointOptions {
        architecture: Some(architecture.into()),
        ..CheckpointOptions::default()
    }
}

#[test]
fn pytorch_and_safetensors_half_and_whole_nested_and_averaged_weights_are_one_network() {
    let case = case("timm vit");
    let options = case.options();
    let mut tensors = case.filled();
    // What bfloat16 holds, half precision and single precision hold, too.
    for value in tensors.iter_mut().flat_map(|tensor| &mut tensor.values) {
        let coarse = f32::from_bits(value.to_bits() & 0xffff_0000);
        *value = if coarse.abs() < 1e-4 { 0.0 } else { coarse };
    }
    let expected = converted(&legacy(&tensors), &options).unwrap();
    let same = |bytes: &[u8]| converted(bytes, &options).unwrap() == expected;
    assert!(same(&safetensors(&tensors, Dtype::F32, single)));
    let half = |value: f32| half_bits(value).to_le_bytes().to_vec();
    assert!(same(&safetensors(&tensors, Dtype::F16, half)));
    let top = |value: f32| value.to_le_bytes()[2..].to_vec();
    assert!(same(&safetensors(&tensors, Dtype::BF16, top)));
    let double = |value: f32| f64::from(value).to_le_bytes().to_vec();
    assert!(same(&safetensors(&tensors, Dtype::F64, double)));
    let renamed = |prefix: &str| {
        let renamed = tensors.iter().map(|tensor| Tensor {
            name: format!("{prefix}{}", tensor.name),
            shape: tensor.shape.clone(),
            values: tensor.values.clone(),
        });
        renamed.collect::<Vec<_>>()
    };
    assert!(same(&legacy(&renamed("state_dict.module."))));
    // As timm's training writes it: the averaged weights beside the others, and the optimiser's.
    let mut training = renamed("state_dict_ema.");
    for mut tensor in renamed("state_dict.") {
        tensor.values.fill(7.0);
        training.push(tensor);
    }
    training.push(filled("optimizer.state.0.exp_avg", &[3]));
    assert!(same(&legacy(&training)));
    let two = [renamed("encoder_q."), renamed("encoder_k.")].concat();
    let text = refusal(&two, &options);
    assert!(text.contains("holds several networks"), "{text}");
    assert!(text.contains("`encoder_k.`, `encoder_q.`"), "{text}");
}

/// Bits in half precision of a number that it holds exactly, above its subnormal numbers.
fn half_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    match value == 0.0 {
        true => sign,
        false => sign | ((bits >> 13 & 0x3ff) | ((bits >> 23 & 0xff) - 112) << 10) as u16,
    }
}

fn filled(name: &str, shape: &[usize]) -> Tensor {
    Tensor {
        name: name.into(),
        shape: shape.to_vec(),
        values: vec![0.5; shape.iter().product()],
    }
}

#[test]
fn tensors_of_another_network_are_listed() {
    let case = case("torchvision resnet18");
    let mut tensors = case.filled();
    tensors.retain(|tensor| !tensor.name.starts_with("layer2.1.bn2"));
    for tensor in &mut tensors {
        if tensor.name == "conv1.weight" {
            // As networks for CIFAR-10 have it.
            tensor.shape = vec![64, 3, 3, 3];
            tensor.values.truncate(64 * 27);
        }
    }
    tensors.push(filled("layer1.0.se.fc1.weight", &[4, 64, 1, 1]));
    tensors.push(filled("bn1.num_batches_tracked", &[1]));
    insta::assert_snapshot!(refusal(&tensors, &case.options()), @r#"
    `net.pth` does not hold the weights of resnet18; tensors
      4 missing: `layer2.1.bn2.weight`, `layer2.1.bn2.bias`, `layer2.1.bn2.running_mean`, `layer2.1.bn2.running_var`
      1 of another type or shape: `conv1.weight` is Float [64, 3, 3, 3], not [64, 3, 7, 7]
      1 not part of the network: `layer1.0.se.fc1.weight`
    hint: export it with Python: python3 -c 'import torch; import timm; b = {0: "batch"}; torch.onnx.export(timm.create_model("NAME", checkpoint_path="net.pth", exportable=True).eval(), torch.zeros(2, 3, 64, 64), "model.onnx", dynamo=False, opset_version=17, input_names=["input"], output_names=["logits"], dynamic_axes={"input": b, "logits": b})'
    "#);
    // A name that says another depth.
    let text = refusal(&case.filled(), &named("resnet34"));
    assert!(
        text.contains("does not hold the weights of resnet34"),
        "{text}"
    );
    assert!(text.contains("missing: `layer1.2.conv1.weight`"), "{text}");
}

#[test]
fn other_networks_get_the_line_of_python_that_exports_them() {
    let tensors = [
        filled("stages.0.weight", &[2, 2]),
        filled("head.bias", &[2]),
    ];
    insta::assert_snapshot!(refusal(&tensors, &CheckpointOptions::default()), @r#"
    `net.pth` holds no network that is known here; its tensors are `head.bias`, `stages.0.weight`
    hint: export it with Python: python3 -c 'import torch; import timm; b = {0: "batch"}; torch.onnx.export(timm.create_model("NAME", checkpoint_path="net.pth", exportable=True).eval(), torch.zeros(2, 3, 224, 224), "model.onnx", dynamo=False, opset_version=17, input_names=["input"], output_names=["logits"], dynamic_axes={"input": b, "logits": b})'
    "#);
    insta::assert_snapshot!(refusal(&tensors, &named("convnext_tiny")), @r#"
    the architecture `convnext_tiny` is not written here; known are ResNet, ResNeXt, wide ResNet, MobileNetV2, EfficientNet-Lite 0 to 2 and plain ViT
    hint: export it with Python: python3 -c 'import torch; import timm; b = {0: "batch"}; torch.onnx.export(timm.create_model("convnext_tiny", checkpoint_path="net.pth", exportable=True).eval(), torch.zeros(2, 3, 224, 224), "model.onnx", dynamo=False, opset_version=17, input_names=["input"], output_names=["logits"], dynamic_axes={"input": b, "logits": b})'
    "#);
    let text = refusal(&tensors, &named("SwinForImageClassification"));
    assert!(
        text.contains("from transformers import SwinForImageClassification"),
        "{text}"
    );
    for other in [
        "resnet50d",
        "resnetaa50",
        "vit_base_patch16_rpn_224",
        "efficientnet_b0",
    ] {
        let text = refusal(&tensors, &named(other));
        assert!(
            text.contains(&format!("`{other}` is not written here")),
            "{text}"
        );
    }
}

#[test]
fn what_no_tensor_tells_is_asked_for() {
    let clip = case("timm clip");
    let unnamed = CheckpointOptions {
        image_size: Some(32),
        ..CheckpointOptions::default()
    };
    insta::assert_snapshot!(refusal(&clip.filled(), &unnamed), @r"
    `net.pth`: it may be CLIP's with GELU or with QuickGELU (OpenAI's weights), which no tensor tells
    hint: say which it is: `--architecture vit_base_patch32_clip_224` has GELU, `--architecture vit_base_patch32_clip_quickgelu_224` QuickGELU; the sizes are those of the tensors
    ");
    insta::assert_snapshot!(refusal(&case("timm efficientnet_lite0").filled(), &unnamed), @r"
    `net.pth` has the tensors of `efficientnet_lite0` and of `tf_efficientnet_lite0`, which pad and normalise differently
    hint: say which it is: `--architecture tf_efficientnet_lite0` for weights of TensorFlow, else `--architecture efficientnet_lite0`
    ");
    let vit = case("timm vit");
    let uneven = CheckpointOptions {
        image_size: Some(60),
        ..CheckpointOptions::default()
    };
    insta::assert_snapshot!(refusal(&vit.filled(), &uneven), @r"
    `net.pth`: images of 60 pixels have no whole patches of 8
    hint: take `--size 56` or `--size 64`
    ");
    let huge = CheckpointOptions {
        image_size: Some(1 << 20),
        ..CheckpointOptions::default()
    };
    let path = Path::new("net.pth");
    let text = convert_checkpoint(path, &huge).unwrap_err().to_string();
    assert_eq!(
        text,
        "the size of the images is 1048576; it must be 16 to 2048 pixels"
    );
}

#[test]
fn files_that_end_early_or_claim_too_much_are_refused() {
    let case = case("timm vit");
    let (tensors, options) = (case.filled(), case.options());
    let whole = safetensors(&tensors, Dtype::F32, single);
    let error = |bytes: &[u8]| converted(bytes, &options).unwrap_err().to_string();
    let text = error(&whole[..whole.len() - 1]);
    assert!(
        text.contains("cannot be read as a safetensors file"),
        "{text}"
    );
    let pickled = legacy(&tensors);
    for len in [pickled.len() - 1, pickled.len() / 2, 100, 9, 0] {
        let text = error(&pickled[..len]);
        assert!(text.contains("cannot be read as a"), "{text}");
    }
    // A length of the header beyond any file.
    let mut bytes = whole;
    bytes[..4].copy_from_slice(&[255; 4]);
    assert!(error(&bytes).contains("cannot be read as a safetensors file"));
}
