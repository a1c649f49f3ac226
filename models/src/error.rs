//! Errors of building, importing, loading and exporting a network.

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What is wrong with a file, a checkpoint or a configuration. [`Error::hint`] says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The ONNX file could not be read or changed.
    #[error(transparent)]
    Onnx(#[from] onnx::Error),
    /// The ONNX file is no classifier whose backbone can be used here.
    #[error("{message}")]
    Backbone {
        /// The text to print.
        message: String,
        /// The next step.
        hint: String,
    },
    /// A checkpoint has other tensors than the network.
    #[error("the checkpoint does not fit the network: {reason}")]
    StateDiffers {
        /// The first tensor that differs, with both shapes where it exists on both sides.
        reason: String,
    },
    /// No network has this configuration.
    #[error("{what} is {found}; it must be {expected}")]
    Configuration {
        /// The field.
        what: &'static str,
        /// Its value.
        found: String,
        /// The values that are possible.
        expected: &'static str,
    },
}

impl Error {
    /// The next step to take, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Onnx(error) => error.hint(),
            Self::Backbone { hint, .. } => Some(hint.clone()),
            Self::StateDiffers { .. } => {
                Some("use the checkpoint with the backbone and options it was made with".into())
            }
            Self::Configuration { .. } => None,
        }
    }
}
