//! The one ONNX Runtime of the process.

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::{Found, Search};
use crate::error::{Error, Result, chain};
use crate::probe::{self, Places};
use crate::provider::Provider;

/// ONNX Runtime allows one environment per process.
static LOADED: OnceLock<(Found, ort::environment::Environment)> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

/// Loads the library. The first call of the process decides; the same library again is a no-op.
///
/// # Errors
/// [`Error::RuntimeLoad`] when the system cannot load it, [`Error::RuntimeDiffers`] when another library
/// is loaded already.
pub fn load(found: &Found) -> Result<()> {
    let _guard = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((loaded, _)) = LOADED.get() {
        if loaded.path == found.path {
            return Ok(());
        }
        return Err(Error::RuntimeDiffers {
            loaded: loaded.path.clone(),
            asked: found.path.clone(),
        });
    }
    let failed = |reason| Error::RuntimeLoad {
        path: found.path.clone(),
        reason,
    };
    let environment = ort::init_from(&found.path)
        .map_err(|e| failed(chain(&e)))?
        .with_name("deploy")
        .with_telemetry(false)
        .build()
        .map_err(|e| failed(chain(&e)))?;
    // The lock is held: nobody else can have set it.
    let _ = LOADED.set((found.clone(), environment));
    Ok(())
}

/// The library that this process uses, once [`load`] succeeded.
pub fn loaded() -> Option<&'static Found> {
    LOADED.get().map(|(found, _)| found)
}

/// The environment that sessions are made in.
pub(crate) fn environment() -> Result<&'static ort::environment::Environment> {
    LOADED
        .get()
        .map(|(_, environment)| environment)
        .ok_or_else(|| Error::NoRuntime {
            searched: Vec::new(),
        })
}

/// Refuses a provider whose libraries or GPU are not there, before ONNX Runtime is asked.
///
/// The needs are those of the ONNX Runtime that this process loaded, if it loaded one.
///
/// # Errors
/// [`Error::ProviderNotReady`] with the first thing that is missing and the command that mends it.
pub fn require(provider: Provider) -> Result<()> {
    if provider == Provider::Cpu {
        return Ok(());
    }
    let library = loaded().map(|found| found.path.as_path());
    probe::look(provider, &Places::of_machine(library)).into_result(provider)
}

/// Loads what is found in the usual places when nothing is loaded yet.
pub(crate) fn load_default(cache: Option<PathBuf>) -> Result<()> {
    if loaded().is_some() {
        return Ok(());
    }
    let cache = match cache {
        Some(cache) => cache,
        None => data::cache::dir(None)?,
    };
    load(&super::find(&Search::new(&cache))?)
}

/// Turns off the uploader that newer official builds contain. First thing in `main`, before any thread.
///
/// Sets `ORT_DISABLE_TELEMETRY=1` in this process's environment.
#[expect(
    unsafe_code,
    reason = "setting an environment variable is unsafe when threads run"
)]
pub fn disable_telemetry() {
    // SAFETY: documented to be called first in `main`, when there is one thread only.
    unsafe { std::env::set_var("ORT_DISABLE_TELEMETRY", "1") };
}
