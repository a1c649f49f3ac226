//! A kill at any moment leaves whole files, and a run that goes on.

use std::thread::sleep;
use std::time::Duration;

use tests::Workshop;

use tests::run_folder::{check_whole, metrics, tensors};

use crate::resume::same_runs;

#[test]
fn a_kill_at_any_moment_leaves_whole_files() {
    let shop = Workshop::new();
    let run = shop.path("runs/own");
    let flags = "--epochs 400 --batch 4 --save all --name own";
    let mut fit = shop.fit(flags).start();
    // Until here there is nothing to go on with.
    assert!(fit.says("parameters"));
    let mut delay = 11;
    for _ in 0..6 {
        delay = delay * 7919 % 397;
        sleep(Duration::from_millis(delay));
        assert!(fit.is_alive());
        fit.kill();
        check_whole(&run);
        let state = run.join("last.safetensors");
        if state.exists() {
            let rows = metrics(&run.join("metrics.csv")).len();
            println!("killed after {delay} ms and {rows} epochs");
            assert!(tensors(&state).contains_key("fc.weight"));
        }
        fit = shop.trainer("fit --resume own").start();
        assert!(fit.says("epoch"), "it goes on");
    }
    fit.kill();
    // The end of it: as long as it has come, and one more.
    let epochs = (metrics(&run.join("metrics.csv")).len() + 2).to_string();
    let resume = format!("fit --resume own --epochs {epochs}");
    shop.trainer(&resume).run().ok();
    let rows = metrics(&run.join("metrics.csv"));
    assert_eq!(rows.len().to_string(), epochs);
    shop.deploy("check -q").run().ok();
    // Nothing was lost or done twice.
    let once = format!("--epochs {epochs} --batch 4 --save all --name once -q");
    shop.fit(&once).run().ok();
    same_runs(&shop, "once", "own");
}

#[test]
fn a_kill_at_the_start_leaves_whole_files() {
    let shop = Workshop::new();
    for i in 0..10 {
        let fit = shop.fit(&format!("--epochs 3 --name {i}")).start();
        sleep(Duration::from_millis(12 * i));
        fit.kill();
        let run = shop.path(format!("runs/{i}"));
        if run.exists() {
            check_whole(&run);
        }
    }
}

#[cfg(unix)]
#[test]
fn a_hangup_stops_a_fit_unless_it_is_ignored() {
    let shop = Workshop::new();
    let flags = "--epochs 400 --batch 4 --name";
    let mut fit = shop.fit(&format!("{flags} usual")).start();
    assert!(fit.says("epoch"));
    fit.signal("HUP");
    let done = fit.wait();
    assert!(done.err.contains("interrupted"), "{}", done.err);

    let mut fit = shop.fit(&format!("{flags} ignored")).nohup().start();
    assert!(fit.says("epoch"));
    fit.signal("HUP");
    assert!(fit.says("epoch") && fit.says("epoch"));
    assert!(fit.is_alive());
    fit.kill();
}
