//! Pinned GPU builds: ONNX Runtime's official GPU wheel and the NVIDIA wheels that its metadata asks
//! for (extras `cuda` and `cudnn`). Knows no files and no network.

use super::PinnedWheel;

/// The wheels for one major version of CUDA. The first one is ONNX Runtime.
#[derive(Debug)]
pub(crate) struct WheelSet {
    /// Major version of CUDA.
    pub(crate) cuda: u32,
    /// The wheels.
    pub(crate) wheels: [PinnedWheel; 8],
    /// Bytes of the libraries, once unpacked.
    pub(crate) unpacked: u64,
}

/// CUDA 13: the last ONNX Runtime without the telemetry uploader, as on the CPU. CUDA 12: the last ONNX
/// Runtime that is built for it; its cuDNN is the last that runs on GPUs before Turing.
pub(crate) static WHEEL_SETS: [WheelSet; 2] = [
    WheelSet {
        cuda: 13,
        wheels: [
            PinnedWheel {
                project: "onnxruntime-gpu",
                version: "1.28.0",
                file: "onnxruntime_gpu-1.28.0-cp312-cp312-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
                sha256: "3b3a63cecd239d72432cd44569d047de8f4d69e471cd5f60f7ac7fc8769be5ec",
                bytes: 249_767_362,
            },
            PinnedWheel {
                project: "nvidia-cuda-runtime",
                version: "13.5.37",
                file: "nvidia_cuda_runtime-13.5.37-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
                sha256: "df2b79a8852f10d1fef8c848489c49eebb5754051bf870202a862831412b179d",
                bytes: 2_504_024,
            },
            PinnedWheel {
                project: "nvidia-cublas",
                version: "13.10.0.20",
                file: "nvidia_cublas-13.10.0.20-py3-none-manylinux1_x86_64.manylinux_2_5_x86_64.whl",
                sha256: "dcc6d63884c53d07e267ce7e6feac17b2538cebaafec5db865736c3e28e4dc84",
                bytes: 444_289_903,
            },
            PinnedWheel {
                project: "nvidia-cudnn-cu13",
                version: "9.28.1.4",
                file: "nvidia_cudnn_cu13-9.28.1.4-py3-none-manylinux_2_27_x86_64.whl",
                sha256: "a54f205b1db1f2895d99f398754db1369816f0569dd459731f925635cf7b65ec",
                bytes: 516_817_937,
            },
            PinnedWheel {
                project: "nvidia-cufft",
                version: "12.5.0.14",
                file: "nvidia_cufft-12.5.0.14-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
                sha256: "b8be26837a5abad2b5b74f3e92dd29f622a42934b355be0961a48712cbba23ad",
                bytes: 165_072_555,
            },
            PinnedWheel {
                project: "nvidia-curand",
                version: "10.4.5.25",
                file: "nvidia_curand-10.4.5.25-py3-none-manylinux_2_27_x86_64.whl",
                sha256: "22bb226a857e5888fe6b54ae465fc4371296bcff13a35f79e19691bcf454f529",
                bytes: 77_113_015,
            },
            PinnedWheel {
                project: "nvidia-cuda-nvrtc",
                version: "13.5.37",
                file: "nvidia_cuda_nvrtc-13.5.37-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl",
                sha256: "86b4d68058807988b7d9af5b44917a0601e9c337f35ccd657bfb3c759ff8d8bc",
                bytes: 58_185_930,
            },
            PinnedWheel {
                project: "nvidia-nvjitlink",
                version: "13.5.37",
                file: "nvidia_nvjitlink-13.5.37-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl",
                sha256: "280d7cb9649704145f074b8dbde500de04ce02d0872e066e20a83c17bcaa93eb",
                bytes: 46_642_491,
            },
        ],
        unpacked: 2_462_283_384,
    },
    WheelSet {
        cuda: 12,
        wheels: [
            PinnedWheel {
                project: "onnxruntime-gpu",
                version: "1.26.0",
                file: "onnxruntime_gpu-1.26.0-cp312-cp312-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
                sha256: "3c01119ed4d9449d60367fa8ccffcd02bd3fe736754284e4b198d131f54edad6",
                bytes: 276_971_796,
            },
            PinnedWheel {
                project: "nvidia-cuda-runtime-cu12",
                version: "12.9.79",
                file: "nvidia_cuda_runtime_cu12-12.9.79-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
                sha256: "25bba2dfb01d48a9b59ca474a1ac43c6ebf7011f1b0b8cc44f54eb6ac48a96c3",
                bytes: 3_493_179,
            },
            PinnedWheel {
                project: "nvidia-cublas-cu12",
                version: "12.9.3.13",
                file: "nvidia_cublas_cu12-12.9.3.13-py3-none-manylinux_2_27_x86_64.whl",
                sha256: "d7d51055f161b317c7105ddaae90e71eda059026074ffef93cf7cde2886bfe72",
                bytes: 581_217_458,
            },
            PinnedWheel {
                project: "nvidia-cudnn-cu12",
                version: "9.10.2.21",
                file: "nvidia_cudnn_cu12-9.10.2.21-py3-none-manylinux_2_27_x86_64.whl",
                sha256: "949452be657fa16687d0930933f032835951ef0892b37d2d53824d1a84dc97a8",
                bytes: 706_758_467,
            },
            PinnedWheel {
                project: "nvidia-cufft-cu12",
                version: "11.4.1.4",
                file: "nvidia_cufft_cu12-11.4.1.4-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
                sha256: "c67884f2a7d276b4b80eb56a79322a95df592ae5e765cf1243693365ccab4e28",
                bytes: 200_877_592,
            },
            PinnedWheel {
                project: "nvidia-curand-cu12",
                version: "10.3.10.19",
                file: "nvidia_curand_cu12-10.3.10.19-py3-none-manylinux_2_27_x86_64.whl",
                sha256: "49b274db4780d421bd2ccd362e1415c13887c53c214f0d4b761752b8f9f6aa1e",
                bytes: 68_295_626,
            },
            PinnedWheel {
                project: "nvidia-cuda-nvrtc-cu12",
                version: "12.9.86",
                file: "nvidia_cuda_nvrtc_cu12-12.9.86-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl",
                sha256: "210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4",
                bytes: 89_568_129,
            },
            PinnedWheel {
                project: "nvidia-nvjitlink-cu12",
                version: "12.9.86",
                file: "nvidia_nvjitlink_cu12-12.9.86-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl",
                sha256: "e3f1171dbdc83c5932a45f0f4c99180a70de9bd2718c1ab77d14104f6d7147f9",
                bytes: 39_748_338,
            },
        ],
        unpacked: 3_000_849_400,
    },
];

/// The set for a major version of CUDA, where there is one for this system.
pub(crate) fn set(cuda: u32) -> Option<&'static WheelSet> {
    let here = std::env::consts::OS == "linux" && std::env::consts::ARCH == "x86_64";
    WHEEL_SETS.iter().find(|set| here && set.cuda == cuda)
}

impl WheelSet {
    /// ONNX Runtime's version.
    pub(crate) fn version(&self) -> &'static str {
        self.wheels[0].version
    }
}

/// Whether a file of a wheel is kept, and under which name: libraries that ONNX Runtime uses, licences
/// under the name of their project.
pub(crate) fn kept(project: &str, name: &str) -> Option<String> {
    const UNUSED: [&str; 3] = ["libnvblas", "libcufftw", ".alt."];
    let library = name.starts_with("lib") && name.contains(".so");
    if library && !UNUSED.iter().any(|part| name.contains(part)) {
        return Some(name.to_owned());
    }
    let licence = super::LICENCES.contains(&name) || name == "License.txt";
    (licence && !library).then(|| match project {
        "onnxruntime-gpu" => name.to_owned(),
        _ => format!("LICENSE-{project}.txt"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::PLATFORMS;
    use super::*;

    #[test]
    fn every_part_is_named_as_its_file() {
        for part in WHEEL_SETS.iter().flat_map(|set| &set.wheels) {
            let project = part.project.replace('-', "_");
            let start = format!("{project}-{}-", part.version);
            assert!(part.file.starts_with(&start), "{part:?}");
            assert_eq!(part.sha256.len(), 64, "{part:?}");
            assert!(part.sha256.bytes().all(|b| b.is_ascii_hexdigit()));
            let tagged = |platform: &&str| part.file.contains(*platform);
            assert!(PLATFORMS.iter().any(tagged), "{part:?}");
        }
    }

    #[test]
    fn libraries_and_licences_are_kept_and_nothing_else() {
        let kept = |name| super::kept("nvidia-cublas", name);
        assert_eq!(
            kept("libcublasLt.so.13").as_deref(),
            Some("libcublasLt.so.13")
        );
        assert_eq!(
            kept("License.txt").as_deref(),
            Some("LICENSE-nvidia-cublas.txt")
        );
        for name in ["cublas.h", "METADATA", "libnvblas.so.13", "__init__.py"] {
            assert_eq!(kept(name), None, "{name}");
        }
        let of_runtime = |name| super::kept("onnxruntime-gpu", name);
        assert_eq!(of_runtime("LICENSE").as_deref(), Some("LICENSE"));
        assert_eq!(
            of_runtime("onnxruntime_pybind11_state.cpython-312-x86_64-linux-gnu.so"),
            None
        );
    }
}
