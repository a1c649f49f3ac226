//! `deploy convert` and `deploy diff`.

use fs_err as fs;
use onnx::Document;
use serde_json::Value;

use crate::support::{PREPROCESS, deploy, flags, model, workshop};

#[test]
fn convert_writes_half_precision_beside_the_model_and_compares() {
    let folder = workshop();
    let run = deploy(folder.path())
        .args([
            "convert",
            "--precision",
            "fp16",
            "--data",
            "photos",
            "--json",
            "out.json",
        ])
        .args(flags())
        .run();
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(
        run.out.starts_with("fp16 `model.fp16.onnx`: "),
        "{}",
        run.out
    );
    assert!(
        run.out
            .contains("none of 8 images of test are predicted as another class"),
        "{}",
        run.out
    );
    assert!(
        run.out.contains("accuracy   75.0 % after (6 of 8; "),
        "{}",
        run.out
    );
    let json = fs::read_to_string(folder.path().join("out.json")).unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["precision"], &json["images"]),
        (&"fp16".into(), &8.into())
    );
    assert_eq!(
        (&json["flips"], &json["kept"]),
        (&Value::Array(vec![]), &Value::Array(vec![]))
    );
    let off = json["max_logit_difference"].as_f64().unwrap();
    assert!(off < 0.02, "{off}");
    // How fast each is on this machine is its own business; that it was measured is not.
    let speed = &json["speed"];
    let [low, ratio, high] = [
        &speed["interval"][0],
        &speed["ratio"],
        &speed["interval"][1],
    ]
    .map(|number| number.as_f64().unwrap());
    assert!(0.0 < low && low <= ratio && ratio <= high, "{speed}");
    assert!(speed["runs"].as_u64().unwrap() >= 6, "{speed}");
    assert_eq!(speed["images"], 8);
    assert!(
        run.out.contains("times as fast after (95 % interval "),
        "{}",
        run.out
    );
    let [before, after] = ["bytes_before", "bytes_after"].map(|key| json[key].as_u64().unwrap());
    let size = |name: &str| fs::metadata(folder.path().join(name)).unwrap().len();
    assert_eq!(
        (before, after),
        (size("model.onnx"), size("model.fp16.onnx"))
    );
    // Nothing else is left.
    let left = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert!(
        left.into_iter()
            .all(|name| !name.to_string_lossy().ends_with(".part"))
    );
}

#[test]
fn a_converted_model_carries_its_own_score() {
    let folder = workshop();
    let attach = [
        "card",
        "attach",
        "model.onnx",
        "--classes",
        "classes.txt",
        "--preprocess",
    ];
    assert_eq!(
        deploy(folder.path())
            .args(attach)
            .arg(PREPROCESS)
            .run()
            .code,
        0
    );
    let run = deploy(folder.path())
        .args([
            "convert",
            "--precision",
            "int8",
            "--data",
            "photos",
            "--images",
            "4",
        ])
        .args(["--model", "model.onnx", "--out", "small.onnx"])
        .run();
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(
        run.err.contains("calibrating on 4 training images"),
        "{}",
        run.err
    );
    let info = deploy(folder.path())
        .args(["info", "small.onnx", "--json"])
        .run();
    let info: Value = serde_json::from_str(&info.out).unwrap();
    let provenance = &info["card"]["provenance"];
    assert_eq!(provenance["options"]["precision"], "int8");
    assert_eq!(provenance["options"]["calibration_images"], 4);
    assert_eq!(provenance["scores"]["test"]["count"], 8);
    // Its golden samples are the original's, and it meets them within the tolerance of its precision.
    let check = deploy(folder.path()).args(["check", "small.onnx"]).run();
    assert_eq!(check.code, 0, "{}", check.out);
}

#[test]
fn nodes_stay_in_single_precision_by_name_or_by_time() {
    let folder = workshop();
    let convert = |keep: &str, json: &str| {
        deploy(folder.path())
            .args(["convert", "--precision", "int8", "--data", "photos"])
            .args(["--keep-fp32", keep, "--json", json])
            .args(flags())
            .run()
    };
    let report = |json: &str| -> Value {
        serde_json::from_str(&fs::read_to_string(folder.path().join(json)).unwrap()).unwrap()
    };
    let run = convert("none", "none.json");
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(
        !run.out.contains("stays in single precision"),
        "{}",
        run.out
    );
    let none = report("none.json");
    assert_eq!(none["int8_nodes"]["converted"], none["int8_nodes"]["of"]);
    let run = convert("pool", "pool.json");
    assert_eq!(run.code, 0, "{}", run.err);
    let reason = "pool (GlobalAveragePool): as `--keep-fp32` says";
    assert!(run.out.contains(reason), "{}", run.out);
    assert_eq!(report("pool.json")["kept"], serde_json::json!([reason]));
    assert_eq!(
        report("pool.json")["int8_nodes"],
        serde_json::json!({ "converted": 1, "of": 2 })
    );
    // What is faster on this machine is its own business; that files were timed is not.
    let run = convert("auto", "auto.json");
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(
        run.err.contains("timing nodes in int8 and fp32 on cpu"),
        "{}",
        run.err
    );
    let auto = report("auto.json");
    let kept = auto["kept"].as_array().unwrap();
    let count = |key: &str| auto["int8_nodes"][key].as_u64().unwrap() as usize;
    assert_eq!(count("converted") + kept.len(), count("of"));
    let run = convert("warp", "-");
    assert!(!run.err.contains("calibrating"), "{}", run.err);
    run.refused("the model has no node `warp` that could compute");
    convert("pool,fc", "-").refused("every convolution and matrix product would stay");
}

#[test]
fn data_of_other_classes_is_compared_and_not_scored() {
    let folder = workshop();
    fs::write(folder.path().join("classes.txt"), "ants\nbees\n").unwrap();
    let run = deploy(folder.path())
        .args([
            "convert",
            "--precision",
            "fp16",
            "--data",
            "photos",
            "--json",
            "-",
        ])
        .args(flags())
        .run();
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(
        run.err.contains("predictions are compared, not scored"),
        "{}",
        run.err
    );
    let json: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(
        (&json["images"], &json["accuracy"]),
        (&8.into(), &Value::Null)
    );
}

#[test]
fn convert_refuses() {
    let folder = workshop();
    let convert = |args: &[&str]| deploy(folder.path()).arg("convert").args(args);
    let run = convert(&["--precision", "tf32"]).run();
    assert!(
        run.code == 2 && run.err.contains("fp16 or int8"),
        "{}",
        run.err
    );
    let fp16 = ["--precision", "fp16", "--data", "photos"];
    let run = convert(&fp16).arg("--symmetric").args(flags()).run();
    run.refused("`--symmetric` only works with `--precision int8`");
    let run = convert(&fp16)
        .args(["--keep-fp32", "none"])
        .args(flags())
        .run();
    run.refused("`--keep-fp32` only works with `--precision int8`");
    let run = convert(&fp16)
        .args(["--out", "./model.onnx"])
        .args(flags())
        .run();
    run.refused("`./model.onnx` is the model itself");
    let run = convert(&fp16).args(["--out", "-"]).args(flags()).run();
    run.refused("`--out -` is standard output");
    // By the name that was typed, not by that of the file in the making.
    let run = convert(&fp16)
        .args(["--out", "no/such.onnx"])
        .args(flags())
        .run();
    run.refused("no/such.onnx`");
    assert!(!run.err.contains(".part"), "{}", run.err);
    convert(&fp16[..2])
        .args(flags())
        .run()
        .refused("no data was given");
    // Converted once, it is not converted again.
    let run = convert(&["--precision", "int8", "--data", "photos"])
        .args(flags())
        .run();
    assert_eq!(run.code, 0, "{}", run.err);
    fs::rename(
        folder.path().join("model.int8.onnx"),
        folder.path().join("model.onnx"),
    )
    .unwrap();
    let run = convert(&fp16).args(flags()).run();
    run.refused("cannot be converted: the model is quantised already");
}

#[test]
fn diff_lists_what_changed() {
    let folder = workshop();
    let place = |name: &str| folder.path().join(name);
    model(-10.0).save(&place("other.onnx")).unwrap();
    let run = deploy(folder.path())
        .args(["diff", "model.onnx", "other.onnx", "--data", "photos"])
        .args(["--json", "diff.json", "--csv", "diff.csv"])
        .args(&flags()[2..])
        .run();
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(
        run.out
            .contains("8 of 8 images of test are predicted as another class"),
        "{}",
        run.out
    );
    assert!(
        run.out
            .contains("  test/red/0.png (red): red 100.0 % -> blue 100.0 %"),
        "{}",
        run.out
    );
    assert!(
        run.out
            .contains("McNemar    6 images right only with A, 2 only with B: p = "),
        "{}",
        run.out
    );
    let json: Value =
        serde_json::from_str(&fs::read_to_string(place("diff.json")).unwrap()).unwrap();
    assert_eq!(json["flips"].as_array().unwrap().len(), 8);
    assert_eq!(
        (&json["accuracy"]["first"], &json["accuracy"]["second"]),
        (&0.75.into(), &0.25.into())
    );
    // 2 (1 + 8 + 28) / 2^8
    assert_eq!(
        json["accuracy"]["mcnemar"]["p_value"].as_f64().unwrap() as f32,
        74.0 / 256.0
    );
    let csv = fs::read_to_string(place("diff.csv")).unwrap();
    let head = "path,label,first,first_probability,second,second_probability,flip,logit_difference";
    assert_eq!((csv.lines().next(), csv.lines().count()), (Some(head), 9));
    assert!(csv.contains("test/blue/3.png,blue,red,"), "{csv}");

    let same = deploy(folder.path())
        .args(["diff", "model.onnx", "model.onnx", "--data", "photos"])
        .args(&flags()[2..])
        .run();
    assert!(
        same.out.contains("none of 8 images of test"),
        "{}",
        same.out
    );
    assert!(same.out.contains("at most 0.00e0 apart"), "{}", same.out);
}

#[test]
fn diff_matches_classes_by_name_and_refuses_models_without_common_ones() {
    let folder = workshop();
    let attach = |file: &str, classes: &str, out: &str| {
        fs::write(folder.path().join("names.txt"), classes).unwrap();
        let args = [
            "card",
            "attach",
            file,
            "--classes",
            "names.txt",
            "--out",
            out,
            "--preprocess",
        ];
        assert_eq!(
            deploy(folder.path()).args(args).arg(PREPROCESS).run().code,
            0
        );
    };
    // The same network, whose outputs are called the other way round: every answer is another.
    attach("model.onnx", "red\nblue\n", "a.onnx");
    attach("model.onnx", "blue\nred\n", "b.onnx");
    attach("model.onnx", "ants\nbees\n", "c.onnx");
    let diff = |args: [&str; 2]| {
        deploy(folder.path())
            .arg("diff")
            .args(args)
            .args(["--data", "photos"])
            .run()
    };
    let run = diff(["a.onnx", "b.onnx"]);
    assert!(
        run.out
            .contains("8 of 8 images of test are predicted as another class"),
        "{}",
        run.out
    );
    diff(["a.onnx", "c.onnx"]).refused("knows 2 classes but the data has 2");
    // A second model with its outputs exchanged, and their names: no difference.
    let mut document = Document::open(&folder.path().join("a.onnx")).unwrap();
    let mut weight = document.tensor("weight").unwrap();
    let values = weight.as_f32().unwrap().to_vec();
    weight = onnx::Tensor::f32(&[2, 3], [&values[3..], &values[..3]].concat()).unwrap();
    document.set_tensor("weight", &weight).unwrap();
    document.save(&folder.path().join("swapped.onnx")).unwrap();
    attach("swapped.onnx", "blue\nred\n", "d.onnx");
    let run = diff(["a.onnx", "d.onnx"]);
    assert!(
        run.out
            .contains("none of 8 images of test are predicted as another class"),
        "{}",
        run.out
    );
    assert!(run.out.contains("at most 0.00e0 apart"), "{}", run.out);
}

#[cfg(unix)]
#[test]
fn a_converted_file_goes_through_a_link_and_keeps_the_mode_behind_it() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = workshop();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("real.onnx"), "old").unwrap();
    fs::set_permissions(at("real.onnx"), std::fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real.onnx", at("link.onnx")).unwrap();
    let run = deploy(folder.path())
        .args([
            "convert",
            "--precision",
            "fp16",
            "--data",
            "photos",
            "--out",
            "link.onnx",
        ])
        .args(flags())
        .run();
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(fs::symlink_metadata(at("link.onnx")).unwrap().is_symlink());
    let real = fs::metadata(at("real.onnx")).unwrap();
    assert_eq!(real.permissions().mode() & 0o777, 0o640);
    assert!(real.len() > 100);
    let names = fs::read_dir(folder.path()).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        !names
            .iter()
            .any(|name| name.to_string_lossy().ends_with(".part")),
        "{names:?}"
    );
}
