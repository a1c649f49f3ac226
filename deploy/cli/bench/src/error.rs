//! Errors of planning and judging a benchmark. Knows no command line but the flags that hints name.

/// An error of a benchmark.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The library refuses a model, a provider or a precision.
    #[error(transparent)]
    Deploy(#[from] deploy::Error),
    /// Anything else.
    #[error("{message}")]
    Other { message: String, hint: String },
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(message: String, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        Self::Other { message, hint }
    }

    /// How to fix it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Deploy(error) => error.hint(),
            Self::Other { hint, .. } => Some(hint.clone()),
        }
    }
}
