//! Every target with mutated seeds: few inputs, the same in every run. `scripts/fuzz.sh` runs more.

use std::alloc::System;
use std::path::Path;

use cap::Cap;
use fuzz::{run, target};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, fuzz::MEMORY);

const INPUTS: u64 = 10_000;

fn survives(name: &str) {
    let target = target(name);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    run::run(&target, &run::seeds(&target, None), INPUTS, 1, &folder);
}

macro_rules! survive {
    ($($test:ident: $name:literal),* $(,)?) => {
        $(#[test] fn $test() { survives($name); })*

        #[test]
        fn every_target_is_run() {
            let names: Vec<&str> = fuzz::TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$($name),*]);
        }
    };
}

survive! {
    images_survive: "image",
    onnx_headers_survive: "onnx-header",
    onnx_documents_survive: "onnx-document",
    onnx_conversions_survive: "onnx-convert",
    external_data_survives: "external-data",
    preprocessing_survives: "preprocess",
    preprocessor_configs_survive: "preprocessor-config",
    augmentation_survives: "augment",
    cards_survive: "card",
    class_names_survive: "class-names",
    split_tables_survive: "split-table",
    pair_tables_survive: "pair-table",
    pytorch_checkpoints_survive: "pytorch-checkpoint",
    predictions_survive: "predictions",
    settings_survive: "settings",
    checkpoints_survive: "checkpoint",
    features_survive: "features",
    feature_tables_survive: "feature-table",
}
