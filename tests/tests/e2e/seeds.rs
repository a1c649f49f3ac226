//! A run repeated with other seeds.

use fs_err as fs;
use tests::run_folder::{check_whole, checkpoint};
use tests::{Workshop, tiny_models};

use crate::resume::same_runs;

#[test]
fn a_seed_is_the_run_that_has_it() {
    let shop = Workshop::new();
    tiny_models::residual(&shop.path("tiny.onnx"));
    for (kind, backbone) in [("custom", ""), ("frozen", "--backbone tiny.onnx --lr 0.05")] {
        let fit = |flags: &str| {
            let fit = shop.fit(&format!("--epochs 2 --batch 4 {backbone} {flags}"));
            shop.own_cache(fit)
        };
        let done = fit(&format!("--seeds 3 --name {kind} --seed 5")).run().ok();
        assert!(
            done.out.contains("3 seeds, 12 test images\n"),
            "{}",
            done.out
        );
        let seeds = shop.json(&format!("runs/{kind}/seeds.json"));
        assert_eq!(
            (&seeds["split"], &seeds["count"]),
            (&"test".into(), &12.into())
        );
        assert_eq!(done.err.matches("report: ").count(), 1, "{}", done.err);
        let page = format!("runs/{kind}/report.html");
        let page = fs::read_to_string(shop.path(page)).unwrap();
        assert!(page.contains("3 seeds, 12 test images"));
        assert!(!page.contains("Left out"));
        let runs = seeds["seeds"].as_array().unwrap();
        assert_eq!(runs.len(), 3);
        for (place, seed) in [5, 6, 7].into_iter().enumerate() {
            assert_eq!(runs[place]["seed"], seed);
            let single = format!("{kind}-{seed}");
            fit(&format!("--seed {seed} --name {single} -q")).run().ok();
            // The split is given by folders: a run of its own has the same images.
            let summary = shop.json(&format!("runs/{single}/summary.json"));
            assert_eq!(summary["accuracy"], runs[place]["accuracy"]);
            let loss = |value: &serde_json::Value| value["loss"].as_f64().unwrap();
            assert!(
                (loss(&summary) - loss(&runs[place])).abs() < 1e-5,
                "{seeds}"
            );
            if place == 0 {
                continue;
            }
            let part = format!("{kind}/seeds/{seed}");
            for file in ["best.safetensors", "last.safetensors"] {
                let [one, two] = [&part, &single]
                    .map(|run| checkpoint(&shop.path(format!("runs/{run}/{file}"))));
                assert!(one == two, "{file} of {part}");
            }
            let eval = shop.trainer(&format!("eval runs/{part} --json eval.json -q"));
            shop.own_cache(eval).run().ok();
            let eval = shop.json("eval.json");
            assert!((loss(&eval) - loss(&summary)).abs() < 1e-5);
        }
        for (key, pick) in [("min", f64::min as fn(f64, f64) -> f64), ("max", f64::max)] {
            let values = runs.iter().map(|run| run["loss"].as_f64().unwrap());
            let expected = values.reduce(pick).unwrap();
            assert_eq!(seeds["loss"][key].as_f64(), Some(expected));
        }
        for image in seeds["unstable"].as_array().unwrap() {
            let answers = image["answers"].as_object().unwrap();
            let count: u64 = answers.values().map(|count| count.as_u64().unwrap()).sum();
            assert!(answers.len() > 1 && count == 3, "{image}");
        }
    }
}

#[test]
fn seeds_go_on_where_they_were_interrupted_and_more_may_come_later() {
    let shop = Workshop::new();
    let fit = |name: &str| {
        shop.fit("--seeds 2 --epochs 60 --batch 1 --name")
            .word(name)
    };
    let mut run = fit("twice").start();
    assert!(run.says("seed 1 (2 of 2)") && run.says("epoch  2/60"));
    run.signal("INT");
    let done = run.wait();
    assert_eq!(done.code, 2, "{}", done.err);
    // The first seed's run is whole by then.
    let files = check_whole(&shop.path("runs/twice"));
    assert!(files.contains(&"model.onnx".into()), "{files:?}");
    assert!(!files.contains(&"seeds.json".into()), "{files:?}");
    shop.trainer("fit --resume twice -q").run().ok();
    shop.fit("--epochs 60 --batch 1 --name once -q").run().ok();
    shop.trainer("fit --resume once --seeds 2 -q").run().ok();
    same_runs(&shop, "once", "twice");
    let [one, two] = ["once", "twice"]
        .map(|run| fs::read_to_string(shop.path(format!("runs/{run}/seeds.json"))).unwrap());
    assert_eq!(one, two);
}
