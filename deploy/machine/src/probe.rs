//! Probe of a provider's requirements: driver, GPU and libraries, found by loading them before ONNX Runtime does.
//! Knows no models and no sessions.
//!
//! The requirements are read from ONNX Runtime's own provider libraries (the names that they are linked to), not
//! from a table of versions. They are searched in [`SearchPaths`], and each library is asked for its version.
//! Libraries that were found stay loaded, so that the ones that were checked are the ones that run.

mod driver;
mod libraries;
mod machine;
mod plugin;
mod search_paths;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use driver::{Device, Driver};
pub use libraries::Library;
#[cfg(feature = "install")]
pub(crate) use libraries::tensorrt_version;
pub use machine::Machine;
pub(crate) use plugin::{Thoroughness, check as check_plugin};
pub use search_paths::SearchPaths;

pub use crate::missing::MissingRequirement;

use crate::error::{Error, Result};
use crate::provider::Provider;
use crate::wheels::plugin as plugin_wheels;

/// Requirements of a provider: those found and those missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// The NVIDIA driver and its GPUs, where it starts.
    pub driver: Option<Driver>,
    /// The libraries that were found.
    pub libraries: Vec<Library>,
    /// The library that ONNX Runtime loads, where the provider is a plugin and nothing is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PathBuf>,
    /// Requirements without which the provider does not start, the most basic first.
    #[serde(rename = "lacks")]
    pub missing: Vec<MissingRequirement>,
}

/// Probes the requirements of a provider. The CPU has none.
///
/// ```
/// use classifold_machine::probe::{self, SearchPaths};
///
/// assert!(probe::readiness(classifold_machine::Provider::Cpu, &SearchPaths::default()).missing.is_empty());
/// let nowhere = probe::readiness(classifold_machine::Provider::Cuda { device: 0 }, &SearchPaths::default());
/// assert!(nowhere.missing[0].what.contains("driver"));
/// ```
pub fn readiness(provider: Provider, paths: &SearchPaths) -> Readiness {
    let (device, tensorrt) = match provider {
        Provider::Cpu => return Readiness::default(),
        Provider::OpenVino { .. } => return plugin_readiness(provider, paths),
        Provider::TensorRtRtx { device } => return tensorrt_rtx_readiness(provider, device, paths),
        Provider::Cuda { device } => (device, false),
        Provider::TensorRt { device } => (device, true),
    };
    let needs = libraries::needs(paths, tensorrt);
    let (driver, mut missing) = match driver::start(paths, needs.cuda) {
        Ok(driver) => {
            let missing = driver::check(&driver, device, needs.cuda);
            (Some(driver), missing)
        }
        Err(requirement) => (None, vec![*requirement]),
    };
    let (libraries, missing_libraries) = libraries::load_all(paths, &needs);
    missing.extend(needs.missing);
    missing.extend(missing_libraries);
    Readiness {
        driver,
        libraries,
        plugin: None,
        missing,
    }
}

/// The libraries of a plugin provider. Its devices are known once ONNX Runtime has loaded it.
fn plugin_readiness(provider: Provider, paths: &SearchPaths) -> Readiness {
    let Some(pinned) = plugin_wheels::named(provider.name()) else {
        return Readiness::default();
    };
    let files = plugin::find(pinned, paths);
    Readiness {
        driver: None,
        libraries: files.libraries,
        plugin: files.library,
        missing: files.missing,
    }
}

/// The driver and the GPU before the plugin, which does not load without the driver's library.
fn tensorrt_rtx_readiness(provider: Provider, device: u32, paths: &SearchPaths) -> Readiness {
    /// Version of CUDA that the plugin is built for.
    const CUDA: Option<u32> = Some(13);
    let (driver, mut missing) = match driver::start(paths, CUDA) {
        Ok(driver) => {
            let mut missing = driver::check(&driver, device, CUDA);
            if missing.is_empty() {
                missing.extend(driver::check_ampere(&driver, device));
            }
            (Some(driver), missing)
        }
        Err(requirement) => (None, vec![*requirement]),
    };
    let mut found = plugin_readiness(provider, paths);
    missing.append(&mut found.missing);
    let preloaded = found.plugin.as_deref().filter(|_| missing.is_empty());
    if let (Some(library), Some(plugin)) = (preloaded, plugin_wheels::named(provider.name())) {
        missing.extend(plugin::preload(plugin, library));
    }
    Readiness {
        driver,
        plugin: found.plugin.filter(|_| missing.is_empty()),
        missing,
        ..found
    }
}

/// The driver of this machine and its GPUs; `None` where there is none that starts.
pub fn driver() -> Option<Driver> {
    driver::start(&SearchPaths::for_runtime(None), None).ok()
}

impl Readiness {
    /// The first missing requirement as an error.
    ///
    /// # Errors
    /// The first missing requirement, with the command that fixes it.
    pub fn into_result(self, provider: Provider) -> Result<()> {
        match self.missing.into_iter().next() {
            None => Ok(()),
            Some(missing) => Err(Error::provider_not_ready(&provider.to_string(), &missing)),
        }
    }
}

#[cfg(test)]
mod tests;
