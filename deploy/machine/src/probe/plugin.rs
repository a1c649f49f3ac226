//! The libraries of a plugin provider: found beside each other, whole, and the pinned ones. ONNX Runtime loads the
//! plugin itself.

use std::path::{Path, PathBuf};

use files::hash;

use super::libraries::{Library, damaged};
use super::search_paths::SearchPaths;
use crate::dylib::{self, Defect};
use crate::missing::MissingRequirement;
use crate::wheels::plugin::PinnedPlugin;

/// The library that ONNX Runtime loads, and what else was found beside it.
pub(super) struct PluginFiles {
    pub(super) library: Option<PathBuf>,
    pub(super) libraries: Vec<Library>,
    pub(super) missing: Vec<MissingRequirement>,
}

/// Finds the plugin and checks it. Its own library is compared with its SHA-256; those beside it are checked for their
/// bounds alone, since they are large: `deploy doctor` compares them all.
pub(super) fn find(plugin: &PinnedPlugin, paths: &SearchPaths) -> PluginFiles {
    let mut files = PluginFiles {
        library: None,
        libraries: Vec::new(),
        missing: Vec::new(),
    };
    let version = plugin.wheel.version;
    let Some(path) = paths.find(plugin.library().0) else {
        files.missing.push(not_installed(plugin));
        return files;
    };
    files.missing = check(plugin, &path, Thoroughness::Bounds);
    files.libraries.push(Library {
        name: plugin.library().0.to_owned(),
        path: path.clone(),
        version: Some(version.to_owned()),
    });
    files.library = files.missing.is_empty().then_some(path);
    files
}

/// How the libraries beside the plugin's own are checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thoroughness {
    /// That they are whole shared libraries.
    Bounds,
    /// That they are the pinned ones.
    Hashes,
}

/// Defects of the plugin whose own library is `path`: libraries that are missing, damaged or others than the pinned ones.
pub(crate) fn check(
    plugin: &PinnedPlugin,
    path: &Path,
    thoroughness: Thoroughness,
) -> Vec<MissingRequirement> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut missing = Vec::new();
    for (name, sha256) in plugin.libraries {
        let path = folder.join(name);
        // Bounds first: what is truncated or another kind of file is said in these words.
        let defect = dylib::check_library(&path).and_then(|()| {
            let is_compared = thoroughness == Thoroughness::Hashes || *name == plugin.library().0;
            match is_compared {
                true => check_hash(plugin, &path, sha256),
                false => Ok(()),
            }
        });
        if let Err(defect) = defect {
            missing.push(damaged(&path, defect, &plugin.fix()));
        }
    }
    missing
}

/// Loads what others of its libraries link to, so that they get these very files.
pub(super) fn preload(plugin: &PinnedPlugin, library: &Path) -> Option<MissingRequirement> {
    let folder = library.parent().unwrap_or(Path::new(""));
    plugin.preloaded.iter().find_map(|name| {
        let path = folder.join(name);
        let reason = dylib::load(&path).err()?;
        let what = format!("`{}` does not load", path.display());
        let expected = "a library that loads";
        Some(MissingRequirement::new(
            what,
            expected,
            &reason,
            &plugin.fix(),
        ))
    })
}

fn check_hash(plugin: &PinnedPlugin, path: &Path, expected: &str) -> dylib::Result<()> {
    let found = hash::sha256_hex(path)?;
    if found == expected {
        return Ok(());
    }
    let (product, version) = (plugin.product, plugin.wheel.version);
    Err(Defect::unusable(
        &format!("that of {product} {version}, SHA-256 {expected}"),
        &format!("another library, SHA-256 {found}"),
    ))
}

fn not_installed(plugin: &PinnedPlugin) -> MissingRequirement {
    let (product, version) = (plugin.product, plugin.wheel.version);
    if plugin.is_for_this_system() {
        return MissingRequirement::new(
            format!("{product} is not installed"),
            &format!("{product} {version}"),
            "none",
            &plugin.fix(),
        );
    }
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    MissingRequirement::new(
        format!("{product} is not there for this system"),
        "linux x86_64",
        &format!("{os} {arch}"),
        "use the provider `cpu`",
    )
}
