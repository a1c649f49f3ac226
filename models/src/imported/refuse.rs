//! Errors of a file that cannot be imported or exported again, each with the next step.

use crate::error::Error;
use std::path::Path;

/// `onnx-ir` cannot parse the file.
pub(super) fn unreadable(path: &Path, reason: &str) -> Error {
    Error::Invalid {
        message: format!("`{}` could not be understood: {reason}", path.display()),
        hint: Some(
            "check the file with `python3 -m onnx.checker` or export it again with opset 13 or newer"
                .into(),
        ),
    }
}

/// No layer stands for an operator.
pub(super) fn unsupported_operator(path: &Path, operator: &str, node: &str, opset: i64) -> Error {
    Error::Invalid {
        message: format!(
            "`{}` uses the operator `{operator}` (node `{node}`, opset {opset}), which cannot be \
             trained here",
            path.display()
        ),
        hint: Some(supported_operators()),
    }
}

/// An operator is supported, this use of it is not.
pub(super) fn unsupported_node(path: &Path, operator: &str, node: &str, reason: &str) -> Error {
    Error::Invalid {
        message: format!("`{}`: node `{node}` ({operator}): {reason}", path.display()),
        hint: Some(supported_operators()),
    }
}

fn supported_operators() -> String {
    let operators = onnx::TRAINABLE_OPERATORS.join(", ");
    format!(
        "leave out `--fine-tune` to train a new classification layer on it; backbones made of {operators} can be \
         trained whole"
    )
}

/// The graph does not map a batch of images to a row of logits per image.
pub(crate) fn not_a_classifier(path: &Path, reason: &str) -> Error {
    Error::Invalid {
        message: format!("`{}` is not an image classifier: {reason}", path.display()),
        hint: Some(
            "take a classifier with one input [batch, 3, height, width] and one output [batch, classes], such as `--backbone resnet18`"
                .into(),
        ),
    }
}

/// The file is not the one that was imported.
pub(crate) fn changed(path: &Path) -> Error {
    Error::Invalid {
        message: format!("`{}` has changed since it was imported", path.display()),
        hint: Some("put the original file back, or train again".into()),
    }
}
