//! The classification layer of a frozen backbone at its minimum.

use fs_err as fs;
use tests::run_folder::{metrics, tensors};
use tests::{Tool, Workshop, tiny_models};

use crate::fit::same_on_both_sides;

/// A workshop with a small backbone.
fn shop() -> Workshop {
    let shop = Workshop::new();
    tiny_models::residual(&shop.path("tiny.onnx"));
    shop
}

fn fit(shop: &Workshop, flags: &str) -> Tool {
    shop.own_cache(shop.fit("--backbone tiny.onnx").args(flags))
}

#[test]
fn without_a_setting_of_the_loop_the_layer_is_at_its_minimum() {
    let shop = shop();
    let done = fit(&shop, "--name own").run().ok();
    let line = "classification layer: its minimum by L-BFGS";
    assert!(done.err.contains(line), "{}", done.err);
    assert!(!done.err.contains("epoch "), "{}", done.err);
    same_on_both_sides(&shop, "own");
    let rows = metrics(&shop.path("runs/own/metrics.csv"));
    assert_eq!(rows.len(), 1);
    assert_eq!((&*rows[0]["epoch"], &*rows[0]["lr"]), ("1", "0.0"));
    let summary = shop.json("runs/own/summary.json");
    assert_eq!(summary["epochs"], 1);
    let tried = summary["head"]["tried"].as_array().unwrap();
    let least = tried.iter().min_by(|a, b| {
        let loss = |tried: &serde_json::Value| tried["loss"].as_f64().unwrap();
        loss(a).total_cmp(&loss(b))
    });
    assert_eq!(summary["head"]["penalty"], least.unwrap()["penalty"]);
    // Neither the configuration nor the card names what had no effect.
    let config = fs::read_to_string(shop.path("runs/own/config.toml")).unwrap();
    assert!(config.contains("head-solver = \"lbfgs\"\n"), "{config}");
    let info = shop.deploy("info --json runs/own/model.onnx").run().ok();
    let options = &info.json()["card"]["provenance"]["options"];
    assert_eq!(options["head-solver"], "lbfgs");
    for key in ["epochs", "lr", "optimizer", "batch", "save", "scheduler"] {
        assert!(!config.contains(&format!("{key} = ")), "{config}");
        assert!(options.get(key).is_none(), "{options}");
    }
    let page = fs::read_to_string(shop.path("runs/own/report.html")).unwrap();
    assert!(page.contains("L-BFGS brought the last layer to the minimum"));
    assert!(!page.contains("Left out") && !page.contains("learning rate"));
    shop.own_cache(shop.trainer("eval own -q")).run().ok();
    shop.own_cache(shop.trainer("export own --out again.onnx"))
        .run()
        .ok();
    // Neither threads nor another run change a bit.
    fit(&shop, "--name again --threads 1 -q").run().ok();
    for file in ["best.safetensors", "last.safetensors", "model.onnx"] {
        let [own, again] = ["own", "again"].map(|run| shop.path(format!("runs/{run}/{file}")));
        let is_same = match file {
            "model.onnx" => fs::read(own).unwrap() == fs::read(again).unwrap(),
            _ => tensors(&own) == tensors(&again),
        };
        assert!(is_same, "{file}");
    }
}

#[test]
fn settings_of_the_loop_select_it_and_are_refused_beside_the_minimum() {
    let shop = shop();
    let done = fit(&shop, "--epochs 2 --name epochs").run().ok();
    assert!(done.err.contains("epoch  2/2"), "{}", done.err);
    let config = fs::read_to_string(shop.path("runs/epochs/config.toml")).unwrap();
    assert!(config.contains("head-solver = \"loop\"\n"), "{config}");
    fit(&shop, "--name own -q").run().ok();
    for refused in [
        fit(&shop, "--head-solver lbfgs --epochs 2 -q"),
        shop.own_cache(shop.trainer("fit --resume own --epochs 2 -q")),
    ] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(refused.run().refusal(), @"error: `--epochs 2`: is for the training loop: see `--head-solver loop`");
        }
    }
    let other = "fit --resume own --head-solver loop -q";
    let refused = shop.own_cache(shop.trainer(other)).run();
    assert!(refused.refusal().contains("`--head-solver` cannot change"));
}

#[test]
fn folds_seeds_and_a_resume_are_those_of_the_layer() {
    let shop = shop();
    let flags = "--name own --folds 4 --seeds 2 --log jsonl";
    let done = fit(&shop, flags).run().ok();
    assert!(done.out.contains("4-fold cross-validation"), "{}", done.out);
    assert!(done.out.contains("2 seeds, 12 test images"), "{}", done.out);
    let folds = shop.json("runs/own/folds.json");
    let calibration = shop.json("runs/own/calibration.json");
    assert_eq!(calibration["fitted_on"], "out-of-fold features, 5 folds");
    assert!(shop.path("runs/own/seeds/1/best.safetensors").exists());
    // What is finished is not fitted again, and what is lost is fitted to the same bits.
    let before = tensors(&shop.path("runs/own/last.safetensors"));
    for lost in [
        &[][..],
        &["last.safetensors", "best.safetensors", "metrics.csv"],
    ] {
        for file in lost {
            fs::remove_file(shop.path(format!("runs/own/{file}"))).unwrap();
        }
        let resume = shop.trainer("fit --resume own");
        let done = shop.own_cache(resume).run().ok();
        let is_fitted = done.err.contains("by L-BFGS");
        assert_eq!(is_fitted, !lost.is_empty(), "{}", done.err);
        assert!(before == tensors(&shop.path("runs/own/last.safetensors")));
        assert_eq!(shop.json("runs/own/folds.json"), folds);
        assert!(shop.json("runs/own/summary.json")["head"]["penalty"].is_f64());
    }
}
