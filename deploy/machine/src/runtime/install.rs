//! Installation of the library into the cache folder, from the official Python wheel or a file. Knows no GPU; its
//! children install what GPUs and plugins need.

mod gpu;
mod obtain;
mod plugin;
mod tensorrt;
mod unpack;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use files::{hash, http};
use fs_err as fs;

use super::find::{self, MANIFEST, Manifest};
use super::{RuntimeLibrary, Source, library};
use crate::error::{Error, Result};
use crate::pip;
use crate::wheels::{self, LICENCES, VERSION, Wheel};

pub use gpu::{GpuOptions, GpuPlan, install_gpu, plan_gpu};
pub use obtain::free_space;
pub use plugin::install_plugin;
pub use tensorrt::install_tensorrt;

/// No download from a URL is larger.
const MAX_DOWNLOAD: u64 = 1 << 30;

/// Options of [`install`].
#[derive(Debug, Clone, Default)]
pub struct InstallOptions {
    /// The cache folder.
    pub cache: PathBuf,
    /// A wheel or a library (file), a folder that holds one, or a URL. `None`: pip downloads the pinned
    /// wheel.
    pub from: Option<String>,
}

/// Installs ONNX Runtime into the cache folder; a whole older installation stays until the new one is
/// ready. `progress` gets lines for people.
///
/// The pinned wheel's SHA-256 is compared before it is unpacked; so is anything that comes from a URL.
/// Another wheel or library given as a file is checked for its bounds and version.
///
/// ```no_run
/// use classifold_machine::runtime::{InstallOptions, install};
///
/// let options = InstallOptions { cache: "cache".into(), from: None };
/// println!("{}", install(&options, &|line| eprintln!("{line}"))?);
/// # Ok::<(), classifold_machine::Error>(())
/// ```
///
/// # Errors
/// A download fails or is not the pinned file, the cache folder cannot be written to;
/// [`Error::UnusableRuntime`] for a library that cannot be used.
pub fn install(options: &InstallOptions, progress: &dyn Fn(&str)) -> Result<RuntimeLibrary> {
    let root = find::folder(&options.cache);
    let work = work_folder(&root)?;
    let file = match &options.from {
        None => download_with_pip(work.path(), progress)?,
        Some(from) if is_url(from) => download(from, work.path(), progress)?,
        Some(from) => local_file(Path::new(from))?,
    };
    let wheel = check_hash(&file, options.from.as_deref())?;
    let out = work.path().join("out");
    fs::create_dir(&out).map_err(failed("create a temporary folder"))?;
    let library = if is_zip(&file) {
        unpack_library(&file, &out)?
    } else {
        copy_library(&file, &out)?
    };
    let version = library::inspect(&out.join(&library))?;
    let manifest = Manifest {
        sha256: hash::sha256_hex(&out.join(&library)).map_err(failed("read the library"))?,
        from: file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        version,
        library,
        cuda: None,
        files: BTreeMap::new(),
    };
    if let Some(wheel) = wheel
        && manifest.sha256 != wheel.library_sha256
    {
        let path = out.join(&manifest.library);
        return Err(Error::hash_differs(
            &path,
            wheel.library_sha256,
            &manifest.sha256,
        ));
    }
    let target = match wheel {
        Some(_) => find::pinned_folder(&options.cache),
        None => root.join(format!(
            "onnxruntime-{}-{}",
            manifest.version,
            &manifest.sha256[..12]
        )),
    };
    publish(&out, &target, &manifest)?;
    progress(&format!(
        "installed ONNX Runtime {} in `{}`",
        manifest.version,
        target.display()
    ));
    Ok(RuntimeLibrary::new(
        target.join(&manifest.library),
        manifest.version,
        Source::Cache,
    ))
}

/// Removes every installed runtime but those that would be used: one for the CPU and one with CUDA;
/// returns the folders removed.
pub fn remove(cache: &Path, keep_newest: bool) -> Result<Vec<PathBuf>> {
    let mut removed = Vec::new();
    let all = find::list(cache);
    for gpu in [false, true] {
        let same_kind = all.iter().filter(|library| library.gpu == gpu);
        for library in same_kind.skip(usize::from(keep_newest)) {
            if let Some(folder) = library.path.parent() {
                fs::remove_dir_all(folder).map_err(failed("remove an old runtime"))?;
                removed.push(folder.to_owned());
            }
        }
    }
    Ok(removed)
}

/// A temporary folder beside the installed runtimes.
fn work_folder(root: &Path) -> Result<tempfile::TempDir> {
    fs::create_dir_all(root).map_err(failed("create the cache folder"))?;
    tempfile::Builder::new()
        // Hidden, so that no search finds it, and `deploy cache prune` removes what a crash left.
        .prefix(".installing-")
        .tempdir_in(root)
        .map_err(failed("create a temporary folder"))
}

/// Writes the manifest and renames the finished folder to its final name.
fn publish(out: &Path, target: &Path, manifest: &Manifest) -> Result<()> {
    let text = serde_json::to_string_pretty(manifest)
        .map_err(|e| Error::install("write the manifest", e))?;
    fs::write(out.join(MANIFEST), text + "\n").map_err(failed("write the manifest"))?;
    if find::check_intact(target, manifest).is_ok() {
        // Another process finished first, or it was there already.
        return Ok(());
    }
    if target.exists() {
        fs::remove_dir_all(target).map_err(failed("replace the old runtime"))?;
    }
    match fs::rename(out, target) {
        Err(_) if target.join(MANIFEST).is_file() => Ok(()),
        done => done.map_err(failed("move the runtime to its folder")),
    }
}

/// Downloads the pinned wheel with pip.
fn download_with_pip(folder: &Path, progress: &dyn Fn(&str)) -> Result<PathBuf> {
    let wheel = wheels::pinned().ok_or_else(|| {
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        let reason = format!("no wheel is pinned for {os} on {arch}");
        Error::install("install ONNX Runtime", reason)
    })?;
    progress(&format!(
        "installing ONNX Runtime {VERSION}: the official wheel, by pip (once)"
    ));
    let requirement = format!("onnxruntime=={VERSION}");
    pip::download(&requirement, &[wheel.platform], folder, &|_| {})
        .map_err(|reason| Error::install("download the wheel", reason))?;
    Ok(folder.join(wheel.file))
}

/// The wheel or library at a local path.
fn local_file(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() {
        if !path.exists() {
            let reason = format!("`{}` does not exist", path.display());
            return Err(Error::install(
                "read the library or wheel to install",
                reason,
            ));
        }
        return Ok(path.to_owned());
    }
    if let Some(library) = find::library_in_folder(path) {
        return Ok(library);
    }
    let mut wheels: Vec<PathBuf> = fs::read_dir(path)
        .map_err(failed("read the folder"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("onnxruntime-") && name.ends_with(".whl")
        })
        .collect();
    wheels.sort();
    let pinned = wheels::pinned().map(|wheel| path.join(wheel.file));
    pinned
        .filter(|file| wheels.contains(file))
        .or_else(|| wheels.pop())
        .ok_or_else(|| {
            let what = format!("install from `{}`", path.display());
            let reason = "the folder holds neither an `onnxruntime-*.whl` nor a library";
            Error::install(&what, reason)
        })
}

/// Compares the SHA-256 with the pinned one, unless the file was given by hand; returns the wheel if it is pinned.
fn check_hash(file: &Path, from: Option<&str>) -> Result<Option<&'static Wheel>> {
    let found = hash::sha256_hex(file).map_err(failed("read the wheel"))?;
    let is_pinned = |wheel: &&Wheel| wheel.sha256 == found || wheel.library_sha256 == found;
    if let Some(wheel) = wheels::pinned().filter(is_pinned) {
        return Ok(Some(wheel));
    }
    let named = wheels::pinned().filter(|wheel| file.ends_with(wheel.file));
    match (named, from) {
        (None, Some(from)) if !is_url(from) => Ok(None),
        _ => {
            let expected = wheels::pinned().map_or("a pinned wheel", |wheel| wheel.sha256);
            let path = from.map_or(file, Path::new);
            Err(Error::hash_differs(path, expected, &found))
        }
    }
}

/// Unpacks library, helper libraries and licences of a wheel; returns the library's file name.
fn unpack_library(wheel: &Path, out: &Path) -> Result<String> {
    let keep = |name: &str| {
        let helper = name.contains("onnxruntime_providers_");
        (wheels::is_library_name(name) || helper || LICENCES.contains(&name))
            .then(|| name.to_owned())
    };
    unpack::unpack(wheel, out, &keep)?
        .into_iter()
        .find(|name| wheels::is_library_name(name))
        .ok_or_else(|| {
            let what = format!("unpack `{}`", wheel.display());
            let reason = "there is no ONNX Runtime library inside for this system";
            Error::install(&what, reason)
        })
}

/// Copies a library given by hand, with its helpers and licences when they lie beside it.
fn copy_library(library: &Path, out: &Path) -> Result<String> {
    library::inspect(library)?;
    let name = match library.file_name().and_then(|name| name.to_str()) {
        Some(name) if wheels::is_library_name(name) => name.to_owned(),
        _ => wheels::pinned()
            .map_or("libonnxruntime.so", |wheel| wheel.library)
            .to_owned(),
    };
    fs::copy(library, out.join(&name)).map_err(failed("copy the library"))?;
    let beside = library
        .parent()
        .map(fs::read_dir)
        .into_iter()
        .flatten()
        .flatten()
        .flatten();
    for entry in beside {
        let file = entry.file_name().to_string_lossy().into_owned();
        if LICENCES.contains(&file.as_str()) || file.contains("onnxruntime_providers_") {
            fs::copy(entry.path(), out.join(file)).map_err(failed("copy the licences"))?;
        }
    }
    Ok(name)
}

fn is_zip(file: &Path) -> bool {
    let mut magic = [0; 4];
    fs::File::open(file)
        .is_ok_and(|mut f| f.read_exact(&mut magic).is_ok() && &magic == b"PK\x03\x04")
}

fn is_url(from: &str) -> bool {
    from.starts_with("http://") || from.starts_with("https://")
}

fn download(url: &str, folder: &Path, progress: &dyn Fn(&str)) -> Result<PathBuf> {
    progress(&format!("downloading `{url}`"));
    let refused = |reason: String| Error::install(&format!("download `{url}`"), reason);
    let response = http::get(url, &[]).map_err(|error| refused(error.to_string()))?;
    if response.status() != 200 {
        return Err(refused(format!(
            "the server answered {}",
            response.status_text()
        )));
    }
    let path = folder.join("download");
    let mut file = fs::File::create(&path).map_err(failed("write the download"))?;
    std::io::copy(&mut response.take(MAX_DOWNLOAD), &mut file).map_err(failed("download"))?;
    Ok(path)
}

/// Makes an I/O error one of the installation, for `map_err`.
fn failed(what: &'static str) -> impl Fn(std::io::Error) -> Error {
    use std::io::ErrorKind;
    move |e| match e.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::NotADirectory => {
            Error::cache_read_only(what, e)
        }
        _ => Error::install(what, e),
    }
}
