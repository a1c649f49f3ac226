//! Errors of decoding, preprocessing and model cards.
//!
//! A variant stands where callers act differently; texts that differ alone share one.

use std::path::PathBuf;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong with a file, an image, preprocessing steps or a card. [`Error::hint`] says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system cannot read a file.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// The bytes are not an image of a supported format, are truncated, or exceed a limit.
    #[error("cannot decode {}: {reason}", subject(path.as_ref()))]
    Undecodable {
        /// The image file; none for bytes in memory.
        path: Option<PathBuf>,
        /// The defect, or the limit that is exceeded.
        reason: String,
    },
    /// A preprocessing step, a buffer or a key of the card cannot be used.
    #[error("{message}")]
    Invalid {
        /// The text to print.
        message: String,
        /// The next step, if there is one.
        hint: Option<&'static str>,
    },
}

fn subject(path: Option<&PathBuf>) -> String {
    path.map_or("the image".into(), |path| format!("`{}`", path.display()))
}

impl Error {
    /// The defect of a file without its name, for lists that name the file themselves.
    #[must_use]
    pub fn reason(self) -> String {
        match self {
            Self::Undecodable { reason, .. } => reason,
            Self::Files(files::Error::Read { source, .. }) => source.to_string(),
            other => other.to_string(),
        }
    }

    /// The next step to take, where there is one.
    ///
    /// ```
    /// let error = "sharpen(3)".parse::<classifold_pixels::Preprocess>().unwrap_err();
    /// assert!(error.hint().unwrap().starts_with("for example `decode(rgb, exif)|"));
    /// ```
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Files(error) => error.hint(),
            Self::Invalid { hint, .. } => hint.map(Into::into),
            Self::Undecodable { .. } => None,
        }
    }
}
