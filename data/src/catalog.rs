//! Names of the public data sets and weights, and where they lie in the cache folder.
//!
//! Knows neither how they are downloaded (`fetch`) nor how they are read.

use crate::{Error, Result, insects};
use std::path::{Path, PathBuf};

/// The data set that is drawn on first use.
pub const INSECTS: &str = "builtin:insects";
/// The public photos of ants and bees, once fetched.
pub const HYMENOPTERA: &str = "hymenoptera";
/// ResNet18 trained on ImageNet, once fetched.
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

/// Where the built-in set lies once it is drawn.
#[must_use]
pub fn insects(cache: &Path) -> PathBuf {
    datasets(cache).join(insects::FOLDER)
}

/// Where the photos of ants and bees lie once they are fetched.
#[must_use]
pub fn hymenoptera(cache: &Path) -> PathBuf {
    datasets(cache).join(HYMENOPTERA)
}

/// Where ResNet18's weights lie once they are fetched: under their name in the ONNX model zoo.
#[must_use]
pub fn resnet18(cache: &Path) -> PathBuf {
    weights(cache).join("resnet18-v1-7.onnx")
}

/// The folder or CSV file that `source` means: a path that exists, or a name of a data set. The
/// built-in set is drawn if it is not there yet; `progress` is [`insects::ensure`]'s.
///
/// Any other text is a path, which need not exist.
///
/// # Errors
/// When a public data set has not been fetched, or the built-in set cannot be written.
///
/// ```
/// let cache = tempfile::tempdir()?;
/// let path = |source| data::catalog::data_path(source, cache.path(), &|_, _| {});
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

/// The error of a public data set or weights that are to be fetched first.
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
