//! Pairs: from a folder for each identity, or a table, to a verifier that both programs use.

use std::path::Path;

use fs_err as fs;
use image::{Rgb, RgbImage};
use tests::{Workshop, tiny_models};

/// An image of an identity: stripes of its own width, at a place of the image's own.
fn draw(identity: u32, i: u32) -> RgbImage {
    RgbImage::from_fn(60 + i % 5, 52 + i % 3, |x, y| {
        let along = if identity.is_multiple_of(2) { x } else { y };
        let is_dark = (along + 3 * i) % (4 + 2 * identity) < 2 + identity;
        let grain = ((x * 31 + y * 17 + i * 13) % 23) as u8;
        Rgb([if is_dark { 60 } else { 200 } - grain; 3])
    })
}

/// `folder/{0,1,...}/*.png`, with forgeries: images of the next identity.
pub(crate) fn draw_identities(folder: &Path, identities: u32, images: u32) {
    for identity in 0..identities {
        let own = folder.join(identity.to_string());
        fs::create_dir_all(own.join("forged")).unwrap();
        for i in 0..images {
            draw(identity, i)
                .save(own.join(format!("{i}.png")))
                .unwrap();
        }
        for i in 0..2 {
            let forged = own.join(format!("forged/{i}.png"));
            draw(identity + 1, 20 + i).save(forged).unwrap();
        }
    }
}

pub(crate) fn shop() -> Workshop {
    let shop = Workshop::empty();
    draw_identities(&shop.path("people"), 12, 4);
    shop
}

pub(crate) const SMALL: &str = "fit --task pairs --data people --pairs-per-identity 4 -q";

/// What is to be found of a finished run, on both sides.
fn check_verifier(shop: &Workshop, run: &str) {
    let summary = shop.json(&format!("runs/{run}/summary.json"));
    assert_eq!(summary["task"], "pairs");
    assert_eq!(summary["verified"], true);
    // Two of twelve identities are the test set, with eight pairs each.
    assert_eq!(summary["count"], 16);
    let model = format!("runs/{run}/model.onnx");
    let eval = format!("eval {model} --json ort.json --csv ort.csv -q");
    shop.deploy(&eval).run().ok();
    let scores = shop.json("ort.json");
    for key in [
        "equal_error_rate",
        "auc",
        "accuracy",
        "score",
        "threshold",
        "forged",
        "different",
    ] {
        assert_eq!(scores[key], summary[key], "{key}");
        assert!(!scores[key].is_null(), "{key}");
    }
    let [own, found] = [&format!("runs/{run}/predictions.csv"), "ort.csv"].map(|file| {
        let table = fs::read_to_string(shop.path(file)).unwrap();
        let row = |line: &str| {
            let (pair, score) = line.rsplit_once(',').unwrap();
            (pair.to_owned(), score.parse::<f64>().unwrap_or_default())
        };
        table.lines().map(row).collect::<Vec<_>>()
    });
    assert_eq!(own.len(), 17);
    for (own, found) in own.iter().zip(&found) {
        assert_eq!(own.0, found.0);
        // Batches of other sizes may round otherwise.
        assert!((own.1 - found.1).abs() < 1e-6, "{own:?} {found:?}");
    }
    check_page(shop, run);

    // The order of two images changes nothing.
    let answer = |pair: &str| {
        let predict = format!("predict --model {model} --pair {pair} --format jsonl -q");
        let done = shop.deploy(&predict).run().ok();
        let mut line = done.json();
        let names = ["a", "b"].map(|name| line.as_object_mut().unwrap().remove(name).unwrap());
        (names, line)
    };
    let (names, there) = answer("people/0/0.png people/3/1.png");
    let (mirrored, back) = answer("people/3/1.png people/0/0.png");
    assert_eq!(there, back);
    assert_eq!(names[0], mirrored[1]);
    assert_eq!(there["threshold"], summary["threshold"]);

    let check = shop.deploy(&format!("check {model}")).run().ok();
    assert_eq!(
        check
            .out
            .lines()
            .filter(|line| line.starts_with("ok "))
            .count(),
        2
    );
    let info = shop.deploy(&format!("info {model}")).run().ok().out;
    for expected in [
        "task verify",
        ", accepted ",
        "equal error",
        "16 pairs of test",
    ] {
        assert!(info.contains(expected), "{expected}: {info}");
    }
}

/// The page of a run, and the scores of validation that it draws.
fn check_page(shop: &Workshop, run: &str) {
    let summary = shop.json(&format!("runs/{run}/summary.json"));
    let page = fs::read_to_string(shop.path(format!("runs/{run}/report.html"))).unwrap();
    let percent = 100.0 * summary["equal_error_rate"].as_f64().unwrap();
    let counts = &shop.json(&format!("runs/{run}/audit.json"))["pairs"];
    let pairs = |split: &str| -> u64 {
        let kinds = ["same", "forged", "different"].into_iter();
        kinds
            .map(|kind| counts[split][kind].as_u64().unwrap())
            .sum()
    };
    assert_eq!(pairs("test"), 16);
    let (train, val) = (pairs("train"), pairs("val"));
    for expected in [
        &format!("<p class=\"big\">{percent:.1} % <small>equal error rate"),
        "Of 16 test pairs, as large a share",
        &format!("12 identities · {train} train, {val} val, 16 test pairs"),
        "No interval: </span>that takes 10 identities, and these pairs are of 2.",
        "Detection error tradeoff",
        "false rejection by false acceptance",
        ">validation</text>",
        "Forgeries and other identities",
        "Distribution, test pairs",
        ">forgeries</th>",
        "Verified:",
        "real pairs at batch",
        "pairs of one identity",
    ] {
        assert!(page.contains(expected), "{run}: {expected}");
    }
    let table = fs::read_to_string(shop.path(format!("runs/{run}/val-predictions.csv"))).unwrap();
    assert_eq!(table.lines().count() as u64, 1 + val);
    // Its equal error rate is at the file's threshold: as many errors of one answer as of the other, or one apart.
    let wrong = |label: &str, answer: &str| {
        let cells = format!(",{label},{answer},");
        table.lines().filter(|line| line.contains(&cells)).count()
    };
    let others = wrong("forged", "same") + wrong("different", "same");
    assert!(others.abs_diff(wrong("same", "different")) <= 1, "{table}");
    // What is wrong is shown, pair by pair.
    let own = fs::read_to_string(shop.path(format!("runs/{run}/predictions.csv"))).unwrap();
    let answer = |line: &&str| {
        let cells: Vec<&str> = line.split(',').collect();
        (cells[2] == "same") != (cells[3] == "same")
    };
    let errors = own.lines().skip(1).filter(answer).count();
    assert_eq!(page.matches("<div class=\"pair\">").count(), errors);
    assert!(!page.contains("not found"), "{run}: a missing image");
}

/// The encoder alone gives the scores of the file of two inputs, and so does that file when it is exported again.
fn check_encoder(shop: &Workshop, run: &str) {
    let export = |arguments: &str| {
        let export = format!("export {run} {arguments} -q");
        shop.trainer(&export).run().ok();
    };
    export("--encoder encoder.onnx");
    export("--out again.onnx");
    let info = shop.deploy("info encoder.onnx").run().ok().out;
    for expected in ["task encode", "features: Float [batch, ", "compared by"] {
        assert!(info.contains(expected), "{expected}: {info}");
    }
    shop.deploy("check encoder.onnx").run().ok();
    let scores = |model: &str| {
        let eval = format!("eval {model} --data pairs.csv --csv scores.csv -q");
        shop.deploy(&eval).run().ok();
        let table = fs::read_to_string(shop.path("scores.csv")).unwrap();
        let last = |line: &str| line.rsplit(',').next().unwrap().parse::<f64>().unwrap();
        table.lines().skip(1).map(last).collect::<Vec<_>>()
    };
    shop.write(
        "pairs.csv",
        "path_a,path_b,label,split\npeople/0/0.png,people/0/1.png,1,test\n\
         people/0/0.png,people/3/1.png,0,test\npeople/5/0.png,people/3/1.png,0,test\n",
    );
    let own = scores(&format!("runs/{run}/model.onnx"));
    assert_eq!(own.len(), 3);
    for model in ["encoder.onnx", "again.onnx"] {
        let pairs = own.iter().zip(scores(model));
        for (own, found) in pairs {
            assert!((own - found).abs() < 2e-6, "{model}: {own} {found}");
        }
    }
    let classify = shop.deploy("predict --model encoder.onnx people/0/0.png -q");
    let refusal = classify.run().refusal();
    assert!(
        refusal.contains("is the encoder of a verifier"),
        "{refusal}"
    );
}

#[test]
fn every_distance_ends_with_a_verified_file() {
    let shop = shop();
    tiny_models::residual(&shop.path("tiny.onnx"));
    for (run, arguments, score) in [
        (
            "cosine",
            "--distance cosine --width 2 --size 48 --epochs 2",
            "probability",
        ),
        (
            "euclidean",
            "--distance euclidean --margin 2 --width 2 --size 48 --epochs 2",
            "distance",
        ),
        (
            "frozen-cosine",
            "--distance cosine --backbone tiny.onnx",
            "probability",
        ),
        (
            "frozen-euclidean",
            "--distance euclidean --backbone tiny.onnx",
            "distance",
        ),
    ] {
        shop.trainer(&format!("{SMALL} {arguments} --name {run}"))
            .run()
            .ok();
        check_verifier(&shop, run);
        check_encoder(&shop, run);
        assert_eq!(
            shop.json(&format!("runs/{run}/summary.json"))["score"],
            score
        );
        let predictions = format!("runs/{run}/predictions.csv");
        let predictions = fs::read_to_string(shop.path(&predictions)).unwrap();
        assert!(predictions.lines().next().unwrap().ends_with(score));
        let predict = format!("predict --model {run} --pair people/0/0.png people/0/1.png -q");
        let line = shop.deploy(&format!("{predict} --format jsonl")).run().ok();
        assert!(line.json()[score].as_f64().unwrap() >= 0.0);
        let text = shop.deploy(&predict).run().ok().out;
        assert_eq!(text.contains("(distance "), score == "distance", "{text}");
    }
    let info = shop.deploy("info euclidean").run().ok().out;
    assert!(
        info.contains("distance of two images, accepted up to"),
        "{info}"
    );
}

#[test]
fn a_fine_tuned_backbone_begins_as_the_frozen_one() {
    let shop = shop();
    tiny_models::residual(&shop.path("tiny.onnx"));
    for distance in ["absolute-difference", "cosine", "euclidean"] {
        let fit = format!("{SMALL} --backbone tiny.onnx --distance {distance} --epochs 2");
        shop.trainer(&format!("{fit} --fine-tune --keep tuned --name {distance}"))
            .run()
            .ok();
        check_verifier(&shop, distance);
        check_encoder(&shop, distance);
        let summary = shop.json(&format!("runs/{distance}/summary.json"));
        assert_eq!(summary["fine_tuned"]["kept_tuned"], true);
        assert_eq!(summary["fine_tuned"]["pairs"], true);
        assert!(
            summary["trainable_parameters"].as_u64().unwrap() > 50,
            "{summary}"
        );
        let config = fs::read_to_string(shop.path(format!("runs/{distance}/config.toml"))).unwrap();
        assert!(
            config.contains("augment = \"rotate(5)|scale(0.9..1.1)\""),
            "{config}"
        );
    }
    // With rates of nothing, and the start kept unless the end is better, it is the frozen backbone.
    let fit = format!("{SMALL} --backbone tiny.onnx");
    shop.trainer(&format!(
        "{fit} --fine-tune --lr 1e-12 --epochs 1 --name start"
    ))
    .run()
    .ok();
    shop.trainer(&format!("{fit} --name frozen")).run().ok();
    let [start, frozen] =
        ["start", "frozen"].map(|run| shop.json(&format!("runs/{run}/summary.json")));
    assert_eq!(start["fine_tuned"]["kept_tuned"], false);
    assert!((start["auc"].as_f64().unwrap() - frozen["auc"].as_f64().unwrap()).abs() < 1e-9);
}

#[test]
fn pairs_of_known_classes_are_listed_with_splits_that_share_no_image() {
    let shop = Workshop::empty();
    let mut table = String::from("path_a,path_b,label,split\n");
    for (split, first) in [("train", 0), ("val", 8), ("test", 16)] {
        for class in 0..2 {
            let folder = shop.path(format!("{split}/{class}"));
            fs::create_dir_all(&folder).unwrap();
            for i in first..first + 8 {
                draw(class, i)
                    .save(folder.join(format!("{i}.png")))
                    .unwrap();
            }
        }
        for i in first..first + 7 {
            for class in 0..2 {
                let other = 1 - class;
                table += &format!(
                    "{split}/{class}/{i}.png,{split}/{class}/{}.png,same,{split}\n",
                    i + 1
                );
                table += &format!(
                    "{split}/{class}/{i}.png,{split}/{other}/{}.png,different,{split}\n",
                    i + 1
                );
            }
        }
    }
    shop.write("pairs.csv", &table);
    tiny_models::residual(&shop.path("tiny.onnx"));
    let fit = "fit --task pairs --data pairs.csv --backbone tiny.onnx --name known -q";
    shop.trainer(fit).run().ok();
    let summary = shop.json("runs/known/summary.json");
    assert_eq!(summary["count"], 28);
    // There are fewer identities than folds: nothing chose the penalty.
    assert_eq!(summary["head"]["folds"], 0);
    let folds = shop.trainer("fit --task pairs --data pairs.csv --folds 2 -q");
    let refusal = folds.run().refusal();
    assert!(
        refusal.contains("`--folds 2`: needs a folder for each identity"),
        "{refusal}"
    );
    // An image in two splits is a leak.
    table += "train/0/1.png,train/0/3.png,same,test\n";
    shop.write("leak.csv", &table);
    let refusal = shop
        .trainer("fit --task pairs --data leak.csv -q")
        .run()
        .refusal();
    assert!(
        refusal.contains("identities are in more than one split"),
        "{refusal}"
    );
}

#[test]
fn a_network_of_our_own_becomes_a_verifier_that_classifiers_commands_refuse() {
    let shop = shop();
    let fit = format!("{SMALL} --width 2 --size 48 --epochs 2 --name own");
    shop.trainer(&fit).run().ok();
    check_verifier(&shop, "own");
    check_encoder(&shop, "own");
    let csv =
        shop.deploy("predict --model own --pair people/0/0.png people/0/1.png --format csv -q");
    let csv = csv.run().ok().out;
    assert!(
        csv.starts_with("a,b,answer,probability,threshold\npeople/0/0.png,people/0/1.png,"),
        "{csv}"
    );

    let refusal = "error: `runs/own/model.onnx` is a verifier, which compares two images\n\n\
                   hint: open it as a `Verifier`; `deploy predict --pair A B`, `deploy eval`, `bench`, `info` and \
                   `check` take it";
    for command in [
        "predict --model runs/own/model.onnx people/0/0.png -q",
        "convert --model runs/own/model.onnx --precision fp16 -q",
        "diff runs/own/model.onnx runs/own/model.onnx -q",
        "check runs/own/model.onnx --precision fp16 -q",
    ] {
        assert_eq!(shop.deploy(command).run().refusal(), refusal, "{command}");
    }
    let refusals = [
        (
            "inspect own --image people/0/0.png",
            "name them with `--pair A B`",
        ),
        ("eval own", "the run `runs/own` is a verifier's"),
        ("plot own --kind roc", "it compares pairs of images"),
    ];
    for (command, expected) in refusals {
        let refusal = shop.trainer(&format!("{command} -q")).run().refusal();
        assert!(refusal.contains(expected), "{command}: {refusal}");
    }
    fs::remove_file(shop.path("runs/own/report.html")).unwrap();
    shop.trainer("report own -q").run().ok();
    check_page(&shop, "own");
    shop.trainer("plot own -q").run().ok();
    let det = fs::read_to_string(shop.path("runs/own/plots/det.svg")).unwrap();
    assert!(det.contains("false acceptance (%)"), "{det}");
    assert!(shop.path("runs/own/plots/loss.png").is_file());
    assert!(!shop.path("runs/own/plots/roc.svg").exists());
    let runs = shop.trainer("runs").run().ok();
    assert!(runs.out.contains("16 test pairs"), "{}", runs.out);
}

#[test]
fn a_frozen_backbone_compares_features_that_are_kept() {
    let shop = shop();
    tiny_models::residual(&shop.path("tiny.onnx"));
    let fit = format!("{SMALL} --backbone tiny.onnx --name frozen");
    shop.trainer(&fit).run().ok();
    check_verifier(&shop, "frozen");
    // Its layer was brought to its minimum, by pairs of training identities alone.
    let summary = shop.json("runs/frozen/summary.json");
    assert_eq!(summary["trainable_parameters"], 7);
    assert!(summary["head"]["penalty"].as_f64().unwrap() > 0.0);
    check_encoder(&shop, "frozen");
    let model = "runs/frozen/model.onnx";
    let classifier =
        shop.deploy("predict --model tiny.onnx --pair people/0/0.png people/0/1.png -q");
    let refusal = classifier.run().refusal();
    assert!(
        refusal.contains("`tiny.onnx` is a classifier, not a verifier"),
        "{refusal}"
    );
    let attach = shop
        .deploy(&format!("card attach tiny.onnx --from {model} -q"))
        .run();
    assert!(
        attach
            .refusal()
            .contains("a card of the task `verify` cannot be copied")
    );
    // Pairs of a table are scored as well.
    shop.write("pairs.csv", "path_a,path_b,label,split\npeople/0/0.png,people/0/1.png,1,test\npeople/0/0.png,people/3/1.png,0,test\n");
    let eval = shop
        .deploy(&format!("eval {model} --data pairs.csv --json - -q"))
        .run()
        .ok();
    assert_eq!(eval.json()["count"], 2);
}

#[test]
fn an_interrupted_verifier_resumes_to_the_same_answers() {
    let shop = shop();
    let fit = |more: &str| {
        let fit = format!("{SMALL} --width 2 --size 48 --threads 1 {more}");
        shop.trainer(&fit).run().ok();
    };
    fit("--epochs 3 --name whole");
    fit("--epochs 1 --name parts");
    shop.trainer("fit --resume parts --epochs 3 -q").run().ok();
    let predictions =
        |run: &str| fs::read_to_string(shop.path(format!("runs/{run}/predictions.csv"))).unwrap();
    assert_eq!(predictions("whole"), predictions("parts"));
}

#[test]
fn data_and_settings_that_make_no_pairs_are_refused() {
    let shop = shop();
    draw_identities(&shop.path("one"), 1, 4);
    let refusal = |arguments: &str| {
        let fit = shop.trainer(&format!("fit --task pairs -q {arguments}"));
        fit.run().refusal()
    };
    insta::assert_snapshot!(refusal("--data one"), @r#"
    error: `[DIR]/one` has one identity only: 0

    hint: pairs need images of two identities or more, each in a folder of its own
    "#);
    shop.write("missing.csv", "path_a,path_b,label\npeople/0/0.png,people/0/1.png,same\npeople/0/0.png,nobody.png,different\n");
    insta::assert_snapshot!(refusal("--data missing.csv"), @"error: `[DIR]/missing.csv`, line 3: there is no file `[DIR]/nobody.png`");
    shop.write(
        "itself.csv",
        "path_a,path_b,label\npeople/0/0.png,people/0/0.png,same\n",
    );
    insta::assert_snapshot!(refusal("--data itself.csv"), @"error: `[DIR]/itself.csv`, line 2: `people/0/0.png` is paired with itself");
    draw_identities(&shop.path("leaking/train"), 3, 2);
    draw_identities(&shop.path("leaking/test"), 1, 2);
    insta::assert_snapshot!(refusal("--data leaking"), @r#"
    error: `[DIR]/leaking`: identities are in more than one split: `0`

    hint: scores would be of identities that training has seen: move all images of an identity into one split, or give one folder without splits, which is divided by identity. Pairs of known classes are listed in a CSV file, whose splits share no image
    "#);
    draw_identities(&shop.path("single"), 4, 1);
    insta::assert_snapshot!(refusal("--data single"), @r#"
    error: `[DIR]/single`: every identity has one image only

    hint: a pair of the same identity needs two images in its folder
    "#);
    for (arguments, expected) in [
        ("--mixup 0.2", "`--mixup 0.2`: is for classifiers"),
        ("--folds 6", "too few for 6 folds"),
        ("--folds 1", "must be 2 or more"),
        ("--margin 2", "`--margin 2`: needs `--distance euclidean`"),
        ("--distance euclidean --margin 0", "must be above 0"),
        (
            "--distance euclidean --label-smoothing 0.1",
            "`--label-smoothing 0.1`: is for probabilities",
        ),
        (
            "--backbone auto",
            "`--backbone auto`: a probe knows classifiers alone",
        ),
        ("--pairs-per-identity 0", "must be at least 1"),
    ] {
        let text = refusal(&format!("--data people {arguments}"));
        assert!(text.contains(expected), "{arguments}: {text}");
    }
    for flag in ["--pairs-per-identity 3", "--distance cosine", "--margin 2"] {
        let fit = shop.trainer(&format!("fit --data people {flag} -q")).run();
        let refusal = fit.refusal();
        assert!(refusal.contains("needs `--task pairs`"), "{refusal}");
    }
    let rates = shop.trainer("find-lr --task pairs -q").run();
    assert!(
        rates.refusal().contains("`--task` has no use"),
        "{}",
        rates.err
    );
    assert!(
        !shop.path("runs").exists(),
        "a refused run leaves no folder"
    );
}
