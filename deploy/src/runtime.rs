//! The ONNX Runtime library: found and installed by the crate `machine`, loaded once here. Knows no model.
//!
//! This crate never installs of its own accord: with the feature `install`, `ensure` and `install` are there for
//! programs to call.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use machine::Provider;
use machine::probe::{self, SearchPaths};
pub use machine::runtime::*;
use ort::AsPointer;
use ort::environment::{Environment, GlobalThreadPoolOptions};

use crate::error::{Error, Result, chain};

// A library that is older than `ort` knows is refused before it is loaded.
const _: () = assert!(MIN_API == ort::MINOR_VERSION);

/// ONNX Runtime allows one environment per process.
static LOADED: OnceLock<(RuntimeLibrary, Environment)> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

/// Settings of the process's ONNX Runtime.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LoadOptions {
    /// Whether a library that sends telemetry is loaded although [`TELEMETRY_VARIABLE`] does not forbid it to.
    pub allow_telemetry: bool,
    /// Threads that sessions without a number of threads of their own share; without it each has its own.
    pub thread_pool: Option<ThreadPool>,
}

/// Threads that several sessions share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadPool {
    /// Number of threads.
    pub threads: usize,
    /// Whether they spin while they wait for work: less latency for more processor time.
    pub spinning: bool,
}

/// Loads the library. The first call of the process decides; the same library again is a no-op.
///
/// # Errors
/// The system cannot load it, it sends telemetry ([`LoadOptions::allow_telemetry`]), another library is loaded already,
/// or other code of the process created ONNX Runtime's environment ([`adopt`]).
pub fn load(library: &RuntimeLibrary) -> Result<()> {
    load_with(library, &LoadOptions::default())
}

/// As [`load`], with settings. They are those of the first call.
///
/// # Errors
/// As [`load`].
pub fn load_with(library: &RuntimeLibrary, options: &LoadOptions) -> Result<()> {
    let _guard = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((loaded, _)) = LOADED.get() {
        if loaded.path == library.path {
            return Ok(());
        }
        return Err(Error::runtime_differs(&loaded.path, &library.path));
    }
    if !options.allow_telemetry && sends_telemetry(library) && !is_telemetry_off() {
        return Err(Error::telemetry(&library.path, &library.version));
    }
    let failed = |e: &dyn std::error::Error| Error::runtime_load(&library.path, chain(e));
    let builder = ort::init_from(&library.path).map_err(|e| failed(&e))?;
    // `ort` keeps the library that other code of the process loaded through it, whatever the path.
    if let Some(mapped) = mapped_library()
        && fs_err::canonicalize(&library.path).is_ok_and(|path| path != mapped)
    {
        return Err(Error::runtime_differs(&mapped, &library.path));
    }
    let builder = builder.with_name("deploy").with_telemetry(false);
    let builder = match options.thread_pool {
        Some(pool) => builder.with_global_thread_pool(
            GlobalThreadPoolOptions::default()
                .with_intra_threads(pool.threads)
                .and_then(|options| options.with_spin_control(pool.spinning))
                .map_err(|e| failed(&e))?,
        ),
        None => builder,
    };
    let environment = builder.build().map_err(|e| match e.message() {
        // The words of `ort`'s `environment.rs`; it has no code for this.
        message if message.contains("only one environment") => Error::environment_taken(),
        _ => failed(&e),
    })?;
    // The lock is held: nobody else can have set it.
    let _ = LOADED.set((library.clone(), environment));
    Ok(())
}

/// Takes the ONNX Runtime that other code of this process uses through the crate `ort`, in place of [`load`]. A process
/// has one environment, and sessions of both live in it. Whoever created it answers for its telemetry.
///
/// ```no_run
/// use classifold::{Classifier, ort, runtime};
///
/// let environment = ort::init_from("/opt/app/libonnxruntime.so")?.build()?;
/// runtime::adopt(environment.clone())?;
/// let classifier = Classifier::open("model.onnx")?; // runs in `environment`
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A library was loaded already ([`environment`] lends its environment), or it is older than this crate can use.
pub fn adopt(environment: Environment) -> Result<()> {
    let _guard = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((loaded, ours)) = LOADED.get() {
        if ours.ptr() == environment.ptr() {
            return Ok(());
        }
        return Err(Error::already_loaded(&loaded.path));
    }
    let library = match mapped_library() {
        Some(path) => RuntimeLibrary {
            source: Source::Host,
            ..find(&Search {
                explicit: Some(path),
                ..Search::default()
            })?
        },
        // Its path is known on Linux alone. `ort` checked the version when it loaded the library.
        None => RuntimeLibrary {
            path: PathBuf::new(),
            version: format!("1.{MIN_API} or newer"),
            source: Source::Host,
            gpu: false,
        },
    };
    let _ = LOADED.set((library, environment));
    Ok(())
}

/// The environment of the process's ONNX Runtime, for other code that uses the crate `ort`: an environment of its own
/// would be refused.
///
/// ```no_run
/// use classifold::{ort, runtime};
///
/// runtime::load(&runtime::find(&runtime::Search::from_env(None, None))?)?;
/// let session = ort::session::Session::builder(runtime::environment()?)?.commit_from_file("other.onnx")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Nothing was loaded or adopted yet.
pub fn environment() -> Result<&'static Environment> {
    LOADED
        .get()
        .map(|(_, environment)| environment)
        .ok_or_else(Error::nothing_loaded)
}

/// The library that this process uses, once [`load`] or [`adopt`] succeeded.
pub fn loaded() -> Option<&'static RuntimeLibrary> {
    LOADED.get().map(|(found, _)| found)
}

/// Whether a library is one of those with an uploader: official builds since 1.29.
fn sends_telemetry(library: &RuntimeLibrary) -> bool {
    is_since(library, 29)
}

/// Whether a library is 1.`minor` or newer.
pub(crate) fn is_since(library: &RuntimeLibrary, minor: u32) -> bool {
    let own = library.version.strip_prefix("1.");
    let own = own.and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    // A version that cannot be read is a newer one.
    own.is_none_or(|own| own >= minor)
}

fn is_telemetry_off() -> bool {
    std::env::var_os(TELEMETRY_VARIABLE).is_some_and(|value| value == "1")
}

/// The file of the library behind `ort`'s functions, which must be loaded: the one that holds their table.
#[cfg(target_os = "linux")]
fn mapped_library() -> Option<PathBuf> {
    let table = std::ptr::from_ref(ort::api()).addr();
    let maps = fs_err::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| {
        let (start, rest) = line.split_once('-')?;
        let end = rest.split(' ').next()?;
        let bound = |hex| usize::from_str_radix(hex, 16).ok();
        let is_inside = (bound(start)?..bound(end)?).contains(&table);
        let path = &line[line.find('/').filter(|_| is_inside)?..];
        Some(PathBuf::from(path))
    })
}

#[cfg(not(target_os = "linux"))]
fn mapped_library() -> Option<PathBuf> {
    None
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
pub(crate) fn load_default(
    provider: Provider,
    cache: Option<&Path>,
    options: &LoadOptions,
) -> Result<()> {
    if loaded().is_some() {
        return Ok(());
    }
    let search = Search {
        provider,
        ..Search::from_env(None, cache)
    };
    load_with(&find(&search)?, options)
}

/// Turns off the uploader that newer official builds contain, by [`TELEMETRY_VARIABLE`] in this process's environment.
///
/// # Safety
/// No other thread of the process may run: call it first in `main`. In a library, leave it to the program.
///
/// ```
/// // SAFETY: the first statement of `main`.
/// unsafe { classifold::runtime::disable_telemetry() };
/// ```
#[expect(
    unsafe_code,
    reason = "setting an environment variable is unsafe when threads run"
)]
pub unsafe fn disable_telemetry() {
    // SAFETY: the caller promises that there is one thread only.
    unsafe { std::env::set_var(TELEMETRY_VARIABLE, "1") };
}
