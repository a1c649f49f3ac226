//! The ONNX Runtime library: search and, with the feature `install`, installation. Loads nothing for good and knows no
//! models.
//!
//! This crate never installs of its own accord: `ensure` and `install` are there for programs to call.

mod find;
#[cfg(feature = "install")]
mod install;
mod library;
mod plugin;
mod tensorrt;

use std::fmt;
use std::path::{Path, PathBuf};

pub use find::{candidates, find, list, verify};
#[cfg(feature = "install")]
pub use install::{
    GpuOptions, GpuPlan, InstallOptions, free_space, install, install_gpu, install_plugin,
    install_tensorrt, plan_gpu, remove,
};
pub use plugin::{Plugin, plugin_version, plugins, verify_plugin};
pub use tensorrt::{TensorRt, tensorrt};

#[cfg(feature = "install")]
use crate::error::{Error, Result};
#[cfg(feature = "install")]
use crate::probe::{self, SearchPaths};
use crate::provider::Provider;
pub use crate::wheels::{MIN_API, VERSION};

/// The variable that switches the uploader of newer official builds off, where it is `1`.
pub const TELEMETRY_VARIABLE: &str = "ORT_DISABLE_TELEMETRY";

/// Source of a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Named by the caller (`--runtime`).
    Explicit,
    /// Named by the environment variable `ORT_DYLIB_PATH`.
    Env,
    /// Beside the running executable, or in `../lib` where that lies in a folder `bin`.
    BesideExecutable,
    /// The package `onnxruntime` of the Python environment that the running executable was installed into.
    PythonEnvironment,
    /// Installed into the cache folder.
    Cache,
    /// One of the system's library folders.
    System,
    /// Loaded by other code of the process, whose environment was adopted.
    Host,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Explicit => "the path given",
            Self::Env => "`ORT_DYLIB_PATH`",
            Self::BesideExecutable => "beside the executable",
            Self::PythonEnvironment => "the Python environment",
            Self::Cache => "the cache folder",
            Self::System => "the system's library folders",
            Self::Host => "the host program",
        })
    }
}

/// An ONNX Runtime library that was checked and can be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeLibrary {
    /// The library file.
    pub path: PathBuf,
    /// Its version, such as `1.28.0`.
    pub version: String,
    /// Its source.
    pub source: Source,
    /// Whether its library for CUDA lies beside it.
    pub gpu: bool,
}

impl RuntimeLibrary {
    pub(crate) fn new(path: PathBuf, version: String, source: Source) -> Self {
        Self {
            gpu: has_cuda(&path),
            path,
            version,
            source,
        }
    }
}

/// Whether the library of the CUDA provider lies beside a library.
fn has_cuda(library: &Path) -> bool {
    let name = match std::env::consts::OS {
        "windows" => "onnxruntime_providers_cuda.dll",
        _ => "libonnxruntime_providers_cuda.so",
    };
    library.with_file_name(name).is_file()
}

impl fmt::Display for RuntimeLibrary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ONNX Runtime {}{} from {} (`{}`)",
            self.version,
            if self.gpu { " with CUDA" } else { "" },
            self.source,
            self.path.display()
        )
    }
}

/// Places to search for the library, in this order.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// A file, or a folder that holds one, named by the caller.
    pub explicit: Option<PathBuf>,
    /// A file named by `ORT_DYLIB_PATH`.
    pub env: Option<PathBuf>,
    /// Whether to look beside the running executable, and in `../lib` where that lies in a folder `bin`; where the wheel
    /// of classifold installed it, in the package `onnxruntime` of the same environment, too.
    pub beside_executable: bool,
    /// The cache folder (its `runtime` subfolder is looked at).
    pub cache: Option<PathBuf>,
    /// The system's library folders.
    pub system: Vec<PathBuf>,
    /// The execution provider: of several installed runtimes, those made for it come first.
    pub provider: Provider,
}

impl Search {
    /// Beside the executable, in `cache`, in the system's folders. Reads no environment variable.
    ///
    /// ```
    /// let search = classifold_machine::runtime::Search::new(std::path::Path::new("cache"));
    /// assert!(search.env.is_none() && search.beside_executable);
    /// ```
    pub fn new(cache: &Path) -> Self {
        Self {
            explicit: None,
            env: None,
            beside_executable: true,
            cache: Some(cache.to_owned()),
            system: find::system_folders(),
            provider: Provider::Cpu,
        }
    }

    /// The search of libraries and programs alike, in this order:
    ///
    /// 1. `explicit`, a file or a folder that the caller names;
    /// 2. the file that the environment variable `ORT_DYLIB_PATH` names;
    /// 3. the folder of the running executable, and `../lib` where that folder is `bin`;
    /// 4. the package `onnxruntime` of the Python environment that the wheel of classifold was installed into, where the
    ///    executable is that wheel's;
    /// 5. `cache`, or else the usual cache folder, where the system has one;
    /// 6. the folders that the system's loader searches: `LD_LIBRARY_PATH` or what corresponds to it, then the usual
    ///    folders of libraries.
    ///
    /// ```
    /// use classifold_machine::runtime::Search;
    /// let search = Search::from_env(Some("libonnxruntime.so".into()), None);
    /// assert!(search.explicit.is_some() && search.beside_executable);
    /// ```
    pub fn from_env(explicit: Option<PathBuf>, cache: Option<&Path>) -> Self {
        let mut search = Self {
            explicit,
            env: std::env::var_os("ORT_DYLIB_PATH")
                .filter(|value| !value.is_empty())
                .map(PathBuf::from),
            beside_executable: true,
            // Without a home there is none, and the library may lie elsewhere.
            cache: files::cache::dir(cache).ok(),
            system: find::system_folders(),
            provider: Provider::Cpu,
        };
        let variable = match std::env::consts::OS {
            "windows" => "PATH",
            "macos" => "DYLD_LIBRARY_PATH",
            _ => "LD_LIBRARY_PATH",
        };
        if let Some(paths) = std::env::var_os(variable) {
            let folders = std::env::split_paths(&paths).filter(|p| p.is_absolute());
            search.system.splice(0..0, folders);
        }
        search
    }
}

/// Finds the library, or installs the pinned one into the cache folder when `allow_install` and none is
/// there. Both programs call this; `progress` gets lines for people.
///
/// A damaged library in the cache folder is installed again; one named by hand is an error. Nothing is
/// installed for a GPU: what is missing for it is an error that names the command. A plugin provider runs with the
/// ONNX Runtime of the CPU.
#[cfg(feature = "install")]
pub fn ensure(
    search: &Search,
    progress: &dyn Fn(&str),
    allow_install: bool,
) -> Result<RuntimeLibrary> {
    let error = match find(search) {
        Ok(found) => return Ok(found),
        Err(error) => error,
    };
    let Some(cache) = &search.cache else {
        return Err(error);
    };
    if search.provider.needs_cuda() {
        if matches!(error, Error::NoRuntime { .. }) {
            probe::readiness(search.provider, &SearchPaths::for_runtime(None))
                .into_result(search.provider)?;
        }
        return Err(error);
    }
    let replaceable = match &error {
        Error::NoRuntime { .. } => true,
        Error::UnusableRuntime { path, .. } => path.starts_with(cache) && search.explicit.is_none(),
        _ => false,
    };
    if !(replaceable && allow_install) {
        return Err(error);
    }
    if let Error::UnusableRuntime { path, found, .. } = &error {
        progress(&format!(
            "`{}` is damaged ({found}): installing it again",
            path.display()
        ));
    }
    install(
        &InstallOptions {
            cache: cache.clone(),
            from: None,
        },
        progress,
    )
}
