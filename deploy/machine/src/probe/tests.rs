//! The probe on simulated machines: folders of tiny libraries that answer as NVIDIA's do.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;

use super::*;

const CUDA: Provider = Provider::Cuda { device: 0 };
const TENSORRT: Provider = Provider::TensorRt { device: 0 };

/// A driver that runs CUDA 13.0 on one GPU.
const DRIVER: &str = r#"
#include <string.h>
#include <stddef.h>
#ifndef ANSWER
#define ANSWER 0
#endif
int cuInit(unsigned flags) { return ANSWER; }
int cuDriverGetVersion(int *version) { *version = VERSION; return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGet(int *device, int index) { *device = index; return 0; }
int cuDeviceGetName(char *name, int length, int device) { strncpy(name, "Test GPU", length); return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) { *value = attribute == 75 ? 9 : 0; return 0; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)80 << 30; return 0; }
int cuGetErrorString(int error, const char **text) { *text = "no CUDA-capable device is detected"; return 0; }
"#;

/// `status f(int property, int *value)` with the given major version.
fn property(function: &str, major: u32) -> String {
    format!(
        "int {function}(int property, int *value) {{ *value = property == 0 ? {major} : 1; return 0; }}"
    )
}

/// A machine in a folder, all well unless a test changes it.
struct Simulated {
    folder: tempfile::TempDir,
}

impl Simulated {
    fn new() -> Self {
        let machine = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        machine.driver(&["-DVERSION=13000"]);
        machine.write(
            "version",
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n",
        );
        machine.library(
            "libcudart.so.13",
            "int cudaRuntimeGetVersion(int *v) { *v = 13050; return 0; }",
            &[],
        );
        machine.library(
            "libcublasLt.so.13",
            &property("cublasLtGetProperty", 13),
            &[],
        );
        machine.library(
            "libcublas.so.13",
            &property("cublasGetProperty", 13),
            &["libcublasLt.so.13"],
        );
        machine.library("libcurand.so.10", &property("curandGetProperty", 10), &[]);
        machine.cudnn(92_801, 13_050);
        machine.tensorrt(101_303);
        let cuda = [
            "libcublasLt.so.13",
            "libcublas.so.13",
            "libcurand.so.10",
            "libcudart.so.13",
            "libcuda.so.1",
        ];
        machine.library("libonnxruntime_providers_cuda.so", "", &cuda);
        let tensorrt = [
            "libcublas.so.13",
            "libnvinfer.so.10",
            "libnvonnxparser.so.10",
            "libcudart.so.13",
            "libcudnn.so.9",
        ];
        machine.library("libonnxruntime_providers_tensorrt.so", "", &tensorrt);
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// A machine that lacks one file. Why not another version in its place later? The loader knows a
    /// library that it has loaded by its path.
    fn without(name: &str) -> Self {
        let machine = Self::new();
        machine.remove(name);
        machine
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    /// Compiles a library that is linked to others in the folder.
    fn library(&self, name: &str, source: &str, linked: &[&str]) {
        self.compile(name, source, linked, &[]);
    }

    fn compile(&self, name: &str, source: &str, linked: &[&str], flags: &[&str]) {
        self.write("source.c", source);
        let mut cc = Command::new("cc");
        cc.current_dir(self.folder.path())
            .args(["-shared", "-fPIC", "-w", "-o", name, "source.c", "-L."])
            .arg(format!("-Wl,-soname,{name}"))
            .arg("-Wl,--no-as-needed")
            .args(flags)
            .args(linked.iter().map(|library| format!("-l:{library}")));
        let output = cc.output().expect("a C compiler");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn driver(&self, flags: &[&str]) {
        self.compile("libcuda.so.1", DRIVER, &[], flags);
    }

    fn cudnn(&self, version: u32, cuda: u32) {
        let source = format!(
            "#include <stddef.h>\nsize_t cudnnGetVersion(void) {{ return {version}; }}\n\
             size_t cudnnGetCudartVersion(void) {{ return {cuda}; }}"
        );
        self.library("libcudnn.so.9", &source, &[]);
    }

    fn tensorrt(&self, version: u32) {
        for (name, function) in [
            ("libnvinfer.so.10", "getInferLibVersion"),
            ("libnvonnxparser.so.10", "getNvOnnxParserVersion"),
        ] {
            self.library(
                name,
                &format!("int {function}(void) {{ return {version}; }}"),
                &[],
            );
        }
    }

    fn paths(&self) -> SearchPaths {
        SearchPaths {
            runtime: Some(self.path("libonnxruntime.so.1.28.0")),
            folders: vec![self.folder.path().to_owned()],
            driver: vec![self.folder.path().to_owned()],
            loader: false,
            kernel: Some(self.path("version")),
        }
    }

    fn look(&self, provider: Provider) -> Readiness {
        readiness(provider, &self.paths())
    }

    /// The error text and hint of the first missing requirement, without the folder's name.
    fn refusal(&self, provider: Provider) -> String {
        let error = self.look(provider).into_result(provider).unwrap_err();
        let text = format!("{error}\nhint: {}", error.hint().unwrap());
        text.replace(&*self.folder.path().to_string_lossy(), "[DIR]")
    }
}

#[test]
fn a_machine_where_all_is_well() {
    let machine = Simulated::new();
    for provider in [CUDA, TENSORRT] {
        let found = machine.look(provider);
        assert_eq!(found.missing, [], "{provider}");
        let driver = found.driver.unwrap();
        assert_eq!(driver.version.as_deref(), Some("580.65.06"));
        assert_eq!(driver.cuda_text(), "13.0");
        let gpu = Device {
            name: "Test GPU".into(),
            capability: 90,
            memory: 80 << 30,
        };
        assert_eq!(driver.devices, [gpu]);
    }
    let found = machine.look(TENSORRT).libraries;
    let names: Vec<String> = found
        .iter()
        .map(|l| format!("{} {}", l.name, l.version.as_deref().unwrap()))
        .collect();
    assert_eq!(
        names,
        [
            "libcublas.so.13 13.1.1",
            "libcublasLt.so.13 13.1.1",
            "libcudart.so.13 13.5",
            "libcudnn.so.9 9.28.1",
            "libcurand.so.10 10.1.1",
            "libnvinfer.so.10 10.13.3",
            "libnvonnxparser.so.10 10.13.3",
        ]
    );
    assert!(
        found
            .iter()
            .all(|l| l.path.starts_with(machine.folder.path()))
    );
}

#[test]
fn no_driver() {
    let machine = Simulated::new();
    machine.remove("libcuda.so.1");
    insta::assert_snapshot!(machine.refusal(CUDA), @r"
    provider `cuda:0` cannot start: the NVIDIA driver was not found: there is no `libcuda.so.1`
      expected: NVIDIA driver 580 or newer
      found:    none
    hint: install NVIDIA driver 580 or newer; in a container, start it with `--gpus all`
    ");
    // Everything else is in place, and that is reported, too.
    let found = machine.look(CUDA);
    assert_eq!(found.missing.len(), 1);
    assert_eq!(found.libraries.len(), 5);
}

#[test]
fn a_driver_that_is_too_old() {
    let machine = Simulated::new();
    machine.driver(&["-DVERSION=12080"]);
    machine.write(
        "version",
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Sun\n",
    );
    insta::assert_snapshot!(machine.refusal(CUDA), @r"
    provider `cuda:0` cannot start: the NVIDIA driver is too old for CUDA 13
      expected: NVIDIA driver 580 or newer
      found:    570.86.15, for CUDA 12.8
    hint: run `deploy runtime install cuda --cuda 12`
    ");
}

#[test]
fn no_gpu_and_no_such_gpu() {
    let machine = Simulated::new();
    insta::assert_snapshot!(machine.refusal(Provider::Cuda { device: 2 }), @r"
    provider `cuda:2` cannot start: there is no GPU 2
      expected: a number below 1
      found:    2
    hint: leave the number out, as in `cuda`
    ");
    let machine = Simulated::without("libcuda.so.1");
    machine.driver(&["-DVERSION=13000", "-DANSWER=100"]);
    insta::assert_snapshot!(machine.refusal(CUDA), @r"
    provider `cuda:0` cannot start: no NVIDIA GPU is visible
      expected: one GPU or more
      found:    no CUDA-capable device is detected (error 100)
    hint: check `nvidia-smi` and `CUDA_VISIBLE_DEVICES`; in a container, start it with `--gpus all`
    ");
}

#[test]
fn a_driver_whose_parts_do_not_fit() {
    let machine = Simulated::without("libcuda.so.1");
    machine.driver(&["-DVERSION=13000", "-DANSWER=803"]);
    let text = machine.refusal(CUDA);
    assert!(
        text.contains("of different versions") && text.contains("error 803"),
        "{text}"
    );
    assert!(text.ends_with("hint: restart the machine"), "{text}");
}

#[test]
fn the_provider_library_is_missing() {
    let machine = Simulated::new();
    machine.remove("libonnxruntime_providers_cuda.so");
    insta::assert_snapshot!(machine.refusal(CUDA), @r"
    provider `cuda:0` cannot start: `libonnxruntime_providers_cuda.so` is not beside `[DIR]/libonnxruntime.so.1.28.0`
      expected: an ONNX Runtime with CUDA
      found:    one without it
    hint: run `deploy runtime install cuda`
    ");
    let machine = Simulated::new();
    machine.remove("libonnxruntime_providers_tensorrt.so");
    assert_eq!(machine.look(CUDA).missing, []);
    assert!(
        machine
            .refusal(TENSORRT)
            .contains("an ONNX Runtime with TensorRT")
    );
}

#[test]
fn cudnn_is_missing() {
    let machine = Simulated::new();
    machine.remove("libcudnn.so.9");
    insta::assert_snapshot!(machine.refusal(CUDA), @r"
    provider `cuda:0` cannot start: `libcudnn.so.9` was not found
      expected: cuDNN 9
      found:    none
    hint: run `deploy runtime install cuda`
    ");
}

#[test]
fn cudnn_is_the_wrong_one() {
    let machine = Simulated::without("libcudnn.so.9");
    machine.cudnn(8907, 12_010);
    insta::assert_snapshot!(machine.refusal(CUDA), @r"
    provider `cuda:0` cannot start: `[DIR]/libcudnn.so.9` is the wrong library
      expected: cuDNN 9
      found:    cuDNN 8.9.7
    hint: run `deploy runtime install cuda`
    ");
    let machine = Simulated::without("libcudnn.so.9");
    machine.cudnn(91_002, 12_090);
    insta::assert_snapshot!(machine.refusal(CUDA), @r"
    provider `cuda:0` cannot start: `[DIR]/libcudnn.so.9` is the wrong library
      expected: cuDNN 9 for CUDA 13
      found:    cuDNN 9.10.2 for CUDA 12
    hint: run `deploy runtime install cuda`
    ");
    let machine = Simulated::without("libcudnn.so.9");
    machine.library("libcudnn.so.9", "int other;", &[]);
    insta::assert_snapshot!(machine.refusal(CUDA), @r"
    provider `cuda:0` cannot start: `[DIR]/libcudnn.so.9` is the wrong library
      expected: cuDNN 9
      found:    a library without `cudnnGetVersion`
    hint: run `deploy runtime install cuda`
    ");
}

#[test]
fn tensorrt_is_missing_or_of_another_major() {
    let machine = Simulated::new();
    machine.remove("libnvinfer.so.10");
    assert_eq!(machine.look(CUDA).missing, []);
    insta::assert_snapshot!(machine.refusal(TENSORRT), @r"
    provider `tensorrt:0` cannot start: `libnvinfer.so.10` was not found
      expected: TensorRT 10
      found:    none
    hint: download the tar file of TensorRT 10 for Linux and CUDA 13 from NVIDIA's page `TensorRT Download`, unpack it and run `deploy runtime install tensorrt --from FOLDER`
    ");
    machine.library(
        "libnvinfer.so.11",
        "int getInferLibVersion(void) { return 110000; }",
        &[],
    );
    let text = machine.refusal(TENSORRT);
    assert!(
        text.contains("found:    `[DIR]/libnvinfer.so.11`"),
        "{text}"
    );
    machine.tensorrt(8601);
    let text = machine.refusal(TENSORRT);
    assert!(
        text.contains("expected: TensorRT 10\n  found:    TensorRT 8.6.1"),
        "{text}"
    );
}

#[test]
fn a_library_that_is_truncated_is_never_loaded() {
    let names = [
        "libcublasLt.so.13",
        "libcudnn.so.9",
        "libonnxruntime_providers_cuda.so",
        "libcuda.so.1",
    ];
    for name in names {
        let machine = Simulated::new();
        let path = machine.path(name);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let text = machine.refusal(CUDA);
        assert!(text.contains("the file is truncated"), "{name}: {text}");
        assert!(
            text.contains(&format!("`[DIR]/{name}` cannot be used")),
            "{text}"
        );
        fs::write(&path, "no library\n").unwrap();
        let text = machine.refusal(CUDA);
        assert!(
            text.contains("found:    a text file of 11 bytes"),
            "{name}: {text}"
        );
    }
}

#[test]
fn libraries_come_from_the_first_folder_and_from_below_it() {
    let machine = Simulated::new();
    let other = Simulated::new();
    let paths = SearchPaths {
        folders: vec![
            Path::new("/nowhere").to_owned(),
            other.folder.path().to_owned(),
            machine.folder.path().to_owned(),
        ],
        ..machine.paths()
    };
    other.remove("libcudnn.so.9");
    let found = readiness(CUDA, &paths).libraries;
    let from = |name: &str| found.iter().find(|l| l.name == name).unwrap().path.clone();
    assert_eq!(from("libcudart.so.13"), other.path("libcudart.so.13"));
    assert_eq!(from("libcudnn.so.9"), machine.path("libcudnn.so.9"));
}

#[test]
fn tensorrt_for_rtx_needs_a_driver_before_its_plugin() {
    const RTX: Provider = Provider::TensorRtRtx { device: 0 };
    let machine = Simulated::new();
    insta::assert_snapshot!(machine.refusal(RTX), @r"
    provider `tensorrt-rtx:0` cannot start: TensorRT for RTX is not installed
      expected: TensorRT for RTX 0.5.0
      found:    none
    hint: run `deploy runtime install tensorrt-rtx`
    ");
    machine.remove("libcuda.so.1");
    let found = machine.look(RTX);
    assert_eq!((found.missing.len(), found.plugin), (2, None));
    insta::assert_snapshot!(machine.refusal(RTX), @r"
    provider `tensorrt-rtx:0` cannot start: the NVIDIA driver was not found: there is no `libcuda.so.1`
      expected: NVIDIA driver 580 or newer
      found:    none
    hint: install NVIDIA driver 580 or newer; in a container, start it with `--gpus all`
    ");
}
