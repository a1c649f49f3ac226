use std::path::PathBuf;

use super::*;
use crate::live::RunInfo;
use crate::train::{Phase, Progress, StepReport};

fn row(epoch: usize) -> EpochRow {
    let share = epoch as f64 / 5.0;
    EpochRow {
        epoch,
        lr: 1e-3,
        train_loss: 0.7 - 0.4 * share,
        train_accuracy: 55.0 + 40.0 * share,
        val_loss: 0.68 - 0.2 * share,
        val_accuracy: 50.0 + 30.0 * share,
        train_seconds: 60.0,
        val_seconds: 5.0,
        train_images_per_second: 36.6,
        val_images_per_second: 48.0,
        train_wait_seconds: 3.0,
    }
}

fn state(rows: usize) -> DashboardState {
    let mut state = DashboardState::new(&RunInfo {
        run: PathBuf::from("runs/bees"),
        epochs: 10,
        images: [220, 24],
        steps_per_epoch: 7,
        is_cached: false,
        rows: (1..=rows).map(row).collect(),
        best: rows.checked_sub(1),
        resumed: false,
    });
    state.epoch_started(rows + 1);
    state.step(&StepReport {
        phase: Phase::Train,
        epoch: rows + 1,
        num_steps: 7,
        progress: Progress {
            step: 3,
            images: 96,
            loss_sum: 48.0,
            correct: 72,
            seconds: 2.4,
            wait_seconds: 0.3,
        },
    });
    state
}

fn drawn(state: &DashboardState, lines: &[String], (width, height): (u16, u16)) -> String {
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    draw(state, lines, false, &mut buffer);
    let row = |y| {
        let row: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
        row.trim_end().to_owned() + "\n"
    };
    (0..height).map(row).collect()
}

fn lines() -> Vec<String> {
    (1..=8)
        .map(|epoch| format!("epoch {epoch}/10  said so"))
        .collect()
}

#[test]
fn a_run_in_its_fifth_epoch() {
    insta::assert_snapshot!(drawn(&state(4), &lines(), (90, 24)));
}

#[test]
fn a_small_window_keeps_the_numbers() {
    insta::assert_snapshot!(drawn(&state(4), &lines(), (46, 12)));
}

#[test]
fn forty_columns_cut_no_number_and_the_legend_covers_no_curve() {
    let text = drawn(&state(4), &lines(), (40, 24));
    let words: Vec<&str> = text.split_whitespace().collect();
    let running = words.join(" ");
    for whole in [
        "accuracy 75.0 %",
        "left 6:28",
        "lr 1.0e-3",
        "accuracy 68.0 %",
        "loss ⠒ train • val",
    ] {
        assert!(running.contains(whole), "{whole}:\n{text}");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn any_window_can_be_drawn_at_any_time() {
    let fresh = DashboardState::new(&RunInfo {
        run: PathBuf::from("runs/1"),
        epochs: 1,
        images: [0, 0],
        steps_per_epoch: 0,
        is_cached: false,
        rows: vec![],
        best: None,
        resumed: false,
    });
    for size in [(1, 1), (3, 40), (200, 2), (80, 9), (300, 100)] {
        for state in [&fresh, &state(0), &state(1), &state(10)] {
            drawn(state, &lines(), size);
        }
    }
}

#[test]
fn what_is_left_is_told_by_this_epoch_first_and_by_those_done_then() {
    // 96 of 244 images took 2.4 s.
    let expected = 10.0 * 2.4 * 244.0 / 96.0 - 2.4;
    assert!((state(0).seconds_left().unwrap() - expected).abs() < 1e-9);
    assert!((state(4).seconds_left().unwrap() - (6.0 * 65.0 - 2.4)).abs() < 1e-9);
    let mut last = state(9);
    last.epoch_done(&row(10), true);
    assert_eq!(last.seconds_left(), Some(0.0));
    assert_eq!(last.best_row().map(|row| row.epoch), Some(10));
    assert_eq!(
        (duration(62.4), duration(3723.0)),
        ("1:02".into(), "1:02:03".into())
    );
}
