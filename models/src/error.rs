//! Errors of building, importing, loading and exporting a network.

use std::fmt::Display;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What is wrong with a file, a checkpoint or a configuration. [`Error::hint`] says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The ONNX file could not be read or changed.
    #[error(transparent)]
    Onnx(#[from] onnx::Error),
    /// A backbone, a checkpoint or a configuration cannot be used.
    #[error("{message}")]
    Invalid {
        /// The text to print.
        message: String,
        /// The next step, if there is one.
        hint: Option<String>,
    },
}

impl Error {
    /// The next step to take, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Onnx(error) => error.hint(),
            Self::Invalid { hint, .. } => hint.clone(),
        }
    }

    /// A checkpoint has other tensors than the network; `reason` names the first that differs.
    pub(crate) fn state_differs(reason: &str) -> Self {
        Self::Invalid {
            message: format!("the checkpoint does not fit the network: {reason}"),
            hint: Some("use the checkpoint with the backbone and options it was made with".into()),
        }
    }

    /// No network has the value `found` of the setting `what`.
    pub(crate) fn configuration(what: &str, found: impl Display, expected: &str) -> Self {
        Self::Invalid {
            message: format!("{what} is {found}; it must be {expected}"),
            hint: None,
        }
    }
}
