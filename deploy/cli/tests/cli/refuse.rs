//! Every refusal: exit code 2, a message that starts with `error:`, no panic.

use fs_err as fs;

use crate::support::{Run, deploy, flags, serve, shared, workshop};

fn eval(folder: &std::path::Path, args: &[&str]) -> Run {
    deploy(folder)
        .args(["eval", "--data", "photos"])
        .args(flags())
        .args(args)
        .run()
}

#[test]
fn models_that_cannot_be_used() {
    let folder = workshop();
    let info = |path: &str| deploy(folder.path()).args(["info", path]).run();
    info("none.onnx").refused("`none.onnx` does not exist");
    let bytes = fs::read(folder.path().join("model.onnx")).unwrap();
    fs::write(folder.path().join("cut.onnx"), &bytes[..bytes.len() / 2]).unwrap();
    info("cut.onnx").refused("`cut.onnx`");
    fs::write(folder.path().join("text.onnx"), "This is no model.\n").unwrap();
    info("text.onnx").refused("`text.onnx`");
    deploy(folder.path())
        .arg("eval")
        .run()
        .refused("`runs` holds no finished run");
    deploy(folder.path())
        .args(["card", "show", "model.onnx"])
        .run()
        .refused("carries no card");
}

#[test]
fn pointers_and_missing_weights_are_told_by_info() {
    let Some(bad) = shared("onnx/bad") else {
        return;
    };
    let info = |name: &str| deploy(".").arg("info").arg(bad.join(name)).run();
    let run = info("lfs_pointer_resnet18-v1-7.onnx");
    run.refused("git-LFS pointer");
    assert!(run.err.contains("hint: run `git lfs pull`"), "{}", run.err);
    info("missing_external_data.onnx").refused("does not exist");
}

#[test]
fn a_model_without_a_card_asks_for_flags() {
    let folder = workshop();
    let args = ["eval", "--data", "photos", "--model", "model.onnx"];
    let run = deploy(folder.path()).args(args).run();
    run.refused("does not say what its classes are called");
    assert!(
        run.err
            .contains("or give `--classes FILE` and `--preprocess TEXT`"),
        "{}",
        run.err
    );
    fs::write(folder.path().join("classes.txt"), "one\ntwo\nthree\n").unwrap();
    eval(folder.path(), &[]).refused("expected: 2 names\n  found:    3");
    fs::write(folder.path().join("classes.txt"), "").unwrap();
    eval(folder.path(), &[]).refused("is no list of class names");
}

#[test]
fn data_that_does_not_fit() {
    let folder = workshop();
    let run = |data: &str| {
        deploy(folder.path())
            .args(["eval", "--data", data])
            .args(flags())
            .run()
    };
    run("nowhere").refused("nowhere");
    fs::create_dir(folder.path().join("empty")).unwrap();
    run("empty").refused("empty");
    let without = deploy(folder.path()).arg("eval").args(flags()).run();
    without.refused("`model.onnx` does not lie in a run folder");
    fs::write(folder.path().join("classes.txt"), "red\ngreen\n").unwrap();
    let run = eval(folder.path(), &[]);
    run.refused(
        "knows 2 classes but the data has 2\n  expected: red, green\n  found:    blue, red",
    );
    assert!(run.err.contains("hint: remove blue"), "{}", run.err);
}

#[test]
fn a_split_without_images_names_the_others() {
    let folder = workshop();
    fs::write(
        folder.path().join("l.csv"),
        "path,label,split\nval/red/0.png,red,val\n",
    )
    .unwrap();
    let run = eval(folder.path(), &["--list", "l.csv"]);
    run.refused("there are no images in split `test`\n  found:    train 0, val 1, test 0");
}

#[test]
fn unreadable_images_when_strict_or_too_many() {
    let folder = workshop();
    fs::write(folder.path().join("photos/test/red/1.png"), "no picture").unwrap();
    eval(folder.path(), &[]).refused("1 of 8 images cannot be read");
    eval(folder.path(), &["--strict-images"]).refused("1.png");
}

#[test]
fn providers_run_or_are_errors() {
    let folder = workshop();
    for provider in ["cuda", "tensorrt:1"] {
        let run = eval(folder.path(), &["--provider", provider]);
        run.refused(&format!("provider `{provider}"));
        assert!(!run.out.contains("accuracy"), "{}", run.out);
    }
    let allowed = ["--provider", "cuda", "--allow-fallback"];
    eval(folder.path(), &allowed).refused("provider `cuda:0` cannot start: ");
    eval(folder.path(), &["--provider", "gpu"]).refused("`gpu` is not a provider");
}

#[test]
fn precisions_are_computed_or_are_errors() {
    let folder = workshop();
    let tf32 = eval(folder.path(), &["--precision", "tf32"]);
    tf32.refused("provider `cpu` does not compute in tf32");
    for precision in ["fp16", "int8"] {
        let run = eval(folder.path(), &["--precision", precision]);
        assert_eq!(run.code, 0, "{}", run.err);
        let computed = format!(" nodes on cpu, in {precision}\n");
        assert!(run.err.contains(&computed), "{}", run.err);
    }
    fs::remove_dir_all(folder.path().join("photos/train")).unwrap();
    eval(folder.path(), &["--precision", "int8"]).refused("`int8` needs training images");
    eval(folder.path(), &["--precision", "half"]).refused("`half` is not a precision");
}

#[test]
fn libraries_that_are_no_onnx_runtime() {
    let folder = workshop();
    let path = folder.path().join("libonnxruntime.so");
    eval(folder.path(), &["--runtime", "none.so"]).refused("`none.so` cannot be read");
    fs::write(&path, "hello\n").unwrap();
    eval(folder.path(), &["--runtime", "libonnxruntime.so"]).refused("found:    a text file");
    let own = deploy(".").args(["runtime", "install", "-q"]).run();
    assert_eq!(own.code, 0, "{}", own.err);
    let library = deploy(".").args(["runtime", "path"]).run().out;
    let bytes = fs::read(library.trim_end()).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let run = eval(folder.path(), &["--runtime", "libonnxruntime.so"]);
    run.refused("the file is truncated");
    assert!(
        run.err.contains("hint: run `deploy runtime install`"),
        "{}",
        run.err
    );
    let args = ["eval", "--data", "photos"];
    let run = deploy(folder.path())
        .args(args)
        .args(flags())
        .env("ORT_DYLIB_PATH", &path)
        .run();
    run.refused("the file is truncated");
    let executable = env!("CARGO_BIN_EXE_deploy");
    eval(folder.path(), &["--runtime", executable]).refused("without `OrtGetApiBase`");
}

#[test]
fn no_library_and_none_may_be_installed() {
    let folder = workshop();
    let run = eval(folder.path(), &["--offline", "--cache", "cache"]);
    run.refused("no ONNX Runtime library was found");
    assert!(
        run.err.contains("hint: run `deploy runtime install`"),
        "{}",
        run.err
    );
    assert!(!folder.path().join("cache").exists());
}

#[test]
fn no_python_to_install_with() {
    let folder = tempfile::tempdir().unwrap();
    let install = ["runtime", "install", "--cache", "cache"];
    let run = deploy(folder.path()).args(install).env("PATH", "").run();
    run.refused("neither `python3` nor `python` was found");
    assert!(
        run.err.contains("deploy runtime install --from FILE"),
        "{}",
        run.err
    );
}

#[test]
fn a_download_that_is_not_the_pinned_file() {
    let folder = tempfile::tempdir().unwrap();
    let address = serve(b"PK\x03\x04 something else".to_vec());
    let url = format!("http://{address}/onnxruntime.whl");
    let install = ["runtime", "install", "--cache", "cache", "--from", &url];
    let run = deploy(folder.path())
        .args(install)
        .env("NO_PROXY", "127.0.0.1")
        .run();
    run.refused("is not the pinned file\n  expected: SHA-256 ");
    assert!(!folder.path().join("cache/runtime/installed.json").exists());
    let unreachable = [
        "runtime",
        "install",
        "--cache",
        "cache",
        "--from",
        "http://127.0.0.1:9/x",
    ];
    let run = deploy(folder.path())
        .args(unreachable)
        .env("NO_PROXY", "127.0.0.1")
        .run();
    run.refused("cannot download `http://127.0.0.1:9/x`");
}

#[test]
fn wrong_flags_are_errors() {
    deploy(".")
        .args(["eval", "--splitt", "test"])
        .run()
        .refused("unexpected argument");
    deploy(".")
        .args(["eval", "--split", "all"])
        .run()
        .refused("all");
    deploy(".").args(["predict"]).run().refused("INPUT");
    let folder = workshop();
    let bad = ["eval", "--preprocess", "decode(rgb)|jump(3)"];
    deploy(folder.path()).args(bad).run().refused("jump");
    let run = deploy(folder.path())
        .args(["predict", "*.jpeg"])
        .args(flags())
        .run();
    run.refused("no image matches `*.jpeg`");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk() {
    let folder = workshop();
    let full = std::path::Path::new("/dev/full");
    if !full.exists() {
        return;
    }
    let run = deploy(folder.path()).args(["info", "model.onnx"]);
    let run = run
        .stdout(
            fs::OpenOptions::new()
                .write(true)
                .open(full)
                .unwrap()
                .into_file(),
        )
        .run();
    run.refused("No space left");
    assert!(run.err.contains("hint: make room"), "{}", run.err);
}
