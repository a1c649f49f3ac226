//! Every error, as people read it.

use std::io;
use std::path::PathBuf;

use super::*;

/// One of each; the match below says when one is missing.
fn catalogue() -> Vec<Error> {
    let mut all = of_the_runtime();
    all.extend(of_the_precision());
    all.extend(of_the_gpu());
    all.extend(of_the_model());
    all.extend(of_the_data());
    all
}

fn model() -> PathBuf {
    "model.onnx".into()
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn of_the_runtime() -> Vec<Error> {
    let library = || PathBuf::from("libonnxruntime.so");
    vec![
        Error::NoRuntime {
            searched: vec!["cache/runtime".into(), "/usr/lib".into()],
        },
        Error::RuntimeMissing {
            path: library(),
            source: io::ErrorKind::NotFound.into(),
        },
        Error::RuntimeUnfit {
            path: library(),
            expected: text("at least 24272944 bytes"),
            found: text("12136472 bytes: the file is truncated"),
        },
        Error::RuntimeLoad {
            path: library(),
            reason: text("libstdc++.so.6 is missing"),
        },
        Error::RuntimeDiffers {
            loaded: library(),
            asked: "other.so".into(),
        },
        Error::Install {
            what: text("download the wheel"),
            reason: text("pip: no network"),
        },
        Error::HashDiffers {
            path: "a.whl".into(),
            expected: text("12ab"),
            found: text("34cd"),
        },
        Error::ProviderName { text: text("gpu") },
        Error::NotConverted { precision: "fp32" },
        Error::NoCalibration,
        Error::ProviderMissing {
            provider: text("cuda:0"),
            library: library(),
            expected: "CUDAExecutionProvider",
            found: text("CPUExecutionProvider"),
        },
        Error::ProviderFailed {
            provider: text("cuda:0"),
            reason: text("no libcudnn.so.9"),
        },
        Error::NodesElsewhere {
            provider: text("tensorrt:0"),
            nodes: vec![
                text("cpu: TopK `best`"),
                text("cuda: Softmax `last`, LRN `norm1`"),
            ],
        },
        Error::PlacementUnknown {
            provider: text("cuda:0"),
        },
    ]
}

fn of_the_precision() -> Vec<Error> {
    vec![
        Error::PrecisionName { text: text("half") },
        Error::PrecisionUnsupported {
            precision: "tf32",
            provider: text("cpu"),
        },
        Error::PrecisionDiffers {
            path: model(),
            expected: "fp16",
            found: "fp32",
        },
    ]
}

fn of_the_gpu() -> Vec<Error> {
    vec![
        Error::CacheReadOnly {
            what: text("create the cache folder"),
            reason: text("read-only file system"),
        },
        Error::GpuInstall {
            what: text("install from `wheels`"),
            reason: text("the folder lacks `nvidia_cublas-13.whl`"),
            fix: text("add it"),
        },
        Error::ProviderNotReady {
            provider: text("cuda:0"),
            lack: Box::new(Lack {
                what: text("`libcudnn.so.9` was not found"),
                expected: text("cuDNN 9"),
                found: text("none"),
                fix: text("run `deploy runtime install cuda`"),
            }),
        },
    ]
}

fn of_the_model() -> Vec<Error> {
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    vec![
        Error::Onnx(onnx::Error::File {
            path: model(),
            problem: text("is empty"),
            hint: Some("download or export the file again"),
        }),
        Error::Data(data::Dataset::open("photos".as_ref(), 0).unwrap_err()),
        Error::ModelLoad {
            path: model(),
            reason: text("unknown operator Foo"),
        },
        Error::ModelNewer {
            path: model(),
            version: text("1.28.0"),
            expected: text("opset 26 or older"),
            found: text("opset 99"),
        },
        Error::NotAClassifier {
            path: model(),
            expected: text("an input [N, C, H, W]"),
            found: text("an input [1, 768]"),
        },
        Error::NoCard {
            path: model(),
            what: "what its classes are called",
        },
        Error::ClassCount {
            path: model(),
            expected: 2,
            found: 3,
        },
        Error::ShapeDiffers {
            path: model(),
            expected: text("[3, 224, 224]"),
            found: text("[1, 28, 28]"),
        },
        Error::ClassesDiffer {
            path: model(),
            expected: names(&["ants", "bees"]),
            found: names(&["ants", "bees", "wasps"]),
        },
    ]
}

fn of_the_data() -> Vec<Error> {
    vec![
        Error::InputLength {
            batch: 2,
            expected: 96,
            found: 95,
        },
        Error::BatchSize {
            path: model(),
            smallest: 1,
            largest: 32,
            found: 64,
        },
        Error::Run {
            reason: text("out of memory"),
        },
        Error::NoImages,
        Error::Unreadable {
            path: "a.jpg".into(),
            reason: text("truncated"),
        },
        Error::NoGolden { path: model() },
    ]
}

/// Does not compile when a variant is new: it belongs into the catalogue.
fn place(error: &Error) -> usize {
    match error {
        Error::NoRuntime { .. } => 0,
        Error::RuntimeMissing { .. } => 1,
        Error::RuntimeUnfit { .. } => 2,
        Error::RuntimeLoad { .. } => 3,
        Error::RuntimeDiffers { .. } => 4,
        Error::Install { .. } => 5,
        Error::HashDiffers { .. } => 6,
        Error::ProviderName { .. } => 7,
        Error::NotConverted { .. } => 8,
        Error::NoCalibration => 9,
        Error::ProviderMissing { .. } => 10,
        Error::ProviderFailed { .. } => 11,
        Error::NodesElsewhere { .. } => 12,
        Error::PlacementUnknown { .. } => 13,
        Error::PrecisionName { .. } => 14,
        Error::PrecisionUnsupported { .. } => 15,
        Error::PrecisionDiffers { .. } => 16,
        Error::CacheReadOnly { .. } => 17,
        Error::GpuInstall { .. } => 18,
        Error::ProviderNotReady { .. } => 19,
        Error::Onnx(_) => 20,
        Error::Data(_) => 21,
        Error::ModelLoad { .. } => 22,
        Error::ModelNewer { .. } => 23,
        Error::NotAClassifier { .. } => 24,
        Error::NoCard { .. } => 25,
        Error::ClassCount { .. } => 26,
        Error::ShapeDiffers { .. } => 27,
        Error::ClassesDiffer { .. } => 28,
        Error::InputLength { .. } => 29,
        Error::BatchSize { .. } => 30,
        Error::Run { .. } => 31,
        Error::NoImages => 32,
        Error::Unreadable { .. } => 33,
        Error::NoGolden { .. } => 34,
    }
}

#[test]
fn every_error_reads_well() {
    let mut text = String::new();
    for (at, error) in catalogue().iter().enumerate() {
        assert_eq!(place(error), at);
        text += &format!("{error}\n  hint: {}\n\n", error.hint().unwrap_or_default());
    }
    insta::assert_snapshot!(text);
}
