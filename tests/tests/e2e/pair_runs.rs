//! Several verifiers: compared on one page, trained with several seeds, cross-validated.

use std::collections::BTreeMap;

use fs_err as fs;
use serde_json::Value;
use tests::{Workshop, tiny_models};

use crate::pairs::{SMALL, draw_identities, shop};
use crate::report::references;

/// [`SMALL`] with its results on standard output.
const LOUD: &str = "fit --task pairs --data people --pairs-per-identity 4";

/// The decisions of a run by pair: whether each is right.
fn decisions(shop: &Workshop, run: &str) -> BTreeMap<String, bool> {
    let table = fs::read_to_string(shop.path(format!("runs/{run}/predictions.csv"))).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let is_right = (cells[2] == "same") == (cells[3] == "same");
        (format!("{} {}", cells[0], cells[1]), is_right)
    };
    table.lines().skip(1).map(row).collect()
}

/// Trains a verifier with a frozen backbone, which is made first.
fn fit(shop: &Workshop, run: &str, flags: &str) -> Value {
    tiny_models::residual(&shop.path("tiny.onnx"));
    let fit = format!("{SMALL} --backbone tiny.onnx {flags} --name {run}");
    shop.trainer(&fit).run().ok();
    shop.json(&format!("runs/{run}/summary.json"))
}

/// The page that compares runs.
fn compare(shop: &Workshop, runs: &str) -> String {
    let report = shop.trainer(&format!("report {runs}")).run().ok();
    assert!(report.out.contains("wrote `comparison.html`"));
    fs::read_to_string(shop.path("comparison.html")).unwrap()
}

/// What the page has of a run.
fn check_scores(page: &str, summary: &Value) {
    let figure = |key: &str| summary[key].as_f64().unwrap();
    let percent = |key: &str| format!("<td>{:.1} %</td>", 100.0 * figure(key));
    for expected in [
        format!("<td>{:.3}</td>", figure("auc")),
        percent("equal_error_rate"),
        percent("accuracy"),
        format!("<td>{} test</td>", summary["count"]),
    ] {
        assert!(page.contains(&expected), "{expected}");
    }
    for key in ["auc_interval", "equal_error_interval"] {
        assert_eq!(summary[key].as_array().unwrap().len(), 2, "{key}");
    }
}

#[test]
fn verifiers_are_compared_on_their_common_pairs() {
    let shop = Workshop::empty();
    // Twelve of sixty identities are the test set.
    draw_identities(&shop.path("people"), 60, 3);
    let summaries = [
        fit(&shop, "weighed", ""),
        fit(&shop, "far", "--distance euclidean --epochs 2"),
    ];
    let page = compare(&shop, "weighed far");
    assert_eq!(references(&page), Vec::<String>::new());
    summaries
        .iter()
        .for_each(|summary| check_scores(&page, summary));
    let areas = summaries.map(|summary| summary["auc"].as_f64().unwrap());
    let [weighed, far] = ["weighed", "far"].map(|run| decisions(&shop, run));
    let only = |right: &BTreeMap<String, bool>, wrong: &BTreeMap<String, bool>| {
        let only = right
            .iter()
            .filter(|(pair, is_right)| **is_right && !wrong[*pair]);
        only.count()
    };
    let (first, second) = (only(&weighed, &far), only(&far, &weighed));
    assert!(first + second > 0, "the runs answer alike");
    let count = weighed.len();
    let by = (areas[0] - areas[1]).abs();
    for expected in [
        &format!("on {count} common pairs of 12 identities, the area under the ROC curve of"),
        &format!("larger by {by:.3} (paired bootstrap over identities, p"),
        &format!("<td>{count}</td><td>{first}</td><td>{second}</td>"),
        "<h3>Detection error tradeoff</h3>",
        "<h2>Where weighed and far differ</h2>",
        "No losses: a contrastive loss and a cross-entropy are not comparable.",
        "forgeries</th>",
        "only 1st right</th>",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
    let shown = first.min(6) + second.min(6);
    assert_eq!(page.matches("<div class=\"pair\">").count(), shown);
    assert!(!page.contains("not found") && !page.contains("NaN"));

    // A run beside itself: no difference, and none of its pairs is shown. No epochs trained it.
    let page = compare(&shop, "weighed weighed");
    for expected in [
        "No difference shown",
        "larger by 0.000",
        "p = 1",
        "the same pairs.",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
    assert!(!page.contains("<div class=\"pair\">") && !page.contains("<h3>Loss</h3>"));
}

#[test]
fn runs_without_common_pairs_or_with_few_identities_are_not_tested_against_each_other() {
    let shop = Workshop::new();
    draw_identities(&shop.path("people"), 20, 3);
    fit(&shop, "drawn", "");
    let mut table = String::from("path_a,path_b,label,split\n");
    for (split, first) in [("train", 0), ("val", 4), ("test", 8)] {
        for a in first..first + 4 {
            let b = first + (a + 1) % 4;
            table += &format!("people/{a}/0.png,people/{a}/1.png,same,{split}\n");
            table += &format!("people/{a}/0.png,people/{b}/1.png,different,{split}\n");
        }
    }
    shop.write("pairs.csv", &table);
    let listed = "fit --task pairs --data pairs.csv --backbone tiny.onnx --name listed -q";
    shop.trainer(listed).run().ok();
    let page = compare(&shop, "drawn listed");
    for expected in ["they have no pair in common.", "The data sets differ"] {
        assert!(page.contains(expected), "{expected}");
    }
    assert!(!page.contains("only 1st right"));
    let page = compare(&shop, "listed listed");
    let expected = "it takes 10 identities, and their 8 common pairs are of 4.";
    assert!(page.contains(expected), "{page}");

    shop.fit("--epochs 1 --name classes -q").run().ok();
    let mixed = shop.trainer("report drawn classes -q").run().refusal();
    let expected = "`runs/drawn` is a verifier's run and `runs/classes` a classifier's";
    assert!(mixed.contains(expected), "{mixed}");
}

/// A figure of a seed beside what `deploy eval` finds of the file that was exported of it.
fn check_seed(shop: &Workshop, part: &str, seed: &Value) {
    shop.trainer(&format!("export runs/{part} -q")).run().ok();
    let eval = format!("eval runs/{part}/model.onnx --json eval.json -q");
    shop.deploy(&eval).run().ok();
    let found = shop.json("eval.json");
    for key in ["auc", "equal_error_rate", "accuracy", "threshold"] {
        let [own, found] = [seed, &found].map(|json| json[key].as_f64().unwrap());
        assert!((own - found).abs() < 1e-5, "{part} {key}: {own} {found}");
    }
}

#[test]
fn a_seed_of_a_verifier_is_a_run_of_its_own() {
    let shop = shop();
    tiny_models::residual(&shop.path("tiny.onnx"));
    for (run, flags) in [
        ("custom", "--width 2 --size 48 --epochs 2"),
        ("far", "--width 2 --size 48 --epochs 2 --distance euclidean"),
        ("frozen", "--backbone tiny.onnx --epochs 2 --lr 0.05"),
        (
            "tuned",
            "--backbone tiny.onnx --epochs 1 --fine-tune --keep tuned --lr 0.05",
        ),
    ] {
        let fit = format!("{LOUD} {flags} --seeds 3 --seed 5 --name {run}");
        let done = shop.trainer(&fit).run().ok();
        assert!(
            done.out.contains("3 seeds, 16 test pairs\n"),
            "{}",
            done.out
        );
        let seeds = shop.json(&format!("runs/{run}/seeds.json"));
        assert_eq!(
            (&seeds["task"], &seeds["count"]),
            (&"pairs".into(), &16.into())
        );
        let own = seeds["seeds"].as_array().unwrap();
        let numbers: Vec<u64> = own
            .iter()
            .map(|seed| seed["seed"].as_u64().unwrap())
            .collect();
        assert_eq!(numbers, [5, 6, 7]);
        check_seed(&shop, run, &own[0]);
        check_seed(&shop, &format!("{run}/seeds/7"), &own[2]);
        for key in ["auc", "equal_error_rate", "accuracy"] {
            let values: Vec<f64> = own.iter().map(|seed| seed[key].as_f64().unwrap()).collect();
            let mean = values.iter().sum::<f64>() / 3.0;
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            let figure = |name: &str| seeds[key][name].as_f64().unwrap();
            assert!((figure("mean") - mean).abs() < 1e-12, "{key}");
            assert!(
                (figure("deviation") - (squares / 2.0).sqrt()).abs() < 1e-12,
                "{key}"
            );
        }
        for pair in seeds["unstable"].as_array().unwrap() {
            let answers = pair["answers"].as_object().unwrap();
            let count: u64 = answers.values().map(|count| count.as_u64().unwrap()).sum();
            assert!(answers.len() == 2 && count == 3, "{pair}");
        }
        let page = fs::read_to_string(shop.path(format!("runs/{run}/report.html"))).unwrap();
        assert!(page.contains("3 seeds, 16 test pairs</h3>"), "{run}");
        assert!(!page.contains("Left out"), "{run}");
    }
    // The seeds differ in more than their numbers, and may be asked for later.
    let areas = |run: &str| {
        let seeds = shop.json(&format!("runs/{run}/seeds.json"));
        let seeds = seeds["seeds"].as_array().unwrap().iter();
        seeds.map(|seed| seed["auc"].clone()).collect::<Vec<_>>()
    };
    let fit = format!("{SMALL} --width 2 --size 48 --epochs 2 --seed 5 --name later");
    shop.trainer(&fit).run().ok();
    shop.trainer("fit --resume later --seeds 3 -q").run().ok();
    assert_eq!(areas("later"), areas("custom"));
    assert!(areas("custom")[1] != areas("custom")[0] || areas("custom")[2] != areas("custom")[0]);
}

#[test]
fn every_identity_that_is_not_for_the_test_is_held_out_once() {
    let shop = shop();
    tiny_models::residual(&shop.path("tiny.onnx"));
    for (run, flags) in [
        ("custom", "--width 2 --size 48 --epochs 1"),
        ("frozen", "--backbone tiny.onnx"),
    ] {
        let fit = format!("{LOUD} {flags} --folds 3 --name {run}");
        let done = shop.trainer(&fit).run().ok();
        let folds = shop.json(&format!("runs/{run}/folds.json"));
        let per_fold = folds["per_fold"].as_array().unwrap();
        assert_eq!(per_fold.len(), 3);
        let sum = |key: &str| {
            per_fold
                .iter()
                .map(|fold| fold[key].as_u64().unwrap())
                .sum::<u64>()
        };
        // Two of twelve identities are the test set; each has four pairs of its own images, and four others.
        assert_eq!((sum("identities"), sum("count")), (10, 80));
        assert_eq!(
            (&folds["identities"], &folds["count"]),
            (&10.into(), &80.into())
        );
        let line = "3-fold cross-validation, 80 held-out pairs of 10 identities\narea under ROC ";
        assert!(done.out.contains(line), "{}", done.out);
        let mean = per_fold
            .iter()
            .map(|fold| fold["auc"].as_f64().unwrap())
            .sum::<f64>()
            / 3.0;
        assert!((folds["auc"]["mean"].as_f64().unwrap() - mean).abs() < 1e-12);
        let page = fs::read_to_string(shop.path(format!("runs/{run}/report.html"))).unwrap();
        assert!(
            page.contains("Cross-validation, 3 folds of 10 identities</h3>"),
            "{run}"
        );
        // The run itself is the same as without folds.
        let fit = format!("{SMALL} {flags} --name {run}-alone");
        shop.trainer(&fit).run().ok();
        let [with, without] = [run.to_owned(), format!("{run}-alone")].map(|run| {
            fs::read_to_string(shop.path(format!("runs/{run}/predictions.csv"))).unwrap()
        });
        assert_eq!(with, without);
    }
}
