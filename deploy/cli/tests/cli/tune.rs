//! `deploy tune`, and what its saved settings are refused for.

use std::path::Path;

use fs_err as fs;
use serde_json::Value;

use crate::support::{Deploy, Run, deploy, flags, model, workshop};

/// Short tuning of the tiny model on the CPU provider.
fn tune(folder: &Path) -> Deploy {
    deploy(folder)
        .args(["tune", "--time", "300ms", "--provider", "cpu"])
        .args(flags())
        .args(["--cache", "cache", "--runtime"])
        .arg(library())
}

/// The ONNX Runtime of the usual cache folder: that of a test is empty.
fn library() -> String {
    let install = deploy(".").args(["runtime", "install", "-q"]).run();
    assert_eq!(install.code, 0, "{}", install.err);
    let path = deploy(".").args(["runtime", "path"]).run();
    path.out.trim_end().to_owned()
}

/// A command with the saved setting.
fn tuned(folder: &Path, args: &[&str]) -> Run {
    deploy(folder)
        .args(args)
        .args(flags())
        .args(["--tuned", "--cache", "cache", "--runtime"])
        .arg(library())
        .run()
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn every_setting_is_measured_scored_and_explained() {
    let folder = workshop();
    let run = tune(folder.path())
        .args(["--data", "photos", "--json", "t.json", "--html", "t.html"])
        .run();
    assert_eq!(run.code, 0, "{}", run.err);
    for expected in [
        "val %",
        "test %",
        "1 cpu fp32",
        "cpu fp16",
        "cpu int8",
        "or in Rust",
    ] {
        assert!(run.out.contains(expected), "{expected}: {}", run.out);
    }
    let found = json(&folder.path().join("t.json"));
    assert_eq!(
        (&found["validation_images"], &found["test_images"]),
        (&8.into(), &8.into())
    );
    let tried = found["tried"].as_array().unwrap();
    assert_eq!(
        (&tried[0]["provider"], &tried[0]["precision"]),
        (&"cpu".into(), &"fp32".into())
    );
    assert_eq!(tried[0]["validation"]["correct"], 8);
    // One image of each class has the other one's colour.
    assert_eq!(tried[0]["test"]["correct"], 6);
    assert_eq!(tried[0]["test"]["flips"], Value::Array(Vec::new()));
    for setting in tried {
        assert!(setting["rounds"].as_u64().unwrap() >= 3, "{setting}");
        let ms = setting["ms"].as_f64().unwrap();
        let [low, high] = [0, 1].map(|end| setting["interval"][end].as_f64().unwrap());
        assert!(0.0 < low && low <= ms && ms <= high, "{setting}");
    }
    let recommended = &tried[found["recommended"].as_u64().unwrap() as usize];
    assert_eq!(recommended["dropped"], Value::Null);
    let page = fs::read_to_string(folder.path().join("t.html")).unwrap();
    assert!(page.contains("Accuracy against time") && page.contains("<svg"));
}

#[test]
fn without_images_only_time_is_measured_and_throughput_counts_sessions_and_batches() {
    let folder = workshop();
    let run = tune(folder.path())
        .args(["--no-data", "--for", "throughput", "--precision", "fp32"])
        .args(["--json", "t.json"])
        .run();
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(
        run.err.contains("no images: only time is measured"),
        "{}",
        run.err
    );
    assert!(
        !run.out.contains("val %") && !run.out.contains("int8"),
        "{}",
        run.out
    );
    let found = json(&folder.path().join("t.json"));
    let tried = found["tried"].as_array().unwrap();
    for batch in [1, 8, 32] {
        assert!(
            tried.iter().any(|setting| setting["batch"] == batch),
            "{batch}: {found}"
        );
    }
    assert!(tried.iter().all(|setting| setting["validation"].is_null()));
}

#[test]
fn a_limit_that_nothing_keeps_is_told_and_saves_nothing() {
    let folder = workshop();
    let run = tune(folder.path())
        .args(["--no-data", "--max-latency", "1ns", "--save"])
        .run();
    assert_eq!(run.code, 1, "{}", run.err);
    assert!(
        run.out
            .contains("no setting keeps within 0.000001 ms a run; the quickest takes"),
        "{}",
        run.out
    );
    let saved = folder.path().join("cache/tuned");
    assert!(!saved.exists(), "nothing was chosen");
}

#[test]
fn a_saved_setting_is_used_and_refused_for_another_model() {
    let folder = workshop();
    let run = tune(folder.path())
        .args(["--data", "photos", "--save"])
        .run();
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.contains(".tuned()"), "{}", run.out);
    let eval = ["eval", "--data", "photos", "--json", "e.json"];
    let run = tuned(folder.path(), &eval);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.err.contains("tuned: cpu "), "{}", run.err);
    let found = json(&folder.path().join("e.json"));
    assert_eq!(
        (&found["provider"], &found["batch"]),
        (&"cpu".into(), &1.into())
    );
    let predict = ["predict", "photos/test"];
    let run = tuned(folder.path(), &predict);
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(run.out.matches("photos/test").count(), 8, "{}", run.out);
    tuned(folder.path(), &["predict", "--batch", "2", "photos/test"])
        .refused("the argument '--batch <BATCH>' cannot be used with '--tuned'");
    let bench = [
        "bench",
        "--duration",
        "20ms",
        "--warmup",
        "1ms",
        "--no-data",
    ];
    let run = tuned(folder.path(), &[&bench[..], &["--json", "b.json"]].concat());
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.err.contains("tuned: `model.onnx` cpu "), "{}", run.err);
    let found = json(&folder.path().join("b.json"));
    let results = found["results"].as_array().unwrap();
    assert_eq!((results.len(), &results[0]["batch"]), (1, &1.into()));
    let precision = results[0]["precision"].as_str().unwrap();
    assert!(
        run.err.contains(&format!("cpu {precision}, ")),
        "{}",
        run.err
    );
    tuned(folder.path(), &[&bench[..], &["--streams", "2"]].concat())
        .refused("the argument '--streams <N>' cannot be used with '--tuned'");
    model(9.0).save(&folder.path().join("model.onnx")).unwrap();
    for command in [&eval[..], &predict, &bench] {
        tuned(folder.path(), command).refused("`model.onnx` has changed since it was tuned on");
    }
    fs::remove_dir_all(folder.path().join("cache/tuned")).unwrap();
    let run = tuned(folder.path(), &eval);
    run.refused("no setting is saved for `model.onnx`");
    assert!(
        run.err
            .contains("hint: measure on this machine with `deploy tune`"),
        "{}",
        run.err
    );
}
