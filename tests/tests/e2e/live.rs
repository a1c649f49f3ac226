//! What a run shows while it goes on, and the files to watch it by.

use fs_err as fs;
use serde_json::Value;
use tests::{Workshop, run_folder};

fn lines(shop: &Workshop) -> Vec<Value> {
    let text = fs::read_to_string(shop.path("runs/a/events.jsonl")).unwrap();
    assert!(text.ends_with('\n'));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn json_lines_hold_every_epoch_and_a_resumed_run_goes_on_in_them() {
    let shop = Workshop::new();
    let logs = "--log jsonl,tensorboard --batch 8";
    shop.fit("--epochs 2 --name a").args(logs).run().ok();
    let first = lines(&shop);
    let events: Vec<&str> = first
        .iter()
        .map(|line| line["event"].as_str().unwrap())
        .collect();
    // Three steps of 20 images, one of 8.
    let epoch = ["step", "step", "step", "step", "epoch"];
    let expected = [&["start"][..], &epoch, &epoch, &["end"]].concat();
    assert_eq!(events, expected);
    assert_eq!(first[0]["train_images"], 20);
    assert_eq!(first[11]["ended"], "finished");
    let rows = run_folder::metrics(&shop.path("runs/a/metrics.csv"));
    for (row, line) in rows
        .iter()
        .zip(first.iter().filter(|line| line["event"] == "epoch"))
    {
        for (name, value) in row {
            assert_eq!(line[name].as_f64(), value.parse().ok(), "{name}");
        }
    }
    shop.trainer("fit --resume a --epochs 3 --log jsonl,tensorboard")
        .run()
        .ok();
    let all = lines(&shop);
    assert_eq!(all[..first.len()], first[..]);
    assert_eq!(
        (&all[12]["resumed"], &all[12]["epochs_done"]),
        (&true.into(), &2.into())
    );
    assert_eq!(all.len(), 12 + 7);
    let files = fs::read_dir(shop.path("runs/a/tensorboard")).unwrap();
    let names: Vec<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 2);
    assert!(
        names
            .iter()
            .all(|name| name.starts_with("events.out.tfevents.")),
        "{names:?}"
    );
}

#[test]
fn a_log_that_cannot_be_written_is_warned_of_and_training_goes_on() {
    let shop = Workshop::new();
    shop.fit("--epochs 1 --name a").run().ok();
    fs::create_dir(shop.path("runs/a/events.jsonl")).unwrap();
    let resumed = shop
        .trainer("fit --resume a --epochs 2 --log jsonl -q")
        .run()
        .ok();
    assert!(
        resumed
            .err
            .starts_with("warning: `runs/a/events.jsonl` is not written: "),
        "{}",
        resumed.err
    );
    assert_eq!(
        run_folder::metrics(&shop.path("runs/a/metrics.csv")).len(),
        2
    );
}

#[test]
fn without_a_terminal_the_dashboard_is_lines() {
    let shop = Workshop::new();
    let fit = shop.fit("--epochs 1 --ui dashboard").run().ok();
    assert!(
        fit.err.contains("no terminal for a dashboard"),
        "{}",
        fit.err
    );
    assert!(
        fit.err.contains("epoch  1/1") && !fit.err.contains('\u{1b}'),
        "{}",
        fit.err
    );
}

#[test]
fn the_dashboard_takes_the_terminal_and_gives_it_back_with_its_log() {
    let shop = Workshop::new();
    let fit = |flags| {
        let fit = shop.fit("--epochs 3 --ui dashboard").args(flags);
        fit.env("TERM", "xterm-256color").on_a_terminal()
    };
    let Some(fit) = fit("") else { return };
    let out = fit.run().ok().out;
    let (before, rest) = out
        .split_once("\u{1b}[?1049h")
        .unwrap_or_else(|| panic!("{out}"));
    let (screen, after) = rest
        .split_once("\u{1b}[?1049l")
        .unwrap_or_else(|| panic!("{out}"));
    assert!(
        before.contains("train") && screen.contains("save and stop"),
        "{out}"
    );
    for epoch in 1..=3 {
        assert!(after.contains(&format!("epoch  {epoch}/3")), "{after}");
    }
    assert!(after.contains("verified"), "{after}");
}
