//! Comparison of several verifiers: how their figures differ on common pairs, their curves, and the pairs on which one
//! alone is right.

use console::numbers::{self, p_value, percent, percents, thousands};
use console::page;
use data::metrics::{self, Against, VerificationScores, VerifierDifference};
use maud::{Markup, html};

use super::errors::kind;
use super::paired::{BothAnswers, PairedRuns, every_two};
use crate::charts::{ChartKind, PlottedRun};
use crate::comparison::{LEVEL, MOST_PAIRS, curves, origins, same_data};
use crate::pair_answers::PairAnswer;
use crate::run_contents::RunContents;
use crate::run_files::PairSummary;
use crate::thumbnails::{CaptionedPair, Thumbnails};

/// Pairs in each gallery.
const MOST: usize = 6;

/// Charts over each other, with their titles and captions.
const CURVES: [(ChartKind, &str, &str); 5] = [
    (ChartKind::Det, "Detection error tradeoff", TRADEOFF),
    (ChartKind::Loss, "Loss", ""),
    (ChartKind::Accuracy, "Accuracy", ""),
    (ChartKind::Lr, "Learning rate", ""),
    (ChartKind::Rate, "Speed", ""),
];

const TRADEOFF: &str = "Every threshold is a point of a curve: how many others it accepts, and how many of the same identity \
                        it rejects. The rings are the thresholds in the files. Normal deviate axes.";

pub(super) fn body(runs: &[RunContents], thumbnails: &Thumbnails) -> Markup {
    let plotted: Vec<PlottedRun> = runs.iter().map(PlottedRun::new).collect();
    let every_two = every_two(runs);
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    html! {
        header.top {
            h1 { "Comparison of " (names.join(", ")) }
            p { (runs.len()) " verifiers" }
        }
        section.hero {
            @for two in &every_two { p.verdict { (verdict(two)) } }
            @if !same_data(runs) {
                p.small { "The data sets differ: pairs are matched by the names of their images." }
            }
            (scores(runs))
            (differences(&every_two))
        }
        (curves(&plotted, &kinds(runs)))
        @if contrastive(runs) == Contrastive::Some && runs.iter().any(|run| run.epochs.len() > 1) {
            p.small { "No losses: a contrastive loss and a cross-entropy are not comparable." }
        }
        @if every_two.len() <= MOST_PAIRS {
            @for two in &every_two { (only_right(two, thumbnails)) }
        }
        (origins(runs))
    }
}

/// Whose loss is contrastive.
#[derive(PartialEq)]
enum Contrastive {
    None,
    Some,
    All,
}

fn contrastive(runs: &[RunContents]) -> Contrastive {
    match runs.iter().filter(|run| run.is_contrastive()).count() {
        0 => Contrastive::None,
        count if count == runs.len() => Contrastive::All,
        _ => Contrastive::Some,
    }
}

fn kinds(runs: &[RunContents]) -> Vec<(ChartKind, &'static str, &'static str)> {
    let has_losses = contrastive(runs) != Contrastive::Some;
    let kinds = CURVES.into_iter();
    kinds
        .filter(|(kind, ..)| *kind != ChartKind::Loss || has_losses)
        .collect()
}

fn verdict(two: &PairedRuns<'_>) -> Markup {
    let difference = match &two.difference {
        Ok(difference) => difference,
        Err(reason) => {
            return html! {
                strong { (two.first.name) } " and " strong { (two.second.name) } " are not compared pair by pair: "
                (reason) "."
            };
        }
    };
    let auc = &difference.auc;
    let (larger, smaller) = match auc.value >= 0.0 {
        true => (two.first, two.second),
        false => (two.second, two.first),
    };
    let pairs = numbers::count(two.count, "common pair", "common pairs");
    let identities = thousands(difference.num_identities);
    let by = format!("{:.3}", auc.value.abs());
    let (Some(p), Some(_)) = (two.p_value, auc.interval) else {
        return html! {
            "No test of " strong { (two.first.name) } " against " strong { (two.second.name) } ": it takes "
            (VerificationScores::LEAST_IDENTITIES) " identities, and their " (pairs) " are of " (identities)
            ". The area under the ROC curve of " (larger.name) " is larger by " (by) "."
        };
    };
    html! {
        @if p < LEVEL {
            strong { (larger.name) } " is better than " strong { (smaller.name) } ": "
        } @else {
            "No difference shown between " strong { (two.first.name) } " and " strong { (two.second.name) } ": "
        }
        "on " (pairs) " of " (identities) " identities, the area under the ROC curve of " (larger.name)
        " is larger by " (by) " (paired bootstrap over identities, " (metrics::p_text(p)) ")."
    }
}

fn scores(runs: &[RunContents]) -> Markup {
    let summaries = || runs.iter().filter_map(summary);
    let against = |pick: fn(&VerificationScores) -> Option<Against>| {
        summaries().any(|summary| pick(&summary.scores).is_some())
    };
    // Of one kind of others alone, the figures are those of all.
    let has_kinds = against(|scores| scores.forged) && against(|scores| scores.different);
    let mut header = vec![
        "run",
        "AUC",
        "95 % interval",
        "equal error",
        "95 % interval",
        "right",
        "of pairs",
    ];
    if has_kinds {
        header.extend(["forgeries", "other identities"]);
    }
    header.extend(["trained", "time"]);
    let row = |run: &RunContents| {
        let mut row = vec![format!("{}: {}", run.name, run.network())];
        if let Some(summary) = summary(run) {
            row.extend(cells(summary, has_kinds));
        }
        row.resize(header.len(), "–".into());
        row
    };
    let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
    html! {
        (page::table(&header, &rows))
        p.small {
            "AUC: area under the ROC curve. Intervals: bootstrap over identities. Right: at the threshold in the file. "
            @if has_kinds { "Forgeries, other identities: the equal error rate against these alone. " }
            "Trained: parameters; time: of the whole run."
        }
    }
}

fn summary(run: &RunContents) -> Option<&PairSummary> {
    run.verifier.as_ref()?.summary.as_ref()
}

/// The cells of a row after its name.
fn cells(summary: &PairSummary, has_kinds: bool) -> Vec<String> {
    let scores = &summary.scores;
    let or_dash = |text: Option<String>| text.unwrap_or("–".into());
    let area = |[low, high]: [f64; 2]| format!("{low:.3} to {high:.3}");
    let mut cells = vec![
        format!("{:.3}", scores.auc),
        or_dash(scores.auc_interval.map(area)),
        percent(scores.equal_error_rate, 1),
        or_dash(scores.equal_error_interval.map(percents)),
        percent(scores.accuracy, 1),
        format!("{} {}", scores.count, summary.split),
    ];
    if has_kinds {
        let kinds = [scores.forged, scores.different];
        cells.extend(kinds.map(|kind| numbers::share(kind.map(|kind| kind.equal_error_rate))));
    }
    cells.extend([
        thousands(summary.training.trainable_parameters as u64),
        numbers::seconds(summary.training.seconds),
    ]);
    cells
}

/// The differences of the runs that have common pairs.
fn differences(every_two: &[PairedRuns<'_>]) -> Markup {
    let is_adjusted = every_two.len() > 1;
    let mut header = vec![
        "first – second",
        "pairs",
        "only 1st right",
        "only 2nd right",
        "AUC",
        "95 % interval",
        "p",
    ];
    if is_adjusted {
        header.push("p, Holm");
    }
    header.extend(["equal error", "95 % interval"]);
    let row = |two: &PairedRuns<'_>| {
        let difference = two.difference.as_ref().ok()?;
        Some(difference_cells(two, difference, is_adjusted))
    };
    let rows: Vec<Vec<String>> = every_two.iter().filter_map(row).collect();
    html! {
        @if !rows.is_empty() {
            (page::table(&header, &rows))
            p.small {
                "AUC and equal error: of the first less the second. A better verifier has a larger area and a smaller equal \
                 error rate. "
                @if is_adjusted { "With several runs, Holm's adjusted p-values count. " }
            }
        }
    }
}

fn difference_cells(
    two: &PairedRuns<'_>,
    difference: &VerifierDifference,
    is_adjusted: bool,
) -> Vec<String> {
    let VerifierDifference {
        auc,
        equal_error_rate,
        ..
    } = difference;
    let or_dash = |text: Option<String>| text.unwrap_or("–".into());
    let signed = |value: f64| format!("{value:+.3}");
    let range = |[low, high]: [f64; 2]| format!("{low:+.3} to {high:+.3}");
    let points = |[low, high]: [f64; 2]| format!("{:+.1} to {:+.1} %", 100.0 * low, 100.0 * high);
    let counts = two
        .only_right
        .as_ref()
        .map(|both| both.each_ref().map(Vec::len));
    let counts = match counts {
        Some(counts) => counts.map(|count| thousands(count as u64)),
        None => ["–", "–"].map(str::to_owned),
    };
    let mut cells = vec![
        format!("{} – {}", two.first.name, two.second.name),
        thousands(two.count as u64),
    ];
    cells.extend(counts);
    cells.extend([
        signed(auc.value),
        or_dash(auc.interval.map(range)),
        or_dash(auc.p_value.map(p_value)),
    ]);
    if is_adjusted {
        cells.push(or_dash(two.p_value.map(p_value)));
    }
    cells.extend([
        format!("{:+.1} %", 100.0 * equal_error_rate.value),
        or_dash(equal_error_rate.interval.map(points)),
    ]);
    cells
}

/// Pairs that only one of the two decides rightly.
fn only_right(two: &PairedRuns<'_>, thumbnails: &Thumbnails) -> Markup {
    let Some([first, second]) = two.only_right.as_ref().filter(|_| two.count > 0) else {
        return html! {};
    };
    let gallery = |better: &RunContents, pairs: &[BothAnswers<'_>]| {
        let cards: Vec<CaptionedPair> = pairs
            .iter()
            .take(MOST)
            .map(|both| card(two, both))
            .collect();
        html! {
            @if !cards.is_empty() {
                h3 { "Right only with " (better.name) ": " (cards.len()) " of " (pairs.len()) }
                (thumbnails.pairs(&cards))
            }
        }
    };
    let body = html! {
        (gallery(two.first, first))
        (gallery(two.second, second))
        @if first.is_empty() && second.is_empty() {
            p { "Both are right and wrong on the same pairs." }
        }
    };
    let title = format!("Where {} and {} differ", two.first.name, two.second.name);
    let lead = "Each at its own threshold. The clearest errors first.";
    page::section("flips", &title, lead, &body)
}

fn card(two: &PairedRuns<'_>, [x, y]: &BothAnswers<'_>) -> CaptionedPair {
    let describe = |run: &RunContents, row: &PairAnswer| {
        let name = run
            .verifier
            .as_ref()
            .and_then(|verifier| verifier.answers.as_ref());
        let name = name.map_or("score", |answers| answers.score.name());
        format!("{}: {name} {:.3}", run.name, row.score)
    };
    CaptionedPair {
        paths: [x.path_a.clone(), x.path_b.clone()],
        caption: format!(
            "{}; {}; {}",
            kind(x.kind),
            describe(two.first, x),
            describe(two.second, y)
        ),
    }
}
