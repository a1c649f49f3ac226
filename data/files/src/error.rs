//! I/O errors with the path of the file.

use std::io;
use std::path::PathBuf;

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong with a file or the cache folder. [`Error::hint`] says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system cannot read a file or folder.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The system cannot write a file or folder.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// No cache folder is given, and the system has no default.
    #[error("no cache folder is known on this system")]
    NoCacheFolder,
}

impl Error {
    /// For `map_err`: an I/O error of reading `path`.
    ///
    /// ```
    /// let path = std::path::Path::new("no/such/file");
    /// let error = std::fs::read(path).map_err(classifold_files::Error::reading(path)).unwrap_err();
    /// assert_eq!(error.to_string(), "cannot read `no/such/file`");
    /// ```
    pub fn reading(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Read {
            path: path.into(),
            source,
        }
    }

    /// For `map_err`: an I/O error of writing `path`.
    pub fn writing(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Write {
            path: path.into(),
            source,
        }
    }

    /// The next step to take, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoCacheFolder => Some("name one with `--cache DIR` or `CLASSIFIER_CACHE`".into()),
            Self::Read { .. } | Self::Write { .. } => None,
        }
    }
}
