//! Section "How much is luck?" of a verifier: scores of other seeds, and the pairs whose answer depends on the seed.

use console::numbers::{percent, percents};
use console::page;
use maud::{Markup, html};

use super::errors::kind;
use crate::run_files::{PairSeeds, UnstablePair};
use crate::thumbnails::{CaptionedPair, Thumbnails};

/// Pairs in the gallery.
const MOST: usize = 9;

pub(super) fn section(seeds: &PairSeeds, thumbnails: &Thumbnails) -> Markup {
    let rows: Vec<Vec<String>> = seeds
        .seeds
        .iter()
        .map(|seed| {
            vec![
                format!("seed {}", seed.seed),
                format!("{:.3}", seed.auc),
                percent(seed.equal_error_rate, 1),
                percent(seed.accuracy, 1),
            ]
        })
        .collect();
    let (auc, equal_error) = (&seeds.auc, &seeds.equal_error_rate);
    let unstable: Vec<CaptionedPair> = seeds.unstable.iter().take(MOST).map(card).collect();
    let body = html! {
        h3 { (seeds.seeds.len()) " seeds, " (seeds.count) " " (seeds.split) " pairs" }
        p {
            "Area under the ROC curve " strong { (format!("{:.3}", auc.mean)) } " on average (standard deviation "
            (format!("{:.3}, {:.3} to {:.3}", auc.deviation, auc.min, auc.max)) "), equal error rate "
            strong { (percent(equal_error.mean, 1)) } " (" (format!("{:.1}", 100.0 * equal_error.deviation)) ", "
            (percents([equal_error.min, equal_error.max])) ")."
        }
        (page::table(&["", "AUC", "equal error", "right at its threshold"], &rows))
        @if !unstable.is_empty() {
            h3 { "The answer depends on the seed: " (seeds.unstable.len()) " of " (seeds.count) }
            (thumbnails.pairs(&unstable))
        }
    };
    let lead = "What stays when the seed is another one, on the same pairs.";
    page::section("stability", "How much is luck?", lead, &body)
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
