//! Every error, as people read it.

use std::io;
use std::path::PathBuf;

use super::*;

/// One of each; the match below says when one is missing.
fn catalogue() -> Vec<Error> {
    let mut all = of_the_runtime();
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
        Error::PrecisionName { text: text("fp8") },
        Error::PrecisionUnsupported {
            precision: Precision::Tf32,
            provider: text("cpu"),
        },
        Error::NotConverted {
            precision: Precision::Fp32,
        },
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
    ]
}

fn of_the_model() -> Vec<Error> {
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    vec![
        Error::Onnx(onnx::Error::Empty { path: model() }),
        Error::Data(data::Error::NoSuchData {
            path: "photos".into(),
        }),
        Error::ModelLoad {
            path: model(),
            reason: text("unknown operator Foo"),
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
        Error::Run {
            reason: text("out of memory"),
        },
        Error::NoImages,
        Error::Unreadable {
            path: "a.jpg".into(),
            reason: text("truncated"),
        },
        Error::TooManyUnreadable {
            unreadable: 3,
            total: 40,
            first: "a.jpg".into(),
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
        Error::PrecisionName { .. } => 8,
        Error::PrecisionUnsupported { .. } => 9,
        Error::NotConverted { .. } => 10,
        Error::NoCalibration => 11,
        Error::ProviderMissing { .. } => 12,
        Error::ProviderFailed { .. } => 13,
        Error::Onnx(_) => 14,
        Error::Data(_) => 15,
        Error::ModelLoad { .. } => 16,
        Error::NotAClassifier { .. } => 17,
        Error::NoCard { .. } => 18,
        Error::ClassCount { .. } => 19,
        Error::ShapeDiffers { .. } => 20,
        Error::ClassesDiffer { .. } => 21,
        Error::InputLength { .. } => 22,
        Error::Run { .. } => 23,
        Error::NoImages => 24,
        Error::Unreadable { .. } => 25,
        Error::TooManyUnreadable { .. } => 26,
        Error::NoGolden { .. } => 27,
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
