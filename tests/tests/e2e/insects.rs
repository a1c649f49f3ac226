//! The built-in pictures: the README's first command.

use tests::Workshop;

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
