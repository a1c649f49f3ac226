//! What the machine refuses: the ONNX Runtime library, the disk, the run folder.

use std::path::Path;

use fs_err as fs;
use tests::mount::Mount;
use tests::{Done, Workshop, run_folder, workshop};

/// What both binaries say of an ONNX Runtime library; neither trains nor scores.
fn refusals(shop: &Workshop, library: &Path) -> [String; 2] {
    let eval = "eval -q --data pictures --model runs/own/model.onnx";
    let fit = shop.fit("-q --name other --epochs 1 --runtime");
    let refused = [
        shop.deploy(eval)
            .args("--runtime")
            .path(library)
            .run()
            .refusal(),
        fit.path(library).run().refusal(),
    ];
    assert!(
        !shop.path("runs/other").exists(),
        "it is refused before the training"
    );
    // The same by the environment.
    let by_env = shop.deploy(eval).env("ORT_DYLIB_PATH", library).run();
    assert_eq!(by_env.refusal(), refused[0]);
    refused
}

fn trained() -> Workshop {
    let shop = Workshop::new();
    shop.fit("--epochs 1 --name own -q").run().ok();
    shop
}

#[test]
fn libraries_that_are_none() {
    let shop = trained();
    let [deploy, trainer] = refusals(&shop, &shop.path("none.so"));
    insta::assert_snapshot!(deploy, @r#"
    error: the ONNX Runtime library `[DIR]/none.so` cannot be read: No such file or directory (os error 2)

    hint: check the path given by `--runtime` or `ORT_DYLIB_PATH`
    "#);
    insta::assert_snapshot!(trainer, @r#"
    error: the ONNX Runtime library `[DIR]/none.so` cannot be read: No such file or directory (os error 2)

    hint: check the path given by `--runtime` or `ORT_DYLIB_PATH`
    "#);
    let text = shop.write("text.so", "hello\n");
    let [deploy, trainer] = refusals(&shop, &text);
    insta::assert_snapshot!(deploy, @r#"
    error: `[DIR]/text.so` is not a usable ONNX Runtime library
      expected: a shared library
      found:    a text file of 6 bytes

    hint: run `deploy runtime install` and leave out `--runtime` and `ORT_DYLIB_PATH`
    "#);
    insta::assert_snapshot!(trainer, @r#"
    error: `[DIR]/text.so` is not a usable ONNX Runtime library
      expected: a shared library
      found:    a text file of 6 bytes

    hint: run `deploy runtime install` and leave out `--runtime` and `ORT_DYLIB_PATH`
    "#);
    fs::copy(workshop::binary("deploy"), shop.path("other.so")).unwrap();
    let [deploy, trainer] = refusals(&shop, &shop.path("other.so"));
    insta::assert_snapshot!(deploy, @r#"
    error: `[DIR]/other.so` is not a usable ONNX Runtime library
      expected: ONNX Runtime
      found:    a shared library without `OrtGetApiBase`

    hint: run `deploy runtime install` and leave out `--runtime` and `ORT_DYLIB_PATH`
    "#);
    insta::assert_snapshot!(trainer, @r#"
    error: `[DIR]/other.so` is not a usable ONNX Runtime library
      expected: ONNX Runtime
      found:    a shared library without `OrtGetApiBase`

    hint: run `deploy runtime install` and leave out `--runtime` and `ORT_DYLIB_PATH`
    "#);
}

#[test]
fn a_truncated_library() {
    let shop = trained();
    let bytes = fs::read(workshop::ensure_runtime(&shop.path(""))).unwrap();
    for part in [1, 3, 6] {
        let cut = shop.write("cut.so", &bytes[..bytes.len() * part / 7]);
        let [deploy, trainer] = refusals(&shop, &cut);
        assert!(deploy.contains("the file is truncated"), "{part}: {deploy}");
        assert_eq!(trainer, deploy);
    }
    let last = shop.write("cut.so", &bytes[..bytes.len() / 2]);
    let run = shop
        .deploy("check -q runs/own/model.onnx --runtime")
        .path(&last)
        .run();
    insta::assert_snapshot!(run.refusal_without_numbers(), @r#"
    error: `[DIR]/cut.so` is not a usable ONNX Runtime library
      expected: at least [N] bytes
      found:    [N] bytes: the file is truncated

    hint: run `deploy runtime install` and leave out `--runtime` and `ORT_DYLIB_PATH`
    "#);
}

/// A refusal that lists the folders it searched, without them.
fn searched(done: &Done) -> String {
    let text = done.refusal();
    let (error, hint) = text.split_once("\n\n").unwrap();
    let (error, folders) = error.split_once("searched ").unwrap();
    assert!(folders.contains("`[DIR]/cache/runtime`"), "{folders}");
    format!("{error}searched [FOLDERS]\n\n{hint}")
}

#[test]
fn no_library_and_no_download() {
    let shop = trained();
    let eval = "eval -q --data pictures --offline";
    let deploy = shop
        .deploy(eval)
        .env("CLASSIFIER_CACHE", shop.path("cache"))
        .run();
    insta::assert_snapshot!(searched(&deploy), @r#"
    error: no ONNX Runtime library was found; searched [FOLDERS]

    hint: run `deploy runtime install`, or give the library with `--runtime FILE`
    "#);
    let fit = shop
        .fit("-q --offline")
        .env("CLASSIFIER_CACHE", shop.path("cache"))
        .run();
    insta::assert_snapshot!(searched(&fit), @r#"
    error: no ONNX Runtime library was found; searched [FOLDERS]

    hint: run `deploy runtime install`, or give the library with `--runtime FILE`
    "#);
    assert!(!shop.path("cache").exists());
}

#[test]
fn a_full_disk() {
    let shop = Workshop::new();
    let disk = shop.path("disk");
    // Full at the configuration, at the first checkpoint, at the second, at the export.
    for kib in [4, 40, 120, 220, 4000] {
        let Some(_mount) = Mount::small(&disk, kib) else {
            return;
        };
        let fit = shop.fit("-q --epochs 2 --save all --runs disk").run();
        if kib == 4000 {
            fit.ok();
            continue;
        }
        let error = fit.refusal();
        assert!(
            error.contains("No space left on device (os error 28)"),
            "{kib}: {error}"
        );
        assert!(error.contains("hint: "), "{kib}: {error}");
        if disk.join("1").exists() {
            run_folder::check_whole(&disk.join("1"));
        }
        assert!(!disk.join("latest").exists());
    }
}

#[test]
fn a_disk_that_fills_up_keeps_the_last_checkpoint() {
    let shop = Workshop::new();
    let disk = shop.path("disk");
    let Some(_mount) = Mount::small(&disk, 1000) else {
        return;
    };
    shop.fit("-q --epochs 2 --runs disk --name own").run().ok();
    let before = run_folder::check_whole(&disk.join("own"));
    let state = || fs::read(disk.join("own/last.safetensors")).unwrap();
    let kept = state();
    let full = fs::write(disk.join("other"), vec![7; 1_000_000]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let resume = "fit -q --resume disk/own --epochs 4";
    let error = shop.trainer(resume).run().refusal();
    assert!(error.contains("No space left on device"), "{error}");
    assert!(state() == kept, "the checkpoint changed");
    assert_eq!(run_folder::check_whole(&disk.join("own")), before);
    fs::remove_file(disk.join("other")).unwrap();
    shop.trainer(resume).run().ok();
    shop.deploy("check -q --runs disk").run().ok();
}

#[test]
fn a_read_only_folder() {
    let shop = Workshop::new();
    let Some(mount) = Mount::small(&shop.path("disk"), 4000) else {
        return;
    };
    let fit = |flags: &str| shop.fit("-q --epochs 1 --runs disk").args(flags).run();
    fit("").ok();
    mount.read_only();
    insta::assert_snapshot!(fit("").refusal(), @r#"
    error: failed to create directory `disk/2`: Read-only file system (os error 30)

    hint: choose a folder that can be written to (`--runs` for runs, `--cache` for the cache folder)
    "#);
    let resume = "fit -q --resume disk/1 --epochs 2";
    insta::assert_snapshot!(shop.trainer(resume).run().refusal_without_numbers(), @r#"
    error: cannot write `disk/1/config.toml`
    caused by: Read-only file system (os error 30)

    hint: choose a folder that can be written to (`--runs` for runs, `--cache` for the cache folder)
    "#);
    let eval = "eval -q --runs disk --json disk/a.json";
    insta::assert_snapshot!(shop.deploy(eval).run().refusal_without_numbers(), @r#"
    error: cannot write `disk/a.json`
    caused by: Read-only file system (os error 30)

    hint: choose a folder that can be written to
    "#);
    // Reading needs no writing.
    shop.deploy("eval -q --runs disk").run().ok();
    shop.trainer("eval -q disk/1").run().ok();
}

#[test]
fn a_name_that_is_taken() {
    let shop = trained();
    let before = fs::read(shop.path("runs/own/last.safetensors")).unwrap();
    let fit = shop.fit("-q --name own").run();
    insta::assert_snapshot!(fit.refusal(), @r#"
    error: `runs/own` exists already

    hint: continue it: `trainer fit --resume runs/own`; or choose another `--name`
    "#);
    insta::assert_snapshot!(shop.fit("-q --name ../out").run().refusal(), @r#"
    error: `../out` is not a name for a run

    hint: a name consists of letters, digits, `-`, `_` and `.`; `--runs` chooses the folder
    "#);
    assert!(fs::read(shop.path("runs/own/last.safetensors")).unwrap() == before);
}

#[test]
fn a_configuration_with_an_unknown_key() {
    let shop = Workshop::new();
    shop.write("typo.toml", "epochs = 3\nepoch = 4\n");
    let fit = shop.trainer("fit -q --config typo.toml").run();
    insta::assert_snapshot!(fit.refusal(), @r#"
    error: `typo.toml` is not a training configuration
    TOML parse error at line 2, column 1
      |
    2 | epoch = 4
      | ^^^^^
    unknown field `epoch`, expected one of `data`, `task`, `pairs-per-identity`, `distance`, `margin`, `backbone`, `fine-tune`, `batch-norm`, `keep`, `head-solver`, `cut-at`, `preprocess`, `feature-table`, `width`, `cells`, `growth`, `cell`, `channels`, `size`, `epochs`, `batch`, `accumulate`, `precision`, `lr`, `head-lr-factor`, `first-lr-factor`, `optimizer`, `weight-decay`, `momentum`, `scheduler`, `warmup`, `clip-norm`, `weight-average`, `tuned-share`, `label-smoothing`, `class-weights`, `sampling`, `augment`, `mixup`, `cutmix`, `views`, `augment-val`, `early-stop`, `save`, `best-by`, `seed`, `strict-images`, `no-test`, `no-calibrate`, `folds`, `seeds`, `threads`, `device`, `provider`, `memory`, `feature-cache`, `cache`, `runtime`, `offline`, `runs`, `name`, `ui`, `log`

    hint: the keys are the flags of `trainer fit` without their dashes
    "#);
    shop.write("type.toml", "epochs = \"three\"\n");
    let fit = shop.trainer("fit -q --config type.toml").run();
    insta::assert_snapshot!(fit.refusal(), @r#"
    error: `type.toml` is not a training configuration
    TOML parse error at line 1, column 10
      |
    1 | epochs = "three"
      |          ^^^^^^^
    invalid type: string "three", expected usize

    hint: the keys are the flags of `trainer fit` without their dashes
    "#);
}
