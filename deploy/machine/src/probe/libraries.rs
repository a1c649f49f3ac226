//! Shared libraries that a provider is linked to: which, where, of which version. Knows no GPU.

use std::ffi::{c_int, c_uint};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::search_paths::SearchPaths;
use crate::dylib::{self, Defect};
use crate::missing::{INSTALL_CUDA, MissingRequirement, is_tensorrt};

/// A library that was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Library {
    /// Its name, such as `libcudnn.so.9`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// The version that it returns of itself.
    pub version: Option<String>,
}

/// Libraries that the provider libraries are linked to.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Names of libraries without which the provider does not start.
    names: Vec<String>,
    /// Names of libraries that are loaded where they are found.
    helpers: Vec<String>,
    /// The major version of CUDA.
    pub(super) cuda: Option<u32>,
    /// Provider libraries that are missing or damaged.
    pub(super) missing: Vec<MissingRequirement>,
}

/// Reads what the provider libraries beside ONNX Runtime are linked to.
pub(super) fn needs(paths: &SearchPaths, tensorrt: bool) -> Needs {
    let mut needs = Needs::default();
    let runtime = paths.runtime.as_deref();
    let folder = runtime.and_then(Path::parent).unwrap_or(Path::new(""));
    for provider in ["cuda", "tensorrt"].iter().take(1 + usize::from(tensorrt)) {
        let file = folder.join(format!("libonnxruntime_providers_{provider}.so"));
        match provider_needs(&file) {
            Ok(names) => needs.names.extend(names),
            Err(Defect::Unreadable(_)) => needs.missing.push(no_provider(runtime, &file, provider)),
            Err(defect) => needs.missing.push(damaged(&file, defect, INSTALL_CUDA)),
        }
    }
    let cuda = needs
        .names
        .iter()
        .find_map(|name| name.strip_prefix("libcudart.so."));
    needs.cuda = cuda.and_then(|major| major.parse().ok());
    if let Some(cuda) = needs.cuda {
        // The CUDA provider opens these only when it first needs them: cuDNN, without which there is no
        // convolution, and helpers. So they are in no table of the library.
        needs.names.push("libcudnn.so.9".to_owned());
        needs.helpers = vec![
            format!("libcufft.so.{}", cuda.saturating_sub(1)),
            format!("libnvrtc.so.{cuda}"),
            format!("libnvJitLink.so.{cuda}"),
        ];
    }
    needs.names.sort();
    needs.names.dedup();
    needs
}

/// NVIDIA's libraries that a provider library is linked to; the driver's is none of these.
fn provider_needs(file: &Path) -> dylib::Result<Vec<String>> {
    dylib::check_library(file)?;
    let mut names = dylib::needed_libraries(file)?;
    names.retain(|name| is_nvidia(name));
    Ok(names)
}

/// The driver's own libraries (`libcuda`, `libnvidia-ml`) are none of these.
fn is_nvidia(name: &str) -> bool {
    const STEMS: [&str; 12] = [
        "libcudart",
        "libcublas",
        "libcudnn",
        "libcufft",
        "libcurand",
        "libcusolver",
        "libcusparse",
        "libcupti",
        "libnvrtc",
        "libnvJitLink",
        "libnvinfer",
        "libnvonnxparser",
    ];
    STEMS.iter().any(|stem| name.starts_with(stem)) && name.contains(".so.")
}

fn no_provider(runtime: Option<&Path>, file: &Path, provider: &str) -> MissingRequirement {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let (what, found) = match runtime {
        Some(runtime) => (
            format!("`{name}` is not beside `{}`", runtime.display()),
            "one without it",
        ),
        None => (format!("`{name}` was not found"), "none"),
    };
    let provider = if provider == "cuda" {
        "CUDA"
    } else {
        "TensorRT"
    };
    let expected = format!("an ONNX Runtime with {provider}");
    MissingRequirement::new(what, &expected, found, INSTALL_CUDA)
}

/// Finds, checks and loads every library; returns those that loaded, and those that are missing or wrong.
pub(super) fn load_all(
    paths: &SearchPaths,
    needs: &Needs,
) -> (Vec<Library>, Vec<MissingRequirement>) {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in &needs.names {
        match load_one(paths, name, needs.cuda) {
            Ok(library) => found.push(library),
            Err(requirement) => missing.push(*requirement),
        }
    }
    for name in &needs.helpers {
        if !needs.names.contains(name) && paths.find(name).is_some() {
            match load_one(paths, name, needs.cuda) {
                Ok(library) => found.push(library),
                Err(requirement) => missing.push(*requirement),
            }
        }
    }
    // CUDA before what builds on it.
    missing.sort_by_key(|requirement| is_tensorrt(requirement.what.trim_start_matches('`')));
    (found, missing)
}

fn load_one(
    paths: &SearchPaths,
    name: &str,
    cuda: Option<u32>,
) -> Result<Library, Box<MissingRequirement>> {
    let fix = MissingRequirement::library_fix(name, cuda);
    let Some(path) = paths.find(name) else {
        return Err(Box::new(not_found(name, &fix, paths)));
    };
    let library = load(paths, &path, &fix)?;
    let version = version(library, name);
    let wrong = |expected: &str, found: &str| {
        let what = format!("`{}` is the wrong library", path.display());
        Box::new(MissingRequirement::new(what, expected, found, &fix))
    };
    let major = name.rsplit('.').next().unwrap_or_default();
    match &version {
        Version::NotAsked => {}
        Version::NoSymbol(symbol) => {
            let found = format!("a library without `{symbol}`");
            return Err(wrong(&format!("{} {major}", product(name)), &found));
        }
        Version::Known(version) if version.split('.').next() != Some(major) => {
            let found = format!("{} {version}", product(name));
            return Err(wrong(&format!("{} {major}", product(name)), &found));
        }
        Version::Known(version) => {
            if let (Some(cuda), Some(built)) = (cuda, cuda_of_cudnn(library, name))
                && built != cuda
            {
                let found = format!("cuDNN {version} for CUDA {built}");
                return Err(wrong(&format!("cuDNN {major} for CUDA {cuda}"), &found));
            }
        }
    }
    Ok(Library {
        name: name.to_owned(),
        path,
        version: match version {
            Version::Known(version) => Some(version),
            Version::NotAsked | Version::NoSymbol(_) => None,
        },
    })
}

/// The version of a `libnvinfer.so.10`, from itself.
pub(crate) fn tensorrt_version(path: &Path) -> Result<String, Box<MissingRequirement>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = path.parent().map(Path::to_owned);
    let paths = SearchPaths {
        folders: folder.into_iter().collect(),
        ..SearchPaths::default()
    };
    let library = load_one(&paths, &name, None)?;
    Ok(library.version.unwrap_or_default())
}

/// Loads a library after NVIDIA's libraries that it is linked to, so that those come from the same folders.
fn load(
    paths: &SearchPaths,
    path: &Path,
    fix: &str,
) -> Result<&'static libloading::Library, Box<MissingRequirement>> {
    let defective = |defect| Box::new(damaged(path, defect, fix));
    dylib::check_library(path).map_err(defective)?;
    for name in dylib::needed_libraries(path).map_err(defective)? {
        if is_nvidia(&name)
            && let Some(below) = paths.find(&name).filter(|below| below != path)
        {
            load(paths, &below, fix)?;
        }
    }
    dylib::load(path).map_err(|reason| {
        let what = format!("`{}` does not load", path.display());
        Box::new(MissingRequirement::new(
            what,
            "a library that loads",
            &reason,
            fix,
        ))
    })
}

fn not_found(name: &str, fix: &str, paths: &SearchPaths) -> MissingRequirement {
    let (product, major) = (product(name), name.rsplit('.').next().unwrap_or_default());
    // Another major version is the usual reason.
    let stem = name.strip_suffix(major).unwrap_or(name);
    let others = paths.folders.iter().find_map(|folder| {
        let mut names: Vec<String> = fs_err::read_dir(folder)
            .ok()?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|other| {
                other
                    .strip_prefix(stem)
                    .is_some_and(|rest| rest.parse::<u32>().is_ok())
            })
            .collect();
        names.sort();
        Some(folder.join(names.pop()?))
    });
    MissingRequirement::new(
        format!("`{name}` was not found"),
        &format!("{product} {major}"),
        &others.map_or("none".to_owned(), |path| format!("`{}`", path.display())),
        fix,
    )
}

/// A library that is not whole.
pub(super) fn damaged(path: &Path, defect: Defect, fix: &str) -> MissingRequirement {
    let what = format!("`{}` cannot be used", path.display());
    match defect {
        Defect::Unreadable(error) => {
            MissingRequirement::new(what, "a file that can be read", &error.to_string(), fix)
        }
        Defect::Unusable { expected, found } => {
            MissingRequirement::new(what, &expected, &found, fix)
        }
    }
}

/// The product that a library is part of.
fn product(name: &str) -> &'static str {
    let stem = name.split('.').next().unwrap_or_default();
    match stem {
        "libcudart" => "CUDA",
        "libcublas" | "libcublasLt" => "cuBLAS",
        "libcudnn" => "cuDNN",
        "libcufft" => "cuFFT",
        "libcurand" => "cuRAND",
        "libnvrtc" => "NVRTC",
        "libnvinfer" | "libnvinfer_plugin" | "libnvonnxparser" => "TensorRT",
        _ => "version",
    }
}

/// The version that a library returns of itself.
enum Version {
    Known(String),
    /// The library lacks the function that returns it: it is something else.
    NoSymbol(&'static str),
    /// Libraries of this name have no function that returns it.
    NotAsked,
}

fn version(library: &libloading::Library, name: &str) -> Version {
    let stem = name.split('.').next().unwrap_or_default();
    let (symbol, version) = match stem {
        // 1000 times major plus 10 times minor.
        "libcudart" => (
            "cudaRuntimeGetVersion",
            int_by_pointer(library, b"cudaRuntimeGetVersion\0")
                .map(|v| format!("{}.{}", v / 1000, v % 1000 / 10)),
        ),
        "libcudnn" => (
            "cudnnGetVersion",
            returned_size_t(library, b"cudnnGetVersion\0").map(format_version),
        ),
        "libnvinfer" => (
            "getInferLibVersion",
            returned_int(library, b"getInferLibVersion\0").map(format_version),
        ),
        "libnvonnxparser" => (
            "getNvOnnxParserVersion",
            returned_int(library, b"getNvOnnxParserVersion\0").map(format_version),
        ),
        "libnvrtc" => (
            "nvrtcVersion",
            two_ints_by_pointer(library, b"nvrtcVersion\0"),
        ),
        "libcublas" => (
            "cublasGetProperty",
            version_properties(library, b"cublasGetProperty\0"),
        ),
        "libcublasLt" => (
            "cublasLtGetProperty",
            version_properties(library, b"cublasLtGetProperty\0"),
        ),
        "libcufft" => (
            "cufftGetProperty",
            version_properties(library, b"cufftGetProperty\0"),
        ),
        "libcurand" => (
            "curandGetProperty",
            version_properties(library, b"curandGetProperty\0"),
        ),
        _ => return Version::NotAsked,
    };
    version.map_or(Version::NoSymbol(symbol), Version::Known)
}

/// 10000 times major plus 100 times minor plus patch; before cuDNN 9 and TensorRT 10 the major counted
/// 1000.
fn format_version(version: u64) -> String {
    let unit = if version >= 90_000 { 10_000 } else { 1000 };
    format!(
        "{}.{}.{}",
        version / unit,
        version % unit / 100,
        version % 100
    )
}

/// The major version of CUDA that a cuDNN is made for.
fn cuda_of_cudnn(library: &libloading::Library, name: &str) -> Option<u32> {
    name.starts_with("libcudnn.")
        .then(|| returned_size_t(library, b"cudnnGetCudartVersion\0"))
        .flatten()
        .and_then(|version| u32::try_from(version / 1000).ok())
        .filter(|major| *major > 0)
}

/// `size_t f(void)`, as in cudnn_version.h.
#[expect(unsafe_code, reason = "calls into a C interface")]
fn returned_size_t(library: &libloading::Library, symbol: &[u8]) -> Option<u64> {
    // SAFETY: the signature is that of the vendor's header; the function has no conditions.
    unsafe {
        let get: libloading::Symbol<'_, unsafe extern "C" fn() -> usize> =
            library.get(symbol).ok()?;
        Some(get() as u64)
    }
}

/// `int32_t f(void)`, as in NvInferRuntime.h and NvOnnxParser.h.
#[expect(unsafe_code, reason = "calls into a C interface")]
fn returned_int(library: &libloading::Library, symbol: &[u8]) -> Option<u64> {
    // SAFETY: the signature is that of the vendor's header; the function has no conditions.
    unsafe {
        let get: libloading::Symbol<'_, unsafe extern "C" fn() -> c_int> =
            library.get(symbol).ok()?;
        u64::try_from(get()).ok()
    }
}

/// `status f(int *)`, as in cuda_runtime_api.h.
#[expect(unsafe_code, reason = "calls into a C interface")]
fn int_by_pointer(library: &libloading::Library, symbol: &[u8]) -> Option<c_int> {
    let mut value: c_int = 0;
    // SAFETY: the signature is that of the vendor's header; the function has no conditions.
    let status = unsafe {
        let get: libloading::Symbol<'_, unsafe extern "C" fn(*mut c_int) -> c_int> =
            library.get(symbol).ok()?;
        get(&raw mut value)
    };
    (status == 0).then_some(value)
}

/// `status f(int *major, int *minor)`, as in nvrtc.h.
#[expect(unsafe_code, reason = "calls into a C interface")]
fn two_ints_by_pointer(library: &libloading::Library, symbol: &[u8]) -> Option<String> {
    type Get = unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int;
    let (mut major, mut minor): (c_int, c_int) = (0, 0);
    // SAFETY: the signature is that of the vendor's header; the function has no conditions.
    let status = unsafe {
        let get: libloading::Symbol<'_, Get> = library.get(symbol).ok()?;
        get(&raw mut major, &raw mut minor)
    };
    (status == 0).then(|| format!("{major}.{minor}"))
}

/// `status f(libraryPropertyType, int *)`, as in library_types.h: 0 major, 1 minor, 2 patch.
#[expect(unsafe_code, reason = "calls into a C interface")]
fn version_properties(library: &libloading::Library, symbol: &[u8]) -> Option<String> {
    type Get = unsafe extern "C" fn(c_uint, *mut c_int) -> c_int;
    let mut parts = Vec::new();
    for property in 0..3 {
        let mut value: c_int = 0;
        // SAFETY: the signature is that of the vendor's header; the function needs no handle.
        let status = unsafe {
            let get: libloading::Symbol<'_, Get> = library.get(symbol).ok()?;
            get(property, &raw mut value)
        };
        if status != 0 {
            return None;
        }
        parts.push(value.to_string());
    }
    Some(parts.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_numbers_of_both_ages() {
        assert_eq!(
            [92_801, 8907, 101_303, 8601].map(format_version),
            ["9.28.1", "8.9.7", "10.13.3", "8.6.1"]
        );
    }

    #[test]
    fn only_nvidias_own_libraries_are_looked_for() {
        let all = [
            "libcublas.so.13",
            "libcuda.so.1",
            "libnvinfer.so.10",
            "libnvidia-ml.so.1",
            "libcurl.so.4",
            "libc.so.6",
            "libstdc++.so.6",
            "libcurl.so.4",
        ];
        let nvidia: Vec<_> = all.into_iter().filter(|name| is_nvidia(name)).collect();
        assert_eq!(nvidia, ["libcublas.so.13", "libnvinfer.so.10"]);
    }
}
