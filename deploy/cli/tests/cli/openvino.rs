//! Plugin providers through the commands. Most need OpenVINO (`deploy runtime install openvino`).
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::path::{Path, PathBuf};

use fs_err as fs;
use serde_json::Value;

use crate::support::{Deploy, deploy, flags, workshop};

/// Whether the plugin is installed; without it a test is skipped, but not in CI.
fn is_installed() -> bool {
    let list = deploy(".").args(["runtime", "list"]).run();
    if list.out.contains("OpenVINO 1.8.1 from the cache folder") {
        return true;
    }
    let needed = "OpenVINO (`deploy runtime install openvino`)";
    assert!(std::env::var_os("CI").is_none(), "needs {needed}");
    println!("skipped: needs {needed}");
    false
}

/// A command with `--provider openvino` on the photos.
fn openvino(folder: &Path, command: &str) -> Deploy {
    deploy(folder)
        .args([command, "--data", "photos", "--provider", "openvino"])
        .args(flags())
}

/// A copy of the CPU's library in a folder beside which no plugin lies.
fn library_alone(folder: &Path) -> PathBuf {
    let install = deploy(".").args(["runtime", "install", "-q"]).run();
    assert_eq!(install.code, 0, "{}", install.err);
    let path = deploy(".").args(["runtime", "path"]).run();
    let copy = folder.join("libonnxruntime.so");
    fs::copy(path.out.trim_end(), &copy).unwrap();
    copy
}

#[test]
fn a_plugin_that_is_not_installed_is_told_with_the_command_that_installs_it() {
    let folder = workshop();
    let library = library_alone(folder.path());
    for command in ["eval", "bench"] {
        let run = openvino(folder.path(), command)
            .env("CLASSIFIER_CACHE", folder.path().join("cache"))
            .arg("--runtime")
            .arg(&library)
            .run();
        run.refused("provider `openvino:cpu` cannot start: OpenVINO is not installed");
        assert!(
            run.err
                .contains("hint: run `deploy runtime install openvino`"),
            "{}",
            run.err
        );
        assert!(!run.out.contains("accuracy"), "{}", run.out);
    }
    let doctor = deploy(folder.path())
        .env("CLASSIFIER_CACHE", folder.path().join("cache"))
        .args(["doctor", "-q", "--provider", "openvino,openvino:gpu"])
        .args(["--require", "openvino", "--runtime"])
        .arg(&library)
        .run();
    assert_eq!(doctor.code, 1, "{}", doctor.err);
    for expected in [
        "openvino:cpu  not ready",
        "openvino:gpu  not ready",
        "missing: OpenVINO is not installed\n                  expected: OpenVINO 1.8.1\n",
        "fix: run `deploy runtime install openvino`",
        "required, but not ready: openvino:cpu",
    ] {
        assert!(doctor.out.contains(expected), "{expected}: {}", doctor.out);
    }
}

#[test]
fn only_the_pinned_wheel_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let install = |from: &str| {
        deploy(folder.path())
            .args(["runtime", "install", "-q", "openvino", "--cache", "cache"])
            .args(["--from", from])
            .run()
    };
    install("nowhere").refused("cannot install from `nowhere`: there is no such folder");
    install(".").refused("the folder lacks `onnxruntime_ep_openvino-1.8.1-");
    deploy(folder.path())
        .args(["runtime", "install", "openvino", "--cuda", "13"])
        .run()
        .refused("`--cuda` only works with");
}

#[test]
fn the_doctor_names_its_devices_and_their_precisions() {
    if !is_installed() {
        return;
    }
    let doctor = |args: &[&str]| {
        let run = deploy(".").args(["doctor", "-q", "--provider", "openvino", "--require"]);
        let run = run.arg("openvino").args(args).run();
        assert_eq!(run.code, 0, "{}{}", run.out, run.err);
        run.out
    };
    let short = doctor(&[]);
    assert!(
        short.starts_with("openvino:cpu  ready, ONNX Runtime 1.28.0; CPU (`"),
        "{short}"
    );
    assert!(short.contains("`) in fp32, "), "{short}");
    let long = doctor(&["--details"]);
    assert!(long.contains("nodes: openvino 5\n"), "{long}");
    assert!(
        long.contains("found: libonnxruntime_providers_openvino_plugin.so (1.8.1)"),
        "{long}"
    );
    let json: Value = serde_json::from_str(&doctor(&["--json"])).unwrap();
    assert_eq!(json["providers"][0]["devices"][0]["name"], "CPU");
    assert_eq!(json["providers"][0]["devices"][0]["precisions"][0], "fp32");
}

#[test]
fn every_command_runs_there_in_the_precision_that_was_asked_for() {
    if !is_installed() {
        return;
    }
    let folder = workshop();
    let read = |name: &str| -> Value {
        let text = fs::read_to_string(folder.path().join(name)).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let run = openvino(folder.path(), "eval")
        .args(["--precision", "bf16", "--reference", "--json", "eval.json"])
        .run();
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.err.contains("on openvino, in bf16"), "{}", run.err);
    let json = read("eval.json");
    assert_eq!(json["provider"], "openvino:cpu");
    assert_eq!(json["precision"], "bf16");
    assert_eq!(json["nodes_by_provider"]["cpu"], Value::Null);
    assert_eq!(json["reference"]["images"], 8);
    assert_eq!(json["reference"]["flips"], Value::Array(Vec::new()));
    assert_eq!(json["reference"]["accuracy"]["mcnemar"]["p_value"], 1.0);
    for expected in [
        "none of 8 images of test are predicted as another class",
        "accuracy   75.0 % as the file is on cpu",
        "accuracy   75.0 % in bf16 on openvino:cpu",
        "McNemar    0 images right only as the file is on cpu, 0 only in bf16 on openvino:cpu",
    ] {
        assert!(run.out.contains(expected), "{expected}: {}", run.out);
    }
    let run = deploy(folder.path())
        .args(["predict", "photos/test/red/0.png", "--provider", "openvino"])
        .args(flags())
        .run();
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.contains("red"), "{}", run.out);
    let run = openvino(folder.path(), "bench")
        .args(["--warmup", "10ms", "--duration", "100ms", "--blocks", "2"])
        .args([
            "--batch",
            "1",
            "--precision",
            "fp32,bf16",
            "--json",
            "bench.json",
        ])
        .run();
    assert_eq!(run.code, 0, "{}", run.err);
    let results = &read("bench.json")["results"];
    for (index, precision) in ["fp32", "bf16"].iter().enumerate() {
        assert_eq!(results[index]["provider"], "openvino:cpu", "{results}");
        assert_eq!(results[index]["precision"], *precision, "{results}");
    }
    let run = openvino(folder.path(), "eval")
        .args(["--precision", "tf32"])
        .run();
    run.refused("provider `openvino` does not compute in tf32");
    let run = deploy(folder.path())
        .args(["eval", "--data", "photos", "--precision", "bf16"])
        .args(flags())
        .run();
    run.refused("provider `cpu` does not compute in bf16");
}

#[test]
fn diff_compares_a_model_with_itself_elsewhere() {
    if !is_installed() {
        return;
    }
    let folder = workshop();
    let diff = |args: &[&str]| {
        deploy(folder.path())
            .args([
                "diff",
                "model.onnx",
                "--data",
                "photos",
                "--json",
                "diff.json",
            ])
            .args(&flags()[2..])
            .args(args)
            .run()
    };
    let run = diff(&["--provider-b", "openvino", "--precision-b", "bf16"]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(
        run.out
            .starts_with("A `model.onnx` on cpu in fp32\nB `model.onnx` on openvino:cpu in bf16\n"),
        "{}",
        run.out
    );
    let text = fs::read_to_string(folder.path().join("diff.json")).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["provider_b"], "openvino:cpu");
    assert_eq!(json["precision_b"], "bf16");
    assert!(json["max_logit_difference"].as_f64().unwrap() > 0.0);
    diff(&[]).refused("required arguments were not provided");
}

#[test]
fn a_precision_that_the_device_lacks_is_refused_by_name() {
    if !is_installed() {
        return;
    }
    let folder = workshop();
    // The kernels of OpenVINO then see a processor without half precision.
    let run = openvino(folder.path(), "eval")
        .env("ONEDNN_MAX_CPU_ISA", "AVX2")
        .args(["--precision", "fp16"])
        .run();
    run.refused("provider `openvino:cpu` does not compute in fp16 here");
    assert!(run.err.contains("found:    CPU (`"), "{}", run.err);
}

#[test]
fn tensorrt_for_rtx_without_a_gpu_names_the_driver() {
    if Path::new("/proc/driver/nvidia/version").exists() {
        return;
    }
    let folder = workshop();
    let library = library_alone(folder.path());
    let run = deploy(folder.path())
        .args(["eval", "--data", "photos", "--provider", "tensorrt-rtx"])
        .args(flags())
        .arg("--runtime")
        .arg(&library)
        .run();
    run.refused("provider `tensorrt-rtx:0` cannot start: the NVIDIA driver was not found");
    assert!(
        run.err.contains("NVIDIA driver 580 or newer"),
        "{}",
        run.err
    );
    let install = deploy(folder.path())
        .args([
            "runtime",
            "install",
            "-q",
            "tensorrt-rtx",
            "--cache",
            "cache",
        ])
        .args(["--from", "."])
        .run();
    install.refused("the folder lacks `onnxruntime_ep_nv_tensorrt_rtx_cu13-0.5.0-");
}
