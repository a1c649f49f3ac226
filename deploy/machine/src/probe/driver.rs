//! The NVIDIA driver: its library, its versions, its GPUs. Knows nothing of CUDA's other libraries.

use std::ffi::{CStr, c_char, c_int, c_uint};
use std::path::{Path, PathBuf};

use fs_err as fs;
use libloading::Library;
use serde::{Deserialize, Serialize};

use super::search_paths::SearchPaths;
use crate::dylib;
use crate::missing::MissingRequirement;

/// Name of the driver's library.
const NAME: &str = "libcuda.so.1";

/// A driver that starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Driver {
    /// Its library.
    pub path: PathBuf,
    /// Its own version, such as `580.65.06`, where the kernel or NVML says it.
    pub version: Option<String>,
    /// The newest CUDA that it runs: 1000 times major plus 10 times minor.
    pub cuda: u32,
    /// The GPUs that this process may use.
    pub devices: Vec<Device>,
}

/// A GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// Compute capability: 10 times major plus minor.
    pub capability: u32,
    /// Its memory in bytes.
    pub memory: u64,
}

impl Driver {
    /// The newest CUDA that it runs, such as `13.0`.
    pub fn cuda_text(&self) -> String {
        format!("{}.{}", self.cuda / 1000, self.cuda % 1000 / 10)
    }
}

/// The oldest driver for a major version of CUDA, from NVIDIA's release notes of CUDA 12 and 13.
fn minimum_driver(cuda: u32) -> &'static str {
    match cuda {
        ..=12 => "NVIDIA driver 525 or newer",
        13 => "NVIDIA driver 580 or newer",
        _ => "the newest NVIDIA driver",
    }
}

/// The lowest compute capability of a major version of CUDA: 13 has dropped everything before Turing.
const fn minimum_capability(cuda: u32) -> u32 {
    if cuda >= 13 { 75 } else { 50 }
}

type Status = c_int;
type Symbol<'l, T> = libloading::Symbol<'l, T>;

/// Loads and starts the driver; `cuda` is the major version that it must support.
pub(super) fn start(
    paths: &SearchPaths,
    cuda: Option<u32>,
) -> Result<Driver, Box<MissingRequirement>> {
    let wanted = minimum_driver(cuda.unwrap_or(12));
    let (library, path) = load(paths, wanted)?;
    init(library, &path, wanted)?;
    let incomplete = || not_a_driver(&path, wanted);
    Ok(Driver {
        version: version(paths),
        cuda: cuda_version(library).ok_or_else(incomplete)?,
        devices: devices(library),
        path,
    })
}

/// Missing requirements of a GPU and a version of CUDA, with a driver that starts.
pub(super) fn check(driver: &Driver, device: u32, cuda: Option<u32>) -> Vec<MissingRequirement> {
    let mut missing = Vec::new();
    let number = driver.version.clone().unwrap_or_else(|| "a driver".into());
    if let Some(cuda) = cuda.filter(|cuda| driver.cuda < 1000 * cuda) {
        let fix = if cuda > 12 && driver.cuda >= 12_000 {
            "run `deploy runtime install cuda --cuda 12`".to_owned()
        } else {
            install_driver(minimum_driver(cuda))
        };
        missing.push(MissingRequirement::new(
            format!("the NVIDIA driver is too old for CUDA {cuda}"),
            minimum_driver(cuda),
            &format!("{number}, for CUDA {}", driver.cuda_text()),
            &fix,
        ));
    }
    let index = usize::try_from(device).unwrap_or(usize::MAX);
    match driver.devices.get(index) {
        None if driver.devices.is_empty() => missing.push(no_gpu("none")),
        None => missing.push(MissingRequirement::new(
            format!("there is no GPU {device}"),
            &format!("a number below {}", driver.devices.len()),
            &device.to_string(),
            "leave the number out, as in `cuda`",
        )),
        Some(gpu) => {
            let cuda = cuda.unwrap_or(12);
            let minimum = minimum_capability(cuda);
            // A capability of 0 is one that the driver did not say.
            if gpu.capability > 0 && gpu.capability < minimum {
                let text = |c: u32| format!("{}.{}", c / 10, c % 10);
                missing.push(MissingRequirement::new(
                    format!("`{}` is too old for CUDA {cuda}", gpu.name),
                    &format!("compute capability {} or newer", text(minimum)),
                    &text(gpu.capability),
                    "run `deploy runtime install cuda --cuda 12`",
                ));
            }
        }
    }
    missing
}

/// What TensorRT for RTX misses in a GPU before Ampere (compute capability 8.0).
pub(super) fn check_ampere(driver: &Driver, device: u32) -> Option<MissingRequirement> {
    const AMPERE: u32 = 80;
    let index = usize::try_from(device).unwrap_or(usize::MAX);
    let gpu = driver.devices.get(index)?;
    // A capability of 0 is one that the driver did not say.
    (gpu.capability > 0 && gpu.capability < AMPERE).then(|| {
        MissingRequirement::new(
            format!("`{}` is too old for TensorRT for RTX", gpu.name),
            "compute capability 8.0 (Ampere) or newer",
            &format!("{}.{}", gpu.capability / 10, gpu.capability % 10),
            "use the provider `cuda`",
        )
    })
}

fn install_driver(wanted: &str) -> String {
    format!("install {wanted}; in a container, start it with `--gpus all`")
}

fn not_a_driver(path: &Path, wanted: &str) -> MissingRequirement {
    let what = format!("`{}` is not a driver library", path.display());
    MissingRequirement::new(
        what,
        wanted,
        "a library without `cuInit`",
        &install_driver(wanted),
    )
}

fn no_gpu(found: &str) -> MissingRequirement {
    MissingRequirement::new(
        "no NVIDIA GPU is visible".to_owned(),
        "one GPU or more",
        found,
        "check `nvidia-smi` and `CUDA_VISIBLE_DEVICES`; in a container, start it with `--gpus all`",
    )
}

fn load(
    paths: &SearchPaths,
    wanted: &str,
) -> Result<(&'static Library, PathBuf), Box<MissingRequirement>> {
    let file = paths
        .driver
        .iter()
        .map(|folder| folder.join(NAME))
        .find(|path| path.exists());
    let absent = || {
        let what = format!("the NVIDIA driver was not found: there is no `{NAME}`");
        Box::new(MissingRequirement::new(
            what,
            wanted,
            "none",
            &install_driver(wanted),
        ))
    };
    let path = match file {
        Some(path) => path,
        None if paths.loader => PathBuf::from(NAME),
        None => return Err(absent()),
    };
    if path.is_absolute()
        && let Err(defect) = dylib::check_library(&path)
    {
        let requirement = super::libraries::damaged(&path, defect, &install_driver(wanted));
        return Err(Box::new(requirement));
    }
    match dylib::load(&path) {
        Ok(library) => Ok((library, path)),
        Err(_) if !path.is_absolute() => Err(absent()),
        Err(reason) => {
            let what = format!("the driver's library `{}` does not load", path.display());
            Err(Box::new(MissingRequirement::new(
                what,
                wanted,
                &reason,
                &install_driver(wanted),
            )))
        }
    }
}

#[expect(unsafe_code, reason = "calls into the driver's C interface")]
fn init(library: &Library, path: &Path, wanted: &str) -> Result<(), Box<MissingRequirement>> {
    // SAFETY: the signature is that of cuda.h.
    let init: Symbol<'_, unsafe extern "C" fn(c_uint) -> Status> =
        unsafe { library.get(b"cuInit\0") }.map_err(|_| not_a_driver(path, wanted))?;
    // SAFETY: flags must be 0.
    let status = unsafe { init(0) };
    if status == 0 {
        return Ok(());
    }
    let text = error_text(library, status);
    Err(Box::new(match status {
        // CUDA_ERROR_NO_DEVICE
        100 => no_gpu(&text),
        // CUDA_ERROR_SYSTEM_DRIVER_MISMATCH
        803 => MissingRequirement::new(
            "the NVIDIA driver's kernel module and library are of different versions".to_owned(),
            "one version",
            &text,
            "restart the machine",
        ),
        _ => MissingRequirement::new(
            "the NVIDIA driver does not start".to_owned(),
            wanted,
            &text,
            "check `nvidia-smi`; after an update of the driver, restart the machine",
        ),
    }))
}

#[expect(unsafe_code, reason = "calls into the driver's C interface")]
fn error_text(library: &Library, status: Status) -> String {
    let mut text: *const c_char = std::ptr::null();
    // SAFETY: the signature is that of cuda.h; the text is the driver's own and lives as long as it.
    let known = unsafe {
        let name: Result<
            Symbol<'_, unsafe extern "C" fn(Status, *mut *const c_char) -> Status>,
            _,
        > = library.get(b"cuGetErrorString\0");
        name.is_ok_and(|name| name(status, &raw mut text) == 0 && !text.is_null())
            .then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
    };
    known.map_or(format!("error {status}"), |text| {
        format!("{text} (error {status})")
    })
}

#[expect(unsafe_code, reason = "calls into the driver's C interface")]
fn cuda_version(library: &Library) -> Option<u32> {
    let mut version: c_int = 0;
    // SAFETY: the signature is that of cuda.h.
    let status = unsafe {
        let get: Symbol<'_, unsafe extern "C" fn(*mut c_int) -> Status> =
            library.get(b"cuDriverGetVersion\0").ok()?;
        get(&raw mut version)
    };
    (status == 0).then(|| u32::try_from(version).ok()).flatten()
}

/// Every GPU that answers.
fn devices(library: &Library) -> Vec<Device> {
    (0..device_count(library).unwrap_or(0))
        .filter_map(|index| device(library, index))
        .collect()
}

#[expect(unsafe_code, reason = "calls into the driver's C interface")]
fn device_count(library: &Library) -> Option<c_int> {
    let mut count: c_int = 0;
    // SAFETY: the signature is that of cuda.h; the driver has been started.
    let status = unsafe {
        let get: Symbol<'_, unsafe extern "C" fn(*mut c_int) -> Status> =
            library.get(b"cuDeviceGetCount\0").ok()?;
        get(&raw mut count)
    };
    (status == 0).then_some(count)
}

#[expect(unsafe_code, reason = "calls into the driver's C interface")]
fn device(library: &Library, index: c_int) -> Option<Device> {
    // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR
    const MAJOR: c_int = 75;
    const MINOR: c_int = 76;
    type Attribute = unsafe extern "C" fn(*mut c_int, c_int, c_int) -> Status;
    let (mut handle, mut major, mut minor): (c_int, c_int, c_int) = (0, 0, 0);
    let mut memory: usize = 0;
    let mut name = [0_u8; 256];
    // SAFETY: the signatures are those of cuda.h; buffers outlive the calls, and their lengths are given.
    let is_known = unsafe {
        let get: Symbol<'_, unsafe extern "C" fn(*mut c_int, c_int) -> Status> =
            library.get(b"cuDeviceGet\0").ok()?;
        let get_name: Symbol<'_, unsafe extern "C" fn(*mut c_char, c_int, c_int) -> Status> =
            library.get(b"cuDeviceGetName\0").ok()?;
        let attribute: Symbol<'_, Attribute> = library.get(b"cuDeviceGetAttribute\0").ok()?;
        let total: Symbol<'_, unsafe extern "C" fn(*mut usize, c_int) -> Status> =
            library.get(b"cuDeviceTotalMem_v2\0").ok()?;
        get(&raw mut handle, index) == 0
            && get_name(name.as_mut_ptr().cast(), 255, handle) == 0
            && attribute(&raw mut major, MAJOR, handle) == 0
            && attribute(&raw mut minor, MINOR, handle) == 0
            && total(&raw mut memory, handle) == 0
    };
    is_known.then(|| Device {
        name: text(&name),
        capability: u32::try_from(10 * major + minor).unwrap_or(0),
        memory: memory as u64,
    })
}

/// The driver's own version: from the kernel, else from NVML.
fn version(paths: &SearchPaths) -> Option<String> {
    let kernel = paths
        .kernel
        .as_deref()
        .and_then(|file| fs::read_to_string(file).ok());
    kernel
        .as_deref()
        .and_then(kernel_version)
        .or_else(|| nvml_version(paths))
}

/// `580.65.06` of `NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build`.
fn kernel_version(text: &str) -> Option<String> {
    let is_number = |word: &&str| {
        word.contains('.')
            && word
                .split('.')
                .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    };
    let line = text.lines().find(|line| line.starts_with("NVRM"))?;
    line.split_whitespace().find(is_number).map(str::to_owned)
}

#[expect(unsafe_code, reason = "calls into NVML's C interface")]
fn nvml_version(paths: &SearchPaths) -> Option<String> {
    const NVML: &str = "libnvidia-ml.so.1";
    let path = paths
        .driver
        .iter()
        .map(|folder| folder.join(NVML))
        .find(|path| path.exists())
        .or_else(|| paths.loader.then(|| PathBuf::from(NVML)))?;
    if path.is_absolute() {
        dylib::check_library(&path).ok()?;
    }
    let library = dylib::load(&path).ok()?;
    let mut version = [0_u8; 96];
    // SAFETY: the signatures are those of nvml.h; the buffer's length is given.
    let status = unsafe {
        let init: Symbol<'_, unsafe extern "C" fn() -> Status> =
            library.get(b"nvmlInit_v2\0").ok()?;
        let get: Symbol<'_, unsafe extern "C" fn(*mut c_char, c_uint) -> Status> =
            library.get(b"nvmlSystemGetDriverVersion\0").ok()?;
        if init() == 0 {
            get(version.as_mut_ptr().cast(), 95)
        } else {
            -1
        }
    };
    (status == 0).then(|| text(&version))
}

/// A C text in a buffer.
fn text(buffer: &[u8]) -> String {
    let end = buffer.iter().position(|b| *b == 0).unwrap_or(buffer.len());
    String::from_utf8_lossy(&buffer[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_the_version_of_both_kinds_of_module() {
        for (line, expected) in [
            (
                "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs)",
                Some("580.65.06"),
            ),
            (
                "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024",
                Some("535.183.01"),
            ),
            ("GCC version:  gcc version 12.2.0", None),
            ("", None),
        ] {
            assert_eq!(kernel_version(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn an_old_gpu_or_driver_is_told_with_its_remedy() {
        let driver = |cuda, capability| Driver {
            path: NAME.into(),
            version: Some("570.1".into()),
            cuda,
            devices: vec![Device {
                name: "Tesla V100".into(),
                capability,
                memory: 1,
            }],
        };
        assert_eq!(check(&driver(13_000, 90), 0, Some(13)), []);
        assert_eq!(check(&driver(12_080, 70), 0, Some(12)), []);
        let missing = check(&driver(12_080, 70), 0, Some(13));
        assert_eq!(missing[0].found, "570.1, for CUDA 12.8");
        assert_eq!(missing[0].expected, "NVIDIA driver 580 or newer");
        assert_eq!(
            missing[0].fix,
            "run `deploy runtime install cuda --cuda 12`"
        );
        assert_eq!(missing[1].what, "`Tesla V100` is too old for CUDA 13");
        assert_eq!(missing[1].expected, "compute capability 7.5 or newer");
        let missing = check(&driver(11_080, 90), 0, Some(12));
        assert!(
            missing[0]
                .fix
                .contains("install NVIDIA driver 525 or newer")
        );
        let too_old = check_ampere(&driver(13_000, 75), 0).unwrap();
        assert_eq!(too_old.what, "`Tesla V100` is too old for TensorRT for RTX");
        assert_eq!(too_old.found, "7.5");
        assert_eq!(check_ampere(&driver(13_000, 80), 0), None);
        let missing = check(&driver(13_000, 90), 3, Some(13));
        assert_eq!(missing[0].what, "there is no GPU 3");
        assert_eq!(missing[0].expected, "a number below 1");
    }
}
