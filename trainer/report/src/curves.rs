//! Section "Training": learning curves and times.

use console::{numbers, page};
use maud::{Markup, html};

use crate::charts::{self, ChartKind, PlottedRun};
use crate::run_contents::RunContents;
use crate::run_files::{EpochRow, HeadFit};

/// None before the first epoch.
pub(crate) fn section(run: &RunContents) -> Option<Markup> {
    if run.epochs.is_empty() {
        return None;
    }
    let fine_tuned = run.fine_tuned();
    let head = run.training().and_then(|training| training.head.as_ref());
    // Epochs of fine-tuning follow a fitted layer.
    if let Some(head) = head.filter(|_| fine_tuned.is_none()) {
        let body = minimum(run, head);
        return Some(page::section("training", "Training", "", &body));
    }
    let plotted = [PlottedRun { run, metrics: None }];
    let figure = |kind, title, caption| {
        let chart = charts::chart(kind, &plotted).ok()?;
        Some(page::figure(&chart, title, caption))
    };
    // A curve takes two epochs.
    let is_curve = run.epochs.len() > 1;
    let figures = [
        (is_curve, ChartKind::Loss, "Loss", loss_caption(run)),
        (is_curve, ChartKind::Accuracy, "Accuracy", ""),
        (
            constant_rate(run).is_none(),
            ChartKind::Lr,
            "Learning rate",
            "",
        ),
        (is_curve && !is_cached(run), ChartKind::Rate, "Speed", ""),
    ];
    let figures: Vec<Markup> = figures
        .into_iter()
        .filter_map(|(is_shown, kind, title, caption)| {
            figure(kind, title, caption).filter(|_| is_shown)
        })
        .collect();
    let body = html! {
        @if let Some(fine_tuned) = fine_tuned { p { (fine_tuned.line()) "." } }
        @if !figures.is_empty() { div.grid { @for figure in &figures { (figure) } } }
        (time(run))
        @if is_cached(run) {
            p.small {
                "The frozen part ran once per image, before training; an epoch goes over its cached features."
            }
        }
        details open[!is_curve] {
            summary { "All values of " (numbers::count(run.epochs.len(), "epoch", "epochs")) }
            (epochs(run))
        }
    };
    Some(page::section("training", "Training", "", &body))
}

/// A classification layer that no epochs trained.
fn minimum(run: &RunContents, head: &HeadFit) -> Markup {
    let row = &run.epochs[0];
    let mut facts = vec![
        ("train loss", format!("{:.4}", row.train_loss)),
        ("train accuracy", format!("{:.1} %", row.train_accuracy)),
        ("val loss", format!("{:.4}", row.val_loss)),
        ("val accuracy", format!("{:.1} %", row.val_accuracy)),
        ("time", numbers::seconds(row.train_seconds)),
    ];
    if let Some(loss) = head.held_out_loss() {
        facts.insert(0, ("held-out loss", format!("{loss:.4}")));
    }
    if !head.is_scale() {
        facts.insert(0, ("L2 penalty", format!("{:.4}", head.penalty)));
    }
    let tried: Vec<Vec<String>> = head
        .tried
        .iter()
        .map(|tried| {
            vec![
                format!("{:.4}", tried.penalty),
                format!("{:.4}", tried.loss),
            ]
        })
        .collect();
    html! {
        p {
            @if head.is_scale() {
                "Newton's method brought the scale of the distances to the minimum of the contrastive loss on the \
                 cached features, in " (numbers::count(head.steps, "step", "steps")) "."
            } @else {
                "L-BFGS brought the last layer to the minimum of its loss on the cached features, in "
                (numbers::count(head.steps, "step", "steps")) ". "
                @if head.folds > 0 {
                    "The L2 penalty has the least log loss on training " (run.examples()) " that were held out, in "
                    (head.folds) " folds."
                } @else if run.verifier.is_some() {
                    "There are too few identities for folds that could choose the L2 penalty."
                } @else {
                    "A class has too few images for folds that could choose the L2 penalty."
                }
            }
        }
        (page::facts(&facts))
        @if !tried.is_empty() {
            details {
                summary { "All penalties that were tried" }
                (page::table(&["L2 penalty", "held-out loss"], &tried))
            }
        }
    }
}

/// How training and validation values differ.
fn caption(run: &RunContents) -> &'static str {
    if run.is_augmented() {
        "Training values are means over the epoch, while the weights moved, on augmented images; \
         validation values are of its end."
    } else {
        "Training values are means over the epoch, while the weights moved; validation values are \
         of its end."
    }
}

/// How training and validation losses differ.
fn loss_caption(run: &RunContents) -> &'static str {
    if run.is_contrastive() {
        return "The contrastive loss: its values are comparable for one margin alone.";
    }
    if run.settings.has_plain_loss {
        caption(run)
    } else {
        "The training loss is the one that was minimised, with label smoothing, class weights or mixed images, as a mean \
         over the epoch. The validation loss is the plain cross-entropy at its end: the two are not comparable."
    }
}

/// Whether epochs read features that were computed before them: their times are those of the last layer alone.
fn is_cached(run: &RunContents) -> bool {
    run.settings.cached_views.is_some() && !run.settings.fine_tune
}

/// The learning rate, where every epoch has the same.
fn constant_rate(run: &RunContents) -> Option<f64> {
    let first = run.epochs.first()?.lr;
    run.epochs
        .iter()
        .all(|row| row.lr == first)
        .then_some(first)
}

fn time(run: &RunContents) -> Markup {
    let total = |column: fn(&EpochRow) -> f64| run.epochs.iter().map(column).sum::<f64>();
    let (train, val) = (total(|row| row.train_seconds), total(|row| row.val_seconds));
    // Part of the training time.
    let wait = total(|row| row.train_wait_seconds);
    let mut facts = vec![
        ("epochs", run.epochs.len().to_string()),
        ("training", numbers::seconds(train)),
        ("of it waiting for images", numbers::seconds(wait)),
        ("validation", numbers::seconds(val)),
    ];
    if let Some(rate) = constant_rate(run) {
        facts.push(("learning rate", format!("{rate:.1e}, constant")));
    }
    if let Some(training) = run.training() {
        facts.push(("whole run", numbers::seconds(training.seconds)));
        facts.push(("ended", training.ended.clone()));
    }
    page::facts(&facts)
}

fn epochs(run: &RunContents) -> Markup {
    let rates = ["train", "val"].map(|split| format!("{split} {}/s", run.examples()));
    let header = [
        "epoch",
        "learning rate",
        "train loss",
        "val loss",
        "train accuracy",
        "val accuracy",
        "train time",
        "val time",
        &rates[0],
        &rates[1],
    ];
    let rows: Vec<Vec<String>> = run
        .epochs
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
