//! Installation of NVIDIA's TensorRT 10 from a folder: its unpacked tar file, or its own wheels. Downloads nothing:
//! the wheels on the public package index are stubs.

use std::path::{Path, PathBuf};

use files::hash;
use fs_err as fs;

use super::{failed, unpack, work_folder};
use crate::dylib;
use crate::error::{Error, Result};
use crate::missing::tensorrt_fix;
use crate::runtime::find;
use crate::runtime::tensorrt::{MANIFEST, TensorRt};
use crate::wheels::TENSORRT_PREFIX;

/// The major version that ONNX Runtime's TensorRT provider is linked to.
const MAJOR: &str = "10";

/// Libraries without which the provider does not start.
const NEEDED: [&str; 3] = [
    "libnvinfer.so",
    "libnvinfer_plugin.so",
    "libnvonnxparser.so",
];

/// Installs TensorRT into the cache folder, where ONNX Runtime finds it.
///
/// ```no_run
/// let folder = "TensorRT-10.13.3.9".as_ref();
/// let found = classifold_machine::runtime::install_tensorrt("cache".as_ref(), Some(folder), &|_| {})?;
/// println!("{found}");
/// # Ok::<(), classifold_machine::Error>(())
/// ```
///
/// # Errors
/// No folder was given, it holds no TensorRT, another major version or a damaged library.
pub fn install_tensorrt(
    cache: &Path,
    from: Option<&Path>,
    progress: &dyn Fn(&str),
) -> Result<TensorRt> {
    let refused = |reason: String| {
        Error::gpu_install(
            "install TensorRT",
            reason,
            tensorrt_fix(find::installed_cuda(cache)),
        )
    };
    let Some(from) = from else {
        return Err(refused(
            "NVIDIA gives it to those who accept its licence, and its wheels on the package index are \
             stubs without libraries\n  expected: a folder with TensorRT 10\n  found:    none"
                .to_owned(),
        ));
    };
    let root = find::folder(cache);
    let work = work_folder(&root)?;
    progress(&format!("copying TensorRT from `{}`", from.display()));
    copy_libraries(from, work.path(), &refused)?;
    for stem in NEEDED {
        let file = work.path().join(format!("{stem}.{MAJOR}"));
        if let Err(defect) = dylib::check_library(&file) {
            return Err(refused(match defect {
                dylib::Defect::Unreadable(_) => format!(
                    "`{}` holds no `{stem}.{MAJOR}`\n  expected: TensorRT 10\n  found:    a part of it",
                    from.display()
                ),
                dylib::Defect::Unusable { expected, found } => format!(
                    "`{stem}.{MAJOR}` cannot be used\n  expected: {expected}\n  found:    {found}"
                ),
            }));
        }
    }
    let version =
        crate::probe::tensorrt_version(&work.path().join(format!("{}.{MAJOR}", NEEDED[0])))
            .map_err(|missing| refused(missing.to_string()))?;
    let target = root.join(format!("{TENSORRT_PREFIX}{version}"));
    write_manifest(work.path(), &target, &version)?;
    if target.exists() {
        fs::remove_dir_all(&target).map_err(failed("replace the old TensorRT"))?;
    }
    fs::rename(work.path(), &target).map_err(failed("move TensorRT to its folder"))?;
    let folder = target;
    progress(&format!(
        "installed TensorRT {version} in `{}`",
        folder.display()
    ));
    Ok(TensorRt { folder, version })
}

fn write_manifest(work: &Path, target: &Path, version: &str) -> Result<()> {
    let library = work.join(format!("{}.{MAJOR}", NEEDED[0]));
    let text = serde_json::json!({
        "version": version,
        "folder": target,
        "sha256": hash::sha256_hex(&library).map_err(failed("read a library"))?,
    });
    fs::write(work.join(MANIFEST), format!("{text:#}\n")).map_err(failed("write the manifest"))
}

/// Copies TensorRT's libraries and licences out of an unpacked tar file, or out of NVIDIA's wheels.
fn copy_libraries(from: &Path, out: &Path, refused: &dyn Fn(String) -> Error) -> Result<()> {
    if !from.is_dir() {
        return Err(refused(format!(
            "`{}` is not a folder\n  expected: the folder that the tar file unpacks to\n  found:    {}",
            from.display(),
            if from.exists() { "a file" } else { "nothing" }
        )));
    }
    if let Some(lib) = lib_folder(from) {
        return copy(&lib, out);
    }
    let wheels: Vec<PathBuf> = file_names(from)
        .into_iter()
        .filter(|name| name.starts_with("tensorrt") && name.contains("libs-10."))
        .filter(|name| name.ends_with(".whl"))
        .map(|name| from.join(name))
        .collect();
    for wheel in &wheels {
        unpack::unpack(wheel, out, &kept_name)?;
    }
    if wheels.is_empty() {
        return Err(refused(format!(
            "`{}` holds none\n  expected: `lib/libnvinfer.so.{MAJOR}`, TensorRT 10\n  found:    {}",
            from.display(),
            other_version(from)
        )));
    }
    Ok(())
}

/// The folder with `libnvinfer.so.10`: that of the tar file, of an installed wheel, or the one given.
fn lib_folder(from: &Path) -> Option<PathBuf> {
    let file = format!("{}.{MAJOR}", NEEDED[0]);
    ["", "lib", "targets/x86_64-linux-gnu/lib", "tensorrt_libs"]
        .iter()
        .map(|folder| from.join(folder))
        .find(|folder| folder.join(&file).is_file())
}

/// Names of other versions in the folder, such as `libnvinfer.so.11`.
fn other_version(from: &Path) -> String {
    let mut others: Vec<String> = ["", "lib", "targets/x86_64-linux-gnu/lib", "tensorrt_libs"]
        .iter()
        .flat_map(|folder| file_names(&from.join(folder)))
        .filter(|name| name.starts_with("libnvinfer.so.") || name.starts_with("tensorrt"))
        .collect();
    others.sort();
    others.dedup();
    match others.as_slice() {
        [] => "no TensorRT".to_owned(),
        all => all.join(", "),
    }
}

fn file_names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// The name under which a file of TensorRT is installed: the needed libraries under the name that others link to,
/// and the builder's resources, which it opens by their full name.
fn kept_name(name: &str) -> Option<String> {
    let needed = NEEDED.iter().any(|stem| name == format!("{stem}.{MAJOR}"));
    let resource = name.starts_with("libnvinfer_builder_resource") && name.contains(".so.");
    let licence = name.starts_with("LICENSE") || name == "Acknowledgements.txt";
    (needed || resource || licence).then(|| name.to_owned())
}

fn copy(lib: &Path, out: &Path) -> Result<()> {
    let doc = lib.parent().map(|folder| folder.join("doc"));
    for folder in [Some(lib.to_owned()), doc].into_iter().flatten() {
        for name in file_names(&folder)
            .iter()
            .filter_map(|name| kept_name(name))
        {
            fs::copy(folder.join(&name), out.join(&name)).map_err(failed("copy a library"))?;
        }
    }
    Ok(())
}
