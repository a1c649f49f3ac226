//! What looks at pairs and verifiers: `bench`, `inspect --pair`, `audit --task pairs`.

use fs_err as fs;
use tests::{Done, tiny_models};

use crate::pairs::{SMALL, draw_identities, shop};

#[test]
fn a_verifier_is_timed_pair_by_pair_and_scored() {
    let shop = shop();
    tiny_models::residual(&shop.path("tiny.onnx"));
    shop.trainer(&format!("{SMALL} --backbone tiny.onnx --name timed"))
        .run()
        .ok();
    let brief = "bench timed --warmup 1ms --duration 20ms --blocks 3";
    let bench = |arguments: &str| shop.deploy(&format!("{brief} {arguments}")).run();
    let done = bench("--batch 1,3 --json -").ok();
    assert!(done.err.contains("images/s are pairs/s"), "{}", done.err);
    let json = done.json();
    let results = json["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    for (result, batch) in results.iter().zip([1, 3]) {
        assert_eq!(result["batch"], batch);
        assert!(result["runs"].as_u64().unwrap() >= 3);
        assert!(result["images_per_second"].as_f64().unwrap() > 0.0);
        assert!(result["split_ms"]["compute"].as_f64().unwrap() > 0.0);
        assert!(result["nodes_by_provider"]["cpu"].as_u64().unwrap() > 0);
        assert!(result["split_ms"]["decode"].as_f64().unwrap() > 0.0);
        assert!(result.get("top1").is_none());
        // The run's own scores, of the session that was timed.
        let verification = &result["verification"];
        let summary = shop.json("runs/timed/summary.json");
        for key in ["auc", "equal_error_rate", "accuracy", "threshold", "count"] {
            let [own, found] = [&summary, verification].map(|json| json[key].as_f64().unwrap());
            assert!((own - found).abs() < 1e-6, "{key}: {own} {found}");
        }
        assert_eq!(verification["compared"], 16);
        let difference = verification["max_score_difference"].as_f64().unwrap();
        assert!(difference < 1e-5, "{difference}");
    }
    // Other pairs of the same images.
    shop.deploy("eval timed --data people --json eval.json -q")
        .run()
        .ok();
    let (area, count) = {
        let eval = shop.json("eval.json");
        (eval["auc"].as_f64().unwrap(), eval["count"].to_string())
    };
    let named = bench("--batch 2 --data people --csv scores.csv --html scores.html").ok();
    for expected in [
        "ROC area",
        "equal error %",
        &format!("{area:.4}"),
        "probability 0.",
    ] {
        assert!(named.out.contains(expected), "{expected}: {}", named.out);
    }
    let csv = fs::read_to_string(shop.path("scores.csv")).unwrap();
    let last: Vec<&str> = csv.lines().nth(1).unwrap().rsplitn(7, ',').collect();
    assert_eq!(
        (last[1], last[5].parse()),
        (count.as_str(), Ok(area)),
        "{csv}"
    );
    let page = fs::read_to_string(shop.path("scores.html")).unwrap();
    assert!(page.contains(&format!("<td>{area:.4}</td>")), "{page}");
    check_conditions_and_refusals(&bench);
}

/// What is scored, judged and refused beside the timing of a verifier.
fn check_conditions_and_refusals(bench: &dyn Fn(&str) -> Done) {
    let unscored = bench("--batch 1 --no-data --json -").ok().json();
    let unscored = &unscored["results"][0];
    assert!(unscored.get("verification").is_none() && unscored["split_ms"]["decode"].is_null());
    let failed = bench("--batch 1 --fail-if auc<1.5 -q");
    assert_eq!(failed.code, 1, "{}", failed.err);
    for (arguments, expected) in [
        (
            "--fail-if top1<0.5",
            "a verifier has `auc` and `equal_error_rate`",
        ),
        (
            "--no-data --fail-if auc<0.5",
            "name labelled pairs with `--data`",
        ),
        ("--classes classes.txt", "`--classes` is for classifiers"),
        (
            "--precision fp16",
            "on the CPU in the precision of its file alone",
        ),
        (
            "--provider openvino",
            "on the CPU in the precision of its file alone",
        ),
    ] {
        let refusal = bench(&format!("{arguments} -q")).refusal();
        assert!(refusal.contains(expected), "{arguments}: {refusal}");
    }
}

#[test]
fn where_two_images_differ_is_drawn_for_both() {
    let shop = shop();
    tiny_models::residual(&shop.path("tiny.onnx"));
    let fit = format!("{SMALL} --distance euclidean --backbone tiny.onnx --name far");
    shop.trainer(&fit).run().ok();
    let titles = |arguments: &str| -> Vec<String> {
        shop.trainer(&format!("inspect far {arguments} -q"))
            .run()
            .ok();
        let list = shop.json("runs/far/inspect/inspect.json");
        let images = list["images"].as_array().unwrap().iter();
        images
            .map(|image| {
                let file = image["file"].as_str().unwrap();
                assert!(shop.path(format!("runs/far/inspect/{file}")).is_file());
                image["title"].as_str().unwrap().to_owned()
            })
            .collect()
    };
    // Nothing is nearer to an image than itself: hiding a part makes them differ, and nothing makes them more alike.
    let same = titles("--pair people/0/0.png people/0/0.png");
    assert!(same[0].ends_with("; 0 to 0 of the distance"), "{same:?}");
    assert!(!same[1].ends_with("0 to 0 of the distance"), "{same:?}");
    let both = titles("--pair people/0/0.png people/3/1.png --pair people/1/0.png people/2/0.png");
    assert_eq!(both.len(), 4);
    assert!(both[0].starts_with("0.png and 1.png, where they differ"));
    let page = fs::read_to_string(shop.path("runs/far/report.html")).unwrap();
    assert_eq!(
        page.matches("where they agree").count(),
        4,
        "title and text"
    );
    for (command, expected) in [
        (
            "inspect far --pair people/0/0.png people/0/1.png --occlusion",
            "cannot be used with",
        ),
        (
            "inspect tiny.onnx --pair people/0/0.png people/0/1.png",
            "is a classifier, not a verifier",
        ),
    ] {
        let refusal = shop.trainer(&format!("{command} -q")).run();
        assert!(refusal.err.contains(expected), "{}", refusal.err);
        assert_ne!(refusal.code, 0);
    }
}

#[test]
fn an_audit_of_pairs_counts_them_and_finds_what_is_wrong() {
    let shop = shop();
    let audit = |arguments: &str| {
        shop.trainer(&format!("audit --task pairs {arguments}"))
            .run()
    };
    let sound = audit("--data people --json sound.json");
    let counts = &shop.json("sound.json")["pairs"];
    assert_eq!(counts["test"]["identities"], 2);
    assert_eq!(counts["test"]["images"], 12);
    assert_eq!(counts["test"]["same"], 12);
    assert!(sound.out.starts_with("split"), "{}", sound.out);
    fs::create_dir_all(shop.path("leaking/test")).unwrap();
    draw_identities(&shop.path("leaking/train"), 4, 3);
    draw_identities(&shop.path("leaking/test"), 1, 3);
    let leaking = audit("--data leaking --html sheet.html");
    assert_eq!(leaking.code, 1, "{}", leaking.out);
    assert!(
        leaking
            .out
            .contains("the identity `0` is in train and test"),
        "{}",
        leaking.out
    );
    let page = fs::read_to_string(shop.path("sheet.html")).unwrap();
    assert!(page.contains("identity-leak") && page.contains("data:image/jpeg"));
    shop.write(
        "pairs.csv",
        "path_a,path_b,label\npeople/0/0.png,people/0/0.png,same\npeople/0/0.png,people/0/1.png,same\n\
         people/0/1.png,people/0/0.png,same\npeople/1/0.png,people/2/0.png,different\n",
    );
    let table = audit("--data pairs.csv -q --json -");
    assert_eq!(table.code, 1);
    let json: serde_json::Value = serde_json::from_str(&table.out).unwrap();
    let kinds: Vec<&str> = json["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["kind"].as_str().unwrap())
        .collect();
    assert!(
        kinds.contains(&"self-pair") && kinds.contains(&"repeated-pair"),
        "{kinds:?}"
    );
}
