//! Every error, as people read it.

use super::*;

fn catalogue() -> Vec<Error> {
    let library = || PathBuf::from("libonnxruntime.so");
    let missing = MissingRequirement {
        what: "`libcudnn.so.9` was not found".to_owned(),
        expected: "cuDNN 9".to_owned(),
        found: "none".to_owned(),
        fix: "run `deploy runtime install cuda`".to_owned(),
    };
    vec![
        Error::NoRuntime {
            searched: vec!["cache/runtime".into(), "/usr/lib".into()],
        },
        Error::unreadable_library(
            &library(),
            std::io::Error::from(std::io::ErrorKind::NotFound),
        ),
        Error::UnusableRuntime {
            path: library(),
            expected: "at least 24272944 bytes".to_owned(),
            found: "12136472 bytes: the file is truncated".to_owned(),
        },
        Error::install("download the wheel", "pip: no network"),
        Error::hash_differs("a.whl".as_ref(), "12ab", "34cd"),
        Error::ProviderName {
            text: "gpu".to_owned(),
        },
        Error::cache_read_only("create the cache folder", "read-only file system"),
        Error::gpu_install(
            "install from `wheels`",
            "the folder lacks `nvidia_cublas-13.whl`",
            "add it".to_owned(),
        ),
        Error::provider_not_ready("cuda:0", &missing),
    ]
}

#[test]
fn every_error_reads_well() {
    let mut text = String::new();
    for error in catalogue() {
        text += &format!("{error}\n  hint: {}\n\n", error.hint().unwrap_or_default());
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_gpu_runtime_that_is_unfit_is_installed_again_as_one() {
    let error = Error::UnusableRuntime {
        path: "cache/runtime/onnxruntime-gpu-1.28.0/libonnxruntime.so".into(),
        expected: String::new(),
        found: String::new(),
    };
    assert_eq!(
        error.hint().as_deref(),
        Some("run `deploy runtime install cuda`")
    );
}
