//! Plugin providers, libraries that ONNX Runtime loads as execution providers, each in a folder of the cache. Knows no
//! sessions.

use std::fmt;
use std::path::{Path, PathBuf};

use super::find;
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

pub(super) fn folder(plugin: &PinnedPlugin, cache: &Path) -> PathBuf {
    find::folder(cache).join(plugin.folder_name())
}

pub(super) fn in_folder(plugin: &PinnedPlugin, folder: &Path) -> Plugin {
    Plugin {
        product: plugin.product.to_owned(),
        version: plugin.wheel.version.to_owned(),
        library: folder.join(plugin.library().0),
    }
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
