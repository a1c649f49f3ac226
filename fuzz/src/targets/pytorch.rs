//! PyTorch checkpoints: pickles, which ask for programs to be run, and the values behind them.

use models::{CheckpointOptions, convert_checkpoint};

use crate::{Target, scratch};

/// Written for the end-to-end tests, which are no dependency of this package.
#[path = "../../../tests/src/checkpoint_file.rs"]
pub mod checkpoint_file;

use checkpoint_file::{Tensor, legacy};

/// A checkpoint for a network that has more tensors than any seed: what is there is read, and then refused.
pub const CHECKPOINT: Target = Target {
    name: "pytorch-checkpoint",
    run: |bytes| {
        let options = CheckpointOptions::default();
        let converted = scratch::with_file("weights.pth", bytes, |path| {
            convert_checkpoint(path, &options)
        });
        assert!(converted.is_err());
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
        vec![
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
