//! Every error's text and hint, kept in `tests/errors.txt`, which reads like prose.

use super::*;

/// Fails to compile when a variant is added: put it into `all`, too.
fn is_listed(error: &Error) -> bool {
    match error {
        Error::FileMissing { .. }
        | Error::NotAFile { .. }
        | Error::Read { .. }
        | Error::Write { .. }
        | Error::Empty { .. }
        | Error::LfsPointer { .. }
        | Error::Truncated { .. }
        | Error::NotAnOnnxFile { .. }
        | Error::Damaged { .. }
        | Error::TooLarge { .. }
        | Error::ExternalDataMissing { .. }
        | Error::ExternalDataOutside { .. }
        | Error::ExternalDataBounds { .. }
        | Error::NoFolder { .. }
        | Error::TensorMissing { .. }
        | Error::TensorDamaged { .. }
        | Error::ElementType { .. }
        | Error::InvalidGraph { .. }
        | Error::Unconvertible { .. }
        | Error::NothingToConvert { .. } => true,
    }
}

fn all() -> Vec<Error> {
    let path = || PathBuf::from("models/bees.onnx");
    let tensor = || "fc.weight".to_owned();
    let detail = |text: &str| text.to_owned();
    vec![
        Error::FileMissing { path: path() },
        Error::NotAFile { path: path() },
        Error::Read {
            path: path(),
            source: io::Error::other("permission denied"),
        },
        Error::Write {
            path: path(),
            source: io::Error::other("no space left on device"),
        },
        Error::Empty { path: path() },
        Error::LfsPointer { path: path() },
        Error::Truncated {
            path: path(),
            expected: 46_748_561,
            found: 1_048_576,
        },
        Error::NotAnOnnxFile {
            path: path(),
            detail: detail("it has no IR version"),
        },
        Error::Damaged {
            path: path(),
            detail: detail("buffer underflow"),
        },
        Error::TooLarge {
            path: path(),
            bytes: 3_000_000_000,
        },
        Error::ExternalDataMissing {
            tensor: tensor(),
            path: "models/bees.data".into(),
        },
        Error::ExternalDataOutside {
            tensor: tensor(),
            location: detail("../secret"),
        },
        Error::ExternalDataBounds {
            tensor: tensor(),
            location: detail("bees.data"),
            detail: detail("4096 bytes at 512 run past the end at 1024"),
        },
        Error::NoFolder { tensor: tensor() },
        Error::TensorMissing { name: tensor() },
        Error::TensorDamaged {
            name: tensor(),
            detail: detail("shape [2, 3] asks for 6 values, found 4"),
        },
        Error::ElementType {
            expected: "floating-point numbers",
            found: DataType::Int64,
        },
        Error::InvalidGraph {
            detail: detail("nothing gives its output `logits`"),
        },
        Error::Unconvertible {
            op: detail("ConvInteger"),
            node: detail("features.0"),
            why: detail("the model is quantised already"),
        },
        Error::NothingToConvert {
            what: "weights in single precision",
        },
    ]
}

#[test]
fn every_error_reads_as_listed() {
    let mut text = String::new();
    for error in all() {
        assert!(is_listed(&error));
        text += &format!("error: {error}\n");
        if let Some(hint) = error.hint() {
            text += &format!("hint: {hint}\n");
        }
        text.push('\n');
    }
    assert_eq!(text, include_str!("../../tests/errors.txt"), "\n{text}");
}
