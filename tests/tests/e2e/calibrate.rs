//! The temperature: no answer changes, and all numbers of a run agree.

use fs_err as fs;
use tests::run_folder::{checkpoint, tensors};
use tests::{Tool, Workshop, shared, tiny_models};

use crate::fit::same_on_both_sides;
use crate::resume::same_runs;

fn frozen(shop: &Workshop, flags: &str) -> Tool {
    let fit = shop.fit("--backbone tiny.onnx --lr 0.05");
    shop.own_cache(fit.args(flags))
}

fn loss(shop: &Workshop, file: &str) -> f64 {
    shop.json(file)["loss"].as_f64().unwrap()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (words, _) = bytes.as_chunks::<4>();
    words.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

#[test]
fn the_head_of_the_file_is_divided_and_nothing_else_changes() {
    let shop = Workshop::new();
    tiny_models::residual(&shop.path("tiny.onnx"));
    let done = frozen(&shop, "--name own --epochs 4").run().ok();
    frozen(&shop, "--name plain --epochs 4 --no-calibrate -q")
        .run()
        .ok();
    assert!(!shop.path("runs/plain/calibration.json").exists());
    let calibration = shop.json("runs/own/calibration.json");
    assert_eq!(calibration["applied"], true, "{calibration}");
    assert_eq!(calibration["count"], 28);
    assert_eq!(calibration["fitted_on"], "out-of-fold features, 5 folds");
    let number = |key: &str| calibration[key].as_f64().unwrap();
    let gain = number("loss_before") - number("loss_after");
    assert!(gain > number("standard_error"), "{calibration}");
    let temperature = number("temperature");
    let line =
        format!("calibration: the logits are divided by {temperature:.3}, in the last layer");
    assert!(done.err.contains(&line), "{}", done.err);
    // Checkpoints are as trained.
    for file in ["best.safetensors", "last.safetensors"] {
        let [one, two] =
            ["own", "plain"].map(|run| checkpoint(&shop.path(format!("runs/{run}/{file}"))));
        assert!(one.0 == two.0, "{file}");
    }
    let model = |run: &str| onnx::Document::open(&shop.path(format!("runs/{run}/model.onnx")));
    let [own, plain] = ["own", "plain"].map(|run| model(run).unwrap());
    let best = tensors(&shop.path("runs/own/best.safetensors"));
    for name in ["fc.weight", "fc.bias"] {
        let values = |document: &onnx::Document| {
            document
                .tensor(name)
                .unwrap()
                .as_f32()
                .unwrap()
                .into_owned()
        };
        let (own, plain, trained) = (values(&own), values(&plain), floats(&best[name].1));
        assert_eq!(plain, trained, "{name}");
        for (own, trained) in own.iter().zip(&trained) {
            let expected = trained / temperature as f32;
            assert!((own - expected).abs() <= 1e-6 * expected.abs(), "{name}");
        }
    }
    let text = String::from_utf8(own.model.doc_string.unwrap()).unwrap();
    let says = format!("Calibrated: the logits are divided by a temperature of {temperature:.4}.");
    assert!(text.contains(&says), "{text}");
    let card = |run: &str| {
        let info = shop.deploy(&format!("info --json runs/{run}/model.onnx"));
        info.run().ok().json()["card"]["provenance"]["options"].clone()
    };
    assert_eq!(card("own")["temperature"], calibration["temperature"]);
    assert_eq!(card("plain")["no-calibrate"], true);
    assert!(card("plain")["temperature"].is_null());
    // The same answers, another loss.
    let [ours, theirs] = ["own", "plain"].map(|run| shop.json(&format!("runs/{run}/summary.json")));
    assert_eq!(ours["confusion"], theirs["confusion"]);
    assert_ne!(ours["loss"], theirs["loss"]);
    shop.deploy("check runs/own/model.onnx").run().ok();
}

#[test]
fn eval_and_export_of_a_run_are_calibrated_as_its_file_is() {
    let shop = Workshop::new();
    tiny_models::residual(&shop.path("tiny.onnx"));
    frozen(&shop, "--name own --epochs 4 --save all -q")
        .run()
        .ok();
    same_on_both_sides(&shop, "own");
    let export = shop.trainer("export own --out again.onnx");
    let done = shop.own_cache(export).run().ok();
    let temperature = shop.json("runs/own/calibration.json")["temperature"].clone();
    let line = format!("temperature {:.3}", temperature.as_f64().unwrap());
    assert!(done.err.contains(&line), "{}", done.err);
    let eval = "eval --model again.onnx --data pictures --split test --json again.json -q";
    shop.deploy(eval).run().ok();
    let found = loss(&shop, "again.json");
    assert!((found - loss(&shop, "ort.json")).abs() < 1e-6);
    let info = shop.deploy("info --json again.onnx").run().ok().json();
    let options = &info["card"]["provenance"]["options"];
    assert_eq!(options["temperature"], temperature);
    // The temperature is one epoch's. Another one has none.
    let epoch = shop.json("runs/own/calibration.json")["epoch"]
        .as_u64()
        .unwrap();
    let other = if epoch == 4 { 3 } else { 4 };
    let from = shop.path(format!("runs/own/epoch-{other}.safetensors"));
    fs::copy(from, shop.path("runs/own/last.safetensors")).unwrap();
    let last = shop.trainer("eval own --checkpoint last").run().ok();
    let says = format!("not calibrated: the temperature is that of epoch {epoch}");
    assert!(last.err.contains(&says), "{}", last.err);
    fs::write(shop.path("runs/own/calibration.json"), "torn").unwrap();
    let refused = shop.trainer("eval own -q").run();
    insta::assert_snapshot!(refused.refusal(), @r"
    error: `runs/own/calibration.json` is not a usable calibration: expected ident at line 1 column 2

    hint: remove the file to use the network as it was trained, or let `trainer fit --resume RUN` write it again
    ");
}

#[test]
fn longer_last_and_early_stopped_runs_are_calibrated_at_their_epoch() {
    let shop = Workshop::new();
    tiny_models::residual(&shop.path("tiny.onnx"));
    frozen(&shop, "--name long --epochs 4 -q").run().ok();
    frozen(&shop, "--name short --epochs 2 -q").run().ok();
    let resume = shop.trainer("fit --resume short --epochs 4 -q");
    shop.own_cache(resume).run().ok();
    same_runs(&shop, "long", "short");
    let [long, short] = ["long", "short"]
        .map(|run| fs::read_to_string(shop.path(format!("runs/{run}/calibration.json"))).unwrap());
    assert_eq!(long, short);
    for (run, flags) in [("last", "--save last"), ("early", "--early-stop 1")] {
        frozen(&shop, &format!("--name {run} --epochs 4 {flags} -q"))
            .run()
            .ok();
        let epoch = shop.json(&format!("runs/{run}/calibration.json"))["epoch"].clone();
        let summary = shop.json(&format!("runs/{run}/summary.json"));
        assert_eq!(epoch, summary["epoch"], "{run}");
        same_on_both_sides(&shop, run);
    }
    // A run that is not calibrated any more leaves no temperature.
    let resume = shop.trainer("fit --resume long --no-calibrate -q");
    shop.own_cache(resume).run().ok();
    assert!(!shop.path("runs/long/calibration.json").exists());
}

/// The real photos: a temperature from 244 held-out answers lowers the loss of the test images.
#[test]
fn the_test_loss_of_ants_and_bees_falls_and_no_answer_changes() {
    let found = (
        shared::find("data/hymenoptera"),
        shared::find("weights/resnet18.onnx"),
    );
    let (Some(photos), Some(weights)) = found else {
        return;
    };
    let shop = Workshop::empty();
    let fit = |flags: &str| {
        let fit = shop.trainer("fit --epochs 10 -q").args(flags).patience(600);
        let fit = fit.args("--data").path(&photos);
        shop.own_cache(fit.args("--backbone").path(&weights))
            .run()
            .ok();
    };
    fit("--name own");
    fit("--name plain --no-calibrate");
    let [own, plain] = ["own", "plain"].map(|run| shop.json(&format!("runs/{run}/summary.json")));
    assert_eq!(own["confusion"], plain["confusion"]);
    let [own, plain] = [own, plain].map(|summary| summary["loss"].as_f64().unwrap());
    assert!(own < 0.9 * plain, "{own} {plain}");
}
