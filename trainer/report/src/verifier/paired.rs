//! Two verifiers on their common pairs: how their figures differ, and the pairs on which one alone is right. It draws
//! nothing.

use std::collections::{BTreeMap, HashMap};

use data::PairKind;
use data::metrics::{self, TwiceScoredPair, VerifierDifference};

use crate::pair_answers::{PairAnswer, PairAnswers};
use crate::run_contents::RunContents;
use crate::verifier_contents::VerifierContents;

/// The answers of two runs for a pair.
pub(super) type BothAnswers<'a> = [&'a PairAnswer; 2];

/// Two runs on their common pairs.
pub(super) struct PairedRuns<'a> {
    pub(super) first: &'a RunContents,
    pub(super) second: &'a RunContents,
    /// Common pairs.
    pub(super) count: usize,
    /// Of the first less the second, or why there is none.
    pub(super) difference: Result<VerifierDifference, &'static str>,
    /// That of the area under the ROC curve, by Holm's method over all pairs of runs.
    pub(super) p_value: Option<f64>,
    /// Pairs that only the first decides rightly, and those that only the second does, each at its own threshold: the
    /// clearest errors first. None where a run has no threshold.
    pub(super) only_right: Option<[Vec<BothAnswers<'a>>; 2]>,
}

/// Every two of the runs.
pub(super) fn every_two(runs: &[RunContents]) -> Vec<PairedRuns<'_>> {
    let mut all = vec![];
    for (index, first) in runs.iter().enumerate() {
        all.extend(runs[index + 1..].iter().map(|second| two(first, second)));
    }
    let p_value = |two: &PairedRuns<'_>| two.difference.as_ref().ok()?.auc.p_value;
    let raw: Vec<f64> = all.iter().filter_map(p_value).collect();
    // With many runs, some differ by chance.
    let mut adjusted = metrics::holm(&raw).into_iter();
    for two in &mut all {
        two.p_value = p_value(two).and_then(|_| adjusted.next());
    }
    all
}

fn two<'a>(first: &'a RunContents, second: &'a RunContents) -> PairedRuns<'a> {
    let both = match (scored(first), scored(second)) {
        (Some((a, x)), Some((b, y))) => Some(([a, b], [x, y])),
        _ => None,
    };
    let common = both.map_or_else(Vec::new, |(_, answers)| common(answers));
    let difference = match both {
        Some((_, answers)) if !common.is_empty() => difference(first, answers, &common),
        Some(_) => Err("they have no pair in common"),
        None => Err("one of them was not scored"),
    };
    PairedRuns {
        first,
        second,
        count: common.len(),
        difference,
        p_value: None,
        only_right: both.and_then(|(verifiers, answers)| only_right(verifiers, answers, &common)),
    }
}

fn scored(run: &RunContents) -> Option<(&VerifierContents, &PairAnswers)> {
    let verifier = run.verifier.as_ref()?;
    Some((verifier, verifier.answers.as_ref()?))
}

/// The pairs that both have answered, whichever of the two images is the first.
fn common<'a>([a, b]: [&'a PairAnswers; 2]) -> Vec<BothAnswers<'a>> {
    let key = |row: &'a PairAnswer| {
        let [a, b] = [row.path_a.as_str(), row.path_b.as_str()];
        (a.min(b), a.max(b), row.kind)
    };
    let of_second: BTreeMap<_, &PairAnswer> = b.rows.iter().map(|row| (key(row), row)).collect();
    let rows = a.rows.iter();
    rows.filter_map(|row| Some([row, of_second.get(&key(row)).copied()?]))
        .collect()
}

fn difference(
    run: &RunContents,
    answers: [&PairAnswers; 2],
    common: &[BothAnswers<'_>],
) -> Result<VerifierDifference, &'static str> {
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    // One run alone says which identity an image is of: those of a table have numbers as their names.
    let images = run.images.iter();
    let identities: HashMap<&str, u32> = images
        .map(|image| {
            let next = numbers.len() as u32;
            let number = *numbers.entry(&image.label).or_insert(next);
            (image.path.as_str(), number)
        })
        .collect();
    let pair = |[x, y]: &BothAnswers<'_>| {
        Some(TwiceScoredPair {
            similarities: [
                answers[0].score.similarity(x.score),
                answers[1].score.similarity(y.score),
            ],
            is_same: x.kind == PairKind::Same,
            identity: *identities.get(x.path_a.as_str())?,
        })
    };
    let pairs: Option<Vec<TwiceScoredPair>> = common.iter().map(pair).collect();
    let pairs = pairs.ok_or("`split.csv` does not name the identities of the pairs")?;
    VerifierDifference::new(&pairs).ok_or("their common pairs have one answer alone")
}

fn only_right<'a>(
    verifiers: [&VerifierContents; 2],
    answers: [&PairAnswers; 2],
    common: &[BothAnswers<'a>],
) -> Option<[Vec<BothAnswers<'a>>; 2]> {
    let threshold = |verifier: &VerifierContents| Some(verifier.summary.as_ref()?.scores.threshold);
    let thresholds = [threshold(verifiers[0])?, threshold(verifiers[1])?];
    // How far a score is on the right side of the threshold.
    let margin = |run: usize, row: &PairAnswer| {
        let similarity = |score| answers[run].score.similarity(score);
        let above = similarity(row.score) - similarity(thresholds[run]);
        if row.kind == PairKind::Same {
            above
        } else {
            -above
        }
    };
    let is_right = |run: usize, row: &PairAnswer| {
        let is_accepted = answers[run].score.accepts(row.score, thresholds[run]);
        is_accepted == (row.kind == PairKind::Same)
    };
    let found = [0, 1].map(|right| {
        let wrong = 1 - right;
        let is_only =
            |both: &&BothAnswers<'_>| is_right(right, both[right]) && !is_right(wrong, both[wrong]);
        let mut found: Vec<BothAnswers<'a>> = common.iter().filter(is_only).copied().collect();
        found.sort_by(|x, y| margin(wrong, x[wrong]).total_cmp(&margin(wrong, y[wrong])));
        found
    });
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use data::card::ScoreKind;

    fn answers(score: ScoreKind, rows: &[(&str, &str, PairKind, f64)]) -> PairAnswers {
        let row = |&(a, b, kind, score): &(&str, &str, PairKind, f64)| PairAnswer {
            path_a: a.into(),
            path_b: b.into(),
            kind,
            score,
        };
        PairAnswers {
            score,
            rows: rows.iter().map(row).collect(),
        }
    }

    #[test]
    fn pairs_are_common_in_either_order_and_of_the_same_kind_alone() {
        use PairKind::{Different, Forged, Same};
        let first = answers(
            ScoreKind::Probability,
            &[
                ("a", "b", Same, 0.9),
                ("a", "c", Different, 0.1),
                ("a", "d", Different, 0.2),
                ("a", "e", Forged, 0.3),
            ],
        );
        let second = answers(
            ScoreKind::Distance,
            &[
                ("b", "a", Same, 0.5),
                ("a", "c", Forged, 0.6),
                ("a", "e", Forged, 0.7),
                ("x", "y", Same, 0.8),
            ],
        );
        let common = common([&first, &second]);
        let scores: Vec<[f64; 2]> = common
            .iter()
            .map(|both| both.map(|row| row.score))
            .collect();
        assert_eq!(scores, [[0.9, 0.5], [0.3, 0.7]]);
    }
}
