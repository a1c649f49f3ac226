//! Whether the probabilities can be believed.

use data::metrics::Binning;
use maud::{Markup, html};

use super::charts::{self, Drawn, Kind};
use super::figures::Figures;
use super::files::Calibration;
use super::parts::{self, estimate, percent};
use super::record::Record;

/// Ranking and calibration.
pub(super) fn section(record: &Record, figures: &Figures) -> Option<Markup> {
    let drawn = [Drawn {
        record,
        figures: Some(figures),
    }];
    let figure = |kind, title, caption: &str| {
        let chart = charts::chart(kind, &drawn).ok()?;
        Some(parts::figure(&chart, title, caption))
    };
    let mut rows = vec![
        row("log loss (nats)", &estimate(&figures.loss, 3), "0"),
        row("Brier score", &estimate(&figures.brier, 3), "0"),
        row("calibration error (ECE)", &percent(figures.calibration_error, 1), "0 %"),
    ];
    if let Some(ranking) = &figures.ranking {
        rows.push(row("ROC AUC", &estimate(&ranking.auc, 3), "1"));
        let precision = format!("{:.3}", ranking.precision_recall.area);
        rows.push(row("average precision", &precision, "1"));
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
                (parts::table(&["", "value (95 % interval)", "perfect"], &rows))
                p.small {
                    "Intervals: percentile bootstrap over the " (figures.count) " images, 2000 draws. \
                    Brier score: squared errors of the probabilities, added up over the classes."
                }
                @if let Some(calibration) = &record.calibration { (temperature(calibration)) }
            }
        }
    };
    let lead = "Of the answers given at 80 %, 80 % should be right.";
    Some(parts::section("probabilities", "Can its probabilities be believed?", lead, &body))
}

fn row(name: &str, value: &str, perfect: &str) -> Vec<String> {
    [name, value, perfect].map(str::to_owned).to_vec()
}

fn bins(figures: &Figures) -> String {
    match figures.binning {
        Binning::Width(bins) => format!("ECE over {bins} bins of equal width."),
        Binning::Count(bins) => {
            let bins = parts::count(bins, "bin", "bins");
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
    let error = calibration.standard_error;
    let error = error.map_or(String::new(), |error| format!(" (standard error of the gain {error:.4})"));
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
            (format!("{:.4}", calibration.loss_after)) " after" (error) "."
        }
    }
}
