//! Interrupted runs, resumed, end as uninterrupted ones, bit for bit.

use std::thread::sleep;
use std::time::Duration;

use fs_err as fs;
use tests::run_folder::{check_whole, checkpoint, state, timeless};
use tests::{Workshop, tiny_models};

/// Compares everything of two runs but times and dates.
pub(crate) fn same_runs(shop: &Workshop, one: &str, two: &str) {
    let path = |run: &str, file: &str| shop.path(format!("runs/{run}/{file}"));
    for file in ["best.safetensors", "last.safetensors"] {
        let [one, two] = [one, two].map(|run| checkpoint(&path(run, file)));
        assert_eq!(
            one.0.keys().collect::<Vec<_>>(),
            two.0.keys().collect::<Vec<_>>()
        );
        for (name, tensor) in &one.0 {
            assert!(tensor == &two.0[name], "{file}: `{name}` differs");
        }
        assert!(!one.1.is_empty(), "{file}: the optimiser has no state");
        assert!(one.1 == two.1, "{file}: the optimiser's state differs");
    }
    let [rows, again] = [one, two].map(|run| timeless(&path(run, "metrics.csv")));
    assert_eq!(rows, again);
    let [model, again] = [one, two].map(|run| fs::read(path(run, "model.onnx")).unwrap());
    assert!(model == again, "the models differ");
    assert_eq!(check_whole(&path(one, "")), check_whole(&path(two, "")));
}

/// Runs a fit that is stopped, by Ctrl-C and by SIGTERM, at least twice and once amid an epoch
/// (unless its epochs are too short to be sure of that), then to its end.
pub(crate) fn interrupted(shop: &Workshop, name: &str, flags: &str, short: bool) {
    let folder = shop.path(format!("runs/{name}"));
    let resume = || shop.own_cache(shop.trainer("fit --resume").word(name));
    let mut amid = short;
    for i in 0..10 {
        let fit = shop.own_cache(shop.fit(flags).args("--name").word(name));
        let mut run = if i == 0 { fit } else { resume() }.start();
        assert!(run.says("epoch "), "it ended");
        sleep(Duration::from_millis(15));
        run.signal(if i % 2 == 0 { "INT" } else { "TERM" });
        let done = run.wait();
        assert_eq!(done.code, 2, "{}", done.err);
        let ending = format!("\ninterrupted: continue with `trainer fit --resume runs/{name}`\n");
        assert!(done.err.ends_with(&ending), "{}", done.err);
        let files = check_whole(&folder);
        assert!(!files.contains(&"model.onnx".to_owned()), "{files:?}");
        assert!(!shop.path("runs/latest").is_symlink());
        let step = state(&folder.join("last.safetensors"))["train"]["step"].clone();
        amid |= step.as_u64().unwrap() > 0;
        if amid && i > 0 {
            resume().run().ok();
            return;
        }
    }
    panic!("no signal came amid an epoch");
}

#[test]
fn ctrl_c_and_resume_equal_an_uninterrupted_run() {
    let shop = Workshop::new();
    let flags = "--epochs 40 --batch 1 --early-stop 14 --seed 3";
    interrupted(&shop, "twice", flags, false);
    shop.fit(flags).args("--name once -q").run().ok();
    same_runs(&shop, "once", "twice");
}

#[test]
fn so_with_a_backbone_another_optimiser_and_schedule() {
    for (tuned, short) in [
        ("--views fresh", false),
        ("--views 3", true),
        ("--fine-tune --keep tuned", false),
    ] {
        let shop = Workshop::new();
        tiny_models::residual(&shop.path("tiny.onnx"));
        let epochs = if short { 500 } else { 60 };
        let flags = format!(
            "--backbone tiny.onnx {tuned} --epochs {epochs} --batch 1 --optimizer sgd \
             --scheduler cosine --augment-val"
        );
        interrupted(&shop, "twice", &flags, short);
        let once = shop.fit(&flags).args("--name once -q");
        shop.own_cache(once).run().ok();
        same_runs(&shop, "once", "twice");
    }
}

#[test]
fn so_in_bf16() {
    let shop = Workshop::new();
    let flags = "--epochs 40 --batch 1 --early-stop 14 --seed 3 --width 8 --precision bf16";
    let tried = shop
        .fit("--epochs 1 --width 8 --precision bf16 --runs tried")
        .run();
    if tried.code != 0 {
        insta::assert_snapshot!(tried.refusal(), @r#"
        error: `--precision bf16`: this processor has neither AMX nor AVX-512's bf16 products

        hint: leave out `--precision bf16`
        "#);
        return println!("skipped: this processor multiplies no bf16 numbers");
    }
    interrupted(&shop, "twice", flags, false);
    shop.fit(flags).args("--name once -q").run().ok();
    same_runs(&shop, "once", "twice");
    let config = fs::read_to_string(shop.path("runs/once/config.toml")).unwrap();
    assert!(config.contains("precision = \"bf16\"\n"), "{config}");
    // It is another computation, which ends elsewhere.
    shop.fit(&flags.replace("bf16", "fp32"))
        .args("--name single -q")
        .run()
        .ok();
    let [bf16, single] = ["once", "single"]
        .map(|run| checkpoint(&shop.path(format!("runs/{run}/best.safetensors"))));
    assert!(bf16.0 != single.0, "the precision has no effect");
}

#[test]
fn a_finished_run_goes_on_past_its_end() {
    let shop = Workshop::new();
    shop.fit("--name long --epochs 5 -q").run().ok();
    shop.fit("--name short --epochs 3 -q").run().ok();
    shop.trainer("fit --resume runs/short --epochs 5 -q")
        .run()
        .ok();
    same_runs(&shop, "long", "short");
    assert_eq!(shop.json("runs/short/summary.json")["epochs"], 5);
}

#[test]
fn a_resumed_run_keeps_its_settings() {
    let shop = Workshop::new();
    shop.fit("--name own --epochs 1 -q").run().ok();
    let resume = "fit --resume own --epochs 2 -q";
    let refused = shop.trainer(resume).args("--lr 0.5").run();
    insta::assert_snapshot!(refused.refusal(), @r#"
    error: `--lr` cannot change in a resumed run
      expected: 0.001
      found:    0.5

    hint: leave `--lr` out, or start a new run: `trainer fit --config RUN/config.toml --lr ...`
    "#);
    // Data that changed meanwhile cannot make the same run.
    fs::remove_file(shop.path("pictures/train/discs/00.jpg")).unwrap();
    let refused = shop.trainer(resume).run();
    insta::assert_snapshot!(refused.refusal(), @r#"
    error: 1 of 40 listed files are missing, first `[DIR]/pictures/train/discs/00.jpg`

    hint: name the folder that the list's paths start from with `--data DIR`
    "#);
    // Nor can one of another content.
    fs::copy(
        shop.path("pictures/train/discs/01.png"),
        shop.path("pictures/train/discs/00.jpg"),
    )
    .unwrap();
    let refused = shop.trainer(resume).run();
    insta::assert_snapshot!(refused.refusal(), @r#"
    error: the images in `[DIR]/pictures` are not those that the run began with: some have another content

    hint: name the folder of the run's own images with `--data DIR`, or start a new run
    "#);
    fs::write(shop.path("runs/own/last.safetensors"), "cut").unwrap();
    tests::pictures::draw_splits(&shop.path("pictures"));
    let refused = shop.trainer(resume).run();
    insta::assert_snapshot!(refused.refusal(), @"error: `runs/own/last.safetensors` is not a usable checkpoint: header too small");
    let refused = shop.trainer("fit --resume nowhere -q").run();
    insta::assert_snapshot!(refused.refusal(), @r#"
    error: `nowhere` is no run: neither a folder of `trainer fit` nor a name in `runs`

    hint: `trainer runs --runs runs` lists the runs
    "#);
}

#[test]
fn data_may_move_between_the_parts_of_a_run() {
    let shop = Workshop::new();
    shop.fit("--name long --epochs 3 -q").run().ok();
    shop.fit("--name short --epochs 2 -q").run().ok();
    fs::create_dir(shop.path("moved")).unwrap();
    fs::rename(shop.path("pictures"), shop.path("moved/pictures")).unwrap();
    let resume = "fit --resume short --epochs 3 -q";
    let missing = shop.trainer(resume).run().refusal();
    assert!(missing.contains("`--data DIR`"), "{missing}");
    shop.trainer(resume)
        .args("--data moved/pictures")
        .run()
        .ok();
    same_runs(&shop, "long", "short");
    let config = fs::read_to_string(shop.path("runs/short/config.toml")).unwrap();
    assert!(
        config.contains("/moved/pictures\""),
        "the run knows the new place: {config}"
    );
    shop.trainer("eval short -q").run().ok();
}

#[test]
fn a_second_ctrl_c_stops_at_once() {
    let shop = Workshop::new();
    let mut run = shop.fit("--epochs 1000").start();
    assert!(run.says("epoch  2/1000"));
    run.signal("INT");
    assert!(run.says("interrupted: saving"));
    run.signal("INT");
    let done = run.wait();
    // 130 unless the first one was through before the second came.
    assert!([130, 2].contains(&done.code), "{}", done.code);
    check_whole(&shop.path("runs/1"));
}
