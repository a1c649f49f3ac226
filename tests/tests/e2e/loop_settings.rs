//! Settings of the training loop, through the real program: label smoothing, class weights, sampling, mixing,
//! accumulation; and the range test of `find-lr`.

use fs_err as fs;
use tests::Workshop;

use crate::resume::{interrupted, same_runs};

/// All of them at once.
const ALL: &str = "--label-smoothing 0.1 --class-weights discs=2 --sampling balanced --mixup 0.4 --cutmix 1 \
                   --accumulate 3";

#[test]
fn a_run_with_every_setting_resumes_as_an_uninterrupted_one() {
    let shop = Workshop::new();
    let flags = format!("{ALL} --epochs 60 --batch 1 --seed 3");
    interrupted(&shop, "twice", &flags, false);
    shop.fit(&flags).args("--name once -q").run().ok();
    same_runs(&shop, "once", "twice");
    let config = fs::read_to_string(shop.path("runs/once/config.toml")).unwrap();
    for line in [
        "accumulate = 3\n",
        "label-smoothing = 0.1\n",
        "class-weights = \"discs=2\"\n",
        "sampling = \"balanced\"\n",
        "mixup = 0.4\n",
        "cutmix = 1.0\n",
    ] {
        assert!(config.contains(line), "{line}{config}");
    }
    let card = shop.deploy("info runs/once/model.onnx --json -").run().ok();
    for text in ["class-weights", "discs=2", "balanced", "mixup"] {
        assert!(card.out.contains(text), "{text}: {}", card.out);
    }
    let refused = shop.trainer("fit --resume once --epochs 61 --mixup 0.5 -q");
    insta::assert_snapshot!(refused.run().refusal(), @r#"
    error: `--mixup` cannot change in a resumed run
      expected: 0.4
      found:    0.5

    hint: leave `--mixup` out, or start a new run: `trainer fit --config RUN/config.toml --mixup ...`
    "#);
}

#[test]
fn a_class_that_is_not_there_is_refused_before_there_is_a_run() {
    let shop = Workshop::new();
    let refused = shop.fit("--class-weights ants=2,discs=1 -q").run();
    insta::assert_snapshot!(refused.refusal(), @"error: `--class-weights ants=2,discs=1`: `ants` is no class; the classes are discs, squares");
    assert!(!shop.path("runs").exists());
}

#[test]
fn find_lr_draws_a_curve_and_suggests_a_rate_and_makes_no_run() {
    let shop = Workshop::new();
    let find = "find-lr --data pictures --width 4 --batch 16 --seed 1 --steps 60 --out charts --json lr.json";
    let done = shop.trainer(find).run().ok();
    assert!(!shop.path("runs").exists());
    let json = shop.json("lr.json");
    let steps = json["steps"].as_array().unwrap();
    let first = steps[0]["lr"].as_f64().unwrap();
    assert!((first / 1e-7 - 1.0).abs() < 1e-9, "{first}");
    let suggestion = json["suggestion"].as_f64().unwrap();
    assert!((1e-5..1.0).contains(&suggestion), "{suggestion}");
    let line = format!("suggestion: --lr {suggestion:.1e}, where the loss falls fastest\n");
    assert!(done.out.ends_with(&line), "{}", done.out);
    let next = format!(
        "next: trainer fit --data pictures --width 4 --batch 16 --seed 1 --lr {suggestion:.1e}\n"
    );
    assert!(done.err.ends_with(&next), "{}", done.err);
    let svg = fs::read_to_string(shop.path("charts/find-lr.svg")).unwrap();
    assert!(
        svg.contains(&format!("suggestion: {suggestion:.1e}")),
        "{svg}"
    );
    let png = fs::read(shop.path("charts/find-lr.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG"));
    // The same again, whatever the number of threads.
    let again = shop.trainer(find).args("--threads 1").run().ok();
    assert_eq!(again.out, done.out);
    assert_eq!(shop.json("lr.json"), json);
    let refused = shop.trainer(find).args("--lr 1e-3 -q").run();
    insta::assert_snapshot!(refused.refusal(), @r"
    error: `--lr` has no use in a learning rate range test

    hint: leave it out; `trainer fit` takes it
    ");
}
