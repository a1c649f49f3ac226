//! Difference between two verifiers on the same pairs, by a paired bootstrap over identities. Knows no network.

use super::bootstrap::{percentile_interval, resample};
use super::verification::{Det, RESAMPLES, SEED, VerificationScores};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A pair with what two verifiers say of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TwiceScoredPair {
    /// The similarity by either verifier, high for the same images
    /// ([`ScoreKind::similarity`](crate::card::ScoreKind::similarity)).
    pub similarities: [f64; 2],
    /// Whether both images are of the same identity.
    pub is_same: bool,
    /// Number of the identity that the pair was drawn for.
    pub identity: u32,
}

/// A figure of the first verifier less that of the second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// On all pairs.
    pub value: f64,
    /// Its 95 % percentile interval; none of fewer than ten identities.
    pub interval: Option<[f64; 2]>,
    /// Two-sided p-value of no difference, by the same draws; none of fewer than ten identities.
    pub p_value: Option<f64>,
}

/// How two verifiers differ on the same pairs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct VerifierDifference {
    /// Number of pairs.
    pub count: u64,
    /// Identities that they were drawn for.
    pub num_identities: u64,
    /// Of the area under the ROC curve.
    pub auc: Difference,
    /// Of the equal error rate.
    pub equal_error_rate: Difference,
}

impl VerifierDifference {
    /// The differences on these pairs, with intervals by a bootstrap that draws identities, each with all of its pairs
    /// and the scores of both verifiers. `None` where all pairs have one answer.
    ///
    /// The p-value is twice the smaller share of draws on either side of no difference, counting the observed one
    /// (Davison and Hinkley 1997, section 4.2.3): with 1,000 draws, 0.002 at the least.
    ///
    /// ```
    /// use classifold_data::metrics::{TwiceScoredPair, VerifierDifference};
    ///
    /// // The first verifier tells all pairs apart, the second guesses.
    /// let pairs = (0..20).flat_map(|identity| [true, false].map(|is_same| TwiceScoredPair {
    ///     similarities: [f64::from(u8::from(is_same)), f64::from(identity % 2)],
    ///     is_same,
    ///     identity,
    /// }));
    /// let found = VerifierDifference::new(&pairs.collect::<Vec<_>>()).unwrap();
    /// assert_eq!((found.auc.value, found.equal_error_rate.value), (0.5, -0.5));
    /// assert!(found.auc.p_value.unwrap() < 0.01);
    /// ```
    #[must_use]
    pub fn new(pairs: &[TwiceScoredPair]) -> Option<Self> {
        let [auc, equal_error_rate] = differences(pairs.iter())?;
        let mut identities: BTreeMap<u32, Vec<&TwiceScoredPair>> = BTreeMap::new();
        for pair in pairs {
            identities.entry(pair.identity).or_default().push(pair);
        }
        let identities: Vec<Vec<&TwiceScoredPair>> = identities.into_values().collect();
        let is_enough = identities.len() as u64 >= VerificationScores::LEAST_IDENTITIES;
        let draws = is_enough.then(|| {
            resample(identities.len(), RESAMPLES, SEED, |draw| {
                differences(
                    draw.iter()
                        .flat_map(|index| identities[*index].iter().copied()),
                )
            })
        });
        let [auc_draws, equal_error_draws] = match draws.flatten() {
            Some(draws) => draws.map(Some),
            None => [None, None],
        };
        Some(Self {
            count: pairs.len() as u64,
            num_identities: identities.len() as u64,
            auc: Difference::new(auc, auc_draws),
            equal_error_rate: Difference::new(equal_error_rate, equal_error_draws),
        })
    }
}

impl Difference {
    fn new(value: f64, sorted: Option<Vec<f64>>) -> Self {
        let sorted = sorted.as_deref();
        Self {
            value,
            interval: sorted.and_then(percentile_interval),
            p_value: sorted.map(|sorted| {
                let at_most = sorted.iter().filter(|draw| **draw <= 0.0).count();
                let at_least = sorted.iter().filter(|draw| **draw >= 0.0).count();
                let share = (1 + at_most.min(at_least)) as f64 / (1 + sorted.len()) as f64;
                (2.0 * share).min(1.0)
            }),
        }
    }
}

/// Differences of the area under the ROC curve and of the equal error rate.
fn differences<'a>(pairs: impl Iterator<Item = &'a TwiceScoredPair> + Clone) -> Option<[f64; 2]> {
    let same: Vec<bool> = pairs.clone().map(|pair| pair.is_same).collect();
    let figures = |verifier: usize| {
        let scores: Vec<f64> = pairs
            .clone()
            .map(|pair| pair.similarities[verifier])
            .collect();
        let det = Det::new(&scores, &same)?;
        Some([det.auc, det.equal_error().rate])
    };
    let (first, second) = (figures(0)?, figures(1)?);
    Some([first[0] - second[0], first[1] - second[1]])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pairs of each answer for each identity; the second verifier swaps those of the identities in `wrong`.
    fn pairs(identities: u32, wrong: impl Fn(u32) -> bool) -> Vec<TwiceScoredPair> {
        let pair = |identity: u32, is_same: bool, place: u32| {
            let score = |is_high: bool| {
                let base = if is_high { 0.8 } else { 0.2 };
                base + 0.001 * f64::from(2 * identity + place)
            };
            TwiceScoredPair {
                similarities: [score(is_same), score(is_same != wrong(identity))],
                is_same,
                identity,
            }
        };
        let of_identity = |identity| {
            [(true, 0), (true, 1), (false, 0), (false, 1)]
                .map(|(is_same, place)| pair(identity, is_same, place))
        };
        (0..identities).flat_map(of_identity).collect()
    }

    #[test]
    fn a_verifier_differs_from_itself_by_nothing() {
        let found = VerifierDifference::new(&pairs(12, |_| false)).unwrap();
        assert_eq!((found.count, found.num_identities), (48, 12));
        for difference in [found.auc, found.equal_error_rate] {
            assert_eq!(difference.value, 0.0);
            assert_eq!(difference.interval, Some([0.0, 0.0]));
            assert_eq!(difference.p_value, Some(1.0));
        }
    }

    #[test]
    fn the_first_less_the_second_and_the_other_way_round() {
        // A quarter is swapped: of both answers a quarter is on the wrong side.
        let forward = pairs(40, |identity| identity.is_multiple_of(4));
        let found = VerifierDifference::new(&forward).unwrap();
        assert!(found.auc.value > 0.2, "{found:?}");
        assert!(
            (found.equal_error_rate.value + 0.25).abs() < 1e-12,
            "{found:?}"
        );
        let [low, high] = found.auc.interval.unwrap();
        assert!(
            0.0 < low && low < found.auc.value && found.auc.value < high,
            "{found:?}"
        );
        assert!((found.auc.p_value.unwrap() - 2.0 / 1001.0).abs() < 1e-12);
        let mut back = forward;
        for pair in &mut back {
            pair.similarities.reverse();
        }
        let back = VerifierDifference::new(&back).unwrap();
        assert_eq!(back.auc.value, -found.auc.value);
        assert_eq!(back.auc.p_value, found.auc.p_value);
    }

    #[test]
    fn identities_are_drawn_with_all_of_their_pairs() {
        // One identity of twelve alone is swapped: a third of the draws do not have it.
        let found = VerifierDifference::new(&pairs(12, |identity| identity == 5)).unwrap();
        let [low, high] = found.auc.interval.unwrap();
        assert!(low == 0.0 && high > found.auc.value, "{found:?}");
        assert!(found.auc.p_value.unwrap() > 0.5, "{found:?}");
        // Copies of its pairs say nothing new, though they are many.
        let mut copied = pairs(12, |identity| identity == 5);
        copied.extend_from_within(..);
        let copied = VerifierDifference::new(&copied).unwrap();
        assert_eq!(copied.auc.p_value, found.auc.p_value);
    }

    #[test]
    fn few_identities_have_no_interval_and_one_answer_has_no_difference() {
        let few = pairs(9, |identity| identity == 5);
        let found = VerifierDifference::new(&few).unwrap();
        assert_eq!((found.auc.interval, found.auc.p_value), (None, None));
        assert!(found.auc.value > 0.0);
        let same: Vec<TwiceScoredPair> = few.into_iter().filter(|pair| pair.is_same).collect();
        assert_eq!(VerifierDifference::new(&same), None);
    }
}
