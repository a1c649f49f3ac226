//! Section "How much is luck?" of a verifier: cross-validation over identities, other seeds, and the pairs whose answer
//! depends on the seed.

use console::numbers::{percent, percents, thousands};
use console::page;
use maud::{Markup, html};

use super::errors::kind;
use crate::run_files::{MeanDeviation, PairFolds, PairSeeds, UnstablePair};
use crate::thumbnails::{CaptionedPair, Thumbnails};
use crate::verifier_contents::VerifierContents;

/// Pairs in the gallery.
const MOST: usize = 9;

/// None where the run has no folds and no seeds.
pub(super) fn section(verifier: &VerifierContents, thumbnails: &Thumbnails) -> Option<Markup> {
    let (folds, seeds) = (&verifier.folds, &verifier.seeds);
    if folds.is_none() && seeds.is_none() {
        return None;
    }
    let body = html! {
        div.grid {
            @if let Some(folds) = folds { div { (cross_validation(folds)) } }
            @if let Some(seeds) = seeds { div { (seed_scores(seeds)) } }
        }
        @if let Some(seeds) = seeds.as_ref().filter(|seeds| !seeds.unstable.is_empty()) {
            @let cards: Vec<CaptionedPair> = seeds.unstable.iter().take(MOST).map(card).collect();
            h3 { "The answer depends on the seed: " (seeds.unstable.len()) " of " (seeds.count) }
            (thumbnails.pairs(&cards))
        }
    };
    let lead = "What stays when other identities are held out, or the seed is another one.";
    Some(page::section("stability", "How much is luck?", lead, &body))
}

fn cross_validation(folds: &PairFolds) -> Markup {
    let rows: Vec<Vec<String>> = folds
        .per_fold
        .iter()
        .map(|fold| {
            let name = format!("fold {}", fold.fold);
            let figures = cells([fold.auc, fold.equal_error_rate, fold.accuracy]);
            let counts = [thousands(fold.count as u64), thousands(fold.identities)];
            [name].into_iter().chain(figures).chain(counts).collect()
        })
        .collect();
    html! {
        h3 { "Cross-validation, " (folds.folds) " folds of " (folds.identities) " identities" }
        p { (means(&folds.auc, &folds.equal_error_rate)) }
        (page::table(&["", "AUC", "equal error", "right", "pairs", "identities"], &rows))
    }
}

fn seed_scores(seeds: &PairSeeds) -> Markup {
    let rows: Vec<Vec<String>> = seeds
        .seeds
        .iter()
        .map(|seed| {
            let name = format!("seed {}", seed.seed);
            let figures = cells([seed.auc, seed.equal_error_rate, seed.accuracy]);
            [name].into_iter().chain(figures).collect()
        })
        .collect();
    html! {
        h3 { (seeds.seeds.len()) " seeds, " (seeds.count) " " (seeds.split) " pairs" }
        p { (means(&seeds.auc, &seeds.equal_error_rate)) }
        (page::table(&["", "AUC", "equal error", "right"], &rows))
    }
}

fn cells([auc, equal_error_rate, accuracy]: [f64; 3]) -> [String; 3] {
    [
        format!("{auc:.3}"),
        percent(equal_error_rate, 1),
        percent(accuracy, 1),
    ]
}

fn means(auc: &MeanDeviation, equal_error: &MeanDeviation) -> Markup {
    html! {
        "Area under the ROC curve " strong { (format!("{:.3}", auc.mean)) } " on average (standard deviation "
        (format!("{:.3}, {:.3} to {:.3}", auc.deviation, auc.min, auc.max)) "), equal error rate "
        strong { (percent(equal_error.mean, 1)) } " (" (format!("{:.1}", 100.0 * equal_error.deviation)) ", "
        (percents([equal_error.min, equal_error.max])) "). Right: at the threshold of each one's own validation."
    }
}

fn card(pair: &UnstablePair) -> CaptionedPair {
    let answers = pair.answers.iter();
    let answers: Vec<String> = answers
        .map(|(answer, count)| format!("{count} × {answer}"))
        .collect();
    CaptionedPair {
        paths: [pair.path_a.clone(), pair.path_b.clone()],
        caption: format!("{}: {}", kind(pair.label), answers.join(", ")),
    }
}
