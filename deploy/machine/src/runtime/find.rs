//! Search for the ONNX Runtime library: named files, the executable's folder, its Python environment, the cache folder,
//! the system. Loads nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use files::hash;
use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::{RuntimeLibrary, Search, Source, has_cuda, library};
use crate::error::{Error, Result};
use crate::provider::Provider;
use crate::wheels::{self, VERSION};

/// File beside an installed library.
pub(super) const MANIFEST: &str = "installed.json";

/// Content of `installed.json`.
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

/// A place where a library lies, not checked yet.
struct Location {
    path: PathBuf,
    source: Source,
    /// Folder and manifest, where it was installed into the cache folder.
    installed: Option<(PathBuf, Manifest)>,
}

impl Location {
    fn check(&self) -> Result<RuntimeLibrary> {
        match &self.installed {
            Some((folder, manifest)) => check_installed(folder, manifest),
            None => inspect(&self.path, self.source),
        }
    }
}

/// Every place that `search` names or leads to, in the order of the search.
fn locations(search: &Search) -> Vec<Location> {
    let location = |path: PathBuf, source| Location {
        path,
        source,
        installed: None,
    };
    let named = [
        (&search.explicit, Source::Explicit),
        (&search.env, Source::Env),
    ];
    let mut all: Vec<Location> = named
        .into_iter()
        .filter_map(|(path, source)| Some((path.as_ref()?, source)))
        .map(|(path, source)| {
            location(
                library_in_folder(path).unwrap_or_else(|| path.clone()),
                source,
            )
        })
        .collect();
    let beside = executable_folders(search).into_iter();
    let beside = beside.filter_map(|folder| library_in_folder(&folder));
    all.extend(beside.map(|path| location(path, Source::BesideExecutable)));
    // A package for the CPU must not hide the runtime that was installed for CUDA.
    let is_fit = |path: &PathBuf| !search.provider.needs_cuda() || has_cuda(path);
    let python = executable(search).and_then(|path| python_library(&path));
    all.extend(
        python
            .filter(is_fit)
            .map(|path| location(path, Source::PythonEnvironment)),
    );
    let installed = search
        .cache
        .iter()
        .flat_map(|cache| installed(cache, search.provider));
    all.extend(installed.map(|(folder, manifest)| Location {
        path: folder.join(&manifest.library),
        source: Source::Cache,
        installed: Some((folder, manifest)),
    }));
    let system = search
        .system
        .iter()
        .filter_map(|folder| library_in_folder(folder));
    all.extend(system.map(|path| location(path, Source::System)));
    all
}

/// The folders that come with the running executable, where they are to be searched: its own, and `../lib` of `bin`.
fn executable_folders(search: &Search) -> Vec<PathBuf> {
    let executable = executable(search);
    let Some(folder) = executable.as_deref().and_then(Path::parent) else {
        return Vec::new();
    };
    let lib = folder
        .parent()
        .filter(|_| folder.ends_with("bin"))
        .map(|prefix| prefix.join("lib"))
        // `/usr/lib` belongs to the system, not to a program in `/usr/bin`.
        .filter(|lib| !search.system.contains(lib));
    [folder.to_owned()].into_iter().chain(lib).collect()
}

/// The running executable, where its surroundings are to be searched.
fn executable(search: &Search) -> Option<PathBuf> {
    let executable = std::env::current_exe().ok();
    executable.filter(|_| search.beside_executable)
}

/// The library of the package `onnxruntime` in the Python environment whose `bin` holds the executable, where the package
/// `classifold` is installed there, too: then its wheel brought the executable.
fn python_library(executable: &Path) -> Option<PathBuf> {
    let bin = executable
        .parent()
        .filter(|folder| folder.ends_with("bin"))?;
    let versions = fs::read_dir(bin.parent()?.join("lib")).ok()?;
    let is_python = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("python3"))
    };
    let mut versions: Vec<PathBuf> = versions.flatten().map(|entry| entry.path()).collect();
    versions.retain(is_python);
    versions.sort_unstable();
    // Debian's own Python installs into `dist-packages`.
    let packages = versions.iter().flat_map(|version| {
        ["site-packages", "dist-packages"].map(|packages| version.join(packages))
    });
    packages
        .filter(|packages| packages.join("classifold").is_dir())
        .find_map(|packages| library_in_folder(&packages.join("onnxruntime/capi")))
}

/// Finds the library and checks it without loading it.
///
/// ```
/// use classifold_machine::runtime::{Search, find};
///
/// let folder = tempfile::tempdir().unwrap();
/// let only = Search { cache: Some(folder.path().to_owned()), ..Search::default() };
/// assert!(matches!(find(&only), Err(classifold_machine::Error::NoRuntime { .. })));
/// ```
///
/// # Errors
/// [`Error::NoRuntime`] where there is none. A library that was named, lies beside the executable or was
/// installed, and cannot be read or used ([`Error::UnusableRuntime`]), is an error; one of a Python environment or of
/// the system, which may be there for others, is passed over.
pub fn find(search: &Search) -> Result<RuntimeLibrary> {
    for location in locations(search) {
        match location.check() {
            Err(_) if matches!(location.source, Source::PythonEnvironment | Source::System) => {}
            result => return result,
        }
    }
    let mut searched = executable_folders(search);
    searched.extend(search.cache.iter().map(|cache| folder(cache)));
    searched.extend(search.system.iter().cloned());
    Err(Error::NoRuntime { searched })
}

/// Every library that `search` names or leads to, usable or not, in the order in which [`find`] looks.
pub fn candidates(search: &Search) -> Vec<(PathBuf, Source, Result<RuntimeLibrary>)> {
    let check = |location: Location| {
        let result = location.check();
        (location.path, location.source, result)
    };
    locations(search).into_iter().map(check).collect()
}

/// Every runtime in the cache folder, in the order in which [`find`] takes them for the CPU. Nothing is checked.
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
pub(super) fn installed_cuda(cache: &Path) -> Option<u32> {
    let gpu = Provider::Cuda { device: 0 };
    let (_, manifest) = installed(cache, gpu).into_iter().next()?;
    manifest.cuda
}

/// Compares the libraries of an installed runtime with the SHA-256 that its manifest says.
///
/// # Errors
/// The first library that is missing or differs ([`Error::UnusableRuntime`]). A
/// library that was not installed into the cache folder is not looked at.
pub fn verify(library: &RuntimeLibrary) -> Result<()> {
    let folder = library.path.parent().unwrap_or(Path::new(""));
    match manifest(folder) {
        Some(manifest) if library.source == Source::Cache => check_intact(folder, &manifest),
        _ => Ok(()),
    }
}

/// Compares every library in a folder with its manifest.
pub(super) fn check_intact(folder: &Path, manifest: &Manifest) -> Result<()> {
    check_hash(&folder.join(&manifest.library), &manifest.sha256)?;
    for (name, sha256) in &manifest.files {
        check_hash(&folder.join(name), sha256)?;
    }
    Ok(())
}

/// Compares the SHA-256 of a library.
fn check_hash(path: &Path, expected: &str) -> Result<()> {
    let actual =
        hash::sha256_hex(path).map_err(|reason| Error::unreadable_library(path, reason))?;
    if actual == expected {
        return Ok(());
    }
    let bytes = fs::metadata(path).map_or(0, |meta| meta.len());
    Err(Error::UnusableRuntime {
        path: path.to_owned(),
        expected: format!("SHA-256 {expected}"),
        found: format!("SHA-256 {actual} ({bytes} bytes)"),
    })
}

/// Installed runtimes in order of preference: those made for the provider; one installed by hand (`--from`)
/// before the pinned one; newer before older.
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
            match provider.needs_cuda() {
                false => manifest.cuda.is_some(),
                true => !has_cuda(&folder.join(&manifest.library)),
            },
            *folder == pinned,
            std::cmp::Reverse(wheels::version_numbers(&manifest.version)),
            folder.clone(),
        )
    });
    all
}

/// The manifest in a folder.
pub(super) fn manifest(folder: &Path) -> Option<Manifest> {
    serde_json::from_str(&fs::read_to_string(folder.join(MANIFEST)).ok()?).ok()
}

/// Checks a library of the cache folder by its SHA-256, before anything else is done with it.
fn check_installed(folder: &Path, manifest: &Manifest) -> Result<RuntimeLibrary> {
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

fn inspect(path: &Path, source: Source) -> Result<RuntimeLibrary> {
    let version = library::inspect(path)?;
    // One library under two names must count as the same one when it is loaded again.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    Ok(RuntimeLibrary::new(path, version, source))
}

/// The library in a folder: the shortest name first (`libonnxruntime.so` before `…so.1.28.0`).
pub(super) fn library_in_folder(folder: &Path) -> Option<PathBuf> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// An environment with a library in the package `onnxruntime`, and with these folders.
    fn environment(root: &Path, packages: &str, others: &[&str]) -> (PathBuf, PathBuf) {
        let packages = root.join("lib").join(packages);
        let capi = packages.join("onnxruntime/capi");
        fs::create_dir_all(&capi).unwrap();
        for other in others {
            fs::create_dir_all(packages.join(other)).unwrap();
        }
        let library = capi.join("libonnxruntime.so.1.28.0");
        fs::write(&library, "").unwrap();
        fs::write(capi.join("libonnxruntime_providers_shared.so"), "").unwrap();
        (root.join("bin/deploy"), library)
    }

    #[test]
    fn a_program_of_the_wheel_finds_the_package_of_its_environment() {
        for packages in ["python3.12/site-packages", "python3.11/dist-packages"] {
            let root = tempfile::tempdir().unwrap();
            let (program, library) = environment(root.path(), packages, &["classifold"]);
            assert_eq!(python_library(&program), Some(library));
            // Not in `bin`, and so in no environment.
            assert_eq!(python_library(&root.path().join("lib/deploy")), None);
        }
    }

    #[test]
    fn a_program_that_the_wheel_did_not_install_leaves_the_package_to_others() {
        let root = tempfile::tempdir().unwrap();
        let (program, _) = environment(root.path(), "python3.12/site-packages", &["numpy"]);
        assert_eq!(python_library(&program), None);
    }
}
