//! The real ants and bees.

use tests::{Workshop, shared};

use crate::fit::same_on_both_sides;
use crate::one_answer;

#[test]
fn both_networks_have_the_same_numbers_on_both_sides() {
    let found = (
        shared::find("data/hymenoptera"),
        shared::find("weights/resnet18.onnx"),
    );
    let (Some(photos), Some(weights)) = found else {
        return;
    };
    let shop = Workshop::empty();
    let fit = |name| {
        let fit = shop.trainer(&format!("fit --epochs 1 --name {name} --data"));
        shop.own_cache(fit.path(&photos).patience(600))
    };
    fit("custom").run().ok();
    same_on_both_sides(&shop, "custom");
    one_answer::through_every_entrance(&shop, "custom", &photos.join("val"), 153);
    fit("frozen").args("--backbone").path(&weights).run().ok();
    let accuracy = same_on_both_sides(&shop, "frozen");
    // 90 % and more after ten epochs; chance is 54 %.
    assert!(accuracy > 0.65, "{accuracy}");
    let summary = shop.json("runs/frozen/summary.json");
    assert_eq!(summary["count"], 153);
    assert_eq!(summary["trainable_parameters"], 512 * 2 + 2);
    assert_eq!(shop.json("runs/custom/summary.json")["parameters"], 77_154);
    for name in ["custom", "frozen"] {
        let page = fs_err::metadata(shop.path(format!("runs/{name}/report.html"))).unwrap();
        assert!(
            (50_000..3_000_000).contains(&page.len()),
            "{} bytes",
            page.len()
        );
    }
    let predict = shop.deploy("predict -q").path(&photos.join("val/ants"));
    assert_eq!(predict.run().ok().out.lines().count(), 70);
}
