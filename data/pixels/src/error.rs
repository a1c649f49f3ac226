//! Everything that can be wrong with images, preprocessing and cards.

use std::io;
use std::path::PathBuf;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong; [`Error::hint`] says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Bytes that are not an image, or not one that is taken.
    #[error("cannot decode the image: {reason}")]
    Undecodable {
        /// What is wrong with the bytes.
        reason: String,
    },
    /// A file that is not an image, or not one that is taken.
    #[error("cannot decode `{}`: {reason}", path.display())]
    UnreadableImage {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A model card of another version.
    #[error("the model card has version {found}; this program knows version {known}")]
    CardVersion {
        /// In the file.
        found: String,
        /// Known here.
        known: u32,
    },
    /// Something else that cannot be used as it is: a preprocessing step, a buffer, a key of the card.
    #[error("{message}")]
    Invalid {
        /// What is wrong with what.
        message: String,
        /// What [`Error::hint`] gives.
        hint: Option<&'static str>,
    },
}

impl Error {
    /// What is wrong with a file, without its name, where others say which file it is.
    #[must_use]
    pub fn reason(self) -> String {
        match self {
            Self::Undecodable { reason } | Self::UnreadableImage { reason, .. } => reason,
            Self::Read { source, .. } => source.to_string(),
            other => other.to_string(),
        }
    }

    /// The next thing to do, if there is one to name.
    ///
    /// ```
    /// let error = "sharpen(3)".parse::<pixels::Preprocess>().unwrap_err();
    /// assert!(error.hint().unwrap().starts_with("for example `decode(rgb, exif)|"));
    /// ```
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::CardVersion { .. } => Some("use a newer release of this program".into()),
            Self::Invalid { hint, .. } => hint.map(Into::into),
            _ => None,
        }
    }
}
