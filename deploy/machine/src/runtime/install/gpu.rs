//! Installation of ONNX Runtime with CUDA, and of the NVIDIA libraries that it needs, into one folder of the
//! cache. Knows no sessions.
//!
//! Wheels are pinned by version and SHA-256, not resolved at installation: what was tested is what runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use files::hash;
use fs_err as fs;

use super::obtain::{megabytes, obtain_wheels};
use super::{failed, publish, unpack, work_folder};
use crate::error::{Error, Result};
use crate::probe::Driver;
use crate::runtime::find::{self, Manifest};
use crate::runtime::{RuntimeLibrary, Source, library};
use crate::wheels::gpu::{self as gpu_wheels, WheelSet};
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
    let wheels = obtain_wheels(
        (&set.wheels, set.unpacked),
        options.from.as_deref(),
        &downloads,
        progress,
    )?;
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
            "name a library that was built with CUDA with `ORT_DYLIB_PATH`".to_owned(),
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
}
