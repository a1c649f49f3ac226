//! Pinned builds of ONNX Runtime, one official wheel per platform, and the names of installed ones. Knows no
//! files and no network.

pub(crate) mod gpu;
pub(crate) mod plugin;

/// The pinned version: the newest whose Linux wheel has no telemetry uploader.
pub const VERSION: &str = "1.28.0";

/// The least version that can be used: ONNX Runtime 1.24, the first that says which provider got which node.
pub const MIN_API: u32 = 24;

/// Prefix of the folders of GPU runtimes in the cache folder.
pub(crate) const GPU_PREFIX: &str = "onnxruntime-gpu-";
/// Prefix of the folders of TensorRT in the cache folder.
pub(crate) const TENSORRT_PREFIX: &str = "tensorrt-";

/// Licences and notices that are installed with the libraries of a wheel.
pub(crate) const LICENCES: [&str; 3] = ["LICENSE", "ThirdPartyNotices.txt", "Privacy.md"];

/// One pinned wheel and the library inside it.
#[derive(Debug)]
pub(crate) struct Wheel {
    /// `std::env::consts::OS`.
    pub(crate) os: &'static str,
    /// `std::env::consts::ARCH`.
    pub(crate) arch: &'static str,
    /// pip's `--platform`.
    pub(crate) platform: &'static str,
    /// Name of the wheel file.
    pub(crate) file: &'static str,
    /// SHA-256 of the wheel.
    pub(crate) sha256: &'static str,
    /// File name of the library inside.
    pub(crate) library: &'static str,
    /// SHA-256 of the library.
    pub(crate) library_sha256: &'static str,
}

/// One pinned wheel of a set that is installed together.
#[derive(Debug)]
pub(crate) struct PinnedWheel {
    /// Project on the Python package index.
    pub(crate) project: &'static str,
    /// Its version.
    pub(crate) version: &'static str,
    /// Name of the wheel file.
    pub(crate) file: &'static str,
    /// SHA-256 of the wheel.
    pub(crate) sha256: &'static str,
    /// Size of the wheel.
    pub(crate) bytes: u64,
}

/// pip's `--platform`, all that the wheels of GPUs and plugins are tagged with.
pub(crate) const PLATFORMS: [&str; 6] = [
    "manylinux_2_28_x86_64",
    "manylinux_2_27_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
    "manylinux2010_x86_64",
    "manylinux1_x86_64",
];

/// The pinned wheel of ONNX Runtime of each platform.
pub(crate) const WHEELS: [Wheel; 4] = [
    Wheel {
        os: "linux",
        arch: "x86_64",
        platform: "manylinux_2_28_x86_64",
        file: "onnxruntime-1.28.0-cp312-cp312-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
        sha256: "0a83bdb70d143cede762b677789bf2a7acca54b3fb82565601d5c30695aa933c",
        library: "libonnxruntime.so.1.28.0",
        library_sha256: "aa4079d18f4ea7a5f3a94d80cd4bbe0f2740436626622d64d793803a20381083",
    },
    Wheel {
        os: "linux",
        arch: "aarch64",
        platform: "manylinux_2_28_aarch64",
        file: "onnxruntime-1.28.0-cp312-cp312-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl",
        sha256: "4e81a23df16e7acb9d51b06d30cc098e49315ef9180f97bc2221d167b4b04d9c",
        library: "libonnxruntime.so.1.28.0",
        library_sha256: "23a37c2994bc273e1d59a4f49af6cba5bf1cfbc29f04907ec27df375aba50a7d",
    },
    Wheel {
        os: "macos",
        arch: "aarch64",
        platform: "macosx_14_0_arm64",
        file: "onnxruntime-1.28.0-cp312-cp312-macosx_14_0_arm64.whl",
        sha256: "26ff0fdd06efb6c155bae95387a09db1a2be89c7a03e4d0bffd5a171cc2826da",
        library: "libonnxruntime.1.28.0.dylib",
        library_sha256: "cadd9517e089d197e5d381bc31813875eb8addce8712bac501645fea8008800c",
    },
    Wheel {
        os: "windows",
        arch: "x86_64",
        platform: "win_amd64",
        file: "onnxruntime-1.28.0-cp312-cp312-win_amd64.whl",
        sha256: "c35064f9b3c43c81c5d5d282091401d0f1ff22796d93ccade4ea2ece5e137ab8",
        library: "onnxruntime.dll",
        library_sha256: "3d6bd02dc137b9a1dfdac045a52b147ffb920bb06ab812b08fc8e14279859855",
    },
];

/// The pinned wheel of this platform, if there is one.
pub(crate) fn pinned() -> Option<&'static Wheel> {
    WHEELS
        .iter()
        .find(|wheel| wheel.os == std::env::consts::OS && wheel.arch == std::env::consts::ARCH)
}

/// The numbers of a version such as `1.28.0`, for comparison.
pub(crate) fn version_numbers(version: &str) -> Vec<u32> {
    let parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    parts.collect()
}

/// Whether `name` is the file name of an ONNX Runtime library on this platform.
pub(crate) fn is_library_name(name: &str) -> bool {
    match std::env::consts::OS {
        "windows" => name.eq_ignore_ascii_case("onnxruntime.dll"),
        "macos" => name.starts_with("libonnxruntime.") && name.ends_with(".dylib"),
        _ => name == "libonnxruntime.so" || name.starts_with("libonnxruntime.so."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wheel_is_of_the_pinned_version_with_whole_hashes() {
        for wheel in &WHEELS {
            assert!(
                wheel
                    .file
                    .starts_with(&format!("onnxruntime-{VERSION}-cp312-")),
                "{wheel:?}"
            );
            for hash in [wheel.sha256, wheel.library_sha256] {
                assert_eq!(hash.len(), 64, "{wheel:?}");
                assert!(hash.bytes().all(|b| b.is_ascii_hexdigit()), "{wheel:?}");
            }
        }
    }

    #[test]
    fn helper_libraries_are_not_the_library() {
        assert!(!is_library_name("libonnxruntime_providers_shared.so"));
        assert!(!is_library_name("onnxruntime_providers_shared.dll"));
        assert!(is_library_name(
            pinned().map_or("libonnxruntime.so", |wheel| wheel.library)
        ));
    }
}
