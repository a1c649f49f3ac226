//! Cache of engines, models that TensorRT or OpenVINO compiled: folders under a key of everything that an engine depends
//! on. Knows no provider: the build is a closure that fills a folder.
//!
//! TensorRT's provider has a cache, but names its files after the model's file and nodes, not after the weights:
//! a model that was trained again would get yesterday's engine (ONNX Runtime issues 6455 and 32254).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Result, chain};

/// File beside the engines: the parts of their key, and their checksums.
const MANIFEST: &str = "manifest.json";

/// A cache of engines in a folder.
#[derive(Debug, Clone)]
pub struct EngineCache {
    root: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    /// The key's names and values.
    parts: BTreeMap<String, String>,
    /// SHA-256 of every file.
    files: BTreeMap<String, String>,
}

/// Cache key: everything that an engine depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineKey {
    parts: BTreeMap<String, String>,
}

impl EngineKey {
    /// A key of names and values.
    ///
    /// ```
    /// use classifold::engine_cache::EngineKey;
    ///
    /// let key = EngineKey::new([("model", "12ab"), ("precision", "fp16")]);
    /// assert_eq!(key.hash().len(), 64);
    /// assert_ne!(key, EngineKey::new([("model", "34cd"), ("precision", "fp16")]));
    /// ```
    pub fn new<'a>(parts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            parts: parts.into_iter().map(own).collect(),
        }
    }

    /// SHA-256 over the parts, in hexadecimal: the folder's name.
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        for (name, value) in &self.parts {
            // Lengths, so that no two lists of parts run together to the same bytes.
            for text in [name, value] {
                hasher.update((text.len() as u64).to_le_bytes());
                hasher.update(text);
            }
        }
        files::hash::hex(&hasher.finalize())
    }
}

/// The folder that a build reads its engine from or leaves it in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineFolder<'a> {
    /// Its files are those that were kept under the key.
    Kept(&'a Path),
    /// Empty; kept when the build succeeds.
    New(&'a Path),
    /// Nothing can be kept.
    Unavailable,
}

impl<'a> EngineFolder<'a> {
    /// The folder, unless nothing can be kept.
    pub fn path(self) -> Option<&'a Path> {
        match self {
            Self::Kept(folder) | Self::New(folder) => Some(folder),
            Self::Unavailable => None,
        }
    }
}

/// Result of [`EngineCache::build`].
#[derive(Debug)]
pub struct Built<T> {
    /// The value that the closure returned.
    pub value: T,
    /// Whether it was built now, and not read from a kept engine.
    pub is_new: bool,
}

impl EngineCache {
    /// The cache in `root`, a folder that is created with the first engine.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Calls `build` with the folder of the cached engine, or with an empty one that is cached afterwards.
    ///
    /// An engine that is damaged, or that `build` cannot use, is removed and built anew. Where nothing can be
    /// written, the new engine is not cached. Both leave a line in `notes`.
    ///
    /// # Errors
    /// Those of `build` with a new folder or none.
    pub fn build<T>(
        &self,
        key: &EngineKey,
        notes: &mut Vec<String>,
        mut build: impl FnMut(EngineFolder<'_>) -> Result<T>,
    ) -> Result<Built<T>> {
        let folder = self.root.join(key.hash());
        match is_intact(&folder) {
            Ok(false) => {}
            Ok(true) => match build(EngineFolder::Kept(&folder)) {
                Ok(value) => {
                    return Ok(Built {
                        value,
                        is_new: false,
                    });
                }
                Err(error) => self.remove_damaged(&folder, &chain(&error), notes),
            },
            Err(damage) => self.remove_damaged(&folder, &damage, notes),
        }
        let staging = match self.staging(key) {
            Ok(staging) => staging,
            Err(error) => {
                notes.push(self.not_kept(&error));
                let value = build(EngineFolder::Unavailable)?;
                return Ok(Built {
                    value,
                    is_new: true,
                });
            }
        };
        let value = build(EngineFolder::New(staging.path()))?;
        if let Err(error) = publish(key, staging, &folder) {
            notes.push(self.not_kept(&error));
        }
        Ok(Built {
            value,
            is_new: true,
        })
    }

    /// Copies the files under a key into another folder, if they are intact.
    ///
    /// # Errors
    /// It cannot be copied.
    pub fn copy(&self, key: &EngineKey, into: &Path) -> std::io::Result<()> {
        let folder = self.root.join(key.hash());
        if is_intact(&folder) != Ok(true) {
            return Ok(());
        }
        for name in file_hashes(&folder)?.keys() {
            fs::copy(folder.join(name), into.join(name))?;
        }
        Ok(())
    }

    /// Caches a file under a key, in place of the files there.
    ///
    /// # Errors
    /// It cannot be kept.
    pub fn replace(&self, key: &EngineKey, file: &Path) -> std::io::Result<()> {
        let staging = self.staging(key)?;
        let name = file.file_name().unwrap_or_default();
        fs::copy(file, staging.path().join(name))?;
        let folder = self.root.join(key.hash());
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        publish(key, staging, &folder)
    }

    /// Folders that hold no engine for one of the `versions` of ONNX Runtime, as the part `runtime` of their key says,
    /// or a damaged one.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn unusable(&self, versions: &[&str]) -> std::io::Result<Vec<PathBuf>> {
        if !self.root.is_dir() {
            return Ok(Vec::new());
        }
        let mut unusable = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let folder = entry?.path();
            let is_of_version = |manifest: Manifest| {
                let version = manifest.parts.get("runtime");
                version.is_none_or(|version| versions.contains(&version.as_str()))
            };
            let of_version = manifest(&folder).is_ok_and(is_of_version);
            if folder.is_dir() && !(of_version && is_intact(&folder) == Ok(true)) {
                unusable.push(folder);
            }
        }
        unusable.sort();
        Ok(unusable)
    }

    /// An empty hidden folder beside the cached ones.
    fn staging(&self, key: &EngineKey) -> std::io::Result<tempfile::TempDir> {
        fs::create_dir_all(&self.root)?;
        let prefix = format!(".{}-", &key.hash()[..12]);
        tempfile::Builder::new()
            .prefix(&prefix)
            .tempdir_in(&self.root)
    }

    fn remove_damaged(&self, folder: &Path, reason: &str, notes: &mut Vec<String>) {
        let why = reason.lines().next().unwrap_or_default();
        notes.push(format!(
            "the engine kept in `{}` cannot be used ({why}): building it anew",
            folder.display()
        ));
        // Where it cannot be removed, the new one is not kept either, and that is noted then.
        let _ = fs::remove_dir_all(folder);
    }

    fn not_kept(&self, error: &std::io::Error) -> String {
        format!("the engine is not kept for the next time: {error}")
    }
}

fn manifest(folder: &Path) -> std::result::Result<Manifest, String> {
    let bytes = fs::read(folder.join(MANIFEST)).map_err(|e| e.to_string())?;
    serde_json::from_slice(&bytes).map_err(|e| e.to_string())
}

/// Whether there is an engine; the error says what is wrong with it.
fn is_intact(folder: &Path) -> std::result::Result<bool, String> {
    if !folder.exists() {
        return Ok(false);
    }
    let expected = manifest(folder)?.files;
    let found = file_hashes(folder).map_err(|e| e.to_string())?;
    let differs = |name: &&String| expected.get(*name) != found.get(*name);
    match expected.keys().chain(found.keys()).find(differs) {
        Some(name) => Err(format!("`{name}` is not the file that was kept")),
        None => Ok(true),
    }
}

/// SHA-256 of the files in a folder.
fn file_hashes(folder: &Path) -> std::io::Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name != MANIFEST {
            files.insert(name.into_owned(), files::hash::sha256_hex(&path)?);
        }
    }
    Ok(files)
}

/// Writes the checksums into a filled folder and renames it to its final name; drops a folder without files.
fn publish(key: &EngineKey, staging: tempfile::TempDir, folder: &Path) -> std::io::Result<()> {
    let files = file_hashes(staging.path())?;
    if files.is_empty() {
        return Ok(());
    }
    let manifest = Manifest {
        parts: key.parts.clone(),
        files,
    };
    let text = serde_json::to_vec_pretty(&manifest)?;
    files::write::atomically(&staging.path().join(MANIFEST), &text)
        .map_err(std::io::Error::other)?;
    match fs::rename(staging.path(), folder) {
        Ok(()) => {
            // The folder has another name now: there is nothing left to remove.
            let _ = staging.keep();
            Ok(())
        }
        // Another process kept the same engine meanwhile.
        Err(_) if is_intact(folder) == Ok(true) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
