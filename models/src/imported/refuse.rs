//! Errors of a file that cannot be trained whole or exported again, each with the next step.

use crate::error::Error;
use onnx::proto::{NodeProto, is_standard_domain};
use std::path::Path;

/// No function stands for an operator.
pub(super) fn unsupported_operator(path: &Path, node: &NodeProto, opset: i64) -> Error {
    let operator = match is_standard_domain(node.domain()) {
        true => node.op_type().to_owned(),
        false => format!("{}::{}", node.domain(), node.op_type()),
    };
    invalid(format!(
        "`{}` uses the operator `{operator}` (node `{}`, opset {opset}), which cannot be trained here",
        path.display(),
        node.name()
    ))
}

/// An operator is supported, this use of it is not.
pub(super) fn unsupported_node(path: &Path, node: &NodeProto, reason: &str) -> Error {
    invalid(format!(
        "`{}` cannot be trained whole: node `{}` ({}): {reason}",
        path.display(),
        node.name(),
        node.op_type()
    ))
}

/// No node computes the features.
pub(super) fn unconnected(path: &Path) -> Error {
    invalid(format!(
        "`{}` cannot be trained whole: no node computes its features",
        path.display()
    ))
}

/// The features are not a row of numbers for each image.
pub(super) fn no_features(path: &Path) -> Error {
    invalid(format!(
        "`{}` cannot be trained whole: its features are not a row of numbers for each image",
        path.display()
    ))
}

/// The graph works for the batch size that it was exported with alone.
pub(super) fn fixed_batch(path: &Path, batch: usize) -> Error {
    Error::Invalid {
        message: format!(
            "`{}` cannot be trained whole: its graph takes {batch} image(s) at a time",
            path.display()
        ),
        hint: Some(
            "export it with a dynamic batch axis; it can be used frozen: leave out `--fine-tune`"
                .into(),
        ),
    }
}

fn invalid(message: String) -> Error {
    let hint = "it can be used frozen: leave out `--fine-tune`";
    Error::Invalid {
        message,
        hint: Some(hint.into()),
    }
}

/// The file is not the one that was imported.
pub(crate) fn changed(path: &Path) -> Error {
    Error::Invalid {
        message: format!("`{}` has changed since it was imported", path.display()),
        hint: Some("put the original file back, or train again".into()),
    }
}
