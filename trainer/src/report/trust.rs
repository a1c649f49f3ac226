//! Whether the probabilities can be believed.

use console::{numbers, page};
use data::metrics::Binning;
use maud::{Markup, html};

use super::charts::{self, Drawn, Kind};
use super::figures::{Estimate, Figures, RESAMPLES};
use super::record::Record;
use crate::calibrate::Calibration;

/// Ranking and calibration.
pub(super) fn section(record: &Record, figures: &Figures) -> Option<Markup> {
    let drawn = [Drawn {
        record,
        figures: Some(figures),
    }];
    let figure = |kind, title, caption: &str| {
        let chart = charts::chart(kind, &drawn).ok()?;
        Some(page::figure(&chart, title, caption))
    };
    let mut rows = vec![
        row("log loss (nats)", &figures.loss),
        row("Brier score", &figures.brier),
        row("ECE", &Estimate::alone(figures.calibration_error)),
    ];
    if let Some(ranking) = &figures.ranking {
        rows.push(row("ROC AUC", &ranking.auc));
        let precision = ranking.precision_recall.area;
        rows.push(row("average precision", &Estimate::alone(precision)));
    }
    let body = html! {
        div.grid {
            (figure(Kind::Reliability, "Confidence against accuracy", &bins(figures))?)
            @if figures.ranking.is_some() {
                (figure(Kind::Roc, "ROC", "")?)
                (figure(Kind::Pr, "Precision and recall", "")?)
            }
            div {
                h3 { "In numbers" }
                (page::table(&["", "value", "95 % interval"], &rows))
                p.small {
                    "Intervals: percentile bootstrap over the " (figures.count) " images, " (RESAMPLES) " draws. \
                    Brier score: squared errors of the probabilities, added up over the classes. ECE: \
                    expected calibration error. Perfect are 0 for these three, 1 for areas under \
                    curves."
                }
                @if let Some(calibration) = &record.calibration { (temperature(calibration)) }
            }
        }
    };
    let lead = "Of the answers given at 80 %, 80 % should be right.";
    Some(page::section(
        "probabilities",
        "Can its probabilities be believed?",
        lead,
        &body,
    ))
}

fn row(name: &str, estimate: &Estimate) -> Vec<String> {
    let interval = estimate.interval;
    let interval = interval.map_or("–".into(), |[low, high]| format!("{low:.3} to {high:.3}"));
    vec![name.into(), format!("{:.3}", estimate.value), interval]
}

fn bins(figures: &Figures) -> String {
    match figures.binning {
        Binning::Width(bins) => format!("ECE over {bins} bins of equal width."),
        Binning::Count(bins) => {
            let bins = numbers::count(bins, "bin", "bins");
            format!(
                "ECE over {bins} of equal count, since the images are few; of {} images even perfect \
                 probabilities would show some.",
                figures.count
            )
        }
    }
}

/// What a temperature was fitted to, and whether it is in the file.
fn temperature(calibration: &Calibration) -> Markup {
    html! {
        h3 { "Temperature" }
        p {
            @if calibration.applied {
                "The logits are divided by " strong { (format!("{:.3}", calibration.temperature)) }
                ", which is part of the exported file. "
            } @else {
                "Dividing the logits by a temperature would gain no more than its standard error: it \
                stays 1. "
            }
            "Fitted on " (calibration.fitted_on) " (" (calibration.count) " images): log loss "
            (format!("{:.4}", calibration.loss_before)) " before, "
            (format!("{:.4}", calibration.loss_after)) " after (standard error of the gain "
            (format!("{:.4}", calibration.standard_error)) ")."
        }
    }
}
