//! Installation of plugin providers from their pinned wheels, each into a folder of the cache. Knows no sessions.

use std::path::Path;

use fs_err as fs;

use super::obtain::{megabytes, obtain_wheels};
use super::{failed, unpack, work_folder};
use crate::error::{Error, Result};
use crate::probe::{Thoroughness, check_plugin};
use crate::provider::Provider;
use crate::runtime::find;
use crate::runtime::plugin::{Plugin, folder, in_folder};
use crate::wheels::plugin::{self as plugin_wheels, PinnedPlugin};

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
