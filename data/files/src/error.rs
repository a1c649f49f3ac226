//! Everything that can be wrong with a file as such.

use std::io;
use std::path::PathBuf;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong; [`Error::hint`] says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or folder could not be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No cache folder is given and the system names none.
    #[error("no cache folder is known on this system")]
    NoCacheFolder,
}

impl Error {
    /// Makes an I/O error one of reading `path`, for `map_err`.
    ///
    /// ```
    /// let path = std::path::Path::new("no/such/file");
    /// let error = std::fs::read(path).map_err(files::Error::reading(path)).unwrap_err();
    /// assert_eq!(error.to_string(), "cannot read `no/such/file`");
    /// ```
    pub fn reading(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Read {
            path: path.into(),
            source,
        }
    }

    /// Makes an I/O error one of writing `path`, for `map_err`.
    pub fn writing(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Write {
            path: path.into(),
            source,
        }
    }

    /// The next thing to do, if there is one to name.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoCacheFolder => Some("name one with `--cache DIR` or `CLASSIFIER_CACHE`".into()),
            Self::Read { .. } | Self::Write { .. } => None,
        }
    }
}
