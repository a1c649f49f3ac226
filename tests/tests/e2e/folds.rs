//! Cross-validation and the images that it suspects.

use std::fmt::Write;
use std::path::Path;

use fs_err as fs;
use tests::run_folder::check_whole;
use tests::{Tool, Workshop, shared, tiny_models};

use crate::resume::same_runs;

#[test]
fn folds_of_features_say_what_they_say_and_leave_the_run_as_it_is() {
    let shop = Workshop::new();
    tiny_models::residual(&shop.path("tiny.onnx"));
    let fit = |flags: &str| {
        let fit = shop.fit("--backbone tiny.onnx --epochs 3 --lr 0.05");
        shop.own_cache(fit.args(flags))
    };
    let done = fit("--name own --folds 4").run().ok();
    let folds = shop.json("runs/own/folds.json");
    assert_eq!((&folds["folds"], &folds["count"]), (&4.into(), &28.into()));
    let per_fold = folds["per_fold"].as_array().unwrap();
    assert_eq!(per_fold.len(), 4);
    for key in ["accuracy", "loss"] {
        let mean = folds[key]["mean"].as_f64().unwrap();
        let weighted = |fold: &serde_json::Value| {
            fold[key].as_f64().unwrap() * fold["count"].as_f64().unwrap()
        };
        let expected = per_fold.iter().map(weighted).sum::<f64>() / 28.0;
        assert!((mean - expected).abs() < 1e-9, "{key}: {folds}");
        let end = |i: usize| folds[key]["interval"][i].as_f64().unwrap();
        assert!(
            end(0) <= mean && mean <= end(1) && end(0) < end(1),
            "{folds}"
        );
    }
    let says = "4-fold cross-validation, 28 training and validation images\n";
    assert!(done.out.contains(says), "{}", done.out);
    let suspects = fs::read_to_string(shop.path("runs/own/suspects.csv")).unwrap();
    let count = suspects.lines().count() - 1;
    let says = format!("{count} images whose label the others contradict");
    assert!(done.out.contains(&says), "{}", done.out);
    let page = fs::read_to_string(shop.path("runs/own/report.html")).unwrap();
    assert!(page.contains("Cross-validation, 4 folds of 28 images"));
    assert!(count == 0 || page.contains("Suspected labels: "), "{count}");
    assert!(!page.contains("Left out"));
    // The run is the same without folds, and may have other ones later.
    fit("--name plain -q").run().ok();
    let names = |run: &str| check_whole(&shop.path(format!("runs/{run}")));
    let extra = ["folds.json", "suspects.csv"].map(String::from);
    assert!(extra.iter().all(|name| names("own").contains(name)));
    let resume = shop.trainer("fit --resume plain --folds 4 -q");
    shop.own_cache(resume).run().ok();
    same_runs(&shop, "own", "plain");
    assert_eq!(shop.json("runs/plain/folds.json"), folds);
}

#[test]
fn folds_of_pictures_go_on_where_they_were_interrupted() {
    let shop = Workshop::new();
    let fit = |name: &str| {
        shop.fit("--folds 2 --epochs 60 --batch 1 --name")
            .word(name)
    };
    fit("once").args("-q").run().ok();
    let mut run = fit("twice").start();
    assert!(run.says("fold 2 of 2") && run.says("epoch  2/60"));
    run.signal("INT");
    let done = run.wait();
    assert_eq!(done.code, 2, "{}", done.err);
    let ending = "interrupted: continue with `trainer fit --resume runs/twice`\n";
    assert!(done.err.ends_with(ending), "{}", done.err);
    let done = shop.trainer("fit --resume twice").run().ok();
    // The first fold was through, the second is not begun anew.
    let epochs = |text: &str| done.err.matches(text).count();
    assert_eq!(
        (epochs("epoch 60/60"), epochs("epoch  1/60")),
        (2, 1),
        "{}",
        done.err
    );
    same_runs(&shop, "once", "twice");
    for file in ["folds.json", "suspects.csv"] {
        let [one, two] = ["once", "twice"].map(|run| shop.path(format!("runs/{run}/{file}")));
        assert_eq!(fs::read(one).unwrap(), fs::read(two).unwrap(), "{file}");
    }
    assert!(shop.path("runs/once/folds/2-of-2/metrics.csv").is_file());
}

#[test]
fn too_many_folds_are_refused_before_any_work() {
    let shop = Workshop::new();
    let refused = shop.fit("--folds 15 -q").run();
    insta::assert_snapshot!(refused.refusal(), @"error: `--folds 15`: `discs` has 14 images for training and validation; 15 are needed");
    assert!(!shop.path("runs").exists());
}

/// A number that looks drawn (splitmix64, Steele, Lea and Flood 2014).
fn drawn(index: u64) -> u64 {
    let mut x = index.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// The photos of a folder of classes with their class, sorted.
fn photos(folder: &Path) -> Vec<(String, &'static str)> {
    let mut photos = vec![];
    for class in ["ants", "bees"] {
        for entry in fs::read_dir(folder.join(class)).unwrap() {
            let path = entry.unwrap().path().to_str().unwrap().to_owned();
            if !path.ends_with(".gif") {
                photos.push((path, class));
            }
        }
    }
    photos.sort();
    photos
}

/// Five draws of five photos of 244 under the other class: at least four are among the first ten.
#[test]
fn planted_label_errors_are_among_the_first_suspects() {
    let found = (
        shared::find("data/hymenoptera"),
        shared::find("weights/resnet18.onnx"),
    );
    let (Some(folder), Some(weights)) = found else {
        return;
    };
    let shop = Workshop::empty();
    let fit = |flags: &str| -> Tool {
        let fit = shop.trainer("fit --epochs 1 --folds 5 --no-test --no-calibrate -q");
        let fit = fit.args("--backbone").path(&weights).args(flags);
        shop.own_cache(fit.patience(600))
    };
    let train = photos(&folder.join("train"));
    let test = photos(&folder.join("val"));
    assert_eq!(train.len(), 244);
    for draw in 0..5 {
        let mut order: Vec<u64> = (0..train.len() as u64).collect();
        order.sort_by_key(|index| drawn(draw * 1000 + index));
        let planted = &order[..5];
        let mut list = String::from("path,label,split\n");
        for ((path, class), index) in train.iter().zip(0..) {
            let label = match (planted.contains(&index), *class) {
                (true, "ants") => "bees",
                (true, _) => "ants",
                (false, class) => class,
            };
            writeln!(list, "{path},{label},train").unwrap();
        }
        // Otherwise a test set is cut from the training images.
        for (path, class) in [&test[0], &test[test.len() - 1]] {
            writeln!(list, "{path},{class},test").unwrap();
        }
        shop.write("photos.csv", list);
        fit(&format!("--data photos.csv --name draw-{draw}"))
            .run()
            .ok();
        let text = fs::read_to_string(shop.path(format!("runs/draw-{draw}/suspects.csv"))).unwrap();
        let first: Vec<&str> = text.lines().skip(1).take(10).collect();
        let among = |index: &&u64| {
            let path = &train[**index as usize].0;
            first
                .iter()
                .any(|line| line.starts_with(&format!("{path},")))
        };
        let found = planted.iter().filter(among).count();
        println!("draw {draw}: {found} of 5 among the first ten");
        assert!(found >= 4, "draw {draw}: {found}\n{text}");
    }
}
