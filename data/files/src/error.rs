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
            source: system_error(source),
        }
    }

    /// For `map_err`: an I/O error of writing `path`.
    pub fn writing(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Write {
            path: path.into(),
            source: system_error(source),
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

/// The system's own error inside one of `fs_err`, which says the path and a call such as `failed to query resolved
/// metadata` once more.
fn system_error(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(std::error::Error::source);
    let code = inner.and_then(|inner| inner.downcast_ref::<io::Error>()?.raw_os_error());
    code.map_or(error, io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::path::Path;

    use super::Error;

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
