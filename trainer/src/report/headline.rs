//! The first screen: how good, how sure, against what, and where it fails.

use console::chart::Matrix;
use console::numbers::{self, percent, share, thousands};
use console::page;
use data::Scores;
use maud::{Markup, html};

use super::charts;
use super::figures::Figures;
use super::record::{Record, Summary};

/// A table of more classes is folded.
const MOST_OPEN: usize = 12;
/// Pairs that are listed where a matrix would be too large.
const MOST_PAIRS: usize = 12;

/// The head of a run's page.
pub(super) fn hero(record: &Record, figures: Option<&Figures>) -> Markup {
    html! {
        (head(record))
        @match &record.summary {
            Some(summary) => (scored(record, summary, figures)),
            None => {
                section.hero {
                    p.verdict { "This run was not scored: it has no " code { "summary.json" } "." }
                }
            }
        }
    }
}

fn head(record: &Record) -> Markup {
    let date = record
        .card
        .as_ref()
        .map(|card| numbers::date(&card.provenance.date));
    html! {
        header.top {
            h1 { (record.name) ": " (record.network()) " on " (record.data_name()) }
            p {
                (counts(record))
                @if let Some(date) = date { " · " (date) }
            }
        }
    }
}

fn counts(record: &Record) -> String {
    let counts = record.counts();
    let totals: Vec<String> = counts
        .iter()
        .map(|(split, classes)| format!("{} {split}", thousands(classes.values().sum())))
        .collect();
    let classes = counts.values().next().map_or(0, |classes| classes.len());
    format!("{classes} classes · {} images", totals.join(", "))
}

fn scored(record: &Record, summary: &Summary, figures: Option<&Figures>) -> Markup {
    let scores = &summary.scores;
    let (correct, wrong) = correct(scores);
    html! {
        section.hero {
            div.grid {
                div {
                    p.big {
                        (percent(scores.accuracy, 1)) " "
                        small { "of " (scores.count) " " (summary.split) " images" }
                    }
                    p.verdict { (verdict(scores)) }
                    (strip(scores))
                    (page::facts(&facts(summary, figures, (correct, wrong))))
                    (verified(record))
                }
                div {
                    (confused(record, scores))
                    (per_class(scores))
                }
            }
        }
    }
}

fn correct(scores: &Scores) -> (u64, u64) {
    let diagonal = scores.confusion.iter().enumerate();
    let correct = diagonal
        .map(|(at, row)| row.get(at).copied().unwrap_or(0))
        .sum();
    (correct, scores.count.saturating_sub(correct))
}

/// The most frequent class.
pub(super) fn majority(scores: &Scores) -> &str {
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

/// Accuracy, its interval and the baseline on a line from 0 to 100 %.
fn strip(scores: &Scores) -> Markup {
    let [low, high] = scores.interval.map(|share| 100.0 * share);
    let (here, base) = (100.0 * scores.accuracy, 100.0 * scores.baseline);
    let at = |place: f64| format!("left:{place:.2}%");
    // Words end at their mark where they would leave the page on the right.
    let word = |place: f64| {
        if place > 60.0 {
            format!("right:{:.2}%", 100.0 - place)
        } else {
            at(place)
        }
    };
    let label =
        format!("accuracy {here:.1} %, interval {low:.1} to {high:.1} %, baseline {base:.1} %");
    html! {
        div.strip role="img" aria-label=(label) {
            div.axis {}
            div.range style=(format!("left:{low:.2}%;width:{:.2}%", high - low)) {}
            div.here style=(at(here)) {}
            div.base style=(at(base)) {}
            span style=(format!("top:0;{}", word(base))) { "baseline " (format!("{base:.1} %")) }
            span.end style="left:0" { "0 %" }
            span.end style="right:0" { "100 %" }
        }
    }
}

fn facts(
    summary: &Summary,
    figures: Option<&Figures>,
    (correct, wrong): (u64, u64),
) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("right", thousands(correct)),
        ("wrong", thousands(wrong)),
        ("log loss", format!("{:.3} nats", summary.scores.loss)),
    ];
    if let Some(figures) = figures {
        if let Some(ranking) = &figures.ranking {
            facts.push(("ROC AUC", format!("{:.3}", ranking.auc.value)));
        }
        facts.push(("calibration error", percent(figures.calibration_error, 1)));
    }
    let [all, trained] = [summary.parameters, summary.trainable_parameters].map(thousands);
    facts.push(("trained parameters", format!("{trained} of {all}")));
    facts.push(("whole run", numbers::seconds(summary.seconds)));
    facts
}

fn verified(record: &Record) -> Markup {
    html! {
        @match &record.agreement {
            Some(agreement) if agreement.verified => p.small {
                span.good { "Verified:" } " ONNX Runtime computes the trained network's logits from "
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
fn confused(record: &Record, scores: &Scores) -> Markup {
    let pairs = mistaken(scores);
    let title = match pairs.as_slice() {
        [] => "No mistakes".to_owned(),
        [(count, what)] => format!("Mistakes: {count} {what}"),
        [(first, a), (second, b), rest @ ..] => {
            let more = if rest.is_empty() { "" } else { ", …" };
            format!("Mistakes: {first} {a}, {second} {b}{more}")
        }
    };
    if scores.classes.len() <= Matrix::MOST_CLASSES {
        return page::figure(&charts::confusion(record).into(), &title, "");
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

/// Which class was taken for which, and how often; the most frequent first.
fn mistaken(scores: &Scores) -> Vec<(u64, String)> {
    let name = |class: usize| scores.classes.get(class).map_or("", String::as_str);
    let mut pairs = vec![];
    for (label, row) in scores.confusion.iter().enumerate() {
        for (predicted, count) in row.iter().enumerate() {
            if label != predicted && *count > 0 {
                let (label, predicted) = (name(label), name(predicted));
                pairs.push((*count, format!("{label} taken for {predicted}")));
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
