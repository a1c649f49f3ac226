//! Pinned plugin providers: libraries that ONNX Runtime loads as execution providers, with all that they need. Knows
//! no files and no network.

use super::PinnedWheel;

/// A pinned plugin provider.
#[derive(Debug)]
pub(crate) struct PinnedPlugin {
    /// Name of the product.
    pub(crate) product: &'static str,
    /// The provider's name, which is that for `deploy runtime install` and the prefix of its folder in the cache folder.
    pub(crate) name: &'static str,
    /// Its Python module.
    pub(crate) module: &'static str,
    /// Its wheel.
    pub(crate) wheel: PinnedWheel,
    /// Bytes of the libraries, once unpacked.
    pub(crate) unpacked: u64,
    /// Its libraries with their SHA-256. The first is the one that ONNX Runtime loads.
    pub(crate) libraries: &'static [(&'static str, &'static str)],
    /// Libraries that are loaded first, in this order: others link to them by names that are not those of the files.
    pub(crate) preloaded: &'static [&'static str],
    /// Other files that are kept: licences, and data that the libraries read.
    pub(crate) others: &'static [&'static str],
}

/// `PinnedPlugin::libraries` of 1.8.1 has OpenVINO 2026.4.1. `cache.json` holds kernels that were chosen for GPUs.
static OPENVINO: PinnedPlugin = PinnedPlugin {
    product: "OpenVINO",
    name: "openvino",
    module: "onnxruntime_ep_openvino",
    wheel: PinnedWheel {
        project: "onnxruntime-ep-openvino",
        version: "1.8.1",
        file: "onnxruntime_ep_openvino-1.8.1-py3-none-manylinux_2_28_x86_64.whl",
        sha256: "3832643158c8c187fcab6db661cde2a8c06a2b3559d95d0f2411ac0e51c5e924",
        bytes: 52_587_628,
    },
    unpacked: 158_520_426,
    libraries: &[
        (
            "libonnxruntime_providers_openvino_plugin.so",
            "99644306dea90173d2fac5e2ad8d10c9574ecf6e6e71ca30e426531abd5a717f",
        ),
        (
            "libopenvino.so.2641",
            "9b9a80ac1f18e07b13ed54459d9a865bcfe9dc170dbf8fe740c2974b85ecedc1",
        ),
        (
            "libopenvino_onnx_frontend.so.2641",
            "82d499f5b5e8514def7aaa1ecd5a9f570542d33ae9d00a0077f707cccd0e0192",
        ),
        (
            "libopenvino_ir_frontend.so.2641",
            "554e9fd3d4a0fbc587c14379464b2324e24b8ea736cfb749ad2cd9e74dfc09e0",
        ),
        (
            "libopenvino_intel_cpu_plugin.so",
            "6599e3dd300d047b5ed72f8e48101c5f312c25321f35f57f803641ff8372900b",
        ),
        (
            "libopenvino_intel_gpu_plugin.so",
            "e494cf8fb428f1fecfad35e2bac7b2fb24159ac6b13fe19027f0c4ae36374b33",
        ),
        (
            "libopenvino_intel_npu_plugin.so",
            "911ead691e0f96df5cac7202a74ab1b07a93f0167e404701c0d3548fadbc15e5",
        ),
        (
            "libopenvino_auto_plugin.so",
            "3971fe197490e31479727aa761e8abc972f7967f67eaa39cac75859f1e19e017",
        ),
        (
            "libopenvino_auto_batch_plugin.so",
            "1e7102276dd42ef917078a09be4f1838c41c3611ca2e10c34fb7ea31f1fef561",
        ),
        (
            "libopenvino_hetero_plugin.so",
            "387eec6f2341230ceb13e1cca0476fcee87ca0e9e2386e2a9db00e6cea8378a9",
        ),
        (
            "libhwloc.so.15",
            "e91be9f5bc1c87aadb08f2e19ebcb742979adda0a5434f72650a154e317e7fb1",
        ),
        (
            "libtbb.so.12",
            "ac9518497a4f2cb6729792730f145ee58367316031511923fef263c9ac81ca61",
        ),
        (
            "libtbbbind_2_5.so.3",
            "179ebd1223abd20a461dc978f24090d7ef7c1308b8dff14e4adfe4a21d75543f",
        ),
        (
            "libtbbmalloc.so.2",
            "0cccbdb4783bf190da19b34540fb7f749b0955ec1982d7ac8e5f398365399895",
        ),
        (
            "libtbbmalloc_proxy.so.2",
            "ecd654634c8a40fe45850c230e2fdbead674c4a1d6a54e89c117e919b61a6df0",
        ),
    ],
    preloaded: &[],
    others: &["METADATA", "third-party-programs.txt", "cache.json"],
};

/// Has TensorRT for RTX 1.7.1 and CUDA's runtime library 13.4. The plugin is Apache-2.0; NVIDIA's libraries are under its
/// own licence, to which `README.txt` links.
static TENSORRT_RTX: PinnedPlugin = PinnedPlugin {
    product: "TensorRT for RTX",
    name: "tensorrt-rtx",
    module: "onnxruntime_ep_nv_tensorrt_rtx",
    wheel: PinnedWheel {
        project: "onnxruntime-ep-nv-tensorrt-rtx-cu13",
        version: "0.5.0",
        file: "onnxruntime_ep_nv_tensorrt_rtx_cu13-0.5.0-py3-none-manylinux_2_28_x86_64.whl",
        sha256: "32f575c633d171b4edf4b53d3bb22b72a6c9c0a850d2982ce9a788a5d40d3298",
        bytes: 146_476_965,
    },
    unpacked: 315_384_637,
    libraries: &[
        (
            "libonnxruntime_providers_nv_tensorrt_rtx.so",
            "d83dde283dd583376fa17b49fbc9d7c85674ae1a077f7e5671f79c4e2f056d78",
        ),
        (
            "libcudart.so.13.4.36",
            "82d50fc923566a86ff5449cb190d58007a26280669b4f62be2c284cacb51ed24",
        ),
        (
            "libtensorrt_rtx.so.1.7.1",
            "6980f8946580af43f06ccbd82a06c65d61638ff76329d726764a0a408747be84",
        ),
        (
            "libtensorrt_onnxparser_rtx.so.1.7.1",
            "8bc09093b0e460f494d0410d8a2d2739b3e4de441d016e1f8ffa74bfb99a49aa",
        ),
        (
            "libtensorrt_plugins.so",
            "45eb50eb35378a737ba96e63f7aa8b4ef1f7c7e1739f9066fe869a7074d7a0d4",
        ),
        (
            "libtensorrt_shim.so",
            "54c78af86decf4341782543140ba6690fada2abafcfda7c324bc4b9c73ebf484",
        ),
    ],
    preloaded: &[
        "libcudart.so.13.4.36",
        "libtensorrt_rtx.so.1.7.1",
        "libtensorrt_onnxparser_rtx.so.1.7.1",
    ],
    others: &["METADATA", "README.txt", "Acknowledgements.txt"],
};

/// The pinned plugin of a provider's name; `None` for one that is built into ONNX Runtime.
pub(crate) fn named(name: &str) -> Option<&'static PinnedPlugin> {
    all().into_iter().find(|plugin| plugin.name == name)
}

/// Every pinned plugin.
pub(crate) fn all() -> [&'static PinnedPlugin; 2] {
    [&OPENVINO, &TENSORRT_RTX]
}

impl PinnedPlugin {
    /// Whether its wheel is one for this system.
    pub(crate) fn is_for_this_system(&self) -> bool {
        std::env::consts::OS == "linux" && std::env::consts::ARCH == "x86_64"
    }

    /// Name of its folder in the cache folder.
    pub(crate) fn folder_name(&self) -> String {
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        format!("{}-{}-{os}-{arch}", self.name, self.wheel.version)
    }

    /// Name and SHA-256 of the library that ONNX Runtime loads.
    pub(crate) fn library(&self) -> (&'static str, &'static str) {
        self.libraries[0]
    }

    /// The command that installs it.
    pub(crate) fn fix(&self) -> String {
        format!("run `deploy runtime install {}`", self.name)
    }

    /// The name under which a file of the wheel is kept, if it is.
    pub(crate) fn kept(&self, name: &str) -> Option<String> {
        let is_library = self.libraries.iter().any(|(library, _)| *library == name);
        (is_library || self.others.contains(&name)).then(|| name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::PLATFORMS;
    use super::*;

    #[test]
    fn every_plugin_is_named_as_its_file_with_whole_hashes() {
        for plugin in all() {
            let wheel = &plugin.wheel;
            let start = format!("{}-{}-", wheel.project.replace('-', "_"), wheel.version);
            assert!(wheel.file.starts_with(&start), "{wheel:?}");
            assert!(
                PLATFORMS.iter().any(|p| wheel.file.contains(p)),
                "{wheel:?}"
            );
            let hashes = plugin.libraries.iter().map(|(_, sha256)| *sha256);
            for hash in hashes.chain([wheel.sha256]) {
                assert_eq!(hash.len(), 64, "{hash}");
                assert!(hash.bytes().all(|b| b.is_ascii_hexdigit()), "{hash}");
            }
            assert!(plugin.library().0.contains("_providers_"), "{plugin:?}");
            assert!(wheel.file.starts_with(plugin.module), "{plugin:?}");
            let is_listed = |name: &&str| plugin.kept(name).is_some();
            assert!(plugin.preloaded.iter().all(is_listed), "{plugin:?}");
        }
    }

    #[test]
    fn each_library_is_kept_once_and_licences_with_it() {
        let kept = |name| OPENVINO.kept(name).is_some();
        assert!(kept("libopenvino.so.2641") && kept("third-party-programs.txt"));
        // The same bytes under three names.
        assert!(kept("libonnxruntime_providers_openvino_plugin.so"));
        assert!(!kept("libonnxruntime_providers_openvino_plugin.so.1.8.1"));
        assert!(!kept("__init__.py") && !kept("RECORD"));
    }
}
