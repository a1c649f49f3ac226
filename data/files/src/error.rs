//! I/O errors with the path of the file.

use std::io;
use std::path::{Path, PathBuf};

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
        |source| {
            let path = path.into();
            let source = system_error(&path, source);
            Self::Read { path, source }
        }
    }

    /// For `map_err`: an I/O error of writing `path`.
    pub fn writing(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        |source| {
            let path = path.into();
            let source = system_error(&path, source);
            Self::Write { path, source }
        }
    }

    /// The next step to take, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoCacheFolder => Some("name one with `CLASSIFIER_CACHE`".into()),
            Self::Read { .. } | Self::Write { .. } => None,
        }
    }
}

/// The system's own reason. `fs_err` puts a call and the path before it (``failed to query resolved metadata `x`: ...``),
/// `tempfile` the name of its temporary file behind it, and neither gives the error itself away.
fn system_error(path: &Path, error: io::Error) -> io::Error {
    let (kind, text) = (error.kind(), error.to_string());
    let start = format!("`{}`: ", path.display());
    let reason = match text.split_once(&start) {
        Some((_, reason)) => Some(reason),
        None => text.split_once(" at path \"").map(|(reason, _)| reason),
    };
    reason.map_or(error, |reason| io::Error::new(kind, reason.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{Error, Path};
    use std::error::Error as _;

    #[test]
    fn the_reason_is_the_systems_and_the_path_stands_once() {
        let path = Path::new("no/such/file");
        let error = fs_err::metadata(path)
            .map_err(Error::reading(path))
            .unwrap_err();
        assert_eq!(error.to_string(), "cannot read `no/such/file`");
        let reason = error.source().unwrap().to_string();
        assert!(
            !reason.contains("metadata") && !reason.contains("such/file"),
            "{reason}"
        );
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let kept = Error::writing(path)(full);
        assert!(
            matches!(kept, Error::Write { source, .. } if source.kind() == std::io::ErrorKind::StorageFull)
        );
    }
}
