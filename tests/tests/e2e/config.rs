//! Settings from a file, run names, `latest`.

use fs_err as fs;
use tests::Workshop;
use tests::run_folder::{self, Tensors};

fn config(shop: &Workshop, run: &str) -> toml::Table {
    let text = fs::read_to_string(shop.path(format!("runs/{run}/config.toml"))).unwrap();
    text.parse().unwrap()
}

fn checkpoint(shop: &Workshop, run: &str) -> (Tensors, Vec<Vec<u8>>) {
    run_folder::checkpoint(&shop.path(format!("runs/{run}/last.safetensors")))
}

#[test]
fn flags_win_over_the_file_and_the_outcome_is_saved() {
    let shop = Workshop::new();
    let text = "data = \"pictures\"\nwidth = 2\nepochs = 3\nlr = 0.01\nbest-by = \"val_loss\"\n";
    shop.write("small.toml", text);
    let flags = "fit --config small.toml --epochs 1 --seed 5 -q";
    shop.trainer(flags).run().ok();
    let saved = config(&shop, "1");
    assert_eq!(saved["epochs"].as_integer(), Some(1));
    assert_eq!(saved["lr"].as_float(), Some(0.01));
    assert_eq!(saved["seed"].as_integer(), Some(5));
    assert_eq!(saved["best-by"].as_str(), Some("val_loss"));
    assert_eq!(saved["batch"].as_integer(), Some(32));
    // The saved file makes the same run again, weights and all.
    shop.trainer("fit --config runs/1/config.toml -q")
        .run()
        .ok();
    assert_eq!(config(&shop, "2"), saved);
    let [one, two] = ["1", "2"].map(|run| fs::read(shop.path(format!("runs/{run}/model.onnx"))));
    assert!(one.unwrap() == two.unwrap(), "the models differ");
}

#[test]
fn another_seed_makes_another_network() {
    let shop = Workshop::new();
    for seed in ["0", "1"] {
        shop.fit(&format!("--epochs 1 --seed {seed} -q")).run().ok();
    }
    let [(one, _), (two, _)] = ["1", "2"].map(|run| checkpoint(&shop, run));
    assert_ne!(one["fc.weight"], two["fc.weight"]);
    assert_eq!(
        one.keys().collect::<Vec<_>>(),
        two.keys().collect::<Vec<_>>()
    );
}

#[test]
fn threads_do_not_change_a_run() {
    let shop = Workshop::new();
    for threads in ["1", "2"] {
        shop.fit(&format!("--epochs 2 --threads {threads} -q"))
            .run()
            .ok();
    }
    let [one, two] = ["1", "2"].map(|run| checkpoint(&shop, run));
    assert!(one.0 == two.0, "the weights differ");
    assert!(one.1 == two.1, "the optimiser's state differs");
}

#[test]
fn runs_at_the_same_time_take_different_numbers() {
    let shop = Workshop::new();
    let seeds = ["1", "2", "3"];
    let runs = seeds.map(|seed| {
        shop.fit(&format!("--epochs 2 --seed {seed} --json -"))
            .start()
    });
    let mut names = runs.map(|run| run.wait().ok().json()["run"].as_str().unwrap().to_owned());
    for (name, seed) in names.iter().zip(seeds) {
        let found = config(&shop, name)["seed"].as_integer().unwrap();
        assert_eq!(found.to_string(), seed);
        run_folder::check_whole(&shop.path("runs").join(name));
    }
    names.sort();
    assert_eq!(names, ["1", "2", "3"]);
    assert_eq!(fs::read_dir(shop.path("runs")).unwrap().count(), 4);
}

#[test]
fn latest_is_the_newest_finished_run() {
    let shop = Workshop::new();
    shop.fit("--epochs 1 --name first -q").run().ok();
    let latest = || fs::read_link(shop.path("runs/latest")).unwrap();
    assert_eq!(latest().to_str(), Some("first"));
    shop.fit("--epochs 1 -q").run().ok();
    assert_eq!(latest().to_str(), Some("1"));
    // A failed run is not it.
    let failed = shop.fit("--epochs 1 --lr 1e30 -q").run();
    failed.refusal();
    assert_eq!(latest().to_str(), Some("1"));
    let eval = shop.deploy("eval").run().ok();
    let first = eval.err.lines().next().unwrap();
    let expected = "model `runs/1/model.onnx`, the latest run's: ";
    assert!(first.starts_with(expected), "{first}");
    assert!(first.ends_with(" % of 12 test images, just now"), "{first}");
    let eval = shop.trainer("eval latest").run().ok();
    let first = eval.err.lines().next().unwrap();
    assert!(first.starts_with("run `runs/1`, the latest: "), "{first}");
    // A model file means its run.
    shop.trainer("eval runs/first/model.onnx").run().ok();
}

#[test]
fn a_run_is_exported_after_its_images_moved() {
    let shop = Workshop::new();
    shop.fit("--epochs 1 --name own -q").run().ok();
    fs::rename(shop.path("pictures"), shop.path("moved")).unwrap();
    let refused = shop.trainer("export own -q").run();
    assert!(refused.refusal().contains("--data"), "{}", refused.err);
    shop.trainer("export own -q --data moved").run().ok();
}

#[test]
fn the_runs_are_listed_with_what_tells_them_apart() {
    let shop = Workshop::new();
    let refused = shop.trainer("runs").run();
    insta::assert_snapshot!(refused.refusal(), @r#"
    error: there is no run in `runs`

    hint: train one with `trainer fit`, or choose another folder with `--runs`
    "#);
    shop.fit("--epochs 1 --name first -q").run().ok();
    shop.fit("--epochs 1 --name second -q").run().ok();
    // A folder of something else is no run.
    fs::create_dir(shop.path("runs/notes")).unwrap();
    shop.write("runs/third/config.toml", "data = \"builtin:insects\"\n");
    let listed = shop.trainer("runs").run().ok();
    let rows: Vec<Vec<&str>> = listed
        .out
        .lines()
        .map(|line| {
            line.split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect()
        })
        .collect();
    assert_eq!(rows[0], ["run", "data", "network", "accuracy", "date"]);
    assert_eq!(rows[1], ["third", "builtin:insects", "not finished"]);
    assert_eq!(rows[2][..2], ["second (latest)", "pictures"]);
    assert!(rows[2][3].ends_with(" % of 12 test images"), "{rows:?}");
    assert!(rows[2][4].ends_with(" UTC"), "{rows:?}");
    assert_eq!(rows[3][..2], ["first", "pictures"]);
    assert_eq!(rows.len(), 4);
    let json = shop.trainer("runs --json -").run().ok().json();
    assert_eq!(
        (json[1]["run"].as_str(), json[1]["latest"].as_bool()),
        (Some("runs/second"), Some(true))
    );
    assert_eq!(json[1]["count"], 12);
}
