//! What the commands do when all is well, or the answer is no.

use std::path::Path;

use fs_err as fs;
use serde_json::Value;

use crate::support::{Deploy, PREPROCESS, deploy, flags, model, picture, serve, workshop};

fn attach(folder: &std::path::Path) -> Deploy {
    let args = [
        "card",
        "attach",
        "model.onnx",
        "--classes",
        "classes.txt",
        "--preprocess",
    ];
    deploy(folder).args(args).arg(PREPROCESS)
}

#[test]
fn eval_scores_a_model_that_is_told_by_flags() {
    let folder = workshop();
    let run = deploy(folder.path())
        .args([
            "eval", "--data", "photos", "--json", "-", "--csv", "out.csv", "--batch", "3",
        ])
        .args(flags())
        .run();
    assert_eq!(run.code, 0, "{}", run.err);
    let json: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(json["accuracy"], 0.75);
    assert_eq!(json["classes"], serde_json::json!(["red", "blue"]));
    assert_eq!(json["confusion"], serde_json::json!([[3, 1], [1, 3]]));
    assert_eq!(
        (&json["count"], &json["split"]),
        (&8.into(), &"test".into())
    );
    let wrong = serde_json::json!(["test/blue/3.png", "test/red/3.png"]);
    assert_eq!(json["misclassified"], wrong);
    assert_eq!(json["nodes_by_provider"], serde_json::json!({ "cpu": 3 }));
    assert_eq!(
        (&json["provider"], &json["precision"]),
        (&"cpu".into(), &"fp32".into())
    );
    assert!(run.err.contains("3 nodes on cpu, in fp32\n"), "{}", run.err);
    for key in [
        "loss",
        "interval",
        "baseline",
        "per_class",
        "images_per_second",
    ] {
        assert!(!json[key].is_null(), "{key}");
    }
    assert!(run.err.starts_with("model `model.onnx`\n"), "{}", run.err);
    assert!(run.err.contains("ONNX Runtime 1.28.0 from "), "{}", run.err);
    assert!(run.err.contains("accuracy") && run.err.contains("images/s end to end"));
    let csv = fs::read_to_string(folder.path().join("out.csv")).unwrap();
    assert_eq!(csv.lines().next(), Some("path,label,predicted,probability"));
    assert_eq!(csv.lines().count(), 9);
    assert!(csv.contains("test/red/3.png,red,blue,0.99"), "{csv}");
}

#[test]
fn eval_takes_another_split_a_list_and_stays_quiet() {
    let folder = workshop();
    let eval = |args: &[&str]| {
        let run = deploy(folder.path()).args(["eval", "-q", "--json", "out.json"]);
        let run = run.args(args).args(flags()).run();
        // A warning is printed even when quiet.
        let log = run
            .err
            .lines()
            .filter(|line| !line.starts_with("warning: 0.0 % is worse than"));
        assert_eq!((run.code, log.count()), (0, 0), "{}", run.err);
        assert!(run.out.contains("accuracy"), "{}", run.out);
        let text = fs::read_to_string(folder.path().join("out.json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()
    };
    assert_eq!(
        eval(&["--data", "photos", "--split", "val"])["accuracy"],
        1.0
    );
    fs::write(
        folder.path().join("list.csv"),
        "path,label,split\ntest/red/3.png,red,test\nval/red/0.png,red,train\n",
    )
    .unwrap();
    let listed = eval(&["--data", "photos", "--list", "list.csv"]);
    assert_eq!(
        (&listed["count"], &listed["accuracy"]),
        (&1.into(), &0.0.into())
    );
}

#[test]
fn the_latest_run_brings_its_model_and_its_data() {
    let folder = workshop();
    assert_eq!(attach(folder.path()).run().code, 0);
    let run = folder.path().join("runs/7");
    fs::create_dir_all(&run).unwrap();
    fs::rename(folder.path().join("model.onnx"), run.join("model.onnx")).unwrap();
    let photos = folder.path().join("photos").canonicalize().unwrap();
    fs::write(
        run.join("config.toml"),
        format!("data = {photos:?}\nepochs = 1\n"),
    )
    .unwrap();
    let list = "path,label,split\ntest/blue/0.png,blue,test\nval/red/0.png,red,test\n";
    fs::write(run.join("split.csv"), list).unwrap();
    fs::write(folder.path().join("runs/latest"), "7\n").unwrap();
    let eval = deploy(folder.path()).args(["eval", "--json", "-"]).run();
    assert_eq!(eval.code, 0, "{}", eval.err);
    let first = eval.err.lines().next().unwrap();
    assert_eq!(
        first,
        "model `runs/7/model.onnx`, the latest run's: not finished"
    );
    assert!(eval.err.contains("the run's own"), "{}", eval.err);
    assert_eq!(
        serde_json::from_str::<Value>(&eval.out).unwrap()["count"],
        2
    );

    for csv in ["-", "/dev/stdout"] {
        let eval = deploy(folder.path()).args(["eval", "--csv", csv]).run();
        assert_eq!(eval.code, 0, "{}", eval.err);
        assert_eq!(eval.out.lines().count(), 1 + 2, "{}", eval.out);
        assert!(eval.err.contains("accuracy  100.00 %"), "{}", eval.err);
    }

    let info = deploy(folder.path()).arg("info").run();
    assert!(
        info.out.contains("classes     2: red, blue"),
        "{}",
        info.out
    );
    let predict = deploy(folder.path())
        .args(["predict", "photos/test/red/0.png"])
        .run();
    assert_eq!(
        predict.out, "photos/test/red/0.png: red 100.0 %\n",
        "{}",
        predict.err
    );
}

/// A run folder with a model that was scored.
fn write_run(folder: &Path, name: &str, accuracy: f64) {
    let run = folder.join("runs").join(name);
    fs::create_dir_all(&run).unwrap();
    fs::copy(folder.join("model.onnx"), run.join("model.onnx")).unwrap();
    let photos = folder.join("photos").canonicalize().unwrap();
    fs::write(run.join("config.toml"), format!("data = {photos:?}\n")).unwrap();
    let summary = serde_json::json!({
        "network": "tiny", "verified": true, "split": "test", "accuracy": accuracy, "count": 40
    });
    fs::write(run.join("summary.json"), summary.to_string()).unwrap();
}

#[test]
fn the_latest_run_is_named_with_its_score_and_a_better_one_is_warned_of() {
    let folder = workshop();
    assert_eq!(attach(folder.path()).run().code, 0);
    write_run(folder.path(), "good", 0.95);
    write_run(folder.path(), "trial", 0.525);
    fs::write(folder.path().join("runs/latest"), "trial\n").unwrap();
    let first_line =
        "model `runs/trial/model.onnx`, the latest run's: 52.5 % of 40 test images, just now";
    let warning = "warning: `runs/good`, of the same data, was better than the latest run: 95.0 % of 40 \
                   test images, just now";
    let image = "photos/test/red/0.png";
    for command in [
        &["predict", image][..],
        &["predict", image, "--model", "latest"],
        &["eval"],
        &["eval", "runs/latest"],
        &[
            "bench",
            "--engine",
            "fake:1ms",
            "--duration",
            "0.2s",
            "--batch",
            "1",
        ],
        &["info"],
        &["check"],
        &["card", "show"],
        &["convert", "--precision", "fp16"],
    ] {
        let run = deploy(folder.path()).args(command).run();
        let lines: Vec<&str> = run.err.lines().take(2).collect();
        assert_eq!(lines, [first_line, warning], "{command:?}: {}", run.err);
    }
}

#[test]
fn a_run_stands_wherever_a_model_file_does() {
    let folder = workshop();
    assert_eq!(attach(folder.path()).run().code, 0);
    write_run(folder.path(), "good", 0.95);
    let named = "model `runs/good/model.onnx`: 95.0 % of 40 test images, just now";
    for command in [
        &["info", "good"][..],
        &["info", "--model", "runs/good"],
        &["info", "runs/good/model.onnx"],
        &["eval", "good"],
        &["eval", "--model", "good"],
        &["predict", "photos/test/red/0.png", "--model", "good"],
        &["convert", "good", "--precision", "fp16"],
        &[
            "bench",
            "good",
            "--engine",
            "fake:1ms",
            "--duration",
            "0.2s",
            "--batch",
            "1",
        ],
    ] {
        let run = deploy(folder.path()).args(command).run();
        assert_eq!(run.code, 0, "{command:?}: {}", run.err);
        assert_eq!(run.err.lines().next(), Some(named), "{command:?}");
    }
    let diff = deploy(folder.path())
        .args(["diff", "good", "model.onnx"])
        .run();
    assert_eq!(diff.code, 0, "{}", diff.err);
    let out = folder.path().join("copy.onnx");
    let attach = deploy(folder.path())
        .args(["card", "attach", "good", "--from", "runs/good", "--out"])
        .arg(&out)
        .run();
    assert_eq!(attach.code, 0, "{}", attach.err);
    assert!(out.is_file());

    let both = deploy(folder.path())
        .args(["info", "good", "--model", "good"])
        .run();
    both.refused("cannot be used with");
    deploy(folder.path())
        .args(["info", "photos"])
        .run()
        .refused("is a folder, and not that of a run");
    fs::remove_file(folder.path().join("runs/good/model.onnx")).unwrap();
    deploy(folder.path())
        .args(["info", "good"])
        .run()
        .refused("trainer fit --resume runs/good");
}

#[test]
fn a_card_makes_a_file_self_describing_and_check_proves_it() {
    let folder = workshop();
    let check = || deploy(folder.path()).args(["check", "model.onnx"]).run();
    check().refused("carries no");
    assert_eq!(attach(folder.path()).run().code, 0);
    let run = check();
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(
        run.out
            .lines()
            .filter(|line| line.starts_with("ok"))
            .count()
            >= 2,
        "{}",
        run.out
    );

    let show = deploy(folder.path())
        .args(["card", "show", "model.onnx"])
        .run();
    let card: Value = serde_json::from_str(&show.out).unwrap();
    assert_eq!(card["classes"], serde_json::json!(["red", "blue"]));
    assert_eq!(card["preprocess"][0]["step"], "decode");
    assert_eq!(card["outputs"], serde_json::json!(["logits"]));
    // Golden samples by name alone, not 20 kB of base64.
    assert!(card["golden"][0].is_string(), "{}", show.out);
    let whole = deploy(folder.path())
        .args(["card", "show", "model.onnx", "--golden"])
        .run();
    let whole: Value = serde_json::from_str(&whole.out).unwrap();
    assert!(whole["golden"][0]["image"].is_string() && whole["golden"][0]["logits"].is_array());

    // Another tool's file takes the card over, and is found out when it computes something else.
    let other = folder.path().join("other.onnx");
    for (gain, code) in [(10.0, 0), (11.0, 1)] {
        model(gain).save(&other).unwrap();
        let args = ["card", "attach", "other.onnx", "--from", "model.onnx"];
        assert_eq!(deploy(folder.path()).args(args).run().code, 0);
        let run = deploy(folder.path())
            .args(["check", "--model", "other.onnx"])
            .run();
        assert_eq!(run.code, code, "{}", run.out);
        assert_eq!(run.out.contains("FAILED"), code == 1);
    }
}

#[test]
fn attach_can_leave_the_file_as_it_is() {
    let folder = workshop();
    let before = fs::read(folder.path().join("model.onnx")).unwrap();
    assert_eq!(
        attach(folder.path()).args(["--out", "new.onnx"]).run().code,
        0
    );
    assert_eq!(fs::read(folder.path().join("model.onnx")).unwrap(), before);
    let info = deploy(folder.path())
        .args(["info", "--json", "new.onnx"])
        .run();
    let json: Value = serde_json::from_str(&info.out).unwrap();
    assert_eq!(json["parameters"], 8);
    assert_eq!(json["card"]["output_kind"], "logits");
}

#[test]
fn predict_writes_text_jsonl_and_csv() {
    let folder = workshop();
    let predict = |args: &[&str]| {
        let run = deploy(folder.path())
            .args(["predict"])
            .args(args)
            .args(flags())
            .run();
        assert_eq!(run.code, 0, "{}", run.err);
        run.out
    };
    let text = predict(&["photos/test/red/0.png", "--top-k", "9"]);
    assert_eq!(text, "photos/test/red/0.png: red 100.0 %, blue 0.0 %\n");

    let lines = predict(&["photos/test", "--format", "jsonl", "--batch", "3"]);
    let lines: Vec<Value> = lines
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 8);
    assert_eq!(lines[0]["path"], "photos/test/blue/0.png");
    assert_eq!(
        (&lines[3]["label"], &lines[7]["label"]),
        (&"red".into(), &"blue".into())
    );

    let csv = predict(&["photos/test/*/3.png", "--format", "csv", "--top-k", "2"]);
    let rows: Vec<&str> = csv.lines().collect();
    assert_eq!((rows[0], rows.len()), ("path,rank,label,probability", 5));
    assert!(
        rows[1].starts_with("photos/test/blue/3.png,1,red,0.99"),
        "{csv}"
    );
    assert!(
        rows[2].starts_with("photos/test/blue/3.png,2,blue,"),
        "{csv}"
    );
}

#[test]
fn predict_reads_standard_input() {
    let folder = workshop();
    let image = folder.path().join("photos/val/blue/1.png");
    let run = deploy(folder.path())
        .args(["predict", "-"])
        .args(flags())
        .stdin(&image)
        .run();
    assert_eq!(
        (run.code, run.out.as_str()),
        (0, "-: blue 99.9 %\n"),
        "{}",
        run.err
    );
}

#[test]
fn predict_goes_on_past_an_unreadable_image_and_says_so() {
    let folder = workshop();
    fs::write(folder.path().join("photos/val/blue/1.png"), "no picture").unwrap();
    let run = deploy(folder.path())
        .args(["predict", "photos/val/blue"])
        .args(flags())
        .run();
    run.refused("1 of 4 images could not be classified");
    assert_eq!(run.out.lines().count(), 3);
    let strict = ["predict", "photos/val/blue", "--strict-images"];
    let run = deploy(folder.path()).args(strict).args(flags()).run();
    run.refused("1.png");
    assert_eq!(run.out.lines().count(), 1);
}

#[test]
#[cfg(unix)]
fn a_reader_that_goes_away_is_fine() {
    let folder = workshop();
    for i in 0..40 {
        picture(&folder.path().join(format!("many/{i}.png")), [i, 0, 0]);
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let run = deploy(folder.path())
        .args(["predict", "many"])
        .args(flags());
    let run = run.stdout(writer).run();
    assert_eq!(
        (run.code, run.err.contains("error:")),
        (0, false),
        "{}",
        run.err
    );
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(
        deploy(".")
            .args(["completions", "bash"])
            .stdout(writer)
            .run()
            .code,
        0
    );
}

#[test]
fn the_cache_is_shown_and_pruned() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    fs::create_dir_all(cache.join("runtime/.installing-x")).unwrap();
    fs::create_dir_all(cache.join("weights")).unwrap();
    fs::write(cache.join("runtime/.installing-x/half"), [0; 2000]).unwrap();
    fs::write(cache.join("weights/a.onnx"), [0; 500]).unwrap();
    fs::create_dir_all(cache.join("engines/12ab")).unwrap();
    fs::write(cache.join("engines/12ab/of_no_manifest.engine"), [0; 1000]).unwrap();
    fs::create_dir_all(cache.join("converted/34cd")).unwrap();
    fs::write(cache.join("converted/34cd/a.onnx"), [0; 700]).unwrap();
    let run = |args: &[&str]| {
        deploy(".")
            .args(args)
            .env("CLASSIFIER_CACHE", &cache)
            .run()
            .out
    };
    assert_eq!(run(&["cache", "dir"]), format!("{}\n", cache.display()));
    assert!(run(&["cache", "list"]).contains("500 B  weights/a.onnx"));
    assert!(run(&["cache", "list"]).contains("1.0 kB  engines/12ab"));
    assert!(run(&["cache", "list"]).contains("700 B  converted/34cd"));
    assert_eq!(run(&["cache", "prune"]), "3.7 kB freed\n");
    assert!(!cache.join("runtime/.installing-x").exists());
    assert!(!cache.join("engines/12ab").exists(), "nothing can use it");
    assert!(!cache.join("converted/34cd/a.onnx").exists());
    assert!(cache.join("weights/a.onnx").exists());
    assert_eq!(run(&["cache", "prune", "--all"]), "500 B freed\n");
    assert_eq!(run(&["cache", "list"]).lines().count(), 1);
}

#[test]
fn the_runtime_is_listed_and_installed_from_a_file() {
    let there = deploy(".").args(["runtime", "install"]).run();
    assert!(
        there
            .out
            .starts_with("ONNX Runtime 1.28.0 from the cache folder"),
        "{}",
        there.err
    );
    let path = deploy(".").args(["runtime", "path"]).run().out;
    let library = std::path::Path::new(path.trim_end());
    assert!(library.is_file() && path.lines().count() == 1, "{path}");
    assert!(
        deploy(".")
            .args(["runtime", "list"])
            .run()
            .out
            .starts_with("* ONNX Runtime 1.28.0")
    );

    let folder = tempfile::tempdir().unwrap();
    let own = |args: &[&str]| {
        deploy(".")
            .args(args)
            .arg("--cache")
            .arg(folder.path())
            .run()
    };
    own(&["runtime", "path"]).refused("no ONNX Runtime library was found");
    let run = own(&["runtime", "install", "--from", &library.to_string_lossy()]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(
        own(&["runtime", "path"])
            .out
            .starts_with(&*folder.path().to_string_lossy())
    );
}

#[test]
fn the_runtime_is_installed_from_an_address() {
    let install = deploy(".").args(["runtime", "install"]).run();
    assert_eq!(install.code, 0, "{}", install.err);
    let library = deploy(".").args(["runtime", "path"]).run().out;
    let address = serve(fs::read(library.trim_end()).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://{address}/libonnxruntime.so");
    let args = ["runtime", "install", "--cache", "cache", "--from", &url];
    let run = deploy(folder.path())
        .args(args)
        .env("NO_PROXY", "127.0.0.1")
        .run();
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(
        run.out
            .starts_with("ONNX Runtime 1.28.0 from the cache folder"),
        "{}",
        run.out
    );
}

#[test]
fn a_library_beside_the_executable_is_used() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(deploy(".").args(["runtime", "install"]).run().code, 0);
    let library = deploy(".").args(["runtime", "path"]).run().out;
    let library = std::path::Path::new(library.trim_end());
    let beside = folder.path().join(library.file_name().unwrap());
    fs::copy(library, &beside).unwrap();
    let program = folder.path().join("deploy");
    fs::copy(env!("CARGO_BIN_EXE_deploy"), &program).unwrap();
    let args = ["runtime", "path", "--offline", "--cache", "none"];
    let output = std::process::Command::new(&program)
        .args(args)
        .output()
        .unwrap();
    let path = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        path.trim_end(),
        beside.canonicalize().unwrap().to_string_lossy()
    );
}
