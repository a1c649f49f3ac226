//! Scores of a verifier: how well a score tells pairs of the same identity from others.
//!
//! A pair is accepted where its score is at least the threshold; of distances, where it is at most that. False acceptance is the share of other pairs that
//! are accepted, false rejection that of pairs of the same identity that are not.

use super::bootstrap::{percentile_interval, resample};
use super::{Curve, roc, wilson};
use crate::pairs::PairKind;
use pixels::card::ScoreKind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Draws of the bootstrap.
pub(super) const RESAMPLES: usize = 1000;
/// Seed of the bootstrap: the same pairs have the same interval.
pub(super) const SEED: u64 = 0;

/// A pair with its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoredPair {
    /// The verifier's: a probability or a distance.
    pub score: f64,
    /// What the two images have to do with each other.
    pub kind: PairKind,
    /// Number of the identity that the pair was drawn for.
    pub identity: u32,
}

/// Errors of the two kinds over all thresholds: the detection error tradeoff.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Det {
    /// Points `[false acceptance, false rejection]`, from the strictest threshold to the most lenient.
    pub points: Vec<[f64; 2]>,
    /// The threshold of each point; the first accepts nothing.
    pub thresholds: Vec<f64>,
    /// Area under the ROC curve, `[0, 1]`.
    pub auc: f64,
}

/// The error rate at which both errors are equal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EqualError {
    /// Where the line between two thresholds crosses the diagonal, `[0, 1]`.
    pub rate: f64,
    /// The threshold at which the two errors differ least.
    pub threshold: f64,
}

impl Det {
    /// Both errors at every threshold. `None` where all pairs have one answer.
    ///
    /// ```
    /// use classifold_data::metrics::Det;
    ///
    /// let det = Det::new(&[0.9, 0.8, 0.7, 0.1], &[true, false, true, false]).unwrap();
    /// assert_eq!(det.points[2], [0.5, 0.5]);
    /// assert_eq!(det.equal_error().rate, 0.5);
    /// assert_eq!(det.false_acceptance_at(0.0), 0.5);
    /// assert_eq!((det.equal_error().threshold, det.decision_threshold()), (0.8, 0.75));
    /// ```
    #[must_use]
    pub fn new(scores: &[f64], same: &[bool]) -> Option<Self> {
        let Curve { points, area } = roc(scores, same)?;
        let mut thresholds = scores.to_vec();
        thresholds.sort_by(|a, b| b.total_cmp(a));
        thresholds.dedup();
        thresholds.insert(0, f64::INFINITY);
        Some(Self {
            points: points.into_iter().map(|[x, y]| [x, 1.0 - y]).collect(),
            thresholds,
            auc: area,
        })
    }

    /// The equal error rate and its threshold.
    #[must_use]
    pub fn equal_error(&self) -> EqualError {
        // False acceptance rises from 0 to 1, false rejection falls from 1 to 0: they cross once.
        let gap = |point: &[f64; 2]| point[0] - point[1];
        let after = self.points.iter().position(|point| gap(point) >= 0.0);
        let after = after.expect("the last point accepts everything");
        let [before, crossing] = [after.saturating_sub(1), after].map(|i| self.points[i]);
        let [low, high] = [gap(&before), gap(&crossing)];
        let share = if high > low { -low / (high - low) } else { 0.0 };
        let by_gap = |a: &usize, b: &usize| {
            let [a, b] = [*a, *b].map(|i| gap(&self.points[i]).abs());
            a.total_cmp(&b)
        };
        // The strictest point has no threshold that a card could hold.
        let nearest = (1..self.points.len()).min_by(by_gap);
        EqualError {
            rate: before[0] + share * (crossing[0] - before[0]),
            threshold: self.thresholds[nearest.expect("there is a pair")],
        }
    }

    /// A threshold that decides on other pairs as that of the equal error rate: half way to the next lower score, so
    /// that a rounding moves no pair to the other side.
    #[must_use]
    pub fn decision_threshold(&self) -> f64 {
        let threshold = self.equal_error().threshold;
        let lower = self.thresholds.iter().find(|score| **score < threshold);
        lower.map_or(threshold, |lower| f64::midpoint(threshold, *lower))
    }

    /// The least false acceptance at which false rejection is at most `false_rejection`.
    #[must_use]
    pub fn false_acceptance_at(&self, false_rejection: f64) -> f64 {
        let mut points = self.points.iter();
        // They rise: the first is the least.
        let point = points.find(|point| point[1] <= false_rejection);
        point.map_or(1.0, |point| point[0])
    }
}

/// Scores against pairs of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Against {
    /// Pairs of the kind; those of the same identity are the same for all.
    pub count: u64,
    /// Area under the ROC curve, `[0, 1]`.
    pub auc: f64,
    /// Equal error rate, `[0, 1]`.
    pub equal_error_rate: f64,
    /// Share of the kind's pairs that the threshold accepts, `[0, 1]`.
    pub false_acceptance: f64,
}

/// Scores of a verifier on pairs of images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VerificationScores {
    /// Number of pairs.
    pub count: u64,
    /// Pairs of the same identity.
    pub num_same: u64,
    /// Area under the ROC curve, `[0, 1]`: the share of two pairs, one of each answer, that the scores order rightly.
    pub auc: f64,
    /// Its 95 % interval by a bootstrap over identities; none of fewer than [`LEAST_IDENTITIES`](Self::LEAST_IDENTITIES).
    /// Earlier versions did not write it.
    #[serde(default)]
    pub auc_interval: Option<[f64; 2]>,
    /// What the score of a pair, and a threshold, is.
    #[serde(default)]
    pub score: ScoreKind,
    /// Rate at which both errors are equal, `[0, 1]`, on these pairs.
    pub equal_error_rate: f64,
    /// Its 95 % interval, of the same draws.
    pub equal_error_interval: Option<[f64; 2]>,
    /// Identities that pairs were drawn for. Earlier versions did not write it.
    #[serde(default)]
    pub num_identities: u64,
    /// The threshold of the equal error rate, on these pairs.
    pub equal_error_threshold: f64,
    /// The threshold that decides, which was chosen on other pairs.
    pub threshold: f64,
    /// Share of pairs that it decides rightly, `[0, 1]`.
    pub accuracy: f64,
    /// Wilson 95 % interval of the accuracy.
    pub interval: [f64; 2],
    /// Share of pairs of the same identity that it rejects, `[0, 1]`.
    pub false_rejection: f64,
    /// Share of other pairs that it accepts, `[0, 1]`.
    pub false_acceptance: f64,
    /// False acceptance where 1 % of the pairs of the same identity are rejected.
    pub false_acceptance_at_1: f64,
    /// False acceptance where 10 % of the pairs of the same identity are rejected.
    pub false_acceptance_at_10: f64,
    /// Against skilled forgeries alone, where there are any.
    pub forged: Option<Against>,
    /// Against other identities alone, where there are any.
    pub different: Option<Against>,
}

impl VerificationScores {
    /// A bootstrap over fewer identities says little: it draws from a handful of numbers.
    pub const LEAST_IDENTITIES: u64 = 10;

    /// The scores of pairs that a verifier gave such scores. `None` where all have one answer.
    #[must_use]
    pub fn new(pairs: &[ScoredPair], score: ScoreKind, threshold: f64) -> Option<Self> {
        let similar: Vec<ScoredPair> = pairs
            .iter()
            .map(|pair| ScoredPair {
                score: score.similarity(pair.score),
                ..*pair
            })
            .collect();
        let similarities = Self::of_similarities(&similar, score.similarity(threshold))?;
        Some(Self {
            score,
            threshold,
            equal_error_threshold: score.similarity(similarities.equal_error_threshold),
            ..similarities
        })
    }

    fn of_similarities(pairs: &[ScoredPair], threshold: f64) -> Option<Self> {
        let det = det(pairs.iter())?;
        let equal_error = det.equal_error();
        let is_same = |pair: &&ScoredPair| pair.kind == PairKind::Same;
        let is_accepted = |pair: &&ScoredPair| pair.score >= threshold;
        let num_same = pairs.iter().filter(is_same).count();
        let num_others = pairs.len() - num_same;
        let accepted = pairs.iter().filter(is_accepted);
        let num_accepted = accepted.clone().count();
        let right_accepted = accepted.filter(is_same).count();
        let wrong_accepted = num_accepted - right_accepted;
        let correct = (right_accepted + num_others - wrong_accepted) as u64;
        let count = pairs.len() as u64;
        let (low, high) = wilson(correct, count);
        let by_identity = by_identity(pairs);
        let [auc_interval, equal_error_interval] = intervals(&by_identity);
        Some(Self {
            count,
            num_same: num_same as u64,
            score: ScoreKind::default(),
            auc: det.auc,
            auc_interval,
            equal_error_rate: equal_error.rate,
            equal_error_interval,
            num_identities: by_identity.len() as u64,
            equal_error_threshold: equal_error.threshold,
            threshold,
            accuracy: correct as f64 / count as f64,
            interval: [low, high],
            false_rejection: 1.0 - right_accepted as f64 / num_same as f64,
            false_acceptance: wrong_accepted as f64 / num_others as f64,
            false_acceptance_at_1: det.false_acceptance_at(0.01),
            false_acceptance_at_10: det.false_acceptance_at(0.1),
            forged: against(pairs, PairKind::Forged, threshold),
            different: against(pairs, PairKind::Different, threshold),
        })
    }
}

impl VerificationScores {
    /// The scores as lines for people.
    #[must_use]
    pub fn table(&self) -> String {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let range = |[low, high]: [f64; 2]| format!("{:.1} to {:.1} %", 100.0 * low, 100.0 * high);
        let interval = match self.equal_error_interval {
            Some(interval) => format!(
                "95 % interval {}, over {} identities",
                range(interval),
                self.num_identities
            ),
            None => self.without_interval(),
        };
        let area_interval = match self.auc_interval {
            Some([low, high]) => format!(" (95 % interval {low:.4} to {high:.4})"),
            None => String::new(),
        };
        let mut lines = vec![
            format!(
                "pairs             {} of the same identity, {} others",
                self.num_same,
                self.count - self.num_same
            ),
            format!("area under ROC    {:.4}{area_interval}", self.auc),
            format!(
                "equal error rate  {} ({interval})",
                percent(self.equal_error_rate)
            ),
            format!(
                "accuracy          {} (95 % interval {}) at the threshold {:.4} of the {}",
                percent(self.accuracy),
                range(self.interval),
                self.threshold,
                self.score.name()
            ),
            format!(
                "                  {} of the same identity rejected, {} of the others accepted",
                percent(self.false_rejection),
                percent(self.false_acceptance)
            ),
            format!(
                "accepted others   {} where 1 % of the same identity are rejected, {} where 10 % are",
                percent(self.false_acceptance_at_1),
                percent(self.false_acceptance_at_10)
            ),
        ];
        for (name, against) in [
            ("forgeries", self.forged),
            ("other identities", self.different),
        ] {
            if let Some(against) = against {
                lines.push(format!(
                    "{name:<16}  {} pairs: equal error rate {}, {} accepted",
                    against.count,
                    percent(against.equal_error_rate),
                    percent(against.false_acceptance)
                ));
            }
        }
        lines.join("\n")
    }

    /// Why the equal error rate has no interval, for people.
    #[must_use]
    pub fn without_interval(&self) -> String {
        format!(
            "no interval: it takes {} identities, and there are {}",
            Self::LEAST_IDENTITIES,
            self.num_identities
        )
    }
}

/// Both errors of pairs at every threshold of a score that is high for the same images. `None` where all pairs have one
/// answer.
pub fn det<'a>(pairs: impl Iterator<Item = &'a ScoredPair>) -> Option<Det> {
    let scored = pairs.map(|pair| (pair.score, pair.kind == PairKind::Same));
    let (scores, same): (Vec<f64>, Vec<bool>) = scored.unzip();
    Det::new(&scores, &same)
}

fn against(pairs: &[ScoredPair], kind: PairKind, threshold: f64) -> Option<Against> {
    let of_kind = pairs.iter().filter(|pair| pair.kind == kind);
    let accepted = of_kind
        .clone()
        .filter(|pair| pair.score >= threshold)
        .count();
    let count = of_kind.count();
    let det = det(pairs
        .iter()
        .filter(|pair| pair.kind == kind || pair.kind == PairKind::Same))?;
    Some(Against {
        count: count as u64,
        auc: det.auc,
        equal_error_rate: det.equal_error().rate,
        false_acceptance: accepted as f64 / count as f64,
    })
}

/// The pairs of each identity.
fn by_identity(pairs: &[ScoredPair]) -> Vec<Vec<&ScoredPair>> {
    let mut identities: BTreeMap<u32, Vec<&ScoredPair>> = BTreeMap::new();
    for pair in pairs {
        identities.entry(pair.identity).or_default().push(pair);
    }
    identities.into_values().collect()
}

/// Intervals of the area under the ROC curve and of the equal error rate. Identities are drawn, not pairs: the pairs of
/// one identity are right or wrong together.
fn intervals(identities: &[Vec<&ScoredPair>]) -> [Option<[f64; 2]>; 2] {
    if (identities.len() as u64) < VerificationScores::LEAST_IDENTITIES {
        return [None; 2];
    }
    let statistics = resample(identities.len(), RESAMPLES, SEED, |draw| {
        let drawn = draw
            .iter()
            .flat_map(|index| identities[*index].iter().copied());
        let det = det(drawn)?;
        Some([det.auc, det.equal_error().rate])
    });
    match statistics {
        Some(statistics) => statistics.map(|sorted| percentile_interval(&sorted)),
        None => [None; 2],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(f64, PairKind, u32)]) -> Vec<ScoredPair> {
        let pair = |&(score, kind, identity): &(f64, PairKind, u32)| ScoredPair {
            score,
            kind,
            identity,
        };
        list.iter().map(pair).collect()
    }

    #[test]
    fn pairs_that_are_told_apart_have_no_error() {
        use PairKind::{Different, Forged, Same};
        let pairs = pairs(&[
            (0.9, Same, 0),
            (0.7, Same, 1),
            (0.4, Forged, 0),
            (0.1, Different, 1),
        ]);
        let scores = VerificationScores::new(&pairs, ScoreKind::Probability, 0.5).unwrap();
        assert_eq!(
            (scores.auc, scores.equal_error_rate, scores.accuracy),
            (1.0, 0.0, 1.0)
        );
        assert_eq!(scores.equal_error_threshold, 0.7);
        assert_eq!(
            (scores.false_acceptance, scores.false_rejection),
            (0.0, 0.0)
        );
        assert_eq!(scores.equal_error_interval, None);
        // A threshold from elsewhere may be wrong: it accepts the forgery.
        let scores = VerificationScores::new(&pairs, ScoreKind::Probability, 0.3).unwrap();
        assert_eq!((scores.accuracy, scores.false_acceptance), (0.75, 0.5));
        assert_eq!(scores.forged.unwrap().false_acceptance, 1.0);
        assert_eq!(scores.different.unwrap().false_acceptance, 0.0);
        let table = scores.table();
        assert!(table.contains("accuracy          75.0 %"), "{table}");
        assert!(
            table.contains("forgeries         1 pairs: equal error rate 0.0 %, 100.0 % accepted"),
            "{table}"
        );
    }

    #[test]
    fn a_score_at_the_threshold_is_accepted_and_ties_are_one_threshold() {
        use PairKind::{Different, Same};
        let pairs = pairs(&[
            (0.5, Same, 0),
            (0.5, Different, 0),
            (0.5, Same, 1),
            (0.2, Different, 1),
        ]);
        let scores = VerificationScores::new(&pairs, ScoreKind::Probability, 0.5).unwrap();
        assert_eq!(
            (scores.false_rejection, scores.false_acceptance),
            (0.0, 0.5)
        );
        assert_eq!(scores.accuracy, 0.75);
        assert_eq!(scores.equal_error_threshold, 0.5);
        // From (0, 1) to (0.5, 0): the diagonal is crossed at a third.
        assert!((scores.equal_error_rate - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(scores.forged, None);
    }

    #[test]
    fn small_distances_are_accepted_as_large_probabilities_are() {
        use PairKind::{Different, Forged, Same};
        let list = [
            (0.9, Same, 0),
            (0.4, Same, 1),
            (0.6, Forged, 0),
            (0.1, Different, 1),
        ];
        let probabilities = VerificationScores::new(&pairs(&list), ScoreKind::Probability, 0.4);
        let list = list.map(|(score, kind, identity)| (1.0 - score, kind, identity));
        let distances = VerificationScores::new(&pairs(&list), ScoreKind::Distance, 0.6);
        let (probabilities, distances) = (probabilities.unwrap(), distances.unwrap());
        assert_eq!(distances.auc, 0.75);
        assert_eq!(
            (distances.threshold, distances.score),
            (0.6, ScoreKind::Distance)
        );
        assert_eq!(
            distances.equal_error_threshold,
            1.0 - probabilities.equal_error_threshold
        );
        assert_eq!(
            (distances.false_acceptance, distances.false_rejection),
            (0.5, 0.0)
        );
        let same = VerificationScores {
            score: ScoreKind::Probability,
            threshold: 0.4,
            equal_error_threshold: probabilities.equal_error_threshold,
            ..distances
        };
        assert_eq!(same, probabilities);
        assert!(probabilities.table().contains("0.4000 of the probability"));
    }

    /// Identities 0 to 9, half of which are told apart and half wrongly, with so many pairs of either answer each.
    fn half_right(pairs_of_each: usize) -> Vec<ScoredPair> {
        use PairKind::{Different, Same};
        let of_identity = |identity: u32| {
            let (same, other) = if identity.is_multiple_of(2) {
                (0.9, 0.1)
            } else {
                (0.1, 0.9)
            };
            let both = [(same, Same, identity), (other, Different, identity)];
            vec![both; pairs_of_each].concat()
        };
        pairs(&(0..10).flat_map(of_identity).collect::<Vec<_>>())
    }

    #[test]
    fn the_interval_is_of_identities() {
        let scores = |pairs: &[ScoredPair]| {
            VerificationScores::new(pairs, ScoreKind::Probability, 0.5).unwrap()
        };
        // More pairs of each identity say nothing more: the interval stays as wide as that of ten draws.
        let (few, many) = (scores(&half_right(1)), scores(&half_right(50)));
        let interval = few.equal_error_interval.unwrap();
        assert_eq!(many.equal_error_interval, Some(interval));
        assert!(interval[0] <= 0.3 && interval[1] >= 0.7, "{interval:?}");
        let area = few.auc_interval.unwrap();
        assert_eq!(many.auc_interval, Some(area));
        assert!(area[0] <= 0.3 && area[1] >= 0.7, "{area:?}");
        assert_eq!(many.num_identities, 10);
        let table = many.table();
        assert!(table.contains("%, over 10 identities)"), "{table}");
        assert!(table.contains("ROC    0.5000 (95 % interval 0."), "{table}");
    }

    #[test]
    fn few_identities_have_no_interval_and_that_is_said() {
        let mut pairs = half_right(50);
        pairs.retain(|pair| pair.identity != 9);
        let scores = VerificationScores::new(&pairs, ScoreKind::Probability, 0.5).unwrap();
        assert_eq!(
            (scores.equal_error_interval, scores.num_identities),
            (None, 9)
        );
        assert_eq!(scores.auc_interval, None);
        let table = scores.table();
        let expected = "(no interval: it takes 10 identities, and there are 9)";
        assert!(table.contains(expected), "{table}");
    }

    #[test]
    fn one_answer_alone_has_no_scores() {
        assert_eq!(
            VerificationScores::new(
                &pairs(&[(0.5, PairKind::Same, 0)]),
                ScoreKind::Probability,
                0.5
            ),
            None
        );
        assert_eq!(
            VerificationScores::new(&[], ScoreKind::Probability, 0.5),
            None
        );
    }
}
