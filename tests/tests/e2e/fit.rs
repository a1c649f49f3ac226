//! From a folder of pictures to a verified file, and the same numbers on both sides.

use fs_err as fs;
use tests::{Workshop, pictures, run_folder, tiny_models};

/// Scores a run's test images in Burn and its file in ONNX Runtime, which must agree; gives the
/// accuracy.
pub(crate) fn same_on_both_sides(shop: &Workshop, run: &str) -> f64 {
    let trainer = shop.trainer(&format!("eval {run} --json burn.json --csv burn.csv -q"));
    trainer.patience(600).run().ok();
    let files = "--json ort.json --csv ort.csv -q";
    let deploy = shop.deploy(&format!("eval --model runs/{run}/model.onnx {files}"));
    deploy.patience(600).run().ok();
    let [burn, ort] = ["burn.json", "ort.json"].map(|file| shop.json(file));
    for key in [
        "accuracy",
        "confusion",
        "classes",
        "count",
        "per_class",
        "interval",
        "baseline",
    ] {
        assert!(!burn[key].is_null(), "{key}");
        assert_eq!(burn[key], ort[key], "{key}");
    }
    let summary = shop.json(&format!("runs/{run}/summary.json"));
    for key in ["accuracy", "confusion"] {
        assert_eq!(summary[key], ort[key], "{key}");
    }
    let losses = [&burn, &ort].map(|scores| scores["loss"].as_f64().unwrap());
    assert!((losses[0] - losses[1]).abs() < 1e-4, "{losses:?}");
    same_predictions(shop, &ort);
    let accuracy = ort["accuracy"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&accuracy));
    accuracy
}

/// The two CSV files name the same predictions, which are those that the scores count.
fn same_predictions(shop: &Workshop, scores: &serde_json::Value) {
    let [burn, ort] = ["burn.csv", "ort.csv"].map(|file| {
        let text = fs::read_to_string(shop.path(file)).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("path,label,predicted,probability"));
        let mut rows: Vec<[String; 4]> = lines
            .map(|line| {
                // From the right: a path may hold commas.
                let mut fields = line.rsplitn(4, ',').map(str::to_owned);
                let mut next = || fields.next().unwrap();
                let (probability, predicted, label) = (next(), next(), next());
                [next(), label, predicted, probability]
            })
            .collect();
        rows.sort();
        rows
    });
    assert_eq!(burn.len() as u64, scores["count"].as_u64().unwrap());
    assert_eq!(burn.len(), ort.len());
    let mut right = 0;
    for (burn, ort) in burn.iter().zip(&ort) {
        assert_eq!(burn[..3], ort[..3]);
        let [path, label, predicted, _] = burn;
        let folder = path.trim_matches('"').rsplit('/').nth(1);
        assert_eq!(folder, Some(label.as_str()), "{path} ends in class/file");
        right += u32::from(label == predicted);
        let [burn, ort] = [burn, ort].map(|row| row[3].parse::<f64>().unwrap());
        assert!(
            (burn - ort).abs() < 1e-4 && burn >= 0.5,
            "{path}: {burn} {ort}"
        );
    }
    let accuracy = scores["accuracy"].as_f64().unwrap();
    assert!((accuracy - f64::from(right) / burn.len() as f64).abs() < 1e-12);
}

/// What every finished run holds.
fn check_run(shop: &Workshop, run: &str, epochs: usize) {
    let folder = shop.path("runs").join(run);
    let mut files = vec![
        "audit.json",
        "best.safetensors",
        "calibration.json",
        "command.txt",
        "config.toml",
        "last.safetensors",
        "metrics.csv",
        "model.onnx",
        "predictions.csv",
        "preprocess.json",
        "report.html",
        "split.csv",
        "summary.json",
        "verify.json",
    ];
    if shop.json(&format!("runs/{run}/summary.json"))["fine_tuned"].is_object() {
        files.insert(5, "frozen.safetensors");
    }
    assert_eq!(run_folder::check_whole(&folder), files);
    let hidden = fs::read_dir(&folder).unwrap().count() - files.len();
    assert_eq!(hidden, 0, "temporary files stay");
    let verify = shop.json(&format!("runs/{run}/verify.json"));
    assert_eq!(verify["verified"], true);
    assert_eq!(verify["batches"], serde_json::json!([1, 2, 7]));
    let [difference, tolerance] =
        ["max_difference", "tolerance"].map(|key| verify[key].as_f64().unwrap());
    assert!(difference <= tolerance && tolerance > 0.0, "{verify}");
    let summary = shop.json(&format!("runs/{run}/summary.json"));
    assert_eq!(
        (&summary["verified"], &summary["split"]),
        (&true.into(), &"test".into())
    );
    assert_eq!(summary["classes"], serde_json::json!(pictures::CLASSES));
    let rows = run_folder::metrics(&folder.join("metrics.csv"));
    assert_eq!(rows.len(), epochs);
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(row["epoch"], (i + 1).to_string());
        let number = |name: &str| row[name].parse::<f64>().unwrap();
        assert!((0.0..=100.0).contains(&number("val_accuracy")), "{row:?}");
        assert!(
            number("train_loss") > 0.0 && number("train_images_per_second") > 0.0,
            "{row:?}"
        );
    }
    let list = fs::read_to_string(folder.join("split.csv")).unwrap();
    for (split, count) in pictures::SPLITS {
        let ending = format!(",{split}");
        let found = list.lines().filter(|line| line.ends_with(&ending)).count();
        assert_eq!(found as u32, 2 * count, "{split}: {list}");
    }
}

#[test]
fn the_custom_network_from_pictures_to_onnx_runtime() {
    let shop = Workshop::new();
    let fit = shop.fit("--epochs 2 --name own --json fit.json").run().ok();
    assert!(
        fit.out.contains("verified runs/own/model.onnx"),
        "{}",
        fit.out
    );
    assert!(fit.out.contains("baseline   50.00 %"), "{}", fit.out);
    assert!(
        fit.err
            .contains("next: deploy predict --model runs/own/model.onnx"),
        "{}",
        fit.err
    );
    check_run(&shop, "own", 2);
    assert_eq!(shop.json("fit.json"), shop.json("runs/own/summary.json"));
    same_on_both_sides(&shop, "own");
    shop.deploy("check").run().ok();
    let info = shop.deploy("info --json").run().ok().json();
    assert_eq!(
        info["card"]["classes"],
        serde_json::json!(pictures::CLASSES),
        "{info}"
    );
}

#[test]
fn a_backbone_with_a_new_head() {
    let shop = Workshop::new();
    let source = onnx::Document::open(&tiny_models::residual(&shop.path("tiny.onnx"))).unwrap();
    let tuned = "--fine-tune --keep tuned --epochs 2";
    for (run, flags) in [("frozen", "--fine-tune=false --epochs 2"), ("tuned", tuned)] {
        let flags = format!("--backbone tiny.onnx --name {run} {flags}");
        shop.own_cache(shop.fit(&flags)).run().ok();
        check_run(&shop, run, 2);
        same_on_both_sides(&shop, run);
        shop.deploy("check").run().ok();
        // Frozen weights stay those of the source file, tuned ones move; running statistics only if asked.
        let model = onnx::Document::open(&shop.path(format!("runs/{run}/model.onnx"))).unwrap();
        for name in ["stem.w", "conv.w", "norm.m"] {
            let kept = model.tensor(name).unwrap() == source.tensor(name).unwrap();
            assert_eq!(kept, run == "frozen" || name == "norm.m", "{name} of {run}");
        }
    }
}

#[test]
fn a_fine_tuning_that_does_harm_exports_the_frozen_backbone() {
    let shop = Workshop::new();
    let source = onnx::Document::open(&tiny_models::residual(&shop.path("tiny.onnx"))).unwrap();
    // At this rate nothing is left of the network.
    let flags = "--backbone tiny.onnx --fine-tune --lr 10 --epochs 1 --name own";
    let fit = shop.own_cache(shop.fit(flags)).run().ok();
    assert!(
        fit.err.contains("so the frozen backbone is kept"),
        "{}",
        fit.err
    );
    let summary = shop.json("runs/own/summary.json");
    assert_eq!(summary["epoch"], 0);
    assert_eq!(summary["fine_tuned"]["kept_tuned"], false);
    let name = summary["network"].as_str().unwrap();
    assert_eq!(name, "tiny (frozen, new classification layer)");
    let model = onnx::Document::open(&shop.path("runs/own/model.onnx")).unwrap();
    for name in ["stem.w", "conv.w"] {
        assert_eq!(
            model.tensor(name).unwrap(),
            source.tensor(name).unwrap(),
            "{name}"
        );
    }
    same_on_both_sides(&shop, "own");
    // Written again, the file is the same.
    shop.trainer("export own --out again.onnx").run().ok();
    let again = onnx::Document::open(&shop.path("again.onnx")).unwrap();
    assert_eq!(again.graph(), model.graph());
    let page = fs::read_to_string(shop.path("runs/own/report.html")).unwrap();
    assert!(page.contains("frozen, since fine-tuning is not better"));
    // Kept all the same, it is a warning, on the page too.
    let kept = "--backbone tiny.onnx --fine-tune --lr 10 --epochs 1 --keep tuned --name kept";
    let fit = shop.own_cache(shop.fit(kept)).run().ok();
    let warning = "the fine-tuned network is worse than the frozen backbone in validation";
    assert!(fit.err.contains(warning), "{}", fit.err);
    let page = fs::read_to_string(shop.path("runs/kept/report.html")).unwrap();
    assert!(page.contains(warning));
}

#[test]
fn a_run_is_exported_again_and_scored_on_its_list() {
    let shop = Workshop::new();
    shop.fit("--epochs 2 --name own -q").run().ok();
    let export = shop.trainer("export own --out again.onnx").run().ok();
    assert!(
        export.out.contains("verified"),
        "{}{}",
        export.out,
        export.err
    );
    let score = |flags: &str| {
        let eval = shop
            .deploy("eval --split val --data pictures --json - -q")
            .args(flags);
        eval.run().ok().json()
    };
    let first = score("--model runs/own/model.onnx");
    assert_eq!(first["count"], 8);
    for flags in [
        "--model again.onnx",
        "--model again.onnx --list runs/own/split.csv",
    ] {
        let again = score(flags);
        for key in ["accuracy", "confusion", "loss", "count"] {
            assert_eq!(again[key], first[key], "{flags}: {key}");
        }
    }
    shop.deploy("check again.onnx").run().ok();
}

#[test]
fn one_folder_of_classes_and_a_csv_are_data_too() {
    let shop = Workshop::empty();
    pictures::draw_classes(&shop.path("flat"), 20);
    let flags = "fit --data flat --width 2 --epochs 1 --name flat";
    shop.trainer(flags).run().ok();
    same_on_both_sides(&shop, "flat");
    let mut list = String::from("path,label\n");
    for (class, name) in [("discs", "round"), ("squares", "edgy")] {
        for entry in fs::read_dir(shop.path("flat").join(class)).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            list += &format!("flat/{class}/{file},{name}\n");
        }
    }
    shop.write("list.csv", list);
    let flags = "fit --data list.csv --width 2 --epochs 1 --name csv";
    shop.trainer(flags).run().ok();
    let summary = shop.json("runs/csv/summary.json");
    assert_eq!(summary["classes"], serde_json::json!(["edgy", "round"]));
    shop.deploy("eval --json csv.json -q").run().ok();
    assert_eq!(shop.json("csv.json")["confusion"], summary["confusion"]);
}

#[test]
fn it_learns_and_predicts() {
    let shop = Workshop::new();
    let flags = "fit --data pictures --epochs 12 --lr 1e-2 --augment none";
    shop.trainer(flags)
        .args("--width 4 --json fit.json -q")
        .run()
        .ok();
    let accuracy = shop.json("fit.json")["accuracy"].as_f64().unwrap();
    assert!(accuracy >= 0.9, "{accuracy}");
    let files = "pictures/test/discs/00.jpg pictures/test/squares/01.png";
    let predict = shop
        .deploy("predict --format jsonl -q")
        .args(files)
        .run()
        .ok();
    for (line, (file, class)) in predict
        .out
        .lines()
        .zip(files.split(" ").zip(pictures::CLASSES))
    {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["path"].as_str().unwrap().ends_with(file), "{line}");
        assert!(line.to_string().contains(class), "{line}");
    }
    assert_eq!(predict.out.lines().count(), 2);
}

#[test]
fn classes_are_matched_by_name_not_by_order() {
    let shop = Workshop::new();
    shop.fit("--epochs 1 --name own").run().ok();
    // Only one class: its label is 0 in the data and 1 in the model.
    pictures::draw_classes(&shop.path("part/test"), 6);
    fs::remove_dir_all(shop.path("part/test/discs")).unwrap();
    let eval = "eval --data part --json";
    shop.deploy(eval).args("ort.json -q").run().ok();
    shop.trainer("eval own --data part --json burn.json -q")
        .run()
        .ok();
    let [burn, ort] = ["burn.json", "ort.json"].map(|file| shop.json(file));
    assert_eq!(burn["confusion"], ort["confusion"]);
    assert_eq!(ort["classes"], serde_json::json!(pictures::CLASSES));
    assert_eq!(ort["confusion"][0], serde_json::json!([0, 0]));
    assert_eq!(ort["count"], 6);
}

/// Operators of a run's file, first to last.
fn operators(shop: &Workshop, run: &str) -> Vec<String> {
    let document = onnx::Document::open(&shop.path(format!("runs/{run}/model.onnx"))).unwrap();
    let nodes = document.graph().node.iter();
    nodes.map(|node| node.op_type().to_owned()).collect()
}

#[test]
fn cells_of_either_formulation_are_trained_resumed_and_exported() {
    let shop = Workshop::new();
    let mut cells = vec![];
    for (run, flags) in [("a", ""), ("b", "--cell original")] {
        let flags = format!("-q --cells 1 --epochs 1 --name {run} {flags}");
        shop.fit(&flags).run().ok();
        let resumed = shop.trainer(&format!("fit -q --resume {run} --epochs 2"));
        resumed.run().ok();
        let verify = shop.json(&format!("runs/{run}/verify.json"));
        assert_eq!(verify["verified"], true, "{verify}");
        same_on_both_sides(&shop, run);
        let operators = operators(&shop, run);
        // Between the stem and the pooling.
        let pool = operators.len() - 3;
        cells.push(operators[4..pool].join(" "));
    }
    let norm_relu = "BatchNormalization Relu";
    assert_eq!(
        cells,
        [
            format!("{norm_relu} Conv {norm_relu} Conv Conv Add"),
            format!("Conv {norm_relu} Conv BatchNormalization Conv Add Relu"),
        ]
    );
}

#[test]
fn images_of_another_size_and_grey_ones_are_trained_resumed_and_exported() {
    let shop = Workshop::new();
    for (run, flags, input) in [
        ("a", "--size 96", "input: Float [batch, 3, 96, 96]"),
        (
            "b",
            "--channels 1 --size 61",
            "input: Float [batch, 1, 61, 61]",
        ),
    ] {
        let flags = format!("-q --cells 1 --epochs 1 --name {run} {flags}");
        shop.fit(&flags).run().ok();
        shop.trainer(&format!("fit -q --resume {run} --epochs 2"))
            .run()
            .ok();
        let verify = shop.json(&format!("runs/{run}/verify.json"));
        assert_eq!(verify["verified"], true, "{verify}");
        same_on_both_sides(&shop, run);
        let path = shop.path(format!("runs/{run}/model.onnx"));
        let document = onnx::Document::open(&path).unwrap();
        assert_eq!(document.inputs()[0].to_string(), input);
    }
    let card = shop.deploy("card show runs/b/model.onnx").run().ok().json();
    let preprocess = card["preprocess"].to_string();
    assert!(preprocess.contains("gray"), "{preprocess}");
}
