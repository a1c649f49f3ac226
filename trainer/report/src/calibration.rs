//! Section "Can its probabilities be believed?": reliability diagram, log loss, Brier score, ECE, ROC and
//! precision-recall curves, temperature.

use console::{numbers, page};
use data::metrics::Binning;
use maud::{Markup, html};

use crate::charts::{self, ChartKind, PlottedRun};
use crate::probability_metrics::{Estimate, ProbabilityMetrics, RESAMPLES};
use crate::run_files::Calibration;

/// None without predictions.
pub(crate) fn section(plotted: &PlottedRun<'_>) -> Option<Markup> {
    let metrics = plotted.metrics.as_ref()?;
    let figure = |kind, title, caption: &str| {
        let chart = charts::chart(kind, std::slice::from_ref(plotted)).ok()?;
        Some(page::figure(&chart, title, caption))
    };
    let mut rows = vec![
        table_row("log loss (nats)", &metrics.loss),
        table_row("Brier score", &metrics.brier),
        table_row(
            "ECE",
            &Estimate::without_interval(metrics.calibration_error),
        ),
    ];
    if let Some(ranking) = &metrics.ranking {
        rows.push(table_row("ROC AUC", &ranking.auc));
        let precision = ranking.precision_recall.area;
        rows.push(table_row(
            "average precision",
            &Estimate::without_interval(precision),
        ));
    }
    let body = html! {
        div.grid {
            (figure(ChartKind::Reliability, "Confidence against accuracy", &bins(metrics))?)
            @if metrics.ranking.is_some() {
                (figure(ChartKind::Roc, "ROC", "")?)
                (figure(ChartKind::Pr, "Precision and recall", "")?)
            }
            div {
                h3 { "In numbers" }
                (page::table(&["", "value", "95 % interval"], &rows))
                p.small {
                    "Intervals: percentile bootstrap over the " (metrics.count) " images, " (RESAMPLES) " draws. \
                    Brier score: squared errors of the probabilities, added up over the classes. ECE: \
                    expected calibration error. Perfect are 0 for these three, 1 for areas under \
                    curves."
                }
                @if let Some(calibration) = &plotted.run.calibration { (temperature(calibration)) }
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

fn table_row(name: &str, estimate: &Estimate) -> Vec<String> {
    let interval = estimate.interval;
    let interval = interval.map_or("–".into(), |[low, high]| format!("{low:.3} to {high:.3}"));
    vec![name.into(), format!("{:.3}", estimate.value), interval]
}

fn bins(metrics: &ProbabilityMetrics) -> String {
    match metrics.binning {
        Binning::Width(bins) => format!("ECE over {bins} bins of equal width."),
        Binning::Count(bins) => {
            let bins = numbers::count(bins, "bin", "bins");
            format!(
                "ECE over {bins} of equal count, since the images are few; of {} images even perfect \
                 probabilities would show some.",
                metrics.count
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
            } @else if calibration.count < Calibration::MIN_IMAGES {
                "Fewer than " (Calibration::MIN_IMAGES) " held-out images say too little: the temperature stays 1. "
            } @else {
                "The logits stay as they are: dividing them by "
                (format!("{:.3}", calibration.temperature)) " would not lower the log loss beyond doubt. "
            }
            "Fitted on " (calibration.fitted_on) " (" (calibration.count) " images): log loss "
            (format!("{:.4}", calibration.loss_before)) " as trained, "
            (format!("{:.4}", calibration.loss_after)) " when divided (standard error of the gain "
            (format!("{:.4}", calibration.standard_error)) ")."
        }
    }
}
