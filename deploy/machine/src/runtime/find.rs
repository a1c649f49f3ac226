//! Search for the library: named files first, then the cache folder, then the system. Loads nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use files::hash;
use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::{RuntimeLibrary, Search, Source, has_cuda, library};
use crate::error::{Error, Result};
use crate::provider::Provider;
use crate::wheels::{self, VERSION};

/// Written beside an installed library.
pub(super) const MANIFEST: &str = "installed.json";

/// What was installed: the content of `installed.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) version: String,
    pub(super) library: String,
    pub(super) sha256: String,
    pub(super) from: String,
    /// Major version of CUDA, where NVIDIA's libraries lie beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cuda: Option<u32>,
    /// SHA-256 of every other library in the folder.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) files: BTreeMap<String, String>,
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
/// use machine::runtime::{Search, find};
///
/// let folder = tempfile::tempdir().unwrap();
/// let only = Search { cache: Some(folder.path().to_owned()), ..Search::default() };
/// assert!(matches!(find(&only), Err(machine::Error::NoRuntime { .. })));
/// ```
///
/// # Errors
/// [`Error::NoRuntime`] when there is none; [`Error::RuntimeMissing`] or [`Error::RuntimeUnfit`] for a
/// library that was named, lies beside the executable or was installed, and cannot be used. An unfit
/// library of the system is passed over.
pub fn find(search: &Search) -> Result<RuntimeLibrary> {
    for (named, source) in [
        (&search.explicit, Source::Explicit),
        (&search.env, Source::Env),
    ] {
        if let Some(path) = named {
            return inspected(&in_folder(path).unwrap_or_else(|| path.clone()), source);
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
            return inspected(&path, Source::BesideExecutable);
        }
        searched.push(folder.to_owned());
    }
    if let Some(cache) = &search.cache {
        if let Some((folder, manifest)) = newest(cache, search.provider) {
            return cached(&folder, &manifest);
        }
        searched.push(folder(cache));
    }
    for folder in &search.system {
        let fit = in_folder(folder).and_then(|path| inspected(&path, Source::System).ok());
        if let Some(fit) = fit {
            return Ok(fit);
        }
    }
    searched.extend(search.system.iter().cloned());
    Err(Error::NoRuntime { searched })
}

/// Every library that `search` names or leads to, usable or not, in the order in which [`find`] looks.
pub fn candidates(search: &Search) -> Vec<(PathBuf, Source, Result<RuntimeLibrary>)> {
    let named = [
        (&search.explicit, Source::Explicit),
        (&search.env, Source::Env),
    ];
    let mut paths: Vec<(PathBuf, Source)> = named
        .into_iter()
        .filter_map(|(path, source)| {
            let path = path.as_ref()?;
            Some((in_folder(path).unwrap_or_else(|| path.clone()), source))
        })
        .collect();
    if search.beside_executable
        && let Some(path) = std::env::current_exe()
            .ok()
            .as_deref()
            .and_then(Path::parent)
            .and_then(in_folder)
    {
        paths.push((path, Source::BesideExecutable));
    }
    let mut all: Vec<_> = paths
        .into_iter()
        .map(|(path, source)| (path.clone(), source, inspected(&path, source)))
        .collect();
    if let Some(cache) = &search.cache {
        all.extend(
            installed(cache, search.provider)
                .iter()
                .map(|(folder, manifest)| {
                    let path = folder.join(&manifest.library);
                    (path, Source::Cache, cached(folder, manifest))
                }),
        );
    }
    let system = search.system.iter().filter_map(|folder| in_folder(folder));
    all.extend(system.map(|path| {
        (
            path.clone(),
            Source::System,
            inspected(&path, Source::System),
        )
    }));
    all
}

/// Every runtime in the cache folder, the one that [`find`] takes first for the CPU. Nothing is checked.
pub fn list(cache: &Path) -> Vec<RuntimeLibrary> {
    let entry = |(folder, manifest): (PathBuf, Manifest)| {
        RuntimeLibrary::new(
            folder.join(manifest.library),
            manifest.version,
            Source::Cache,
        )
    };
    installed(cache, Provider::Cpu)
        .into_iter()
        .map(entry)
        .collect()
}

/// The version of CUDA that the installed GPU runtime is built for.
pub(super) fn cuda(cache: &Path) -> Option<u32> {
    let gpu = Provider::Cuda { device: 0 };
    newest(cache, gpu).and_then(|(_, manifest)| manifest.cuda)
}

/// Compares every library of a runtime that was installed with what was installed.
///
/// # Errors
/// [`Error::RuntimeMissing`] or [`Error::RuntimeUnfit`] for the first that is missing or differs. A
/// library that was not installed into the cache folder is not looked at.
pub fn verify(library: &RuntimeLibrary) -> Result<()> {
    let folder = library.path.parent().unwrap_or(Path::new(""));
    match manifest(folder) {
        Some(manifest) if library.source == Source::Cache => check_intact(folder, &manifest),
        _ => Ok(()),
    }
}

/// Whether a folder holds what its manifest says.
pub(super) fn check_intact(folder: &Path, manifest: &Manifest) -> Result<()> {
    check_hash(&folder.join(&manifest.library), &manifest.sha256)?;
    for (name, sha256) in &manifest.files {
        check_hash(&folder.join(name), sha256)?;
    }
    Ok(())
}

/// Compares the SHA-256 of a library.
fn check_hash(path: &Path, expected: &str) -> Result<()> {
    let actual = hash::sha256_hex(path).map_err(|source| Error::RuntimeMissing {
        path: path.to_owned(),
        source,
    })?;
    if actual == expected {
        return Ok(());
    }
    let bytes = fs::metadata(path).map_or(0, |meta| meta.len());
    Err(Error::RuntimeUnfit {
        path: path.to_owned(),
        expected: format!("SHA-256 {expected}"),
        found: format!("SHA-256 {actual} ({bytes} bytes)"),
    })
}

fn newest(cache: &Path, provider: Provider) -> Option<(PathBuf, Manifest)> {
    installed(cache, provider).into_iter().next()
}

/// Installed runtimes: those made for the provider first; one given by hand (`--from`) before the pinned
/// one, newer before older.
fn installed(cache: &Path, provider: Provider) -> Vec<(PathBuf, Manifest)> {
    let Ok(entries) = fs::read_dir(folder(cache)) else {
        return Vec::new();
    };
    let pinned = pinned_folder(cache);
    let mut all: Vec<(PathBuf, Manifest)> = entries
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            let hidden = folder.file_name()?.to_string_lossy().starts_with('.');
            let manifest = manifest(&folder)?;
            (!hidden && Path::new(&manifest.library).components().count() == 1)
                .then_some((folder, manifest))
        })
        .collect();
    all.sort_by_key(|(folder, manifest)| {
        (
            match provider {
                Provider::Cpu => manifest.cuda.is_some(),
                _ => !has_cuda(&folder.join(&manifest.library)),
            },
            *folder == pinned,
            std::cmp::Reverse(numbers(&manifest.version)),
            folder.clone(),
        )
    });
    all
}

/// The manifest in a folder.
pub(super) fn manifest(folder: &Path) -> Option<Manifest> {
    serde_json::from_str(&fs::read_to_string(folder.join(MANIFEST)).ok()?).ok()
}

fn numbers(version: &str) -> Vec<u32> {
    version
        .split('.')
        .map(|part| part.parse().unwrap_or(0))
        .collect()
}

/// A library of the cache folder: its SHA-256 is compared before anything else is done with it.
fn cached(folder: &Path, manifest: &Manifest) -> Result<RuntimeLibrary> {
    let path = folder.join(&manifest.library);
    let pinned = wheels::pinned()
        .filter(|wheel| manifest.version == VERSION && folder.ends_with(pinned_name(wheel)));
    let expected = pinned.map_or(manifest.sha256.as_str(), |wheel| wheel.library_sha256);
    check_hash(&path, expected)?;
    Ok(RuntimeLibrary::new(
        path,
        manifest.version.clone(),
        Source::Cache,
    ))
}

fn pinned_name(wheel: &wheels::Wheel) -> String {
    format!("onnxruntime-{VERSION}-{}-{}", wheel.os, wheel.arch)
}

fn inspected(path: &Path, source: Source) -> Result<RuntimeLibrary> {
    let version = library::inspect(path)?;
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    Ok(RuntimeLibrary::new(path, version, source))
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
