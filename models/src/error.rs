//! What can go wrong while a network is built, imported, loaded or exported.

use std::path::PathBuf;

/// The result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong while a network is built, imported, loaded or exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The ONNX file could not be read or changed.
    #[error(transparent)]
    Onnx(#[from] onnx::Error),
    /// `onnx-ir` could not make sense of the graph.
    #[error("`{}` could not be understood: {reason}", path.display())]
    Unreadable {
        /// The ONNX file.
        path: PathBuf,
        /// What the parser said.
        reason: String,
    },
    /// The graph uses an operator that no layer stands for.
    #[error("`{}` uses the operator `{operator}` (node `{node}`, opset {opset}), which cannot be trained here", path.display())]
    UnsupportedOperator {
        /// The ONNX file.
        path: PathBuf,
        /// The ONNX operator, such as `Conv`.
        operator: String,
        /// The node's name.
        node: String,
        /// The version of the default operator set.
        opset: i64,
    },
    /// An operator is supported, this use of it is not.
    #[error("`{}`: node `{node}` ({operator}): {reason}", path.display())]
    UnsupportedNode {
        /// The ONNX file.
        path: PathBuf,
        /// The ONNX operator.
        operator: String,
        /// The node's name.
        node: String,
        /// What cannot be honoured.
        reason: String,
    },
    /// The graph does not take one image batch and give one row of logits per image.
    #[error("`{}` is not an image classifier: {reason}", path.display())]
    NotAClassifier {
        /// The ONNX file.
        path: PathBuf,
        /// What was found instead.
        reason: String,
    },
    /// The backbone's file is not the one that was imported.
    #[error("`{}` has changed since it was imported", path.display())]
    Changed {
        /// The ONNX file.
        path: PathBuf,
    },
    /// A checkpoint holds other tensors than the network.
    #[error("the checkpoint does not fit the network: {reason}")]
    StateDiffers {
        /// The first tensor that differs, with both shapes where it exists on both sides.
        reason: String,
    },
    /// A configuration that makes no network.
    #[error("{what} is {found}; it must be {expected}")]
    Configuration {
        /// The field.
        what: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Onnx(error) => error.hint(),
            Self::Unreadable { .. } => Some(
                "check the file with `python3 -m onnx.checker` or export it again with opset 13 or newer"
                    .into(),
            ),
            Self::UnsupportedOperator { .. } | Self::UnsupportedNode { .. } => Some(format!(
                "backbones made of {} can be trained; others can be run with `deploy`",
                crate::imported::OPERATORS.join(", ")
            )),
            Self::NotAClassifier { .. } => Some(
                "take a classifier with one input [batch, 3, height, width] and one output [batch, classes], such as `--backbone resnet18`"
                    .into(),
            ),
            Self::Changed { .. } => Some("put the original file back, or train again".into()),
            Self::StateDiffers { .. } => {
                Some("use the checkpoint with the backbone and options it was made with".into())
            }
            Self::Configuration { .. } => None,
        }
    }
}
