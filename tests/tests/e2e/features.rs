//! Features of a frozen backbone: computed once, kept, and the same as if they were not.

use fs_err as fs;
use tests::run_folder::{check_whole, tensors};
use tests::{Done, Tool, Workshop, pictures, shared, tiny_models};

use crate::fit::same_on_both_sides;
use crate::resume::same_runs;

/// A workshop with a small backbone.
fn shop() -> Workshop {
    let shop = Workshop::new();
    tiny_models::residual(&shop.path("tiny.onnx"));
    shop
}

fn frozen(shop: &Workshop, flags: &str) -> Tool {
    let fit = shop.fit("--backbone tiny.onnx --epochs 4");
    shop.own_cache(fit.args(flags))
}

/// The lines of the log that say how many rows were kept and computed, without times.
fn features(done: &Done) -> Vec<String> {
    let lines = done.err.lines();
    let lines = lines.filter(|line| line.starts_with("features of"));
    let timeless = |line: &str| line.split(" in ").next().unwrap().to_owned();
    lines.map(timeless).collect()
}

#[test]
fn a_second_run_computes_nothing_and_ends_with_the_same_bits() {
    let shop = shop();
    // The pictures of val and test are also among those of train.
    pictures::draw_classes(&shop.path("pictures/val"), 4);
    pictures::draw_classes(&shop.path("pictures/test"), 6);
    let cold = frozen(&shop, "--views 3 --name cold").run().ok();
    insta::assert_snapshot!(features(&cold).join("\n"), @r"
    features of train: 3 views of 20 images, 0 from the cache, 60 computed
    features of val: 1 view of 8 images, 8 from the cache, none computed
    features of test: 1 view of 12 images, 12 from the cache, none computed
    ");
    let warm = frozen(&shop, "--views 3 --name warm").run().ok();
    insta::assert_snapshot!(features(&warm).join("\n"), @r"
    features of train: 3 views of 20 images, 60 from the cache, none computed
    features of val: 1 view of 8 images, 8 from the cache, none computed
    features of test: 1 view of 12 images, 12 from the cache, none computed
    ");
    same_runs(&shop, "cold", "warm");
    // Neither threads nor the cache change a bit.
    let bare = "--views 3 --name bare --feature-cache 0 --threads 1";
    let bare = frozen(&shop, bare).run().ok();
    assert_eq!(features(&bare)[0], features(&cold)[0]);
    same_runs(&shop, "cold", "bare");
    // Another seed, rate and number of views have nothing to compute.
    let other = frozen(&shop, "--views 2 --seed 9 --lr 0.1").run().ok();
    assert!(
        features(&other)[0].ends_with("2 views of 20 images, 40 from the cache, none computed")
    );
    // Another augmentation has: its plain view is the same.
    let other = frozen(&shop, "--augment hflip(0.5) --views 2").run().ok();
    assert!(features(&other)[0].ends_with("20 from the cache, 20 computed"));
    // Files in the cache that are no shelves are none.
    for entry in fs::read_dir(shop.path("cache/features")).unwrap() {
        fs::write(entry.unwrap().path(), "torn").unwrap();
    }
    let again = frozen(&shop, "--views 3 --name again").run().ok();
    assert_eq!(features(&again), features(&cold));
    same_runs(&shop, "cold", "again");
}

#[test]
fn the_views_are_what_was_asked_for() {
    let shop = shop();
    for (flags, views) in [
        ("", "1 view"),
        ("--augment hflip(0.5)", "4 views"),
        ("--augment none --views 3", "1 view"),
    ] {
        let done = frozen(&shop, flags).run().ok();
        let lines = features(&done);
        assert!(
            lines[0].contains(&format!(": {views} of 20")),
            "{flags}: {lines:?}"
        );
    }
    let fresh = frozen(&shop, "--views fresh --name fresh").run().ok();
    assert!(features(&fresh).is_empty());
    same_on_both_sides(&shop, "fresh");
    let val = frozen(&shop, "--views 2 --augment-val --no-test --name val")
        .run()
        .ok();
    assert_eq!(features(&val).len(), 2);
    assert!(features(&val)[1].contains("2 views of 8"));
    assert_eq!(shop.json("runs/val/summary.json")["split"], "val");
    let refused = shop.fit("--views 3 -q").run();
    insta::assert_snapshot!(refused.refusal(), @r"error: `--views 3`: needs a frozen `--backbone`; other networks see a fresh view every epoch");
    let tuned = frozen(&shop, "--views 3 --fine-tune -q").run();
    assert!(
        tuned
            .refusal()
            .contains("`--views 3`: needs a frozen `--backbone`")
    );
    let changed = shop
        .own_cache(shop.trainer("fit --resume val --views 3 -q"))
        .run();
    assert!(changed.refusal().contains("`--views` cannot change"));
}

/// What is scored with kept features is what `deploy eval` finds on the file.
#[test]
fn the_closing_scores_are_those_of_the_file() {
    let shop = shop();
    frozen(&shop, "--lr 0.05 --name own").run().ok();
    let eval = "eval --model runs/own/model.onnx --data pictures --split test --json ort.json -q";
    shop.deploy(eval).run().ok();
    let (ours, theirs) = (shop.json("runs/own/summary.json"), shop.json("ort.json"));
    for key in ["accuracy", "confusion", "count", "interval"] {
        assert_eq!(ours[key], theirs[key], "{key}");
    }
    let [ours, theirs] = [ours, theirs].map(|scores| scores["loss"].as_f64().unwrap());
    assert!((ours - theirs).abs() < 1e-5, "{ours} {theirs}");
    let info = shop
        .deploy("info --json runs/own/model.onnx")
        .run()
        .ok()
        .json();
    let scores = &info["card"]["provenance"]["scores"];
    assert_eq!(scores["test"]["count"], 12, "{scores}");
}

#[test]
fn a_checkpoint_holds_what_was_trained_and_belongs_to_its_backbone() {
    let shop = shop();
    frozen(&shop, "--name own").run().ok();
    let last = shop.path("runs/own/last.safetensors");
    let names: Vec<String> = tensors(&last).into_keys().collect();
    assert_eq!(names, ["fc.bias", "fc.weight", "optimizer.burnpack"]);
    shop.own_cache(shop.trainer("export own --out again.onnx"))
        .run()
        .ok();
    let mut other = onnx::Document::open(&shop.path("tiny.onnx")).unwrap();
    other.model.doc_string = Some("another file".into());
    other.save(&shop.path("tiny.onnx")).unwrap();
    for command in [
        "fit --resume own --epochs 6 -q",
        "eval own -q",
        "export own --out no.onnx -q",
    ] {
        let refused = shop.own_cache(shop.trainer(command)).run();
        let text = refused.refusal();
        assert!(
            text.contains("safetensors` belongs to another backbone"),
            "{text}"
        );
    }
}

#[test]
fn ctrl_c_while_features_are_computed_keeps_them() {
    let found = (
        shared::find("data/hymenoptera"),
        shared::find("weights/resnet18.onnx"),
    );
    let (Some(photos), Some(weights)) = found else {
        return;
    };
    let shop = Workshop::empty();
    let fit = |flags: &str| {
        let fit = shop.trainer("fit --epochs 2").args(flags).patience(600);
        let fit = fit
            .args("--data")
            .path(&photos)
            .args("--backbone")
            .path(&weights);
        shop.own_cache(fit)
    };
    let mut run = fit("--name own").start();
    // A line of progress: by then Ctrl-C is watched for.
    assert!(run.says("features of train"));
    run.signal("INT");
    let done = run.wait();
    assert_eq!(done.code, 2, "{}", done.err);
    let ending = "\ninterrupted: continue with `trainer fit --resume runs/own`\n";
    assert!(done.err.ends_with(ending), "{}", done.err);
    check_whole(&shop.path("runs/own"));
    let resume = shop.trainer("fit --resume own").patience(600);
    let done = shop.own_cache(resume).run().ok();
    let lines = features(&done);
    assert!(!lines[0].contains(" 0 from the cache"), "{lines:?}");
    fit("--name once -q").run().ok();
    same_runs(&shop, "once", "own");
}
