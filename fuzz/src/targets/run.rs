//! Files of a run: settings, checkpoint, cached features, predictions.

use std::collections::HashMap;
use std::path::Path;

use report::Answers;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use trainer::features::FeatureTable;
use trainer::recipe::Recipe;
use trainer::train::Checkpoint;

use super::text::texts;
use crate::{Target, scratch};

/// The settings of a run.
pub const SETTINGS: Target = Target {
    name: "settings",
    run: |bytes| {
        let Ok(recipe) = scratch::with_file("config.toml", bytes, Recipe::open) else {
            return;
        };
        let Ok(checked) = recipe.resolve(Path::new("/nonexistent")) else {
            return;
        };
        let written = checked.to_toml().expect("checked settings can be written");
        let again = scratch::with_file("again.toml", written.as_bytes(), Recipe::open);
        let again = again.expect("its own text is read").to_toml();
        assert_eq!(again.ok(), Some(written));
    },
    seeds: || {
        let default = Recipe {
            data: "photos".to_owned(),
            ..Recipe::default()
        };
        texts(&[
            &default.to_toml().expect("the defaults can be written"),
            "data = \"photos\"\nepochs = 3\nlr = 0.01\nbackbone = \"resnet18.onnx\"\nviews = \"8\"\naugment = \"crop,hflip\"\n",
        ])
    },
    words: &[
        "=", "\n", "\"", "[", "]", "{", "}", "#", "'''", "true", "nan", "inf", "epochs", "memory",
        "2GB", "1e9",
    ],
};

/// A checkpoint.
pub const CHECKPOINT: Target = Target {
    name: "checkpoint",
    run: |bytes| {
        if let Ok(checkpoint) = scratch::with_file("last.safetensors", bytes, Checkpoint::open) {
            assert!(checkpoint.state().epoch > 0);
            assert_eq!(checkpoint.epochs_done(), checkpoint.state().epoch - 1);
        }
    },
    seeds: checkpoint_seeds,
    words: &[
        "__metadata__",
        "state",
        "optimizer.burnpack",
        "\"dtype\":\"F32\"",
        "\"data_offsets\":[0,",
        "epoch",
        ":",
        ",",
        "}",
        "]",
    ],
};

const STATE: &str = r#"{"format":2,"network":"custom resnet (1, 2)","backbone":null,"classes":["ants","bees"],
"epoch":2,"train":{"step":0,"images":0,"loss_sum":0.0,"correct":0,"seconds":0.0,"wait_seconds":0.0},
"steps_per_epoch":7,"optimizer":"adam","scheduler":{"kind":"plateau","base_lr":0.001,"epochs_done":1,
"plateau_lr":0.001,"best_loss":0.69,"bad_epochs":0},"stopping":{"best":{"epoch":1,"val_loss":0.69,
"val_accuracy":50.0},"epochs_since_best":0},"rows":[{"epoch":1,"lr":0.001,"train_loss":0.69,
"train_accuracy":49.5,"val_loss":0.69,"val_accuracy":50.0,"train_seconds":0.6,"val_seconds":0.2,
"train_images_per_second":360.4,"val_images_per_second":132.8,"train_wait_seconds":0.3}],"parameter_ids":[2,3]}"#;

fn checkpoint_seeds() -> Vec<Vec<u8>> {
    let weights: Vec<u8> = [0.5_f32, -1.0, 2.0, 0.0]
        .iter()
        .flat_map(|w| w.to_le_bytes())
        .collect();
    let view = |dtype, shape, data| {
        TensorView::new(dtype, shape, data).expect("as many bytes as the shape has")
    };
    let tensors = [
        ("fc.weight", view(Dtype::F32, vec![2, 2], &weights)),
        ("optimizer.burnpack", view(Dtype::U8, vec![3], &[1, 2, 3])),
    ];
    let metadata = HashMap::from([("state".to_owned(), STATE.to_owned())]);
    let bytes = safetensors::serialize(tensors, Some(metadata)).expect("the tensors are whole");
    assert!(scratch::with_file("seed.safetensors", &bytes, Checkpoint::open).is_ok());
    vec![bytes]
}

const KEY: &str = "key";
const WIDTH: usize = 3;

/// Cached features of a frozen backbone.
pub const FEATURES: Target = Target {
    name: "features",
    run: |bytes| {
        if let Some(table) = FeatureTable::parse(bytes, KEY, WIDTH) {
            let written = table.to_bytes(KEY).expect("it was read from such bytes");
            let again = FeatureTable::parse(&written, KEY, WIDTH).expect("its own bytes are read");
            assert_eq!(again.len(), table.len());
        }
    },
    seeds: || {
        let mut table = FeatureTable::new(WIDTH);
        table.insert([1; 32], &[0.5, -1.0, 2.0]);
        table.insert([2; 32], &[0.0, 1.0, -2.0]);
        vec![table.to_bytes(KEY).expect("the values are finite")]
    },
    words: &[
        "images",
        "features",
        "sha256",
        "__metadata__",
        "\"dtype\":\"U8\"",
        "\"shape\":[",
    ],
};

/// The table of predictions.
pub const PREDICTIONS: Target = Target {
    name: "predictions",
    run: |bytes| {
        let Ok(answers) = scratch::with_file("predictions.csv", bytes, Answers::open) else {
            return;
        };
        scratch::with_file("again.csv", b"", |path| {
            answers.write(path).expect("it was read from such a file");
            let again = Answers::open(path).expect("its own table is read");
            assert_eq!(again.rows.len(), answers.rows.len());
        });
    },
    seeds: || {
        texts(&[
            "split,path,label,predicted,probability,logit:ants,logit:bees\n\
                 test,test/ants/1.jpg,ants,bees,0.600000,0.1,0.5\ntest,\"a,b.jpg\",bees,bees,0.900000,-1,1.2\n",
        ])
    },
    words: &["logit:", "split", "test", "nan", "inf", "\"", ",", "\n"],
};
