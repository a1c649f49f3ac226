//! Downloads of public data sets and weights into the cache folder.
//!
//! Every file is checked by its SHA-256 and gets its name only when it is complete. Knows nothing of the
//! files' content.

mod archive;
mod checksum;
mod download;

use crate::error::writing;
use crate::{Error, Result, catalog};
use checksum::Expected;
use fs_err as fs;
use std::path::{Path, PathBuf};

/// Public origin of one file.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Its address.
    pub url: &'static str,
    /// File name in the folder of a mirror.
    pub name: &'static str,
    /// SHA-256, where it is known.
    pub sha256: Option<&'static str>,
}

/// Ants and bees, from the transfer learning tutorial of PyTorch.
const HYMENOPTERA: Source = Source {
    url: "https://download.pytorch.org/tutorial/hymenoptera_data.zip",
    name: "hymenoptera_data.zip",
    sha256: None,
};

/// Options of a download.
pub struct FetchOptions<'a> {
    /// The cache folder.
    pub cache: PathBuf,
    /// In place of the public address: a URL (one that ends in `/` is a mirror's folder), a file,
    /// or a folder that holds the file.
    pub from: Option<String>,
    /// The SHA-256 that the file must have, in place of the known one.
    pub sha256: Option<String>,
    /// Receives the bytes done and, where known, their total.
    pub progress: &'a dyn Fn(u64, Option<u64>),
}

/// Fetches the photographs of ants and bees and returns the folder with `train/` and `val/`.
///
/// A folder that exists already is used as it is. The archive's SHA-256 is recorded beside the
/// folder on first use ([`recorded_sha256`]) and must be the same the next time.
///
/// # Errors
/// The archive cannot be fetched, has another SHA-256, or does not unpack safely.
///
/// ```no_run
/// use classifold_data::fetch::{FetchOptions, hymenoptera};
///
/// let cache = classifold_data::cache::dir(None)?;
/// let folder =
///     hymenoptera(&FetchOptions { cache, from: None, sha256: None, progress: &|_, _| {} })?;
/// println!("{}", folder.display());
/// # Ok::<(), classifold_data::Error>(())
/// ```
pub fn hymenoptera(options: &FetchOptions<'_>) -> Result<PathBuf> {
    let folder = catalog::hymenoptera(&options.cache);
    if folder.join("train").is_dir() {
        return Ok(folder);
    }
    let parent = catalog::datasets(&options.cache);
    make_folder(&parent)?;
    if let Some(unpacked) = options.from.as_deref().and_then(unpacked_folder) {
        if options.sha256.is_some() {
            let reason = "a folder has no SHA-256: give the archive";
            return Err(bad_source(&unpacked.to_string_lossy(), reason));
        }
        archive::copy_tree(&unpacked, &folder)?;
        return Ok(folder);
    }
    // In the cache, not in a temporary folder: an interrupted download continues where it stopped.
    let zip = parent.join(HYMENOPTERA.name);
    fetch(&HYMENOPTERA, &zip, options)?;
    archive::unpack(&zip, &folder, &archive::Bounds::default())?;
    // The unpacked images are all that is read later.
    fs::remove_file(&zip).map_err(writing(zip))?;
    Ok(folder)
}

/// Fetches one file to `target`, whose folder is created. A file that is there is checked.
///
/// # Errors
/// The file cannot be fetched or has another SHA-256.
pub fn file(source: &Source, target: &Path, options: &FetchOptions<'_>) -> Result<()> {
    make_folder(files::parent_folder(target))?;
    // With `--from` the file is fetched again: the user wants another source.
    if target.is_file() && options.from.is_none() {
        return Expected::resolve(options, source, target)?.check(target);
    }
    fetch(source, target, options)
}

/// Unpacks a zip archive, such as a Python wheel, into `folder`, which must be empty. No path leaves the folder, and
/// an archive that unpacks to far more than its size is refused.
///
/// # Errors
/// The archive is damaged or not safe to unpack, or the disk is full.
pub fn unpack(zip: &Path, folder: &Path) -> Result<()> {
    archive::unpack_into(zip, folder, &archive::Bounds::default())
}

/// The SHA-256 that was recorded when the file at `path` was first fetched without a known one.
///
/// # Errors
/// When the record cannot be read.
pub fn recorded_sha256(path: &Path) -> Result<Option<String>> {
    checksum::recorded(path)
}

/// Brings one file to `target`: downloads or copies, checks, then renames it.
fn fetch(source: &Source, target: &Path, options: &FetchOptions<'_>) -> Result<()> {
    let expected = Expected::resolve(options, source, target)?;
    let from = options.from.as_deref().unwrap_or(source.url);
    if from.starts_with("http://") || from.starts_with("https://") {
        let url = if from.ends_with('/') {
            format!("{from}{}", source.name)
        } else {
            from.to_owned()
        };
        return download::download(&url, target, &expected, options.progress);
    }
    let given = Path::new(from);
    let file = if given.is_dir() {
        given.join(source.name)
    } else {
        given.to_path_buf()
    };
    if !file.is_file() {
        let reason = format!("there is no file `{}`", file.display());
        return Err(bad_source(from, &reason));
    }
    download::copy(&file, target, &expected, options.progress)
}

/// The error of an address or a hash that cannot be used.
fn bad_source(from: &str, reason: &str) -> Error {
    Error::with_hint(
        format!("cannot fetch from `{from}`: {reason}"),
        "`--from` takes a URL, a file, or a folder that holds the file",
    )
}

/// The folder below `from` that holds `train/`, if there is one.
fn unpacked_folder(from: &str) -> Option<PathBuf> {
    let given = Path::new(from);
    [given.to_path_buf(), given.join("hymenoptera_data")]
        .into_iter()
        .find(|folder| folder.join("train").is_dir())
}

fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(writing(path))
}

#[cfg(test)]
#[path = "fetch/tests.rs"]
mod tests;
