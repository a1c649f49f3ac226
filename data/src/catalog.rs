//! Names of public data sets and weights, and their paths in the cache folder.
//!
//! Knows neither how they are downloaded (`fetch`) nor how they are read.

use crate::{Error, Result, insects};
use std::path::{Path, PathBuf};

/// The built-in data set, drawn on first use.
pub const INSECTS: &str = "builtin:insects";
/// The public photographs of ants and bees, available once fetched.
pub const HYMENOPTERA: &str = "hymenoptera";
/// ResNet18 trained on ImageNet, available once fetched.
pub const RESNET18: &str = "resnet18";

/// Whether `text` is one of these names.
#[must_use]
pub fn is_name(text: &str) -> bool {
    [INSECTS, HYMENOPTERA, RESNET18].contains(&text)
}

/// The folder of all data sets below `cache`.
#[must_use]
pub fn datasets(cache: &Path) -> PathBuf {
    cache.join("datasets")
}

/// The folder of all weights below `cache`.
#[must_use]
pub fn weights(cache: &Path) -> PathBuf {
    cache.join("weights")
}

/// Folder of the built-in set.
#[must_use]
pub fn insects(cache: &Path) -> PathBuf {
    datasets(cache).join(insects::FOLDER)
}

/// Folder of the photographs of ants and bees.
#[must_use]
pub fn hymenoptera(cache: &Path) -> PathBuf {
    datasets(cache).join(HYMENOPTERA)
}

/// File of ResNet18's weights, under its name in the ONNX model zoo.
#[must_use]
pub fn resnet18(cache: &Path) -> PathBuf {
    weights(cache).join("resnet18-v1-7.onnx")
}

/// Resolves `source` to a folder or CSV file: an existing path, else the name of a data set, else a path
/// that need not exist. The built-in set is drawn if it is missing; `progress` is [`insects::ensure`]'s.
///
/// # Errors
/// A public data set has not been fetched, or the built-in set cannot be written.
///
/// ```
/// let cache = tempfile::tempdir()?;
/// let path = |source| classifold_data::catalog::data_path(source, cache.path(), &|_, _| {});
/// assert_eq!(path("my/photos")?, std::path::Path::new("my/photos"));
/// assert!(path("hymenoptera").unwrap_err().hint().unwrap().contains("trainer fetch"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn data_path(
    source: &str,
    cache: &Path,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<PathBuf> {
    let path = PathBuf::from(source);
    match source {
        _ if path.exists() => Ok(path),
        INSECTS => {
            let folder = insects(cache);
            insects::ensure(&folder, progress)?;
            Ok(folder)
        }
        HYMENOPTERA if hymenoptera(cache).is_dir() => Ok(hymenoptera(cache)),
        HYMENOPTERA => Err(not_fetched(source)),
        _ => Ok(path),
    }
}

/// The error of a public data set or of weights that have not been fetched.
#[must_use]
pub fn not_fetched(name: &str) -> Error {
    Error::with_hint(
        format!("`{name}` is not in the cache folder"),
        format!("run `trainer fetch {name}`"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_exists_comes_before_a_name() {
        let cache = tempfile::tempdir().unwrap();
        let path = |source: &str| data_path(source, cache.path(), &|_, _| {});
        let error = path(HYMENOPTERA).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`hymenoptera` is not in the cache folder"
        );
        assert_eq!(error.hint().unwrap(), "run `trainer fetch hymenoptera`");
        fs_err::create_dir_all(hymenoptera(cache.path())).unwrap();
        assert_eq!(path(HYMENOPTERA).unwrap(), hymenoptera(cache.path()));
        let photos = cache.path().join("photos");
        fs_err::create_dir(&photos).unwrap();
        assert_eq!(path(photos.to_str().unwrap()).unwrap(), photos);
    }

    #[test]
    fn names_are_told_from_paths() {
        assert!(is_name("builtin:insects") && is_name("resnet18") && !is_name("./hymenoptera"));
    }
}
