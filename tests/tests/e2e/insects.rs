//! The built-in pictures: the README's first command.

use fs_err as fs;
use tests::{Workshop, workshop};

use crate::fit::same_on_both_sides;

#[test]
fn without_any_data_at_hand() {
    let shop = Workshop::empty();
    let fit = shop.trainer("fit --epochs 1 --width 2");
    fit.patience(600).run().ok();
    assert_eq!(shop.json("runs/1/verify.json")["verified"], true);
    assert_eq!(
        shop.json("runs/1/summary.json")["classes"],
        serde_json::json!(["ants", "bees"])
    );
    same_on_both_sides(&shop, "1");
}

#[test]
fn two_first_runs_at_once_draw_the_same_pictures() {
    let shop = Workshop::empty();
    let runtime = workshop::ensure_runtime(&shop.path(""));
    let runs = ["one", "two"].map(|name| {
        let fit = shop.trainer("fit --epochs 1 --width 2 --cache cache -q --name");
        let fit = fit.args(name).args("--runtime").path(runtime);
        fit.patience(600).start()
    });
    for run in runs {
        run.wait().ok();
    }
    let [one, two] = ["one", "two"].map(|run| shop.json(&format!("runs/{run}/summary.json")));
    assert_eq!(
        (&one["loss"], &one["confusion"]),
        (&two["loss"], &two["confusion"])
    );
    let sets: Vec<_> = fs::read_dir(shop.path("cache/datasets")).unwrap().collect();
    assert_eq!(sets.len(), 1, "{sets:?}");
}

#[test]
fn the_readmes_command_reaches_90_percent() {
    let shop = Workshop::empty();
    let fit = shop.trainer("fit --json fit.json");
    fit.patience(1200).run().ok();
    let fit = shop.json("fit.json");
    let accuracy = fit["accuracy"].as_f64().unwrap();
    assert!(accuracy >= 0.9, "{accuracy}");
    assert_eq!(
        (&fit["verified"], &fit["epochs"]),
        (&true.into(), &10.into())
    );
    assert_eq!(same_on_both_sides(&shop, "1"), accuracy);
}
