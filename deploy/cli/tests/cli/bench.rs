//! `deploy bench`: what it prints and writes, its gate, its refusals, Ctrl-C.

use std::path::Path;

use fs_err as fs;
use serde_json::Value;

use crate::support::{Deploy, Run, deploy, flags, model_for, workshop};

/// Short runs of the tiny model.
fn bench(folder: &Path) -> Deploy {
    let brief = [
        "bench",
        "--warmup",
        "1ms",
        "--duration",
        "20ms",
        "--blocks",
        "3",
    ];
    deploy(folder).args(brief).args(flags())
}

fn json(run: &Run) -> Value {
    assert_eq!(run.code, 0, "{}", run.err);
    serde_json::from_str(&run.out).unwrap()
}

/// Numbers in a row as one `#`, without the spaces that align them.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for line in text.lines() {
        let number = |word: &&str| word.parse::<f64>().is_ok();
        let mut words: Vec<&str> = line.split_whitespace().collect();
        for word in &mut words {
            *word = if number(word) { "#" } else { word };
        }
        words.dedup_by(|a, b| *a == "#" && *b == "#");
        plain += &(words.join(" ") + "\n");
    }
    plain
}

#[test]
fn the_report_of_an_engine_that_only_waits() {
    let folder = workshop();
    let args = [
        "--engine",
        "fake:0.1ms",
        "--batch",
        "1,2",
        "--data",
        "photos",
        "--quiet",
    ];
    let run = bench(folder.path()).args(args).run();
    assert_eq!(run.code, 0, "{}", run.err);
    insta::assert_snapshot!(plain(&run.out));
}

#[test]
fn json_holds_what_scripts_read() {
    let folder = workshop();
    let args = [
        "--batch", "1,3", "--data", "photos", "--json", "-", "--csv", "b.csv", "--html", "b.html",
    ];
    let json = json(&bench(folder.path()).args(args).run());
    assert_eq!(
        (&json["partial"], &json["runtime"]),
        (&false.into(), &"1.28.0".into())
    );
    let results = json["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    for (result, batch) in results.iter().zip([1, 3]) {
        assert_eq!(result["model"], "model.onnx");
        assert_eq!(
            (&result["provider"], &result["precision"]),
            (&"cpu".into(), &"fp32".into())
        );
        assert_eq!(
            (&result["batch"], &result["feed"]),
            (&batch.into(), &"host".into())
        );
        assert!(result["runs"].as_u64().unwrap() >= 3);
        assert!(result["images_per_second"].as_f64().unwrap() > 0.0);
        let latency = result["latency_ms"].as_object().unwrap();
        let names: Vec<_> = latency.keys().map(String::as_str).collect();
        assert_eq!(names, ["max", "mean", "p50", "p90", "p95", "p99", "p999"]);
        assert!(latency["max"].as_f64() >= latency["mean"].as_f64());
        for cold in ["load", "session", "first_run", "new_shape"] {
            let null = cold == "new_shape" && batch == 1;
            assert_eq!(result["cold_ms"][cold].is_null(), null, "{cold} {batch}");
        }
        assert!(result["cold_ms"]["build"].is_null());
        let nodes = result["nodes_by_provider"].as_object().unwrap();
        assert!(
            nodes.len() == 1 && nodes["cpu"].as_u64() > Some(0),
            "{nodes:?}"
        );
        // Two of the eight images have the other class's colour.
        assert_eq!(
            (&result["top1"], &result["accuracy"]["count"]),
            (&0.75.into(), &8.into())
        );
        assert_eq!(result["accuracy"]["flips"], Value::Array(Vec::new()));
        for room in ["decode", "preprocess", "compute", "post"] {
            assert!(result["split_ms"][room].as_f64().unwrap() > 0.0, "{room}");
        }
        assert!(result["split_ms"]["host_to_device"].is_null());
    }
    let csv = fs::read_to_string(folder.path().join("b.csv")).unwrap();
    assert_eq!(csv.lines().count(), 3);
    let html = fs::read_to_string(folder.path().join("b.html")).unwrap();
    assert!(html.contains("<svg") && html.contains("model.onnx cpu fp32 batch 3"));
}

#[test]
fn without_data_nothing_is_scored_and_no_card_is_needed() {
    let folder = workshop();
    let args = [
        "bench",
        "--model",
        "model.onnx",
        "--duration",
        "10ms",
        "--warmup",
        "1ms",
        "--json",
        "-",
    ];
    let json = json(&deploy(folder.path()).args(args).run());
    let result = &json["results"][0];
    assert!(result.get("top1").is_none() && result["split_ms"]["decode"].is_null());
    let batches: Vec<_> = json["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["batch"].clone())
        .collect();
    assert_eq!(batches, [1, 8, 32]);
    let run = deploy(folder.path())
        .args(args)
        .args(["--data", "photos"])
        .run();
    run.refused("does not say what its classes are called");
}

#[test]
fn every_scenario_runs_in_every_stream() {
    let folder = workshop();
    let cases: [&[&str]; 4] = [
        &["--scenario", "single-stream"],
        &["--scenario", "multi-stream"],
        &["--scenario", "server", "--rate", "500"],
        &["--scenario", "offline"],
    ];
    for scenario in cases {
        let args = ["--batch", "2", "--streams", "2", "--no-data", "--json", "-"];
        let json = json(&bench(folder.path()).args(args).args(scenario).run());
        let result = &json["results"][0];
        assert_eq!(
            (&result["scenario"], &result["streams"]),
            (&scenario[1].into(), &2.into())
        );
        let offline = scenario[1] == "offline";
        assert_eq!(
            result["latency_ms"]["mean"].is_null(),
            offline,
            "{scenario:?}"
        );
    }
    bench(folder.path())
        .args(["--scenario", "server"])
        .run()
        .refused("--rate");
}

#[test]
fn the_gate_fails_beyond_doubt_and_names_what_does_not_match() {
    let folder = workshop();
    let run = |args: &[&str]| {
        bench(folder.path())
            .args(["--data", "photos"])
            .args(args)
            .run()
    };
    let base = run(&["--batch", "2", "--json", "base.json"]);
    assert_eq!(base.code, 0, "{}", base.err);

    let same = [
        "--batch",
        "2",
        "--compare",
        "base.json",
        "--fail-if",
        "flips>0,top1<-0.01,images_per_second<-99.9%",
    ];
    let run_of_same = run(&same);
    assert_eq!(
        run_of_same.code, 0,
        "{}{}",
        run_of_same.out, run_of_same.err
    );
    assert_eq!(
        run_of_same.out.matches("ok  ").count(),
        3,
        "{}",
        run_of_same.out
    );
    assert!(
        run_of_same.out.contains("images_per_second"),
        "{}",
        run_of_same.out
    );

    let failed = run(&["--batch", "2", "--fail-if", "top1<0.9"]);
    assert_eq!(failed.code, 1, "{}{}", failed.out, failed.err);
    assert!(failed.out.contains("FAILED top1<0.9"), "{}", failed.out);

    let other = run(&["--batch", "4", "--compare", "base.json"]);
    other.refused("only here: model.onnx cpu fp32 batch 4");
    assert!(
        other
            .err
            .contains("only in the base: model.onnx cpu fp32 batch 2"),
        "{}",
        other.err
    );
    run(&["--fail-if", "p50>+5%"]).refused("`p50>+5%` is a change against a base");
    run(&["--fail-if", "p99>5%"]).refused("needs a sign");
    run(&["--engine", "fake:1ms", "--fail-if", "p999>1"]).refused("needs 2995 runs");
    fs::write(folder.path().join("no.json"), "{}").unwrap();
    run(&["--compare", "no.json"]).refused("`no.json` is not a benchmark to compare with");
}

#[test]
fn a_gate_that_cannot_be_judged_is_refused_before_anything_is_measured() {
    let folder = workshop();
    let run = |args: &[&str]| {
        let fake = [
            "--engine",
            "fake:20ms",
            "--warmup",
            "0.1s",
            "--duration",
            "1s",
        ];
        let run = deploy(folder.path())
            .arg("bench")
            .args(flags())
            .args(fake)
            .args(args)
            .run();
        (!run.out.contains("images/s"), run)
    };
    let (_, base) = run(&["--batch", "1", "--json", "base.json"]);
    assert_eq!(base.code, 0, "{}", base.err);
    for (args, expected) in [
        (
            &["--fail-if", "p99>25"][..],
            "needs 299 runs, and `--duration 1s` is time for about",
        ),
        (&["--fail-if", "p99>25"], "measure longer with `--duration "),
        (
            &["--compare", "base.json", "--fail-if", "p99>+5%"],
            "the base has no `p99` of model.onnx cpu fp32 batch 1",
        ),
        (
            &["--compare", "base.json", "--fail-if", "p99>+5%"],
            "measure the base again with `--duration ",
        ),
        (
            &["--compare", "base.json", "--fail-if", "build>+5%"],
            "the base has no `build`",
        ),
        (&["--no-data", "--fail-if", "flips>0"], "has no `flips`"),
        (&["--fail-if", "build>100"], "has no `build`"),
        (
            &["--scenario", "offline", "--fail-if", "p50>1"],
            "only throughput counts",
        ),
    ] {
        let (nothing_measured, refused) = run(&[&["--batch", "1"], args].concat());
        refused.refused(expected);
        assert!(nothing_measured, "{args:?}: {}", refused.out);
    }
    // The command of the README.
    let gate = [
        "--batch",
        "1",
        "--compare",
        "base.json",
        "--fail-if",
        "p50>+50%,p90>1e6",
    ];
    let (_, judged) = run(&gate);
    assert_eq!(judged.code, 0, "{}{}", judged.out, judged.err);
}

#[test]
fn a_matrix_leaves_out_what_cannot_run_and_recommends_one() {
    let folder = workshop();
    let args = [
        "--matrix", "--batch", "1,2", "--data", "photos", "--json", "-",
    ];
    let json = json(&bench(folder.path()).args(args).run());
    let skipped = json["skipped"].as_array().unwrap();
    assert!(
        skipped
            .iter()
            .any(|s| s["configuration"] == "model.onnx cpu tf32"),
        "{skipped:?}"
    );
    assert!(
        skipped
            .iter()
            .any(|s| s["configuration"] == "model.onnx cuda:0 fp32 batch 1"),
        "{skipped:?}"
    );
    assert!(
        skipped
            .iter()
            .all(|s| !s["reason"].as_str().unwrap().is_empty())
    );
    assert!(!json["pareto"].as_array().unwrap().is_empty());
    let sentence = json["recommendation"].as_str().unwrap();
    assert!(
        ["cpu", "openvino:cpu"]
            .iter()
            .any(|provider| sentence.starts_with(&format!("recommended: model.onnx {provider} "))),
        "{sentence}"
    );
    let nothing = ["--matrix", "--provider", "cuda", "--no-data"];
    bench(folder.path())
        .args(nothing)
        .run()
        .refused("no configuration runs here");
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let folder = workshop();
    let run = |args: &[&str]| bench(folder.path()).args(args).run();
    run(&["--provider", "cuda"]).refused("provider `cuda:0`");
    run(&["--precision", "tf32"]).refused("does not compute in");
    run(&["--rate", "5"]).refused("`--rate` only works with `--scenario server`");
    run(&["--scenario", "server", "--rate", "1e-3"]).refused("a block has");
    run(&["--batch", "0"]).refused("--batch");
    run(&["--engine", "fast"]).refused("fake:");
    run(&["--data", "photos", "--no-data"]).refused("--no-data");
    let fixed = model_for(onnx::Dim::Fixed(4), 10.0);
    fixed.save(&folder.path().join("model.onnx")).unwrap();
    run(&["--batch", "2"]).refused("`model.onnx` takes exactly 4 images at a time");
    let own = json(&run(&["--no-data", "--json", "-"]));
    assert_eq!(own["results"][0]["batch"], 4);
}

#[test]
#[cfg(unix)]
fn ctrl_c_leaves_what_was_measured() {
    use std::io::BufRead;
    let folder = workshop();
    let args = [
        "bench",
        "--engine",
        "fake:2ms",
        "--batch",
        "1",
        "--warmup",
        "1ms",
        "--duration",
        "10m",
    ];
    let more = [
        "--blocks", "60000", "--json", "out.json", "--data", "photos",
    ];
    let mut child = deploy(folder.path())
        .args(args)
        .args(flags())
        .args(more)
        .spawn();
    let err = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut lines = err.lines().map(Result::unwrap);
    assert!(
        lines
            .by_ref()
            .any(|line| line.starts_with("measuring 1 configuration"))
    );
    // Some turns of 10 ms.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let kill = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let rest: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(2), "{rest:?}");
    assert!(
        rest.iter()
            .any(|line| line.starts_with("interrupted: the results are")),
        "{rest:?}"
    );
    let text = fs::read_to_string(folder.path().join("out.json")).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["partial"], true);
    assert!(json["results"][0]["runs"].as_u64().unwrap() > 0);
}
