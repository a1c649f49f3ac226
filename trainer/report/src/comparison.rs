//! Comparison of several runs: McNemar's test of each pair, their charts, and the images on which they differ.

use std::collections::BTreeMap;

use console::chart::NUM_COLOURS;
use console::numbers::{self, p_value, percent, percents, thousands};
use console::page;
use data::metrics::{self, McNemar};
use maud::{Markup, html};

use crate::charts::{self, ChartKind, PlottedRun};
use crate::headline::majority;
use crate::predictions::Answer;
use crate::run_contents::RunContents;
use crate::run_files::Summary;
use crate::thumbnails::{CaptionedImage, Thumbnails};

/// Images in each gallery.
const MOST: usize = 6;
/// Galleries of more pairs than this would make the page too long.
pub(crate) const MOST_PAIRS: usize = 3;
/// Level of significance.
pub(crate) const LEVEL: f64 = 0.05;

/// Charts of classifiers over each other, with their titles and captions.
const CURVES: [(ChartKind, &str, &str); 7] = [
    (ChartKind::Loss, "Loss", ""),
    (ChartKind::Accuracy, "Accuracy", ""),
    (ChartKind::Lr, "Learning rate", ""),
    (ChartKind::Rate, "Speed", ""),
    (ChartKind::Roc, "ROC", ""),
    (ChartKind::Pr, "Precision and recall", ""),
    (ChartKind::Reliability, "Confidence against accuracy", ""),
];

/// Two runs on their common images.
struct Pair<'a> {
    first: &'a RunContents,
    second: &'a RunContents,
    count: usize,
    test: McNemar,
    /// Holm's, over all pairs.
    p_value: f64,
    /// Images that only one gets right: the answers of both.
    flips: Vec<[&'a Answer; 2]>,
}

pub(crate) fn body(runs: &[RunContents], thumbnails: &Thumbnails) -> Markup {
    let plotted: Vec<PlottedRun> = runs.iter().map(PlottedRun::new).collect();
    let pairs = pairs(runs);
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    html! {
        header.top {
            h1 { "Comparison of " (names.join(", ")) }
            p { (runs.len()) " runs" }
        }
        section.hero {
            @for pair in &pairs { p.verdict { (verdict(pair)) } }
            @if !same_data(runs) {
                p.small { "The data sets differ: images are matched by name." }
            }
            (scores(&plotted))
            @for run in runs {
                @if let Some(warning) = run.summary.as_ref().and_then(Summary::leak_warning) {
                    p.small { span.bad { "Leak in " (run.name) ": " } (warning) "." }
                }
            }
            (baseline(runs))
            @if !pairs.is_empty() { (tests(&pairs)) }
        }
        (curves(&plotted, &CURVES))
        @if pairs.len() <= MOST_PAIRS { @for pair in &pairs { (flips(pair, thumbnails)) } }
        (matrices(runs))
        (origins(runs))
    }
}

fn pairs(runs: &[RunContents]) -> Vec<Pair<'_>> {
    let mut pairs = vec![];
    for (index, first) in runs.iter().enumerate() {
        for second in &runs[index + 1..] {
            pairs.extend(pair(first, second));
        }
    }
    // Holm's correction: with many pairs, some differ by chance.
    let raw: Vec<f64> = pairs.iter().map(|pair| pair.test.p_value).collect();
    for (pair, adjusted) in pairs.iter_mut().zip(metrics::holm(&raw)) {
        pair.p_value = adjusted;
    }
    pairs
}

/// Whether the runs' images are the same, as far as is known: where they were and what was in them.
pub(crate) fn same_data(runs: &[RunContents]) -> bool {
    let fingerprint = |run: &RunContents| {
        let card = run.card.as_ref()?;
        Some(card.provenance.dataset_fingerprint.clone())
    };
    runs.windows(2).all(|pair| {
        let [first, second] = [&pair[0], &pair[1]];
        match (fingerprint(first), fingerprint(second)) {
            (Some(first), Some(second)) => first == second,
            _ => first.settings.data == second.settings.data,
        }
    })
}

/// None where the runs have no image in common.
fn pair<'a>(first: &'a RunContents, second: &'a RunContents) -> Option<Pair<'a>> {
    let (a, b) = (first.answers.as_ref()?, second.answers.as_ref()?);
    let name = |classes: &'a [String], class: usize| classes.get(class).map_or("", String::as_str);
    let by_path: BTreeMap<&str, &Answer> =
        b.rows.iter().map(|row| (row.path.as_str(), row)).collect();
    let common: Vec<[&Answer; 2]> = a
        .rows
        .iter()
        .filter_map(|row| Some([row, by_path.get(row.path.as_str()).copied()?]))
        // Runs may have their classes in different orders, so labels are compared by name.
        .filter(|[x, y]| name(&a.classes, x.label) == name(&b.classes, y.label))
        .collect();
    if common.is_empty() {
        return None;
    }
    let differ = |[x, y]: &[&Answer; 2]| x.is_right() != y.is_right();
    let flips: Vec<[&Answer; 2]> = common.iter().filter(|both| differ(both)).copied().collect();
    let only_first = flips.iter().filter(|[x, _]| x.is_right()).count() as u64;
    // Images on which both are right, or both wrong, say nothing about the difference.
    let test = metrics::mcnemar(only_first, flips.len() as u64 - only_first);
    Some(Pair {
        first,
        second,
        count: common.len(),
        test,
        p_value: test.p_value,
        flips,
    })
}

fn verdict(pair: &Pair<'_>) -> Markup {
    let McNemar {
        only_first,
        only_second,
        ..
    } = pair.test;
    let (better, worse) = if only_first >= only_second {
        (pair.first, pair.second)
    } else {
        (pair.second, pair.first)
    };
    html! {
        @if pair.p_value < LEVEL {
            strong { (better.name) } " is better than " strong { (worse.name) } ": of "
        } @else {
            "No difference shown between " strong { (pair.first.name) } " and "
            strong { (pair.second.name) } ": of "
        }
        (numbers::count(pair.count, "common image", "common images")) ", "
        (only_first.max(only_second)) " are right only with " (better.name) " and "
        (only_first.min(only_second)) " only with " (worse.name) " (McNemar's exact test, "
        (metrics::p_text(pair.p_value)) ")."
    }
}

fn scores(runs: &[PlottedRun<'_>]) -> Markup {
    let header = [
        "run",
        "accuracy",
        "95 % interval",
        "of images",
        "log loss",
        "ECE",
        "AUC",
        "trained",
        "time",
    ];
    let row = |plotted: &PlottedRun<'_>| {
        let PlottedRun { run, metrics } = plotted;
        let name = format!("{}: {}", run.name, run.network());
        let Some(summary) = &run.summary else {
            let mut row = vec![name];
            row.resize(header.len(), "–".into());
            return row;
        };
        let scores = &summary.scores;
        let ranking = plotted.ranking();
        vec![
            name,
            percent(scores.accuracy, 1),
            percents(scores.interval),
            format!("{} {}", scores.count, summary.split),
            format!("{:.3}", scores.loss),
            metrics.as_ref().map_or("–".into(), |metrics| {
                percent(metrics.calibration_error, 1)
            }),
            ranking.map_or("–".into(), |ranking| format!("{:.3}", ranking.auc.value)),
            thousands(summary.training.trainable_parameters as u64),
            numbers::seconds(summary.training.seconds),
        ]
    };
    let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
    page::table(&header, &rows)
}

fn baseline(runs: &[RunContents]) -> Markup {
    let summary = runs.iter().find_map(|run| run.summary.as_ref());
    html! {
        @if let Some(summary) = summary {
            p.small {
                "Always answering “" (majority(&summary.scores)) "” would be right on "
                (percent(summary.scores.baseline, 1)) ". ECE: expected calibration error; AUC: area \
                under the ROC curve; trained: parameters; time: of the whole run."
            }
        }
    }
}

fn tests(pairs: &[Pair<'_>]) -> Markup {
    let many = pairs.len() > 1;
    let rows: Vec<Vec<String>> = pairs
        .iter()
        .map(|pair| {
            let mut row = vec![
                format!("{} – {}", pair.first.name, pair.second.name),
                pair.count.to_string(),
                pair.test.only_first.to_string(),
                pair.test.only_second.to_string(),
                p_value(pair.test.p_value),
            ];
            if many {
                row.push(p_value(pair.p_value));
            }
            row
        })
        .collect();
    let mut header = vec![
        "pair",
        "common images",
        "only first right",
        "only second right",
        "p",
    ];
    if many {
        header.push("p, Holm");
    }
    html! {
        (page::table(&header, &rows))
        @if many {
            p.small { "With several pairs, Holm's adjusted p-values count." }
        }
    }
}

/// Charts of all runs over each other. Those that a run lacks are left out, and so are those by epoch where no run has two.
pub(crate) fn curves(runs: &[PlottedRun<'_>], kinds: &[(ChartKind, &str, &str)]) -> Markup {
    let has_curves = runs.iter().any(|plotted| plotted.run.epochs.len() > 1);
    let figures: Vec<Markup> = kinds
        .iter()
        .filter(|(kind, ..)| has_curves || !kind.is_by_epoch())
        .filter_map(|(kind, title, caption)| {
            let chart = charts::chart(*kind, runs).ok()?;
            Some(page::figure(&chart, title, caption))
        })
        .collect();
    if figures.is_empty() {
        return html! {};
    }
    let lead = if runs.len() > NUM_COLOURS {
        "Colours repeat after six runs, with other dashes."
    } else {
        ""
    };
    let body = html! { div.grid { @for figure in figures { (figure) } } };
    page::section("curves", "Over each other", lead, &body)
}

/// Images that only one of the two gets right.
fn flips(pair: &Pair<'_>, thumbnails: &Thumbnails) -> Markup {
    let cards = |first: bool| -> Vec<CaptionedImage> {
        let chosen = pair.flips.iter().filter(|[x, _]| x.is_right() == first);
        chosen.take(MOST).map(|both| card(pair, both)).collect()
    };
    let gallery = |better: &RunContents, count: u64, first: bool| {
        html! {
            @if count > 0 {
                h3 { "Right only with " (better.name) ": " (count) }
                (thumbnails.gallery(&cards(first)))
            }
        }
    };
    let body = html! {
        (gallery(pair.first, pair.test.only_first, true))
        (gallery(pair.second, pair.test.only_second, false))
        @if pair.flips.is_empty() { p { "Both are right and wrong on the same images." } }
    };
    let title = format!("Where {} and {} differ", pair.first.name, pair.second.name);
    page::section("flips", &title, "", &body)
}

fn card(pair: &Pair<'_>, [x, y]: &[&Answer; 2]) -> CaptionedImage {
    let describe = |run: &RunContents, answer: &Answer| {
        let class = run
            .classes()
            .get(answer.predicted)
            .map_or("", String::as_str);
        format!(
            "{}: {class}, {}",
            run.name,
            numbers::probability(answer.probability())
        )
    };
    CaptionedImage {
        path: x.path.clone(),
        caption: format!("{}; {}", describe(pair.first, x), describe(pair.second, y)),
    }
}

fn matrices(runs: &[RunContents]) -> Markup {
    let figure = |run: &RunContents| {
        let plotted = PlottedRun { run, metrics: None };
        let chart = charts::chart(ChartKind::Confusion, &[plotted]).ok()?;
        Some(page::figure(&chart, &run.name, ""))
    };
    let body = html! {
        div.grid { @for figure in runs.iter().filter_map(figure) { (figure) } }
    };
    page::section("confusion", "Confusion matrices", "", &body)
}

pub(crate) fn origins(runs: &[RunContents]) -> Markup {
    let body = html! {
        @for run in runs {
            details {
                summary { (run.name) }
                @if let Some(command) = &run.command { pre { (command.trim_end()) } }
                pre { (run.config.trim_end()) }
            }
            @for note in &run.unreadable { p.small { span.bad { "Left out: " } (note) } }
        }
    };
    page::section("origin", "Commands and configurations", "", &body)
}
