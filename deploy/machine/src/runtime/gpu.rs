//! Installation of ONNX Runtime with CUDA, and of the NVIDIA libraries that it needs, into one folder of the
//! cache. Knows no sessions.
//!
//! Wheels are pinned by version and SHA-256, not resolved at installation: what was tested is what runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use files::hash;
use fs_err as fs;

use super::find::{self, Manifest};
use super::install::{failed, publish, work_folder};
use super::{RuntimeLibrary, Source, library, unpack};
use crate::error::{Error, Result};
use crate::pip;
use crate::probe::Driver;
use crate::wheels::gpu::{self as gpu_wheels, GpuWheel, PLATFORMS, WheelSet};
use crate::wheels::{self, GPU_PREFIX};

/// Options of [`install_gpu`].
#[derive(Debug, Clone, Default)]
pub struct GpuOptions {
    /// The cache folder.
    pub cache: PathBuf,
    /// A folder of wheels, for machines without a network. `None`: pip downloads them.
    pub from: Option<PathBuf>,
    /// The major version of CUDA, 12 or 13. `None`: 13, or 12 where the driver or a GPU is too old for it.
    pub cuda: Option<u32>,
}

/// The version of CUDA that [`install_gpu`] installs, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuPlan {
    /// The major version of CUDA.
    pub cuda: u32,
    /// The reason for this version.
    pub reason: String,
}

/// Chooses the version of CUDA for a driver, or where none is visible.
///
/// ```
/// let plan = classifold_machine::runtime::plan_gpu(None, None);
/// assert_eq!((plan.cuda, plan.reason.as_str()), (13, "no driver is visible here"));
/// ```
pub fn plan_gpu(driver: Option<&Driver>, requested: Option<u32>) -> GpuPlan {
    if let Some(cuda) = requested {
        let reason = "as requested".to_owned();
        return GpuPlan { cuda, reason };
    }
    let Some(driver) = driver else {
        let reason = "no driver is visible here".to_owned();
        return GpuPlan { cuda: 13, reason };
    };
    // CUDA 13 runs on Turing (7.5) and newer.
    let old = driver.devices.iter().find(|gpu| gpu.capability < 75);
    let number = driver.version.as_deref().unwrap_or("here");
    let (cuda, reason) = match old {
        _ if driver.cuda < 13_000 => (12, format!("driver {number} is too old for CUDA 13")),
        Some(gpu) => (12, format!("`{}` is too old for CUDA 13", gpu.name)),
        None => (13, format!("driver {number} runs it")),
    };
    GpuPlan { cuda, reason }
}

/// Installs ONNX Runtime with CUDA, cuDNN and the other libraries of NVIDIA's that it needs; a whole older
/// installation stays until the new one is ready. `progress` gets lines for people.
///
/// Every wheel is the pinned one or is refused. Finished downloads outlast an interruption; a broken one
/// continues where pip (25.1 and newer) can do that.
///
/// ```no_run
/// use classifold_machine::runtime::{GpuOptions, install_gpu};
///
/// let options = GpuOptions { cache: "cache".into(), ..GpuOptions::default() };
/// println!("{}", install_gpu(&options, &|line| eprintln!("{line}"))?);
/// # Ok::<(), classifold_machine::Error>(())
/// ```
///
/// # Errors
/// Nothing is pinned for this system, a wheel is missing or not the pinned one, the disk is too small, the
/// cache folder cannot be written to.
pub fn install_gpu(options: &GpuOptions, progress: &dyn Fn(&str)) -> Result<RuntimeLibrary> {
    let driver = match options.cuda {
        Some(_) => None,
        None => crate::probe::driver(),
    };
    let plan = plan_gpu(driver.as_ref(), options.cuda);
    let set = set(plan.cuda)?;
    let root = find::folder(&options.cache);
    let target = root.join(folder_name(set));
    progress(&format!(
        "ONNX Runtime {} with CUDA {}: {}",
        set.version(),
        set.cuda,
        plan.reason
    ));
    if let Some(manifest) = find::manifest(&target) {
        match find::check_intact(&target, &manifest) {
            Ok(()) => {
                progress("already installed, and every library is intact");
                remove_others(&root, &target, progress)?;
                return Ok(library_in(&target, &manifest));
            }
            Err(error) => progress(&format!("installing it again: {error}")),
        }
    }
    fs::create_dir_all(&root).map_err(failed("create the cache folder"))?;
    let downloads = root.join(format!(".wheels-cuda{}", set.cuda));
    let wheels = obtain_wheels(set, options.from.as_deref(), &downloads, progress)?;
    let work = work_folder(&root)?;
    let manifest = unpack_all(set, &wheels, work.path(), progress)?;
    publish(work.path(), &target, &manifest)?;
    if downloads.exists() {
        fs::remove_dir_all(&downloads).map_err(failed("remove the wheels"))?;
    }
    progress(&format!("installed in `{}`", target.display()));
    remove_others(&root, &target, progress)?;
    Ok(library_in(&target, &manifest))
}

/// Removes the GPU runtimes for other versions of CUDA: the one installed last is the one that is used.
fn remove_others(root: &Path, target: &Path, progress: &dyn Fn(&str)) -> Result<()> {
    let entries = fs::read_dir(root).map_err(failed("read the cache folder"))?;
    for folder in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(GPU_PREFIX) && folder != target {
            fs::remove_dir_all(&folder).map_err(failed("remove an older GPU runtime"))?;
            progress(&format!("removed `{}`", folder.display()));
        }
    }
    Ok(())
}

fn set(cuda: u32) -> Result<&'static WheelSet> {
    gpu_wheels::set(cuda).ok_or_else(|| {
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        Error::gpu_install(
            &format!("install ONNX Runtime with CUDA {cuda}"),
            format!("wheels are pinned for CUDA 12 and 13 on linux x86_64, not for {os} {arch}"),
            "give a library that was built with CUDA with `--runtime FILE`".to_owned(),
        )
    })
}

fn folder_name(set: &WheelSet) -> String {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    format!("{GPU_PREFIX}{}-cuda{}-{os}-{arch}", set.version(), set.cuda)
}

fn library_in(folder: &Path, manifest: &Manifest) -> RuntimeLibrary {
    let path = folder.join(&manifest.library);
    RuntimeLibrary::new(path, manifest.version.clone(), Source::Cache)
}

/// Every wheel of the set, from a folder or downloaded, with its SHA-256 checked.
fn obtain_wheels(
    set: &WheelSet,
    from: Option<&Path>,
    downloads: &Path,
    progress: &dyn Fn(&str),
) -> Result<Vec<PathBuf>> {
    if let Some(folder) = from {
        check_free_space(downloads.parent().unwrap_or(downloads), set.unpacked)?;
        return local_wheels(set, folder, progress);
    }
    fs::create_dir_all(downloads).map_err(failed("create the folder of downloads"))?;
    let is_downloaded = |part: &&GpuWheel| {
        hash::sha256_hex(&downloads.join(part.file)).is_ok_and(|hash| hash == part.sha256)
    };
    let (present, missing): (Vec<&GpuWheel>, Vec<&GpuWheel>) =
        set.wheels.iter().partition(is_downloaded);
    let mut done: u64 = present.iter().map(|part| part.bytes).sum();
    // Wheels and unpacked libraries lie on the disk at the same time.
    check_free_space(downloads, set.bytes() - done + set.unpacked)?;
    for part in &present {
        progress(&format!(
            "{} {} is downloaded already",
            part.project, part.version
        ));
    }
    for part in missing {
        download(part, downloads, (done, set.bytes()), progress)?;
        done += part.bytes;
    }
    Ok(set
        .wheels
        .iter()
        .map(|part| downloads.join(part.file))
        .collect())
}

/// Downloads one wheel; reports its start and every further 100 MB.
fn download(
    part: &GpuWheel,
    folder: &Path,
    (before, total): (u64, u64),
    progress: &dyn Fn(&str),
) -> Result<()> {
    const STEP: u64 = 100_000_000;
    let line = |bytes: u64| {
        progress(&format!(
            "downloading {} {} ({}): {} of {}",
            part.project,
            part.version,
            megabytes(part.bytes),
            megabytes(before + bytes),
            megabytes(total)
        ));
    };
    line(0);
    let steps = std::cell::Cell::new(0);
    let count = |bytes: u64| {
        let bytes = bytes.min(part.bytes);
        if bytes / STEP > steps.get() {
            steps.set(bytes / STEP);
            line(bytes);
        }
    };
    let requirement = format!("{}=={}", part.project, part.version);
    pip::download(&requirement, &PLATFORMS, folder, &count).map_err(|reason| {
        let hint = "run it again, finished downloads are kept; without a network, fetch the wheels as \
                    docs/gpu.md says and give their folder with `--from FOLDER`";
        Error::gpu_install(&format!("download {requirement}"), reason, hint.to_owned())
    })?;
    check_hash(part, &folder.join(part.file))
}

fn check_hash(part: &GpuWheel, file: &Path) -> Result<()> {
    let found = hash::sha256_hex(file).map_err(failed("read the wheel"))?;
    if found == part.sha256 {
        return Ok(());
    }
    Err(Error::hash_differs(file, part.sha256, &found))
}

/// The wheels in a folder; all must be there.
fn local_wheels(set: &WheelSet, folder: &Path, progress: &dyn Fn(&str)) -> Result<Vec<PathBuf>> {
    let files = || set.wheels.iter().map(|part| folder.join(part.file));
    let missing: Vec<String> = set
        .wheels
        .iter()
        .filter(|part| !folder.join(part.file).is_file())
        .map(|part| format!("`{}`", part.file))
        .collect();
    if !missing.is_empty() {
        let reason = if folder.is_dir() {
            format!("the folder lacks {}", missing.join(", "))
        } else {
            "there is no such folder".to_owned()
        };
        return Err(Error::gpu_install(
            &format!("install from `{}`", folder.display()),
            reason,
            "fetch exactly these wheels on a machine with a network, as docs/gpu.md says"
                .to_owned(),
        ));
    }
    progress(&format!("checking {} wheels", set.wheels.len()));
    for (part, file) in set.wheels.iter().zip(files()) {
        check_hash(part, &file)?;
    }
    Ok(files().collect())
}

/// Unpacks every wheel into one folder; returns its manifest.
fn unpack_all(
    set: &WheelSet,
    wheels: &[PathBuf],
    out: &Path,
    progress: &dyn Fn(&str),
) -> Result<Manifest> {
    progress(&format!("unpacking {}", megabytes(set.unpacked)));
    let mut names = Vec::new();
    for (part, wheel) in set.wheels.iter().zip(wheels) {
        names.extend(unpack::unpack(wheel, out, &|name| {
            gpu_wheels::kept(part.project, name)
        })?);
    }
    let library = names
        .iter()
        .find(|name| wheels::is_library_name(name))
        .cloned()
        .unwrap_or_default();
    let version = library::inspect(&out.join(&library))?;
    let mut files = BTreeMap::new();
    for name in names.into_iter().filter(|name| name.contains(".so")) {
        let hash = hash::sha256_hex(&out.join(&name)).map_err(failed("read a library"))?;
        files.insert(name, hash);
    }
    Ok(Manifest {
        version,
        sha256: files.remove(&library).unwrap_or_default(),
        from: set.wheels[0].file.to_owned(),
        library,
        cuda: Some(set.cuda),
        files,
    })
}

/// Free bytes on the disk of an existing folder, where the system says it.
pub fn free_space(folder: &Path) -> Option<u64> {
    #[cfg(unix)]
    let free = rustix::fs::statvfs(folder)
        .ok()
        .map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize));
    #[cfg(not(unix))]
    let free = folder.exists().then_some(()).and(None);
    free
}

/// Refuses an installation that would fill the disk.
fn check_free_space(folder: &Path, needed: u64) -> Result<()> {
    match free_space(folder) {
        Some(free) if free < needed => Err(Error::gpu_install(
            &format!("install into `{}`", folder.display()),
            format!(
                "{} are needed there and {} are free",
                megabytes(needed),
                megabytes(free)
            ),
            "make room on the disk, or choose another one with `--cache DIR`".to_owned(),
        )),
        _ => Ok(()),
    }
}

fn megabytes(bytes: u64) -> String {
    if bytes < 1_000_000_000 {
        format!("{:.1} MB", bytes as f64 / 1e6)
    } else {
        format!("{:.2} GB", bytes as f64 / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Device;

    fn driver(cuda: u32, capability: u32) -> Driver {
        Driver {
            path: "libcuda.so.1".into(),
            version: Some("570.86".into()),
            cuda,
            devices: vec![Device {
                name: "GPU".into(),
                capability,
                memory: 0,
            }],
        }
    }

    #[test]
    fn cuda_is_chosen_by_driver_and_gpu() {
        for (driver, requested, expected) in [
            (None, None, 13),
            (Some(driver(13_000, 90)), None, 13),
            (Some(driver(12_080, 90)), None, 12),
            (Some(driver(13_000, 70)), None, 12),
            (Some(driver(12_080, 90)), Some(13), 13),
            (None, Some(12), 12),
        ] {
            let plan = plan_gpu(driver.as_ref(), requested);
            assert_eq!(
                plan.cuda, expected,
                "{driver:?} {requested:?}: {}",
                plan.reason
            );
        }
        let plan = plan_gpu(Some(&driver(12_080, 90)), None);
        assert_eq!(plan.reason, "driver 570.86 is too old for CUDA 13");
    }

    #[test]
    #[cfg(unix)]
    fn a_disk_that_is_too_small_is_told_before_anything_is_done() {
        let folder = tempfile::tempdir().unwrap();
        check_free_space(folder.path(), 1).unwrap();
        let error = check_free_space(folder.path(), u64::MAX).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("are needed there and"), "{text}");
        assert!(error.hint().unwrap().contains("--cache DIR"));
    }
}
