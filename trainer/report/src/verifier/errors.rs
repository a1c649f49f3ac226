//! Section "Where it fails": the pairs that lie farthest on the wrong side of the threshold.

use console::page;
use data::PairKind;
use data::card::ScoreKind;
use maud::{Markup, html};

use crate::pair_answers::{PairAnswer, PairAnswers};
use crate::run_files::PairSummary;
use crate::thumbnails::{CaptionedPair, Thumbnails};

/// Pairs in each gallery: three rows on a wide page.
const MOST: usize = 9;

pub(super) fn section(
    summary: &PairSummary,
    answers: &PairAnswers,
    thumbnails: &Thumbnails,
) -> Markup {
    let threshold = summary.scores.threshold;
    let accepted = worst(answers, threshold, false);
    let rejected = worst(answers, threshold, true);
    let body = html! {
        @if accepted.is_empty() && rejected.is_empty() {
            p { "Every answer on the " (summary.split) " pairs is right." }
        }
        (gallery("False acceptances", &accepted, answers.score, thumbnails))
        (gallery("False rejections", &rejected, answers.score, thumbnails))
    };
    let lead = "The worst first. An error far from the threshold is often a wrong label.";
    page::section("mistakes", "Where it fails", lead, &body)
}

/// The errors on pairs of the same identity, or on others; the farthest from the threshold first.
fn worst(answers: &PairAnswers, threshold: f64, is_same: bool) -> Vec<&PairAnswer> {
    let is_error = |row: &&PairAnswer| {
        (row.kind == PairKind::Same) == is_same
            && answers.score.accepts(row.score, threshold) != is_same
    };
    let mut errors: Vec<&PairAnswer> = answers.rows.iter().filter(is_error).collect();
    let similarity = |row: &PairAnswer| answers.score.similarity(row.score);
    errors.sort_by(|a, b| {
        let order = similarity(a).total_cmp(&similarity(b));
        // Others that are accepted have a high similarity.
        if is_same { order } else { order.reverse() }
    });
    errors
}

fn gallery(
    title: &str,
    errors: &[&PairAnswer],
    score: ScoreKind,
    thumbnails: &Thumbnails,
) -> Markup {
    let shown: Vec<CaptionedPair> = errors
        .iter()
        .take(MOST)
        .map(|row| CaptionedPair {
            paths: [row.path_a.clone(), row.path_b.clone()],
            caption: format!("{}, {} {:.4}", kind(row.kind), score.name(), row.score),
        })
        .collect();
    html! {
        @if !shown.is_empty() {
            h3 { (title) ": " (shown.len()) " of " (errors.len()) }
            (thumbnails.pairs(&shown))
        }
    }
}

/// What a pair is, for people.
pub(super) fn kind(kind: PairKind) -> &'static str {
    match kind {
        PairKind::Same => "the same identity",
        PairKind::Forged => "a forgery",
        PairKind::Different => "two identities",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_farthest_beyond_the_threshold_are_first_of_either_kind_of_score() {
        let row = |name: &str, kind, score| PairAnswer {
            path_a: name.into(),
            path_b: name.into(),
            kind,
            score,
        };
        let rows = vec![
            row("fine", PairKind::Same, 0.6),
            row("low", PairKind::Same, 0.1),
            row("lower", PairKind::Same, 0.05),
            row("high", PairKind::Different, 0.7),
            row("higher", PairKind::Forged, 0.9),
            row("right", PairKind::Different, 0.2),
        ];
        let names = |score: ScoreKind, is_same: bool| -> Vec<String> {
            let answers = PairAnswers {
                score,
                rows: rows.clone(),
            };
            let worst = worst(&answers, 0.5, is_same).into_iter();
            worst.map(|row| row.path_a.clone()).collect()
        };
        assert_eq!(names(ScoreKind::Probability, false), ["higher", "high"]);
        assert_eq!(names(ScoreKind::Probability, true), ["lower", "low"]);
        assert_eq!(names(ScoreKind::Distance, false), ["right"]);
        assert_eq!(names(ScoreKind::Distance, true), ["fine"]);
    }
}
