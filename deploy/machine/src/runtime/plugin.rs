//! Installation of plugin providers, libraries that ONNX Runtime loads as execution providers, each into a folder of
//! the cache. Knows no sessions.

use std::fmt;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::find;
use super::install::{failed, work_folder};
use super::obtain::{megabytes, obtain_wheels};
use super::unpack;
use crate::error::{Error, Result};
use crate::probe::{Thoroughness, check_plugin};
use crate::provider::Provider;
use crate::wheels::plugin::{self as plugin_wheels, PinnedPlugin};

/// A plugin provider in the cache folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugin {
    /// Name of the product, such as `OpenVINO`.
    pub product: String,
    /// Its version, such as `1.8.1`.
    pub version: String,
    /// The library that ONNX Runtime loads.
    pub library: PathBuf,
}

impl fmt::Display for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.library.parent().unwrap_or(Path::new(""));
        write!(
            f,
            "{} {} from the cache folder (`{}`)",
            self.product,
            self.version,
            folder.display()
        )
    }
}

/// The installed plugin providers of the pinned versions. Nothing is checked.
pub fn plugins(cache: &Path) -> Vec<Plugin> {
    let all = plugin_wheels::all().into_iter();
    all.map(|plugin| in_folder(plugin, &folder(plugin, cache)))
        .filter(|plugin| plugin.library.is_file())
        .collect()
}

/// Version of the plugin that a provider is; `None` for one that is built into ONNX Runtime. No other version is loaded.
pub fn plugin_version(provider: Provider) -> Option<&'static str> {
    plugin_wheels::named(provider.name()).map(|plugin| plugin.wheel.version)
}

fn folder(plugin: &PinnedPlugin, cache: &Path) -> PathBuf {
    find::folder(cache).join(plugin.folder_name())
}

fn in_folder(plugin: &PinnedPlugin, folder: &Path) -> Plugin {
    Plugin {
        product: plugin.product.to_owned(),
        version: plugin.wheel.version.to_owned(),
        library: folder.join(plugin.library().0),
    }
}

/// Installs the plugin of a provider from its pinned wheel, which `from` names or is the folder of; without `from` pip
/// downloads it. A whole older installation stays until the new one is ready. `progress` gets lines for people.
///
/// ```no_run
/// use classifold_machine::{Provider, runtime};
///
/// let openvino: Provider = "openvino".parse()?;
/// println!("{}", runtime::install_plugin(openvino, "cache".as_ref(), None, &|line| eprintln!("{line}"))?);
/// # Ok::<(), classifold_machine::Error>(())
/// ```
///
/// # Errors
/// The provider is no plugin, or nothing is pinned for this system; the wheel is missing or not the pinned one; the
/// disk is too small; the cache folder cannot be written to.
pub fn install_plugin(
    provider: Provider,
    cache: &Path,
    from: Option<&Path>,
    progress: &dyn Fn(&str),
) -> Result<Plugin> {
    let plugin = pinned(provider)?;
    let (root, target) = (find::folder(cache), folder(plugin, cache));
    let found = in_folder(plugin, &target);
    if found.library.exists() {
        match check_plugin(plugin, &found.library, Thoroughness::Hashes).first() {
            None => {
                progress("already installed, and every library is intact");
                return Ok(found);
            }
            Some(defect) => progress(&format!("installing it again: {defect}")),
        }
    }
    fs::create_dir_all(&root).map_err(failed("create the cache folder"))?;
    let downloads = root.join(format!(".wheels-{}", plugin.name));
    // One wheel may be named by itself.
    let from = from.map(|from| match from.is_file() {
        true => from.parent().unwrap_or(from),
        false => from,
    });
    let pinned_wheels = std::slice::from_ref(&plugin.wheel);
    let wheels = obtain_wheels((pinned_wheels, plugin.unpacked), from, &downloads, progress)?;
    let work = work_folder(&root)?;
    progress(&format!("unpacking {}", megabytes(plugin.unpacked)));
    for wheel in &wheels {
        unpack::unpack(wheel, work.path(), &|name| plugin.kept(name))?;
    }
    if target.exists() {
        fs::remove_dir_all(&target).map_err(failed("replace the old plugin"))?;
    }
    fs::rename(work.path(), &target).map_err(failed("move the plugin to its folder"))?;
    if downloads.exists() {
        fs::remove_dir_all(&downloads).map_err(failed("remove the wheels"))?;
    }
    progress(&format!("installed in `{}`", target.display()));
    remove_other_versions(plugin, &root, progress)?;
    Ok(found)
}

/// Compares every library of a plugin with its SHA-256. A provider that is no plugin has none.
///
/// # Errors
/// The first library that is missing or differs, with the command that fixes it.
pub fn verify_plugin(provider: Provider, library: &Path) -> Result<()> {
    let Some(plugin) = plugin_wheels::named(provider.name()) else {
        return Ok(());
    };
    match check_plugin(plugin, library, Thoroughness::Hashes).first() {
        None => Ok(()),
        Some(defect) => Err(Error::provider_not_ready(&provider.to_string(), defect)),
    }
}

fn pinned(provider: Provider) -> Result<&'static PinnedPlugin> {
    let refused = |reason: String| {
        let what = format!("install a plugin for `{provider}`");
        Error::gpu_install(&what, reason, "run `deploy runtime install`".to_owned())
    };
    let plugin = plugin_wheels::named(provider.name())
        .ok_or_else(|| refused("it is built into ONNX Runtime".to_owned()))?;
    if plugin.is_for_this_system() {
        return Ok(plugin);
    }
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    Err(refused(format!(
        "a wheel is pinned for linux x86_64, not for {os} {arch}"
    )))
}

/// Removes the folders of other versions, which no search looks into.
fn remove_other_versions(
    plugin: &PinnedPlugin,
    root: &Path,
    progress: &dyn Fn(&str),
) -> Result<()> {
    let prefix = format!("{}-", plugin.name);
    let entries = fs::read_dir(root).map_err(failed("read the cache folder"))?;
    for folder in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(&prefix) && name != plugin.folder_name() {
            fs::remove_dir_all(&folder).map_err(failed("remove an older plugin"))?;
            progress(&format!("removed `{}`", folder.display()));
        }
    }
    Ok(())
}
