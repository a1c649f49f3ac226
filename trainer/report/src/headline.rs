//! Head of a run's page: accuracy with its interval, the baseline, and the confusion matrix.

use console::chart::Matrix;
use console::numbers::{self, percent, share, thousands};
use console::page;
use data::Scores;
use maud::{Markup, html};

use crate::charts::{self, PlottedRun};
use crate::probability_metrics::ProbabilityMetrics;
use crate::run_contents::RunContents;
use crate::run_files::{Summary, TrainingSummary};

/// A table of more classes is folded.
const MOST_OPEN: usize = 12;
/// Pairs that are listed where a matrix would be too large.
const MOST_PAIRS: usize = 12;

pub(crate) fn section(plotted: &PlottedRun<'_>) -> Markup {
    let (run, metrics) = (plotted.run, plotted.metrics.as_ref());
    html! {
        (head(run))
        @match &run.summary {
            Some(summary) => (scored(run, summary, metrics)),
            None => {
                section.hero {
                    p.verdict { "This run was not scored: it has no " code { "summary.json" } "." }
                }
            }
        }
    }
}

pub(crate) fn head(run: &RunContents) -> Markup {
    let date = run
        .card
        .as_ref()
        .map(|card| numbers::date(&card.provenance.date));
    html! {
        header.top {
            h1 { (run.name) ": " (run.network()) " on " (run.data_name()) }
            p {
                (counts(run))
                @if let Some(date) = date { " · " (date) }
            }
        }
    }
}

fn counts(run: &RunContents) -> String {
    if let Some(audit) = run.audit.as_ref().filter(|audit| !audit.pairs.is_empty()) {
        let identities = audit.pairs.values().map(|counts| counts.identities).sum();
        let splits = audit.pairs.iter();
        let pairs = splits.map(|(split, counts)| {
            let count = counts.same + counts.forged + counts.different;
            format!("{} {split}", thousands(count as u64))
        });
        let pairs = pairs.collect::<Vec<_>>().join(", ");
        return format!(
            "{} · {pairs} pairs",
            numbers::count(identities, "identity", "identities")
        );
    }
    let counts = run.counts();
    let totals: Vec<String> = counts
        .iter()
        .map(|(split, classes)| format!("{} {split}", thousands(classes.values().sum())))
        .collect();
    let classes = counts.values().next().map_or(0, |classes| classes.len());
    format!("{classes} classes · {} images", totals.join(", "))
}

fn scored(run: &RunContents, summary: &Summary, metrics: Option<&ProbabilityMetrics>) -> Markup {
    let scores = &summary.scores;
    html! {
        section.hero {
            div.grid {
                div {
                    p.big {
                        (percent(scores.accuracy, 1)) " "
                        small { "of " (scores.count) " " (summary.split) " images" }
                    }
                    p.verdict { (verdict(scores)) }
                    (warnings(summary))
                    (Strip::of_accuracy(scores).draw())
                    (page::facts(&facts(summary, metrics)))
                    (verified(run, "logits"))
                }
                div {
                    (confused(run, scores))
                    (per_class(scores))
                }
            }
        }
    }
}

/// What spoils a number stands beside it.
fn warnings(summary: &Summary) -> Markup {
    let of_tuning = summary.training.warning();
    html! {
        @if let Some(warning) = of_tuning {
            p.verdict { span.bad { "Fine-tuning: " } (warning) "." }
        }
        @if let Some(warning) = summary.leak_warning() {
            p.verdict { span.bad { "Leak: " } (warning) "." }
        }
    }
}

/// Numbers of right and of wrong answers.
fn right_and_wrong(scores: &Scores) -> (u64, u64) {
    let diagonal = scores.confusion.iter().enumerate();
    let correct = diagonal
        .map(|(class, row)| row.get(class).copied().unwrap_or(0))
        .sum();
    (correct, scores.count.saturating_sub(correct))
}

/// The most frequent class.
pub(crate) fn majority(scores: &Scores) -> &str {
    // `max_by_key` returns the last of equal ones; reversed, that is the first class.
    let most = scores
        .per_class
        .iter()
        .rev()
        .max_by_key(|class| class.support);
    most.map_or("", |class| &class.class)
}

fn verdict(scores: &Scores) -> Markup {
    let [low, high] = scores.interval;
    let baseline = percent(scores.baseline, 1);
    html! {
        "The true accuracy lies between "
        strong { (format!("{:.1} and {:.1} %", 100.0 * low, 100.0 * high)) }
        " (95 % Wilson interval). "
        @if low > scores.baseline {
            span.good { "Better" }
        } @else if high < scores.baseline {
            span.bad { "Worse" }
        } @else {
            span.bad { "Not shown to be better" }
        }
        " than always answering “" (majority(scores)) "”, which is right on " (baseline) "."
    }
}

/// A share, its interval and a baseline on a line from 0 to 100 %.
pub(crate) struct Strip<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: f64,
    pub(crate) interval: Option<[f64; 2]>,
    pub(crate) baseline: (&'a str, f64),
}

impl Strip<'_> {
    fn of_accuracy(scores: &Scores) -> Self {
        Strip {
            name: "accuracy",
            value: scores.accuracy,
            interval: Some(scores.interval),
            baseline: ("baseline", scores.baseline),
        }
    }

    pub(crate) fn draw(&self) -> Markup {
        let (what, base) = (self.baseline.0, 100.0 * self.baseline.1);
        let here = 100.0 * self.value;
        let interval = self.interval.map(|ends| ends.map(|share| 100.0 * share));
        let left = |percent: f64| format!("left:{percent:.2}%");
        // A label ends at its mark where it would leave the page on the right.
        let label_side = |percent: f64| match percent > 60.0 {
            true => format!("right:{:.2}%", 100.0 - percent),
            false => left(percent),
        };
        let range = interval.map_or_else(String::new, |[low, high]| {
            format!("interval {low:.1} to {high:.1} %, ")
        });
        let label = format!("{} {here:.1} %, {range}{what} {base:.1} %", self.name);
        html! {
            div.strip role="img" aria-label=(label) {
                div.axis {}
                @if let Some([low, high]) = interval {
                    div.range style=(format!("left:{low:.2}%;width:{:.2}%", high - low)) {}
                }
                div.here style=(left(here)) {}
                div.base style=(left(base)) {}
                span style=(format!("top:0;{}", label_side(base))) { (what) " " (format!("{base:.1} %")) }
                span.end style="left:0" { "0 %" }
                span.end style="right:0" { "100 %" }
            }
        }
    }
}

fn facts(summary: &Summary, metrics: Option<&ProbabilityMetrics>) -> Vec<(&'static str, String)> {
    let (right, wrong) = right_and_wrong(&summary.scores);
    let mut facts = vec![
        ("right", thousands(right)),
        ("wrong", thousands(wrong)),
        ("log loss", format!("{:.3} nats", summary.scores.loss)),
    ];
    if let Some(metrics) = metrics {
        if let Some(ranking) = &metrics.ranking {
            facts.push(("ROC AUC", format!("{:.3}", ranking.auc.value)));
        }
        facts.push(("calibration error", percent(metrics.calibration_error, 1)));
    }
    facts.extend(common_facts(&summary.training));
    facts
}

/// What is told of every network.
pub(crate) fn common_facts(training: &TrainingSummary) -> [(&'static str, String); 2] {
    let parameters = [training.parameters, training.trainable_parameters];
    let [all, trained] = parameters.map(|count| thousands(count as u64));
    [
        ("trained parameters", format!("{trained} of {all}")),
        ("whole run", numbers::seconds(training.seconds)),
    ]
}

/// Whether the file is that of the trained network; `outputs` are what was compared.
pub(crate) fn verified(run: &RunContents, outputs: &str) -> Markup {
    html! {
        @match &run.agreement {
            Some(agreement) if agreement.verified => p.small {
                span.good { "Verified:" } " ONNX Runtime computes the trained network's " (outputs) " from "
                code { "model.onnx" } "; these scores are that file's."
            },
            Some(_) => p.small {
                span.bad { "Not verified:" } " ONNX Runtime disagrees with the trained network on the \
                exported file."
            },
            None => {}
        }
    }
}

/// The matrix under its largest entries, or the largest entries alone where there are too many
/// classes to draw.
fn confused(run: &RunContents, scores: &Scores) -> Markup {
    let pairs = confused_pairs(scores);
    let title = match pairs.as_slice() {
        [] => "No mistakes".to_owned(),
        [(count, what)] => format!("Mistakes: {count} {what}"),
        [(first, a), (second, b), rest @ ..] => {
            let more = if rest.is_empty() { "" } else { ", …" };
            format!("Mistakes: {first} {a}, {second} {b}{more}")
        }
    };
    if scores.classes.len() <= Matrix::MOST_CLASSES {
        return page::figure(&charts::confusion(run).into(), &title, "");
    }
    let rows = pairs.into_iter().take(MOST_PAIRS);
    let rows: Vec<Vec<String>> = rows
        .map(|(count, what)| vec![what, thousands(count)])
        .collect();
    html! {
        div {
            h3 { "Most confused" }
            (page::table(&["", "images"], &rows))
        }
    }
}

/// Pairs of classes that are confused, with their counts; the most frequent first.
fn confused_pairs(scores: &Scores) -> Vec<(u64, String)> {
    let name = |class: usize| scores.classes.get(class).map_or("", String::as_str);
    let mut pairs = vec![];
    for (label, row) in scores.confusion.iter().enumerate() {
        for (predicted, count) in row.iter().enumerate() {
            if label != predicted && *count > 0 {
                let (label, predicted) = (name(label), name(predicted));
                pairs.push((*count, format!("{label} predicted as {predicted}")));
            }
        }
    }
    pairs.sort_by_key(|pair| std::cmp::Reverse(pair.0));
    pairs
}

fn per_class(scores: &Scores) -> Markup {
    let rows: Vec<Vec<String>> = scores
        .per_class
        .iter()
        .map(|class| {
            let figures = [class.precision, class.recall, class.f1].map(share);
            let name = std::iter::once(class.class.clone());
            name.chain(figures)
                .chain([thousands(class.support)])
                .collect()
        })
        .collect();
    let table = page::table(&["class", "precision", "recall", "F1", "images"], &rows);
    html! {
        @if rows.len() > MOST_OPEN {
            details { summary { "Precision, recall and F1 of " (rows.len()) " classes" } (table) }
        } @else {
            (table)
        }
    }
}
