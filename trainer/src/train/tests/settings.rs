//! Settings of the loop: each changes what it should, and a run with it resumes with the same bits.

use super::*;

#[test]
fn label_smoothing_changes_what_is_minimised_and_not_how_validation_is_judged() {
    let shop = Workshop::new();
    let mut options = options(1);
    let plain = shop
        .fit(&shop.run("plain"), &options, None, &mut ())
        .unwrap();
    options.objective.label_smoothing = 0.2;
    let run = shop.run("smoothed");
    let smoothed = shop.fit(&run, &options, None, &mut ()).unwrap();
    assert_ne!(bits(&smoothed.network), bits(&plain.network));
    let data = shop.data();
    let scores = evaluate(&smoothed.network, &data.val, &data.classes, &mut |_| {});
    let (loss, row) = (scores.unwrap().scores.loss, &smoothed.rows[0]);
    assert!(
        (loss - row.val_loss).abs() < 1e-9,
        "{loss}, {}",
        row.val_loss
    );
}
