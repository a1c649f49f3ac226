//! Where downloads, drawn pictures and the runtime live: one folder for both binaries.

use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// The environment variable that names the cache folder.
pub const VARIABLE: &str = "CLASSIFIER_CACHE";

/// The cache folder: `explicit`, else [`VARIABLE`], else the platform's own place.
///
/// # Errors
/// When the system has no such place.
///
/// ```
/// let folder = files::cache::dir(Some("my-cache".as_ref()))?;
/// assert_eq!(folder, std::path::Path::new("my-cache"));
/// # Ok::<(), files::Error>(())
/// ```
pub fn dir(explicit: Option<&Path>) -> Result<PathBuf> {
    let named = || {
        std::env::var_os(VARIABLE)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    explicit
        .map(Path::to_path_buf)
        .or_else(named)
        .or_else(|| {
            directories::ProjectDirs::from("", "", "onnx-classifier")
                .map(|dirs| dirs.cache_dir().to_path_buf())
        })
        .ok_or(Error::NoCacheFolder)
}
