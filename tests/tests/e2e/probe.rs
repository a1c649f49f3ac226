//! Backbones compared by held-out scores and time, and the one that `--backbone auto` takes.

use fs_err as fs;
use tests::{Workshop, shared, tiny_models};

#[test]
fn a_probe_has_a_row_for_each_backbone_a_chart_and_a_recommendation() {
    let shop = Workshop::new();
    tiny_models::residual(&shop.path("tiny.onnx"));
    fs::copy(shop.path("tiny.onnx"), shop.path("same.onnx")).unwrap();
    let probe = "probe --data pictures --backbone tiny.onnx,same.onnx --json probe.json";
    let probe = |flags: &str| shop.own_cache(shop.trainer(probe).args(flags)).run();
    let done = probe("--folds 4").ok();
    let head = "4 folds of 28 training and validation images; time on one thread of this machine\n";
    assert!(done.out.starts_with(head), "{}", done.out);
    // Test images stay untouched.
    assert!(!done.err.contains("features of test"), "{}", done.err);
    let json = shop.json("probe.json");
    assert_eq!((&json["count"], &json["folds"]), (&28.into(), &4.into()));
    let backbones = json["backbones"].as_array().unwrap();
    assert_eq!(backbones.len(), 2);
    let time = |index: usize| backbones[index]["milliseconds"].as_f64().unwrap();
    assert!(0.0 < time(0) && time(0) <= time(1), "{json}");
    // The same file has the same scores: the faster one is recommended.
    for key in ["accuracy", "loss", "bytes", "features", "sha256", "licence"] {
        assert_eq!(backbones[0][key], backbones[1][key], "{key}");
    }
    assert_eq!(json["recommended"], backbones[0]["name"]);
    let reason = json["reason"].as_str().unwrap();
    assert!(done.out.trim_end().ends_with(reason), "{}", done.out);
    let svg = fs::read_to_string(shop.path("probe.svg")).unwrap();
    assert!(svg.contains("tiny.onnx") && svg.contains("same.onnx"));
    // Another seed has other folds and nothing to compute.
    let done = probe("--seed 3 --out probe.png").ok();
    assert!(!done.err.contains(" computed in "), "{}", done.err);
    assert!(
        fs::read(shop.path("probe.png"))
            .unwrap()
            .starts_with(b"\x89PNG")
    );
    let refused = probe("--folds 40 -q").refusal();
    assert!(refused.contains("`--folds 40`: `class0` has") || refused.contains("`--folds 40`"));
    let refused = probe("--out probe.gif -q").refusal();
    insta::assert_snapshot!(refused, @"error: `--out probe.gif`: a chart is a `.svg` or a `.png` file");
}

#[test]
fn auto_takes_a_backbone_of_the_cache_and_a_resume_keeps_it() {
    let shop = Workshop::new();
    let fit = |flags: &str| {
        shop.own_cache(
            shop.trainer("fit --data pictures --backbone auto")
                .args(flags),
        )
    };
    let refused = fit("-q").run().refusal();
    assert!(
        refused.contains("among the backbones in the cache"),
        "{refused}"
    );
    let refused = shop.own_cache(shop.trainer("probe --data pictures -q"));
    assert!(refused.run().refusal().contains("no backbone to probe"));
    let Some(weights) = shared::find("weights/resnet18.onnx") else {
        return;
    };
    let cached = shop.path("cache/weights/resnet18-v1-7.onnx");
    fs::create_dir_all(cached.parent().unwrap()).unwrap();
    fs::copy(weights, cached).unwrap();
    let done = fit("--name own").patience(600).run().ok();
    let line = "--backbone auto: resnet18, the only one in the cache";
    assert!(done.err.contains(line), "{}", done.err);
    let config = fs::read_to_string(shop.path("runs/own/config.toml")).unwrap();
    assert!(config.contains("backbone = \"resnet18\"\n"), "{config}");
    let done = shop.own_cache(shop.trainer("fit --resume own")).run().ok();
    assert!(!done.err.contains("--backbone auto"), "{}", done.err);
}
