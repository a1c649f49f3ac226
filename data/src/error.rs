//! Errors of data sets, tables, augmentations and downloads.
//!
//! A variant stands where callers act differently; texts that differ alone share one.

use std::io;
use std::path::{Path, PathBuf};

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong with a data set, a table, an image or a download. [`Error::hint`] says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system cannot read or write a file.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// An image, a preprocessing or a card cannot be used.
    #[error(transparent)]
    Pixels(#[from] pixels::Error),
    /// More images are unreadable than may be left out.
    #[error("{unreadable} of {total} images cannot be read, first `{}`: {reason}", path.display())]
    TooManyUnreadable {
        /// Number of unreadable images.
        unreadable: usize,
        /// Number of all images.
        total: usize,
        /// The first unreadable image.
        path: PathBuf,
        /// Its defect.
        reason: String,
    },
    /// A fetched file has another SHA-256 than expected.
    #[error(
        "`{}` is not the expected file: its SHA-256 differs\n  expected: {expected}\n  found:    \
         {found}", path.display()
    )]
    Checksum {
        /// The file.
        path: PathBuf,
        /// The expected SHA-256.
        expected: String,
        /// The SHA-256 of its content.
        found: String,
    },
    /// A folder, a table, an argument or a download cannot be used.
    #[error("{message}")]
    Invalid {
        /// The text to print.
        message: String,
        /// The next step, if there is one.
        hint: Option<String>,
    },
}

impl Error {
    /// The defect of a file without its name, for lists that name the file themselves.
    #[must_use]
    pub fn reason(self) -> String {
        match self {
            Self::Files(files::Error::Read { source, .. }) => source.to_string(),
            Self::Pixels(error) => error.reason(),
            other => other.to_string(),
        }
    }

    /// The next step to take, where there is one.
    ///
    /// ```
    /// let error = classifold_data::Dataset::open("no/such/folder".as_ref(), 0).unwrap_err();
    /// assert!(error.hint().unwrap().contains("the data folder"));
    /// ```
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Files(error) => error.hint(),
            Self::Pixels(error) => error.hint(),
            Self::TooManyUnreadable { .. } => Some(
                "repair or remove them; up to 5 % unreadable images are left out and listed".into(),
            ),
            Self::Checksum { .. } => Some(
                "fetch it again, from elsewhere with `trainer fetch NAME --from`; if this is the file you \
                 want, say so with `trainer fetch NAME --sha256`"
                    .into(),
            ),
            Self::Invalid { hint, .. } => hint.clone(),
        }
    }

    /// The error of a folder or table without images.
    #[must_use]
    pub fn no_images(path: &Path) -> Self {
        let message = format!("`{}` has no images", path.display());
        // `folder::EXTENSIONS`, which uses this module.
        let hint = "images are files ending in jpg, jpeg, jpe, jfif, png, ppm, bmp, pgm, tif, tiff or webp";
        Self::with_hint(message, hint)
    }

    /// The error of a row in a CSV file; `line` counts from 1.
    pub(crate) fn table(path: &Path, line: u64, reason: &str) -> Self {
        Self::invalid(format!("`{}`, line {line}: {reason}", path.display()))
    }

    /// [`Error::Invalid`] without a hint.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid {
            message: message.into(),
            hint: None,
        }
    }

    /// [`Error::Invalid`] with a hint.
    pub(crate) fn with_hint(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Invalid {
            message: message.into(),
            hint: Some(hint.into()),
        }
    }
}

/// For `map_err`: an I/O error of reading `path`.
pub(crate) fn reading(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
    |source| files::Error::reading(path)(source).into()
}

/// For `map_err`: an I/O error of writing `path`.
pub(crate) fn writing(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
    |source| files::Error::writing(path)(source).into()
}
