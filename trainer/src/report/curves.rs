//! How training went, epoch by epoch.

use console::{numbers, page};
use maud::{Markup, html};

use super::charts::{self, Drawn, Kind};
use super::record::Record;
use crate::train::EpochRow;

/// The curves of a run; none before its first epoch.
pub(super) fn section(record: &Record) -> Option<Markup> {
    if record.epochs.is_empty() {
        return None;
    }
    let drawn = [Drawn {
        record,
        figures: None,
    }];
    let figure = |kind, title, caption| {
        let chart = charts::chart(kind, &drawn).ok()?;
        Some(page::figure(&chart, title, caption))
    };
    let body = html! {
        div.grid {
            (figure(Kind::Loss, "Loss", reading(record))?)
            (figure(Kind::Accuracy, "Accuracy", "")?)
            (figure(Kind::Lr, "Learning rate", "")?)
            (figure(Kind::Rate, "Speed", speed(record))?)
        }
        (time(record))
        details {
            summary { "All figures of " (numbers::count(record.epochs.len(), "epoch", "epochs")) }
            (epochs(&record.epochs))
        }
    };
    Some(page::section("training", "Training", "", &body))
}

/// How training and validation figures differ.
fn reading(record: &Record) -> &'static str {
    if record.is_augmented() {
        "Training figures are means over the epoch, while the weights moved, on augmented images; \
         validation figures are of its end."
    } else {
        "Training figures are means over the epoch, while the weights moved; validation figures are \
         of its end."
    }
}

/// What the images of "images per second" are.
fn speed(record: &Record) -> &'static str {
    match record.recipe.views {
        Some(crate::recipe::Views::Kept(_)) if !record.recipe.fine_tune => {
            "The frozen part ran once per image, before training; an epoch goes over its kept features."
        }
        _ => "",
    }
}

fn time(record: &Record) -> Markup {
    let total = |of: fn(&EpochRow) -> f64| record.epochs.iter().map(of).sum::<f64>();
    let (train, val) = (total(|row| row.train_seconds), total(|row| row.val_seconds));
    let wait = total(|row| row.train_wait_seconds);
    let mut facts = vec![
        ("epochs", record.epochs.len().to_string()),
        ("training", numbers::seconds(train)),
        ("of it waiting for images", numbers::seconds(wait)),
        ("validation", numbers::seconds(val)),
    ];
    if let Some(summary) = &record.summary {
        facts.push(("whole run", numbers::seconds(summary.seconds)));
        facts.push(("ended", summary.ended.clone()));
    }
    page::facts(&facts)
}

fn epochs(epochs: &[EpochRow]) -> Markup {
    let header = [
        "epoch",
        "learning rate",
        "train loss",
        "val loss",
        "train accuracy",
        "val accuracy",
        "train time",
        "val time",
        "train images/s",
        "val images/s",
    ];
    let rows: Vec<Vec<String>> = epochs
        .iter()
        .map(|row| {
            vec![
                row.epoch.to_string(),
                format!("{:.2e}", row.lr),
                format!("{:.4}", row.train_loss),
                format!("{:.4}", row.val_loss),
                format!("{:.1} %", row.train_accuracy),
                format!("{:.1} %", row.val_accuracy),
                numbers::seconds(row.train_seconds),
                numbers::seconds(row.val_seconds),
                format!("{:.0}", row.train_images_per_second),
                format!("{:.0}", row.val_images_per_second),
            ]
        })
        .collect();
    page::table(&header, &rows)
}
