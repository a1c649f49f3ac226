//! The doctor: on this machine, with runtimes that cannot be used, with one that crashes.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;

use crate::support::{Run, deploy, flags, workshop};

/// The CPU's library: named by hand, it keeps the GPU of this machine, if any, from being found.
fn cpu_library() -> PathBuf {
    let install = deploy(".").args(["runtime", "install", "-q"]).run();
    assert_eq!(install.code, 0, "{}", install.err);
    let path = deploy(".").args(["runtime", "path"]).run();
    path.out.trim_end().into()
}

fn doctor(runtime: &Path, args: &[&str]) -> Run {
    let run = deploy(".").args(["doctor", "-q", "--runtime"]).arg(runtime);
    run.args(args).run()
}

#[test]
fn the_cpu_is_ready_and_a_gpu_that_is_not_there_is_told() {
    let library = cpu_library();
    let run = doctor(&library, &["--require", "cpu"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    let lines: Vec<&str> = run.out.lines().collect();
    assert_eq!(lines[0], "cpu           ready, ONNX Runtime 1.28.0");
    if !Path::new("/proc/driver/nvidia/version").exists() {
        assert_eq!(
            lines[1],
            "gpu           none: there is no NVIDIA driver that starts"
        );
        assert!(lines[2].starts_with("openvino:cpu  "), "{}", run.out);
        assert_eq!(lines.len(), 4, "{}", run.out);
    }
    let run = doctor(&library, &["--require", "cpu", "--details"]);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    for expected in [
        "machine\n  system      linux ",
        "ONNX Runtime\n  1.28.0      the path given\n",
        "\n  cpu             ready: correct result in ",
        "\n  cuda:0          not ready\n",
        "\n  tensorrt:0      not ready\n",
        "missing: `libonnxruntime_providers_cuda.so` is not beside `",
        "fix: run `deploy runtime install cuda`",
        "\ncache folder\n",
    ] {
        assert!(run.out.contains(expected), "{expected}: {}", run.out);
    }
    assert!(!run.out.contains('\u{1b}'));
}

#[test]
fn what_is_required_decides_the_exit_code() {
    let library = cpu_library();
    let run = doctor(
        &library,
        &["--provider", "cpu", "--require", "cuda,cpu", "--json"],
    );
    assert_eq!(run.code, 1, "{}{}", run.out, run.err);
    let json: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(json["unmet"], serde_json::json!(["cuda:0"]));
    let [cpu, cuda] = [0, 1].map(|i| &json["providers"][i]);
    assert_eq!(cpu["ready"], true);
    assert!(cpu["inference"]["max_difference"].as_f64().unwrap() < 1e-4);
    assert_eq!(cuda["ready"], false);
    let last = cuda["lacks"].as_array().unwrap().last().unwrap();
    assert_eq!(last["expected"], "an ONNX Runtime with CUDA");
    assert_eq!(json["runtimes"][0]["version"], "1.28.0");
    assert!(json["machine"]["logical_cores"].as_u64().unwrap() >= 1);
    assert!(json["cache"]["error"].is_null());
    let run = doctor(&library, &["--provider", "gpu"]);
    run.refused("`gpu` is not a provider");
}

#[test]
fn runtimes_that_cannot_be_used_are_shown_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libonnxruntime.so");
    fs::write(&library, "hello\n").unwrap();
    let run = doctor(&library, &["--provider", "cpu"]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.starts_with("cpu      not ready: "), "{}", run.out);
    assert!(run.out.contains("\nlibrary  left out: "), "{}", run.out);
    let run = doctor(&library, &["--provider", "cpu", "--details"]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(
        run.out.contains("found:    a text file of 6 bytes"),
        "{}",
        run.out
    );
    assert!(
        run.out.contains("fix: run `deploy runtime install`"),
        "{}",
        run.out
    );
    let run = doctor(&library, &["--provider", "cpu", "--require", "cpu"]);
    assert_eq!(run.code, 1, "{}", run.err);
    assert!(
        run.out.ends_with("required, but not ready: cpu\n"),
        "{}",
        run.out
    );
    let cache = folder.path().join("cache");
    let run = deploy(folder.path())
        .args(["doctor", "--provider", "cpu", "--cache"])
        .arg(&cache)
        .run();
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(!cache.exists(), "nothing is installed or made");
}

#[test]
#[cfg(target_os = "linux")]
fn a_library_that_crashes_takes_its_trial_along_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let source = "#include <stdlib.h>\n\
        void *OrtGetApiBase(void) { return 0; }\n\
        __attribute__((constructor)) static void begin(void) { abort(); }\n";
    fs::write(folder.path().join("crash.c"), source).unwrap();
    fs::write(folder.path().join("map"), "VERS_1.28.0 { global: *; };\n").unwrap();
    let cc = Command::new("cc")
        .current_dir(folder.path())
        .args(["-shared", "-fPIC", "-Wl,--version-script=map"])
        .args(["-o", "libonnxruntime.so", "crash.c"])
        .status()
        .expect("a C compiler");
    assert!(cc.success());
    let library = folder.path().join("libonnxruntime.so");
    let run = doctor(&library, &["--provider", "cpu", "--require", "cpu"]);
    assert_eq!(run.code, 1, "{}{}", run.out, run.err);
    assert!(
        run.out.contains("crash the process: signal: 6"),
        "{}",
        run.out
    );
}

#[test]
fn a_provider_that_cannot_start_ends_the_command_with_the_reason() {
    let folder = workshop();
    let library = cpu_library();
    for provider in ["cuda", "tensorrt"] {
        let run = deploy(folder.path())
            .args([
                "eval",
                "--data",
                "photos",
                "--provider",
                provider,
                "--runtime",
            ])
            .arg(&library)
            .args(flags())
            .run();
        run.refused(&format!("provider `{provider}:0` cannot start: "));
        assert!(
            run.err.contains("  expected: ") && run.err.contains("\n\nhint: "),
            "{}",
            run.err
        );
        assert!(!run.out.contains("accuracy"), "{}", run.out);
    }
}

#[test]
fn installing_for_a_gpu_where_that_cannot_be_done() {
    let folder = tempfile::tempdir().unwrap();
    let install = |args: &[&str]| {
        deploy(folder.path())
            .args(["runtime", "install", "-q"])
            .args(args)
    };
    let run = install(&["cuda", "--from", "wheels", "--cache", "cache"]).run();
    run.refused("cannot install from `wheels`: there is no such folder");
    fs::create_dir(folder.path().join("wheels")).unwrap();
    let run = install(&[
        "cuda", "--from", "wheels", "--cache", "cache", "--cuda", "12",
    ])
    .run();
    run.refused("the folder lacks `onnxruntime_gpu-1.26.0-");
    let run = install(&["tensorrt", "--cache", "cache"]).run();
    run.refused("cannot install TensorRT: ");
    assert!(
        run.err.contains("NVIDIA's page `TensorRT Download`"),
        "{}",
        run.err
    );
    let run = install(&["cuda", "--cache", "cache"]).env("PATH", "").run();
    run.refused("neither `python3` nor `python` was found");
    install(&["--cuda", "12"])
        .run()
        .refused("`--cuda` only works with");
    install(&["cuda", "--cuda", "11"]).run().refused("12..=13");
    assert!(
        deploy(folder.path())
            .args(["runtime", "list", "--cache", "cache"])
            .run()
            .code
            == 2
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_cache_folder_that_nothing_can_be_written_into() {
    // Nobody makes folders there, root included.
    for what in ["cpu", "cuda"] {
        let args = [
            "runtime",
            "install",
            what,
            "-q",
            "--cache",
            "/sys/classifier",
        ];
        let run = deploy(".").args(args).run();
        run.refused("cannot create the cache folder");
        assert!(
            run.err
                .contains("hint: choose a folder that can be written to with `--cache DIR`"),
            "{}",
            run.err
        );
    }
    let args = [
        "doctor",
        "-q",
        "--provider",
        "cpu",
        "--cache",
        "/sys/classifier",
    ];
    let run = deploy(".").args(args).run();
    assert!(
        run.code == 0 && run.out.contains("cannot be written to ("),
        "{}",
        run.out
    );
}
