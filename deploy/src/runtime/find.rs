//! Looking for the library: named places first, then the cache folder, then the system.

use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::{Found, Search, Source, VERSION, library, wheels};
use crate::digest;
use crate::error::{Error, Result};

/// Written beside an installed library.
pub(super) const MANIFEST: &str = "installed.json";

/// What was installed: the content of `installed.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) version: String,
    pub(super) library: String,
    pub(super) sha256: String,
    pub(super) from: String,
}

/// The folder of the installed runtimes.
pub(super) fn folder(cache: &Path) -> PathBuf {
    cache.join("runtime")
}

/// The folder that the pinned version is installed into.
pub(super) fn pinned_folder(cache: &Path) -> PathBuf {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    folder(cache).join(format!("onnxruntime-{VERSION}-{os}-{arch}"))
}

/// Finds the library and checks it without loading it.
///
/// ```
/// use deploy::runtime::{Search, find};
///
/// let folder = tempfile::tempdir().unwrap();
/// let only = Search { cache: Some(folder.path().to_owned()), ..Search::default() };
/// assert!(matches!(find(&only), Err(deploy::Error::NoRuntime { .. })));
/// ```
///
/// # Errors
/// [`Error::NoRuntime`] when there is none; [`Error::RuntimeMissing`] or [`Error::RuntimeUnfit`] for a
/// library that was named, lies beside the executable or was installed, and cannot be used. An unfit
/// library of the system is passed over.
pub fn find(search: &Search) -> Result<Found> {
    for (named, source) in [
        (&search.explicit, Source::Explicit),
        (&search.env, Source::Env),
    ] {
        if let Some(path) = named {
            return found(&in_folder(path).unwrap_or_else(|| path.clone()), source);
        }
    }
    let mut searched = Vec::new();
    if search.beside_executable
        && let Some(folder) = std::env::current_exe()
            .ok()
            .as_deref()
            .and_then(Path::parent)
    {
        if let Some(path) = in_folder(folder) {
            return found(&path, Source::BesideExecutable);
        }
        searched.push(folder.to_owned());
    }
    if let Some(cache) = &search.cache {
        if let Some((folder, manifest)) = newest(cache) {
            return cached(&folder, &manifest);
        }
        searched.push(folder(cache));
    }
    for folder in &search.system {
        let fit = in_folder(folder).and_then(|path| found(&path, Source::System).ok());
        if let Some(fit) = fit {
            return Ok(fit);
        }
    }
    searched.extend(search.system.iter().cloned());
    Err(Error::NoRuntime { searched })
}

/// Every runtime in the cache folder, the one that [`find`] takes first. Nothing is checked.
pub fn list(cache: &Path) -> Vec<Found> {
    let entry = |(folder, manifest): (PathBuf, Manifest)| Found {
        path: folder.join(manifest.library),
        version: manifest.version,
        source: Source::Cache,
    };
    installed(cache).into_iter().map(entry).collect()
}

fn newest(cache: &Path) -> Option<(PathBuf, Manifest)> {
    installed(cache).into_iter().next()
}

/// Installed runtimes: one given by hand (`--from`) before the pinned one, newer before older.
fn installed(cache: &Path) -> Vec<(PathBuf, Manifest)> {
    let Ok(entries) = fs::read_dir(folder(cache)) else {
        return Vec::new();
    };
    let pinned = pinned_folder(cache);
    let mut all: Vec<(PathBuf, Manifest)> = entries
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            let hidden = folder.file_name()?.to_string_lossy().starts_with('.');
            let text = fs::read_to_string(folder.join(MANIFEST)).ok()?;
            let manifest: Manifest = serde_json::from_str(&text).ok()?;
            (!hidden && Path::new(&manifest.library).components().count() == 1)
                .then_some((folder, manifest))
        })
        .collect();
    all.sort_by_key(|(folder, manifest)| {
        (
            *folder == pinned,
            std::cmp::Reverse(numbers(&manifest.version)),
            folder.clone(),
        )
    });
    all
}

fn numbers(version: &str) -> Vec<u32> {
    version
        .split('.')
        .map(|part| part.parse().unwrap_or(0))
        .collect()
}

/// A library of the cache folder: its SHA-256 is compared before anything else is done with it.
fn cached(folder: &Path, manifest: &Manifest) -> Result<Found> {
    let path = folder.join(&manifest.library);
    let pinned = wheels::pinned()
        .filter(|wheel| manifest.version == VERSION && folder.ends_with(pinned_name(wheel)));
    let expected = pinned.map_or(manifest.sha256.as_str(), |wheel| wheel.library_sha256);
    let actual = digest::file(&path).map_err(|source| Error::RuntimeMissing {
        path: path.clone(),
        source,
    })?;
    if actual != expected {
        let bytes = fs::metadata(&path).map_or(0, |meta| meta.len());
        return Err(Error::RuntimeUnfit {
            path,
            expected: format!("SHA-256 {expected}"),
            found: format!("SHA-256 {actual} ({bytes} bytes)"),
        });
    }
    Ok(Found {
        path,
        version: manifest.version.clone(),
        source: Source::Cache,
    })
}

fn pinned_name(wheel: &wheels::Wheel) -> String {
    format!("onnxruntime-{VERSION}-{}-{}", wheel.os, wheel.arch)
}

fn found(path: &Path, source: Source) -> Result<Found> {
    let version = library::inspect(path)?;
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    Ok(Found {
        path,
        version,
        source,
    })
}

/// The library in a folder: the shortest name first (`libonnxruntime.so` before `…so.1.28.0`).
pub(super) fn in_folder(folder: &Path) -> Option<PathBuf> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| wheels::is_library_name(name))
        .collect();
    names.sort_by_key(|name| (name.len(), name.clone()));
    names.first().map(|name| folder.join(name))
}

/// The folders where package managers put shared libraries.
pub(super) fn system_folders() -> Vec<PathBuf> {
    let folders: &[&str] = match std::env::consts::OS {
        "windows" => &[],
        "macos" => &["/opt/homebrew/lib", "/usr/local/lib"],
        _ => &[
            "/usr/local/lib",
            "/usr/lib/x86_64-linux-gnu",
            "/usr/lib/aarch64-linux-gnu",
            "/usr/lib64",
            "/usr/lib",
        ],
    };
    folders
        .iter()
        .map(PathBuf::from)
        .filter(|folder| folder.is_dir())
        .collect()
}
