use std::path::PathBuf;

use super::*;
use crate::fit::{Phase, Progress, StepReport};
use crate::live::Opening;

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

fn board(rows: usize) -> Board {
    let mut board = Board::new(&Opening {
        run: PathBuf::from("runs/bees"),
        epochs: 10,
        images: [220, 24],
        steps_per_epoch: 7,
        rows: (1..=rows).map(row).collect(),
        best: rows.checked_sub(1),
        resumed: false,
    });
    board.epoch_started(rows + 1);
    board.step(&StepReport {
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
    board
}

fn drawn(board: &Board, lines: &[String], (width, height): (u16, u16)) -> String {
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    draw(board, lines, false, &mut buffer);
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
    insta::assert_snapshot!(drawn(&board(4), &lines(), (90, 24)));
}

#[test]
fn a_small_window_keeps_the_numbers() {
    insta::assert_snapshot!(drawn(&board(4), &lines(), (46, 12)));
}

#[test]
fn any_window_can_be_drawn_at_any_time() {
    let fresh = Board::new(&Opening {
        run: PathBuf::from("runs/1"),
        epochs: 1,
        images: [0, 0],
        steps_per_epoch: 0,
        rows: vec![],
        best: None,
        resumed: false,
    });
    for size in [(1, 1), (3, 40), (200, 2), (80, 9), (300, 100)] {
        for board in [&fresh, &board(0), &board(1), &board(10)] {
            drawn(board, &lines(), size);
        }
    }
}

#[test]
fn what_is_left_is_told_by_this_epoch_first_and_by_those_done_then() {
    // 96 of 244 images took 2.4 s.
    let expected = 10.0 * 2.4 * 244.0 / 96.0 - 2.4;
    assert!((board(0).seconds_left().unwrap() - expected).abs() < 1e-9);
    assert!((board(4).seconds_left().unwrap() - (6.0 * 65.0 - 2.4)).abs() < 1e-9);
    let mut last = board(9);
    last.epoch_done(&row(10), true);
    assert_eq!(last.seconds_left(), Some(0.0));
    assert_eq!(last.best_row().map(|row| row.epoch), Some(10));
    assert_eq!(
        (duration(62.4), duration(3723.0)),
        ("1:02".into(), "1:02:03".into())
    );
}
