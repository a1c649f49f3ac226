//! The ONNX Runtime library: found and installed by the crate `machine`, loaded once here. Knows no model.
//!
//! This crate never installs of its own accord: [`ensure`] and [`install`] are there for programs to call.

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use machine::Provider;
use machine::probe::{self, SearchPaths};
pub use machine::runtime::*;

use crate::error::{Error, Result, chain};

// A library that is older than `ort` knows is refused before it is loaded.
const _: () = assert!(MIN_API == ort::MINOR_VERSION);

/// ONNX Runtime allows one environment per process.
static LOADED: OnceLock<(RuntimeLibrary, ort::environment::Environment)> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

/// Loads the library. The first call of the process decides; the same library again is a no-op.
///
/// # Errors
/// The system cannot load it, or another library is loaded already.
pub fn load(library: &RuntimeLibrary) -> Result<()> {
    let _guard = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((loaded, _)) = LOADED.get() {
        if loaded.path == library.path {
            return Ok(());
        }
        return Err(Error::runtime_differs(&loaded.path, &library.path));
    }
    let failed = |e: &dyn std::error::Error| Error::runtime_load(&library.path, chain(e));
    let environment = ort::init_from(&library.path)
        .map_err(|e| failed(&e))?
        .with_name("deploy")
        .with_telemetry(false)
        .build()
        .map_err(|e| failed(&e))?;
    // The lock is held: nobody else can have set it.
    let _ = LOADED.set((library.clone(), environment));
    Ok(())
}

/// The library that this process uses, once [`load`] succeeded.
pub fn loaded() -> Option<&'static RuntimeLibrary> {
    LOADED.get().map(|(found, _)| found)
}

/// ONNX Runtime's environment, in which sessions are created.
pub(crate) fn environment() -> Result<&'static ort::environment::Environment> {
    LOADED
        .get()
        .map(|(_, environment)| environment)
        .ok_or_else(|| {
            let searched = Vec::new();
            machine::Error::NoRuntime { searched }.into()
        })
}

/// Refuses a provider whose libraries or GPU are missing, before a session is opened.
///
/// The requirements are those of the ONNX Runtime that this process loaded, if it loaded one.
///
/// # Errors
/// The first missing requirement, with the command that fixes it.
pub fn require(provider: Provider) -> Result<()> {
    if provider == Provider::Cpu {
        return Ok(());
    }
    let library = loaded().map(|found| found.path.as_path());
    Ok(probe::readiness(provider, &SearchPaths::for_runtime(library)).into_result(provider)?)
}

/// Finds and loads a library, unless one is loaded already.
pub(crate) fn load_default(cache: Option<PathBuf>) -> Result<()> {
    if loaded().is_some() {
        return Ok(());
    }
    let cache = match cache {
        Some(cache) => cache,
        None => files::cache::dir(None)?,
    };
    load(&find(&Search::new(&cache))?)
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
