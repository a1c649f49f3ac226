//! Checkpoints: pickles, which ask for programs to be run, safetensors, and the networks of their tensors.

use models::{CheckpointOptions, convert_checkpoint};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::{Target, scratch};

/// Written for the end-to-end tests, which are no dependency of this package.
#[path = "../../../tests/src/checkpoint_file.rs"]
pub mod checkpoint_file;

use checkpoint_file::{Tensor, legacy};

/// Checkpoints of a whole network, a small vision transformer, and of parts of others.
pub const CHECKPOINT: Target = Target {
    name: "pytorch-checkpoint",
    run: |bytes| {
        let options = CheckpointOptions::default();
        let _ = scratch::with_file("weights.pth", bytes, |path| {
            convert_checkpoint(path, &options)
        });
    },
    seeds: || {
        let norm = |part: &str| Tensor {
            name: format!("_bn0.{part}"),
            shape: vec![32],
            values: vec![0.5; 32],
        };
        let stem = Tensor {
            name: "_conv_stem.weight".to_owned(),
            shape: vec![32, 3, 3, 3],
            values: vec![0.25; 32 * 27],
        };
        let whole = vision_transformer();
        vec![
            legacy(&whole),
            safetensors_of(&whole),
            legacy(&[stem, norm("weight"), norm("bias")]),
            legacy(&[norm("running_mean")]),
            b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02ls\x94\x85\x94R\x94."
                .to_vec(),
        ]
    },
    words: &[
        "ccollections\nOrderedDict\n)R",
        "ctorch._utils\n_rebuild_tensor_v2\n",
        "ctorch\nFloatStorage\n",
        "cposix\nsystem\n",
        "PK\u{3}\u{4}",
        "ustar",
    ],
};

/// One block, for images of 16 x 16 in four patches.
fn vision_transformer() -> Vec<Tensor> {
    let mut tensors = vec![];
    let mut add = |name: &str, shape: &[usize]| {
        tensors.push(Tensor {
            name: name.to_owned(),
            shape: shape.to_vec(),
            values: vec![0.25; shape.iter().product()],
        });
    };
    add("cls_token", &[1, 1, 64]);
    add("pos_embed", &[1, 5, 64]);
    add("patch_embed.proj.weight", &[64, 3, 8, 8]);
    for (name, outputs, inputs) in [
        ("attn.qkv", 192, 64),
        ("attn.proj", 64, 64),
        ("mlp.fc1", 8, 64),
        ("mlp.fc2", 64, 8),
    ] {
        add(&format!("blocks.0.{name}.weight"), &[outputs, inputs]);
        add(&format!("blocks.0.{name}.bias"), &[outputs]);
    }
    for norm in ["blocks.0.norm1", "blocks.0.norm2", "norm"] {
        add(&format!("{norm}.weight"), &[64]);
        add(&format!("{norm}.bias"), &[64]);
    }
    tensors
}

fn safetensors_of(tensors: &[Tensor]) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|tensor| {
            tensor
                .values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect()
        })
        .collect();
    let views = tensors.iter().zip(&bytes).map(|(tensor, bytes)| {
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes);
        (
            tensor.name.as_str(),
            view.expect("as many values as the shape has"),
        )
    });
    let bytes = safetensors::serialize(views, None).expect("the tensors are whole");
    let options = CheckpointOptions::default();
    let converted = scratch::with_file("seed", &bytes, |path| convert_checkpoint(path, &options));
    assert!(converted.is_ok());
    bytes
}
