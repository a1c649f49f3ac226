//! The cache folder of both programs: downloads, drawn images and the runtime.

use crate::{Error, Result};
use etcetera::BaseStrategy;
use std::path::{Path, PathBuf};

/// The environment variable that names the cache folder.
pub const VARIABLE: &str = "CLASSIFIER_CACHE";

/// The cache folder: `explicit`, else [`VARIABLE`], else the platform's own folder.
///
/// # Errors
/// When the system names no such folder.
///
/// ```
/// let folder = classifold_files::cache::dir(Some("my-cache".as_ref()))?;
/// assert_eq!(folder, std::path::Path::new("my-cache"));
/// # Ok::<(), classifold_files::Error>(())
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
            let folders = etcetera::base_strategy::choose_native_strategy().ok()?;
            Some(folders.cache_dir().join("classifold"))
        })
        .ok_or(Error::NoCacheFolder)
}
