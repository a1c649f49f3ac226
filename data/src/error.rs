//! Everything that can be wrong with labelled images.

use std::io;
use std::path::PathBuf;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong; [`Error::hint`] says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// An image, a preprocessing or a card cannot be used.
    #[error(transparent)]
    Pixels(#[from] pixels::Error),
    /// No image at all.
    #[error("`{}` has no images", path.display())]
    NoImages {
        /// The folder or table.
        path: PathBuf,
    },
    /// A table that cannot be used.
    #[error("`{}`, line {line}: {reason}", path.display())]
    Table {
        /// The CSV file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// More images are unreadable than can be left out silently.
    #[error("{unreadable} of {total} images cannot be read, first `{}`: {reason}", path.display())]
    TooManyUnreadable {
        /// How many cannot be read.
        unreadable: usize,
        /// Of how many.
        total: usize,
        /// The first of them.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A fetched file with another content than expected.
    #[error(
        "`{}` is not the expected file: its SHA-256 differs\n  expected: {expected}\n  found:    \
         {found}", path.display()
    )]
    Checksum {
        /// The file.
        path: PathBuf,
        /// The SHA-256 it should have.
        expected: String,
        /// The SHA-256 it has.
        found: String,
    },
    /// Anything else that cannot be used as it is.
    #[error("{message}")]
    Invalid {
        /// What is wrong with what.
        message: String,
        /// What [`Error::hint`] gives.
        hint: Option<String>,
    },
}

impl Error {
    /// What is wrong with a file, without its name, where others say which file it is.
    #[must_use]
    pub fn reason(self) -> String {
        match self {
            Self::Files(files::Error::Read { source, .. }) => source.to_string(),
            Self::Pixels(error) => error.reason(),
            other => other.to_string(),
        }
    }

    /// The next thing to do, if there is one to name.
    ///
    /// ```
    /// let error = data::Dataset::open("no/such/folder".as_ref(), 0).unwrap_err();
    /// assert!(error.hint().unwrap().contains("--data"));
    /// ```
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Files(error) => return error.hint(),
            Self::Pixels(error) => return error.hint(),
            Self::Invalid { hint, .. } => return hint.clone(),
            Self::NoImages { .. } => {
                "images are files ending in jpg, jpeg, png, ppm, bmp, pgm, tif, tiff or webp"
            }
            Self::TooManyUnreadable { .. } => {
                "repair or remove them; up to 5 % unreadable images are left out and listed"
            }
            Self::Checksum { .. } => {
                "fetch it again, from elsewhere with `--from`; if this is the file you want, say so \
                 with `--sha256`"
            }
            Self::Table { .. } => return None,
        };
        Some(hint.to_string())
    }

    /// [`Error::Invalid`] without a hint.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid {
            message: message.into(),
            hint: None,
        }
    }

    /// [`Error::Invalid`] with what to do about it.
    pub(crate) fn with_hint(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Invalid {
            message: message.into(),
            hint: Some(hint.into()),
        }
    }
}

/// Makes an I/O error one of reading `path`, for `map_err`.
pub(crate) fn reading(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
    |source| files::Error::reading(path)(source).into()
}

/// Makes an I/O error one of writing `path`, for `map_err`.
pub(crate) fn writing(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
    |source| files::Error::writing(path)(source).into()
}
