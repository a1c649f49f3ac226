//! GPU runtimes and TensorRT in the cache folder: installed, preferred, refused. No GPU is needed.

use std::path::Path;
use std::process::Command;

use classifold::Provider;
use classifold::runtime::{self, GpuOptions, Search};
use fs_err as fs;

use crate::support::installed;

const CUDA: Provider = Provider::Cuda { device: 0 };

fn search(cache: &Path, provider: Provider) -> Search {
    Search {
        cache: Some(cache.to_owned()),
        provider,
        ..Search::default()
    }
}

/// A folder as `install_gpu` leaves it, with the CPU's library and an empty provider library.
fn simulated(cache: &Path) {
    let folder = cache.join("runtime/onnxruntime-gpu-1.28.0-cuda13-linux-x86_64");
    fs::create_dir_all(&folder).unwrap();
    let library = "libonnxruntime.so.1.28.0";
    fs::copy(&installed().path, folder.join(library)).unwrap();
    fs::write(folder.join("libonnxruntime_providers_cuda.so"), "").unwrap();
    let sha256 = classifold::files::hash::sha256_hex(&folder.join(library)).unwrap();
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let manifest = format!(
        r#"{{"version": "1.28.0", "library": "{library}", "sha256": "{sha256}", "from": "a.whl",
            "cuda": 13, "files": {{"libonnxruntime_providers_cuda.so": "{empty}"}}}}"#
    );
    fs::write(folder.join("installed.json"), manifest).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn each_provider_gets_the_runtime_that_was_installed_for_it() {
    let cache = tempfile::tempdir().unwrap();
    simulated(cache.path());
    let find = |provider| runtime::find(&search(cache.path(), provider)).unwrap();
    // The only one there is runs on the CPU too.
    assert!(find(CUDA).gpu && find(Provider::Cpu).gpu);
    runtime::install(
        &runtime::InstallOptions {
            cache: cache.path().to_owned(),
            from: Some(installed().path.to_string_lossy().into_owned()),
        },
        &|_| {},
    )
    .unwrap();
    assert!(find(CUDA).gpu && !find(Provider::Cpu).gpu);
    assert!(find(Provider::TensorRt { device: 0 }).gpu);
    assert!(
        find(CUDA)
            .to_string()
            .contains("1.28.0 with CUDA from the cache folder")
    );
    let listed: Vec<bool> = runtime::list(cache.path()).iter().map(|f| f.gpu).collect();
    assert_eq!(listed, [false, true]);
    assert_eq!(runtime::remove(cache.path(), true).unwrap().len(), 0);
}

#[test]
#[cfg(target_os = "linux")]
fn what_changed_since_it_was_installed_is_told() {
    let cache = tempfile::tempdir().unwrap();
    simulated(cache.path());
    let found = runtime::find(&search(cache.path(), CUDA)).unwrap();
    runtime::verify(&found).unwrap();
    let provider = found
        .path
        .with_file_name("libonnxruntime_providers_cuda.so");
    fs::write(&provider, "changed").unwrap();
    let error = runtime::verify(&found).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("providers_cuda.so` is not a usable"),
        "{error}"
    );
    assert_eq!(
        error.hint().as_deref(),
        Some("run `deploy runtime install cuda`")
    );
    fs::remove_file(&provider).unwrap();
    let error = runtime::verify(&found).unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
}

#[test]
fn nothing_is_installed_unasked_for_a_gpu() {
    let cache = tempfile::tempdir().unwrap();
    let error = runtime::ensure(&search(cache.path(), CUDA), &|_| {}, true).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("provider `cuda:0` cannot start"), "{text}");
    assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0);
}

#[test]
fn folders_that_lack_wheels_or_hold_others() {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let install = |from: &Path| {
        let options = GpuOptions {
            cache: folder.path().join("cache"),
            from: Some(from.to_owned()),
            cuda: Some(13),
        };
        let error = runtime::install_gpu(&options, &|_| {}).unwrap_err();
        let hint = error.hint().unwrap();
        (error, hint)
    };
    let (error, _) = install(Path::new("nowhere"));
    assert_eq!(
        error.to_string(),
        "cannot install from `nowhere`: there is no such folder"
    );
    let wheels = folder.path().join("wheels");
    fs::create_dir(&wheels).unwrap();
    let (error, hint) = install(&wheels);
    let text = error.to_string();
    assert!(
        text.contains("the folder lacks `onnxruntime_gpu-1.28.0-"),
        "{text}"
    );
    let names: Vec<&str> = text
        .split('`')
        .filter(|part| part.ends_with(".whl"))
        .collect();
    assert_eq!(names.len(), 8, "{text}");
    assert!(hint.contains("docs/gpu.md"), "{hint}");
    for name in names {
        fs::write(wheels.join(name), "other bytes").unwrap();
    }
    let (error, _) = install(&wheels);
    assert!(
        error.to_string().contains("is not the pinned file"),
        "{error}"
    );
    assert!(runtime::list(&folder.path().join("cache")).is_empty());
}

#[test]
fn a_cache_folder_that_cannot_be_made() {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let options = GpuOptions {
        cache: file.path().join("cache"),
        cuda: Some(12),
        ..GpuOptions::default()
    };
    let error = runtime::install_gpu(&options, &|_| {}).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot create the cache folder"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("CLASSIFIER_CACHE"));
}

/// A TensorRT as its tar file unpacks: `lib` with libraries behind links, `doc` with the licence.
#[cfg(target_os = "linux")]
fn tar(folder: &Path, major: u32, version: u32) {
    let lib = folder.join("lib");
    fs::create_dir_all(&lib).unwrap();
    fs::create_dir_all(folder.join("doc")).unwrap();
    fs::write(folder.join("doc/Acknowledgements.txt"), "thanks").unwrap();
    for stem in ["libnvinfer", "libnvinfer_plugin", "libnvonnxparser"] {
        let source = format!(
            "int getInferLibVersion(void) {{ return {version}; }}\n\
             int getNvOnnxParserVersion(void) {{ return {version}; }}"
        );
        fs::write(lib.join("source.c"), source).unwrap();
        let real = format!("{stem}.so.{major}.9.9");
        let link = format!("{stem}.so.{major}");
        let status = Command::new("cc")
            .current_dir(&lib)
            .args(["-shared", "-fPIC", "-o", &real, "source.c"])
            .arg(format!("-Wl,-soname,{link}"))
            .status()
            .expect("a C compiler");
        assert!(status.success());
        fs::os::unix::fs::symlink(&real, lib.join(&link)).unwrap();
    }
    fs::write(
        lib.join(format!("libnvinfer_builder_resource_sm90.so.{major}.9.9")),
        "resource",
    )
    .unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn tensorrt_10_is_taken_from_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, from) = (folder.path().join("cache"), folder.path().join("TensorRT"));
    tar(&from, 10, 100_909);
    let found = runtime::install_tensorrt(&cache, Some(&from), &|_| {}).unwrap();
    assert_eq!(found.version, "10.9.9");
    assert_eq!(runtime::tensorrt(&cache), Some(found.clone()));
    let mut names: Vec<String> = fs::read_dir(&found.folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "Acknowledgements.txt",
            "libnvinfer.so.10",
            "libnvinfer_builder_resource_sm90.so.10.9.9",
            "libnvinfer_plugin.so.10",
            "libnvonnxparser.so.10",
            "tensorrt.json",
        ]
    );
    // The runtimes are still what they were, and installing again replaces it.
    assert!(runtime::list(&cache).is_empty());
    runtime::install_tensorrt(&cache, Some(&from.join("lib")), &|_| {}).unwrap();
    assert_eq!(fs::read_dir(cache.join("runtime")).unwrap().count(), 1);
}

#[test]
#[cfg(target_os = "linux")]
fn what_is_no_tensorrt_10_is_told_with_what_to_get() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let refusal = |from: Option<&Path>| {
        let error = runtime::install_tensorrt(&cache, from, &|_| {}).unwrap_err();
        let hint = error.hint().unwrap();
        assert!(hint.contains("TensorRT 10 for Linux and CUDA 13"), "{hint}");
        assert!(
            hint.contains("deploy runtime install tensorrt --from FOLDER"),
            "{hint}"
        );
        assert!(runtime::tensorrt(&cache).is_none());
        error.to_string()
    };
    let text = refusal(None);
    assert!(
        text.contains("stubs") && text.contains("found:    none"),
        "{text}"
    );
    let text = refusal(Some(Path::new("nowhere")));
    assert!(text.contains("`nowhere` is not a folder"), "{text}");
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let text = refusal(Some(&empty));
    assert!(text.contains("found:    no TensorRT"), "{text}");
    let newer = folder.path().join("newer");
    tar(&newer, 11, 110_000);
    let text = refusal(Some(&newer));
    assert!(
        text.contains("found:    libnvinfer.so.11, libnvinfer.so.11.9.9"),
        "{text}"
    );
    let older = folder.path().join("older");
    tar(&older, 10, 8601);
    let text = refusal(Some(&older));
    assert!(
        text.contains("expected: TensorRT 10\n  found:    TensorRT 8.6.1"),
        "{text}"
    );
    let part = folder.path().join("part");
    tar(&part, 10, 100_909);
    let parser = part.join("lib/libnvonnxparser.so.10");
    let bytes = fs::read(&parser).unwrap();
    fs::remove_file(&parser).unwrap();
    let text = refusal(Some(&part));
    assert!(text.contains("no `libnvonnxparser.so.10`"), "{text}");
    fs::write(&parser, &bytes[..bytes.len() / 2]).unwrap();
    let text = refusal(Some(&part));
    assert!(
        text.contains("`libnvonnxparser.so.10` cannot be used"),
        "{text}"
    );
    assert!(text.contains("truncated"), "{text}");
}
