//! `trainer inspect`: the pictures of what an exported network sees.

use std::path::{Path, PathBuf};

use fs_err as fs;
use serde_json::Value;
use tests::{Workshop, tiny_models};

const PREPROCESS: &str = "resize(32,32,bilinear,antialias)|scale(1/255)";

/// The entries of an `inspect.json`, whose files must all be there and no others.
fn entries(shop: &Workshop, folder: &str) -> Vec<Value> {
    let list = shop.json(format!("{folder}/inspect.json").as_str());
    let entries = list["images"].as_array().unwrap().clone();
    let mut listed: Vec<PathBuf> = entries
        .iter()
        .map(|entry| file(shop, folder, entry))
        .collect();
    listed.push(shop.path(folder).join("inspect.json"));
    listed.sort();
    assert_eq!(files(&shop.path(folder)), listed);
    entries
}

fn file(shop: &Workshop, folder: &str, entry: &Value) -> PathBuf {
    shop.path(folder).join(entry["file"].as_str().unwrap())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn of_kind<'a>(entries: &'a [Value], kind: &str) -> Vec<&'a Value> {
    entries
        .iter()
        .filter(|entry| entry["kind"] == kind)
        .collect()
}

#[test]
fn a_run_is_inspected_and_a_second_look_replaces_the_first() {
    let shop = Workshop::new();
    shop.fit("--epochs 1 --name a").run().ok();
    let inspect = |flags: &str| {
        let done = shop
            .trainer(&format!(
                "inspect a --image pictures/test/discs/01.png {flags}"
            ))
            .run();
        (done.ok(), entries(&shop, "runs/a/inspect"))
    };
    let (done, all) = inspect("--occlusion");
    // The custom network: ten convolutions, and 1 x 1 at the end.
    assert_eq!(of_kind(&all, "feature-map").len(), 8);
    let left_out = "no images of 2 of 10 convolutions: their maps have 1 x 1 pixel";
    assert!(done.err.contains(left_out), "{}", done.err);
    assert!(
        done.err.contains("are 1 x 1; Eigen-CAM of `cells."),
        "{}",
        done.err
    );
    for (kind, count) in [
        ("kernels", 4),
        ("input", 1),
        ("activation-map", 1),
        ("occlusion", 1),
    ] {
        assert_eq!(of_kind(&all, kind).len(), count, "{kind}");
    }
    let seen = file(&shop, "runs/a/inspect", of_kind(&all, "input")[0]);
    assert_eq!(image::image_dimensions(&seen).unwrap(), (224, 224));
    assert_eq!(of_kind(&all, "feature-map")[0]["node"], "conv1");
    assert!(done.out.contains("wrote `runs/a/inspect`"), "{}", done.out);
    assert!(
        done.err.contains("report: runs/a/report.html"),
        "{}",
        done.err
    );
    assert!(page(&shop).contains("Kernels and feature maps: 12"));

    let (done, all) = inspect("--simplified --class squares");
    assert_eq!(of_kind(&all, "feature-map").len(), 7);
    assert!(of_kind(&all, "occlusion").is_empty());
    assert!(done.err.contains("`cells.2.project`"), "{}", done.err);
    let title = of_kind(&all, "activation-map")[0]["title"]
        .as_str()
        .unwrap();
    assert!(title.contains("(squares, "), "{title}");
}

fn page(shop: &Workshop) -> String {
    fs::read_to_string(shop.path("runs/a/report.html")).unwrap()
}

#[test]
fn the_report_shows_what_was_inspected_and_stays_small() {
    let shop = Workshop::new();
    shop.trainer("fit --data pictures --width 16 --epochs 1 --name a -q")
        .run()
        .ok();
    let before = page(&shop);
    assert!(!before.contains("What it looks at"));
    let inspect = |flags: &str| {
        let images = "--image pictures/test/discs/01.png --image pictures/test/squares/00.jpg";
        shop.trainer(&format!("inspect {images} {flags}"))
            .run()
            .ok()
    };
    inspect("a --out elsewhere");
    assert_eq!(page(&shop), before);
    inspect("runs/a/model.onnx --occlusion");
    let after = page(&shop);
    assert!(after.len() < 3_000_000, "{}", after.len());
    for title in [
        "Eigen-CAM of 01.png",
        "occlusion of 00.jpg",
        "convolution 8 of 10 of 01.png",
    ] {
        assert!(after.contains(title), "{title}");
    }
    // The feature maps of the second picture stay in the folder.
    assert!(!after.contains("convolution 8 of 10 of 00.jpg"));
    assert!(after.contains("8 more images are in <code>inspect/</code>"));

    // A page with pictures is not replaced by one without.
    fs::rename(shop.path("pictures"), shop.path("moved")).unwrap();
    let done = shop
        .trainer("inspect a --image moved/test/discs/01.png")
        .run()
        .ok();
    let hint = "not in the report yet: trainer report runs/a --data DIR";
    assert!(done.err.contains(hint), "{}", done.err);
    assert_eq!(page(&shop), after);
}

#[test]
fn any_classifier_is_inspected_by_a_flag_and_nothing_foreign_is_overwritten() {
    let shop = Workshop::new();
    tiny_models::residual(&shop.path("net.onnx"));
    let images = files(&shop.path("pictures/test/squares"));
    let inspect = |flags: &str| {
        let tool = shop.trainer("inspect net.onnx --image").path(&images[0]);
        let tool = tool.args("--image").path(&images[1]).args(flags);
        tool.args("--preprocess").word(PREPROCESS).run()
    };
    let done = inspect("").ok();
    assert!(
        done.err.contains("class activation map of 16 x 16"),
        "{}",
        done.err
    );
    let all = entries(&shop, "inspect");
    assert_eq!(of_kind(&all, "activation-map").len(), 2);
    assert_eq!(of_kind(&all, "feature-map").len(), 4);
    let title = of_kind(&all, "activation-map")[0]["title"]
        .as_str()
        .unwrap();
    assert!(title.contains("(class "), "{title}");

    let taken = of_kind(&all, "input")[0]["file"].as_str().unwrap();
    shop.write(&format!("mine/{taken}"), "mine");
    let refused = inspect("-q --out mine").refusal();
    assert!(
        refused.contains("was not written by `trainer inspect`"),
        "{refused}"
    );
    assert!(
        refused.contains("hint: choose another folder with `--out`"),
        "{refused}"
    );
    assert_eq!(
        fs::read(shop.path(format!("mine/{taken}"))).unwrap(),
        b"mine"
    );

    let refused = inspect("-q --class wasps").refusal();
    assert!(
        refused.contains("`--class wasps`: the model knows class 0, class 1"),
        "{refused}"
    );
    let bare = shop
        .trainer("inspect -q net.onnx --image")
        .path(&images[0])
        .run();
    assert!(
        bare.refusal()
            .contains("does not say how images are prepared")
    );
    tiny_models::filter(&shop.path("filter.onnx"));
    let filter = shop
        .trainer("inspect -q filter.onnx --image")
        .path(&images[0]);
    let refused = filter.args("--preprocess").word(PREPROCESS).run().refusal();
    assert!(refused.contains("is not an image classifier"), "{refused}");
}
