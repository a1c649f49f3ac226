//! What a provider needs of this machine and whether it is there, found by loading the libraries
//! themselves, before ONNX Runtime is asked. Knows no models and no sessions.
//!
//! What is needed is read from ONNX Runtime's own provider libraries (the names that they are linked to),
//! where it lies is looked for in [`Places`], and what it is each library says itself. Whatever is found
//! stays loaded: ONNX Runtime then gets these very files, wherever they lie.

mod driver;
mod libraries;
mod machine;
mod places;

use serde::{Deserialize, Serialize};

pub use driver::{Device, Driver};
pub use libraries::Library;
pub(crate) use libraries::tensorrt_version;
pub use machine::Machine;
pub use places::Places;

pub use crate::missing::Lack;

use crate::error::{Error, Result};
use crate::provider::Provider;

/// What was found for a provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// The NVIDIA driver and its GPUs, where it starts.
    pub driver: Option<Driver>,
    /// The libraries that were found.
    pub libraries: Vec<Library>,
    /// What keeps the provider from starting, the most basic first; empty: nothing.
    pub lacks: Vec<Lack>,
}

/// Looks for what a provider needs. The CPU needs nothing.
///
/// ```
/// use deploy::probe::{self, Places};
///
/// assert!(probe::look(deploy::Provider::Cpu, &Places::default()).lacks.is_empty());
/// let nowhere = probe::look(deploy::Provider::Cuda { device: 0 }, &Places::default());
/// assert!(nowhere.lacks[0].what.contains("driver"));
/// ```
pub fn look(provider: Provider, places: &Places) -> Readiness {
    let (device, tensorrt) = match provider {
        Provider::Cpu => return Readiness::default(),
        Provider::Cuda { device } => (device, false),
        Provider::TensorRt { device } => (device, true),
    };
    let needs = libraries::needs(places, tensorrt);
    let (driver, mut lacks) = match driver::look(places, needs.cuda) {
        Ok(driver) => {
            let lacks = driver::check(&driver, device, needs.cuda);
            (Some(driver), lacks)
        }
        Err(lack) => (None, vec![*lack]),
    };
    let (libraries, missing) = libraries::look(places, &needs);
    lacks.extend(needs.lacks);
    lacks.extend(missing);
    Readiness {
        driver,
        libraries,
        lacks,
    }
}

/// The driver of this machine and its GPUs; `None` where there is none that starts.
pub fn driver() -> Option<Driver> {
    driver::look(&Places::of_machine(None), None).ok()
}

impl Readiness {
    /// The first lack as an error.
    ///
    /// # Errors
    /// [`Error::ProviderNotReady`] when anything is missing.
    pub fn into_result(self, provider: Provider) -> Result<()> {
        match self.lacks.into_iter().next() {
            None => Ok(()),
            Some(lack) => Err(Error::ProviderNotReady {
                provider: provider.to_string(),
                lack: Box::new(lack),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
