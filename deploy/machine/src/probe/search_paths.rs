//! Search paths of shared libraries. Loads nothing.

use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::wheels::{GPU_PREFIX, TENSORRT_PREFIX, plugin};

/// Folders, in the order in which they are looked through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchPaths {
    /// The ONNX Runtime library in use; its provider libraries lie beside it.
    pub runtime: Option<PathBuf>,
    /// Folders of CUDA, cuDNN and TensorRT.
    pub folders: Vec<PathBuf>,
    /// Folders of the driver's library, `libcuda.so.1`.
    pub driver: Vec<PathBuf>,
    /// Whether the system's loader is asked for a driver that is in none of these folders.
    pub loader: bool,
    /// The file in which the kernel says the driver's version.
    pub kernel: Option<PathBuf>,
}

/// Folders of the driver's library by distributions and NVIDIA, beside the loader's own.
const DRIVER: [&str; 3] = [
    "/usr/lib/wsl/lib",
    "/usr/local/nvidia/lib64",
    "/usr/local/nvidia/lib",
];

/// The loader's own folders, and those that it does not list.
const SYSTEM: [&str; 6] = [
    "/usr/local/lib",
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
];

impl SearchPaths {
    /// The paths of this machine for an ONNX Runtime library: beside it, the GPU runtimes in the cache
    /// folder, NVIDIA's wheels in the same Python environment, `LD_LIBRARY_PATH`, CUDA's own folders,
    /// the system's.
    ///
    /// `LD_LIBRARY_PATH` is read because the loader reads it.
    pub fn for_runtime(runtime: Option<&Path>) -> Self {
        let mut folders: Vec<PathBuf> = Vec::new();
        if let Some(folder) = runtime.and_then(Path::parent) {
            folders.push(folder.to_owned());
            folders.extend(cached_folders(folder.parent()));
            folders.extend(wheel_folders(folder));
        }
        folders.extend(cached_folders(
            files::cache::dir(None)
                .ok()
                .map(|cache| cache.join("runtime"))
                .as_deref(),
        ));
        let variable = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        // The loader takes relative paths as well, but they depend on the working directory.
        let named = std::env::split_paths(&variable).filter(|path| path.is_absolute());
        let named: Vec<PathBuf> = named.collect();
        let mut system = loader_folders(Path::new("/etc/ld.so.conf"), 4);
        system.extend(SYSTEM.map(PathBuf::from));
        folders.extend(named.iter().cloned());
        folders.extend(cuda_folders(Path::new("/usr/local")));
        folders.extend(system.iter().cloned());
        let mut driver = named;
        driver.extend(system);
        driver.extend(DRIVER.map(PathBuf::from));
        Self {
            runtime: runtime.map(Path::to_owned),
            folders: without_duplicates(folders),
            driver: without_duplicates(driver),
            loader: true,
            kernel: Some("/proc/driver/nvidia/version".into()),
        }
    }

    /// The first file of this name.
    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        self.folders
            .iter()
            .map(|folder| folder.join(name))
            .find(|path| path.exists())
    }
}

/// Folders of installed GPU runtimes, TensorRT and the pinned plugins, the newest first.
fn cached_folders(folder: Option<&Path>) -> Vec<PathBuf> {
    let mut all = subfolders(folder, |name| {
        let is_pinned = plugin::all().iter().any(|p| p.folder_name() == name);
        name.starts_with(GPU_PREFIX) || name.starts_with(TENSORRT_PREFIX) || is_pinned
    });
    all.sort_by_key(|folder| std::cmp::Reverse(numbers_in_name(folder)));
    all
}

/// The numbers in a folder's name, for newest first.
fn numbers_in_name(folder: &Path) -> Vec<u32> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    name.split(|c: char| !c.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect()
}

/// `site-packages/nvidia/*/lib` and the folders of TensorRT and of plugins, seen from
/// `site-packages/onnxruntime/capi`.
fn wheel_folders(capi: &Path) -> Vec<PathBuf> {
    let Some(site) = capi
        .ends_with("onnxruntime/capi")
        .then(|| capi.ancestors().nth(2))
        .flatten()
    else {
        return Vec::new();
    };
    let mut all: Vec<PathBuf> = subfolders(Some(&site.join("nvidia")), |_| true)
        .into_iter()
        .map(|folder| folder.join("lib"))
        .collect();
    all.push(site.join("tensorrt_libs"));
    all.extend(plugin::all().map(|p| site.join(p.module)));
    all
}

/// `cuda/lib64` and `cuda-*/lib64`.
fn cuda_folders(root: &Path) -> Vec<PathBuf> {
    subfolders(Some(root), |name| {
        name == "cuda" || name.starts_with("cuda-")
    })
    .into_iter()
    .map(|folder| folder.join("lib64"))
    .collect()
}

fn subfolders(folder: Option<&Path>, fits: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = folder
        .map(fs::read_dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            fits(&name) && path.is_dir()
        })
        .collect();
    all.sort();
    all
}

/// The folders of the loader's configuration file; `include` lines are followed `depth` levels down.
fn loader_folders(file: &Path, depth: u32) -> Vec<PathBuf> {
    let Ok(text) = fs::read_to_string(file) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some(pattern) = line.strip_prefix("include").map(str::trim) else {
            all.extend(line.starts_with('/').then(|| PathBuf::from(line)));
            continue;
        };
        // Patterns of whole file names, `/etc/ld.so.conf.d/*.conf`, are what is in use.
        let pattern = file.parent().unwrap_or(Path::new("/")).join(pattern);
        let Some(end) = pattern.extension().filter(|_| depth > 0) else {
            continue;
        };
        let files = pattern.parent().map(fs::read_dir);
        let mut files: Vec<PathBuf> = files
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension() == Some(end))
            .collect();
        files.sort();
        all.extend(
            files
                .iter()
                .flat_map(|file| loader_folders(file, depth - 1)),
        );
    }
    all
}

fn without_duplicates(folders: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = Vec::new();
    for folder in folders {
        if !all.contains(&folder) {
            all.push(folder);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loaders_configuration_is_followed() {
        let root = tempfile::tempdir().unwrap();
        let conf = root.path().join("ld.so.conf");
        fs::create_dir(root.path().join("ld.so.conf.d")).unwrap();
        fs::write(
            &conf,
            "/opt/first # mine\ninclude ld.so.conf.d/*.conf\n\n/opt/last\n",
        )
        .unwrap();
        for (name, text) in [
            ("b.conf", "/opt/b\n"),
            ("a.conf", "# none\n/opt/a\n"),
            ("c.txt", "/no\n"),
        ] {
            fs::write(root.path().join("ld.so.conf.d").join(name), text).unwrap();
        }
        let expected = ["/opt/first", "/opt/a", "/opt/b", "/opt/last"].map(PathBuf::from);
        assert_eq!(loader_folders(&conf, 4), expected);
        fs::write(&conf, "include ld.so.conf\n/opt/self\n").unwrap();
        assert!(loader_folders(&conf, 4).contains(&PathBuf::from("/opt/self")));
    }

    #[test]
    fn of_several_installed_the_newest_comes_first() {
        let cache = tempfile::tempdir().unwrap();
        for version in ["10.9.0", "10.13.3", "10.2.1"] {
            fs::create_dir(cache.path().join(format!("tensorrt-{version}"))).unwrap();
        }
        let names: Vec<String> = cached_folders(Some(cache.path()))
            .iter()
            .map(|folder| folder.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(
            names,
            ["tensorrt-10.13.3", "tensorrt-10.9.0", "tensorrt-10.2.1"]
        );
    }

    #[test]
    fn wheels_of_the_same_environment_are_looked_at() {
        let site = tempfile::tempdir().unwrap();
        let capi = site.path().join("onnxruntime/capi");
        for folder in ["nvidia/cudnn/lib", "nvidia/cu13/lib", "onnxruntime/capi"] {
            fs::create_dir_all(site.path().join(folder)).unwrap();
        }
        let paths = SearchPaths::for_runtime(Some(&capi.join("libonnxruntime.so.1.28.0")));
        let position = |folder: &str| {
            let wanted = site.path().join(folder);
            paths.folders.iter().position(|f| *f == wanted).unwrap()
        };
        assert_eq!(position("onnxruntime/capi"), 0);
        assert!(position("nvidia/cu13/lib") < position("nvidia/cudnn/lib"));
        assert!(position("tensorrt_libs") < paths.folders.len() - 1);
    }
}
