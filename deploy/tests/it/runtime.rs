//! Finding, installing, checking and loading the ONNX Runtime library.

use std::path::{Path, PathBuf};

use classifold::machine::Error;
use classifold::runtime::{self, InstallOptions, RuntimeLibrary, Search, Source};
use fs_err as fs;

use crate::support::installed;

/// A cache folder with a runtime of its own, taken from the shared one.
fn own_cache() -> (tempfile::TempDir, RuntimeLibrary) {
    let cache = tempfile::tempdir().unwrap();
    let from = installed().path.to_string_lossy().into_owned();
    let options = InstallOptions {
        cache: cache.path().to_owned(),
        from: Some(from),
    };
    let found = runtime::install(&options, &|_| {}).unwrap();
    (cache, found)
}

fn only(cache: &Path) -> Search {
    Search {
        cache: Some(cache.to_owned()),
        ..Search::default()
    }
}

fn named(path: &Path) -> Search {
    Search {
        explicit: Some(path.to_owned()),
        ..Search::default()
    }
}

#[test]
fn the_pinned_wheel_installs_with_its_licences() {
    let found = installed();
    assert_eq!(
        (found.version.as_str(), found.source),
        (runtime::VERSION, Source::Cache)
    );
    let folder = found.path.parent().unwrap();
    for licence in ["LICENSE", "ThirdPartyNotices.txt"] {
        assert!(folder.join(licence).is_file(), "{licence}");
    }
    assert!(
        found
            .to_string()
            .starts_with("ONNX Runtime 1.28.0 from the cache folder (`")
    );
}

#[test]
fn it_loads_once_and_no_second_library_beside_it() {
    let found = installed();
    runtime::load(found).unwrap();
    runtime::load(found).unwrap();
    assert_eq!(runtime::loaded(), Some(found));
    let other = RuntimeLibrary {
        path: PathBuf::from("/elsewhere/libonnxruntime.so"),
        ..found.clone()
    };
    let error = runtime::load(&other).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("cannot load `/elsewhere/libonnxruntime.so` as well"),
        "{text}"
    );
}

#[test]
fn a_library_given_by_hand_is_found_by_file_and_by_folder() {
    let library = &installed().path;
    for path in [library.as_path(), library.parent().unwrap()] {
        let found = runtime::find(&named(path)).unwrap();
        assert_eq!(
            (found.version.as_str(), found.source),
            ("1.28.0", Source::Explicit)
        );
    }
    let env = Search {
        env: Some(library.clone()),
        ..Search::default()
    };
    assert_eq!(runtime::find(&env).unwrap().source, Source::Env);
}

#[test]
fn a_truncated_library_is_refused_wherever_it_is_cut() {
    let bytes = fs::read(&installed().path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libonnxruntime.so");
    for len in [1, 20, 64, 1000, 4096, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..len]).unwrap();
        let error = runtime::find(&named(&path)).unwrap_err();
        assert!(
            matches!(error, Error::UnusableRuntime { .. }),
            "{len}: {error}"
        );
        assert!(error.to_string().contains("expected:"), "{error}");
    }
    let text = runtime::find(&named(&path)).unwrap_err().to_string();
    assert!(
        text.contains(&format!("at least {} bytes", bytes.len())),
        "{text}"
    );
    assert!(text.contains("truncated"), "{text}");
}

#[test]
fn what_is_no_onnx_runtime_is_told_by_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libonnxruntime.so");
    let cases: [(&[u8], &str); 5] = [
        (b"", "an empty file"),
        (b"hello, I am a text file\n", "a text file of 24 bytes"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "git-LFS pointer",
        ),
        (b"PK\x03\x04 and so on", "a zip archive"),
        (
            b"\x7fELF\x02\x01 and then nonsense, long enough to hold a header of sixty-four bytes",
            "do not parse",
        ),
    ];
    for (content, expected) in cases {
        fs::write(&path, content).unwrap();
        let text = runtime::find(&named(&path)).unwrap_err().to_string();
        assert!(
            text.contains(expected) || text.contains("truncated"),
            "{expected}: {text}"
        );
        assert!(text.contains(&*path.to_string_lossy()), "{text}");
    }
    let text = runtime::find(&named(folder.path().join("none.so").as_path())).unwrap_err();
    assert!(text.to_string().contains("cannot be read"), "{text}");
    assert!(matches!(
        runtime::find(&named(Path::new("/"))),
        Err(Error::UnusableRuntime { .. })
    ));
}

#[test]
#[cfg(target_os = "linux")]
fn another_shared_library_is_refused_without_loading_it() {
    // The test's own executable is a position-independent ELF file.
    let text = runtime::find(&named(&std::env::current_exe().unwrap()))
        .unwrap_err()
        .to_string();
    assert!(text.contains("without `OrtGetApiBase`"), "{text}");
}

#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn a_library_of_another_machine_or_an_older_version_is_refused() {
    let bytes = fs::read(&installed().path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libonnxruntime.so");
    let mut other = bytes.clone();
    other[0x12] = 183; // e_machine: AArch64
    fs::write(&path, &other).unwrap();
    let text = runtime::find(&named(&path)).unwrap_err().to_string();
    assert!(text.contains("a library for Aarch64"), "{text}");

    let mut old = bytes;
    let places: Vec<usize> = (0..old.len() - 11)
        .filter(|i| &old[*i..*i + 11] == b"VERS_1.28.0")
        .collect();
    assert!(!places.is_empty());
    for place in places {
        old[place..place + 11].copy_from_slice(b"VERS_1.14.0");
    }
    fs::write(&path, &old).unwrap();
    let text = runtime::find(&named(&path)).unwrap_err().to_string();
    assert!(
        text.contains("ONNX Runtime 1.24 or newer") && text.contains("1.14.0"),
        "{text}"
    );
}

#[test]
fn nothing_is_found_in_an_empty_cache_and_nothing_installed_unasked() {
    let cache = tempfile::tempdir().unwrap();
    let error = runtime::ensure(&only(cache.path()), &|_| {}, false).unwrap_err();
    assert!(matches!(error, Error::NoRuntime { .. }), "{error}");
    assert!(error.hint().unwrap().contains("deploy runtime install"));
    assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0);
}

#[test]
fn a_damaged_library_in_the_cache_is_an_error_and_is_replaced() {
    let (cache, found) = own_cache();
    assert_eq!(runtime::find(&only(cache.path())).unwrap(), found);
    let mut bytes = fs::read(&found.path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&found.path, &bytes).unwrap();
    let error = runtime::ensure(&only(cache.path()), &|_| {}, false).unwrap_err();
    assert!(error.to_string().contains("SHA-256"), "{error}");

    let from = Some(installed().path.to_string_lossy().into_owned());
    runtime::install(
        &InstallOptions {
            cache: cache.path().to_owned(),
            from,
        },
        &|_| {},
    )
    .unwrap();
    assert_eq!(runtime::find(&only(cache.path())).unwrap(), found);
    assert_eq!(runtime::list(cache.path()).len(), 1);
}

#[test]
fn the_pinned_name_with_other_bytes_is_not_installed() {
    let folder = tempfile::tempdir().unwrap();
    let name = "onnxruntime-1.28.0-cp312-cp312-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl";
    fs::write(folder.path().join(name), b"PK\x03\x04 not the wheel").unwrap();
    let cache = folder.path().join("cache");
    let from = Some(folder.path().to_string_lossy().into_owned());
    let error = runtime::install(
        &InstallOptions {
            cache: cache.clone(),
            from,
        },
        &|_| {},
    )
    .unwrap_err();
    if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        let text = error.to_string();
        assert!(text.contains("is not the pinned file"), "{text}");
    }
    assert!(runtime::list(&cache).is_empty());
    let left: Vec<_> = fs::read_dir(cache.join("runtime")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_folder_without_a_runtime_is_no_source() {
    let folder = tempfile::tempdir().unwrap();
    let from = Some(folder.path().to_string_lossy().into_owned());
    let options = InstallOptions {
        cache: folder.path().join("cache"),
        from,
    };
    let error = runtime::install(&options, &|_| {}).unwrap_err();
    assert!(error.to_string().contains("neither"), "{error}");
}

#[test]
fn a_wheel_given_by_hand_is_unpacked_with_its_licences_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let wheel = folder.path().join("onnxruntime-1.28.0-own.whl");
    let mut zip = zip::ZipWriter::new(fs::File::create(&wheel).unwrap());
    let library = fs::read(&installed().path).unwrap();
    let name = installed()
        .path
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    let capi = format!("onnxruntime/capi/{name}");
    let entries: [(&str, &[u8]); 5] = [
        (&capi, &library),
        ("onnxruntime/LICENSE", b"MIT"),
        ("../../../ThirdPartyNotices.txt", b"leads out of the folder"),
        (
            "onnxruntime/capi/onnxruntime_pybind11_state.so",
            b"not needed",
        ),
        ("onnxruntime/__init__.py", b"not needed"),
    ];
    for (name, content) in entries {
        zip.start_file(name, zip::write::SimpleFileOptions::default())
            .unwrap();
        std::io::Write::write_all(&mut zip, content).unwrap();
    }
    zip.finish().unwrap();
    let cache = folder.path().join("cache");
    let from = Some(wheel.to_string_lossy().into_owned());
    let options = InstallOptions {
        cache: cache.clone(),
        from,
    };
    let found = runtime::install(&options, &|_| {}).unwrap();
    let mut files: Vec<String> = fs::read_dir(found.path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(
        files,
        [
            "LICENSE",
            "ThirdPartyNotices.txt",
            "installed.json",
            name.as_str()
        ]
    );
    assert_eq!(runtime::find(&only(&cache)).unwrap(), found);
    assert!(!folder.path().join("ThirdPartyNotices.txt").exists());
}

#[test]
fn the_library_that_was_named_comes_first() {
    let (cache, found) = own_cache();
    let everything = Search {
        explicit: Some(installed().path.clone()),
        env: Some(found.path.clone()),
        cache: Some(cache.path().to_owned()),
        ..Search::default()
    };
    assert_eq!(runtime::find(&everything).unwrap().source, Source::Explicit);
    let rest = Search {
        explicit: None,
        ..everything
    };
    assert_eq!(runtime::find(&rest).unwrap().source, Source::Env);
    let rest = Search { env: None, ..rest };
    assert_eq!(runtime::find(&rest).unwrap().source, Source::Cache);
    let folder = found.path.parent().unwrap().to_owned();
    let rest = Search {
        cache: None,
        system: vec!["/nowhere".into(), folder],
        ..rest
    };
    assert_eq!(runtime::find(&rest).unwrap().source, Source::System);
}
