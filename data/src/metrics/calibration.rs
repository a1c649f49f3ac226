//! Calibration of probabilities: reliability diagram, expected calibration error, Brier score, log-likelihood.

use serde::{Deserialize, Serialize};

/// Negative log-likelihood of the true class, in nats.
///
/// ```
/// let loss = classifold_data::metrics::negative_log_likelihood(&[0.0, 0.0], 1);
/// assert!((loss - 2f64.ln()).abs() < 1e-12);
/// ```
#[must_use]
pub fn negative_log_likelihood(logits: &[f32], label: u32) -> f64 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    // Log-sum-exp around the largest logit: small losses keep digits that `ln(sum(exp(z))) - z` would round away.
    let below = |logit: f32| f64::from(logit) - f64::from(highest);
    let sum: f64 = logits.iter().map(|&logit| below(logit).exp()).sum();
    let own = logits.get(label as usize).copied();
    sum.ln() - below(own.unwrap_or(f32::NEG_INFINITY))
}

/// Brier score of one image (Brier 1950, equation 2): squared differences between the
/// probabilities `[K]` and the one-hot label, summed over the classes; `[0, 2]`.
///
/// ```
/// assert!((classifold_data::metrics::brier(&[0.8, 0.2], 1) - 1.28).abs() < 1e-12);
/// ```
#[must_use]
pub fn brier(probs: &[f64], label: u32) -> f64 {
    let truth = |class: usize| f64::from(u8::from(class == label as usize));
    let squares = probs.iter().enumerate();
    squares
        .map(|(class, prob)| (prob - truth(class)).powi(2))
        .sum()
}

/// Binning of predictions by confidence, the probability of the predicted class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binning {
    /// This many bins of equal width over `[0, 1]`; Guo et al. 2017 take 15.
    Width(usize),
    /// This many bins of (nearly) equal count, for few images: Nguyen and O'Connor 2015, section 3.
    Count(usize),
}

/// Predictions of similar confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Number of predictions.
    pub count: u64,
    /// Number of correct ones.
    pub correct: u64,
    /// Mean probability of the predicted class, `[0, 1]`.
    pub confidence: f64,
    /// Share of correct ones, `[0, 1]`.
    pub accuracy: f64,
}

/// Reliability diagram: the bins that are not empty, from the least confident to the most. An answer is
/// `(confidence, correct)`.
///
/// ```
/// use classifold_data::metrics::{Binning, reliability};
///
/// let answers = [(0.6, false), (0.7, true), (0.95, true), (0.99, true)];
/// let bins = reliability(&answers, Binning::Count(2));
/// assert_eq!((bins[0].count, bins[0].accuracy), (2, 0.5));
/// assert!((bins[0].confidence - 0.65).abs() < 1e-12);
/// ```
#[must_use]
pub fn reliability(answers: &[(f64, bool)], binning: Binning) -> Vec<Bin> {
    let mut sorted = answers.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let count = sorted.len();
    let bin_of = |index: usize, confidence: f64| match binning {
        Binning::Width(bins) => ((confidence * bins as f64) as usize).min(bins.saturating_sub(1)),
        Binning::Count(bins) => index * bins / count.max(1),
    };
    let binned: Vec<(usize, (f64, bool))> = sorted
        .into_iter()
        .enumerate()
        .map(|(index, answer)| (bin_of(index, answer.0), answer))
        .collect();
    binned
        .chunk_by(|a, b| a.0 == b.0)
        .map(|bin| {
            let (count, correct) = (bin.len(), bin.iter().filter(|(_, answer)| answer.1).count());
            let sum: f64 = bin.iter().map(|(_, answer)| answer.0).sum();
            Bin {
                count: count as u64,
                correct: correct as u64,
                confidence: sum / count as f64,
                accuracy: correct as f64 / count as f64,
            }
        })
        .collect()
}

/// Expected calibration error (Guo et al. 2017, equation 5): the mean distance between confidence
/// and accuracy of the bins, weighted by their counts, `[0, 1]`. It is biased: with few
/// images it is above zero even for perfect probabilities.
///
/// ```
/// use classifold_data::metrics::{Binning, calibration_error, reliability};
///
/// let answers = [(0.9, true), (0.9, true), (0.9, false), (0.6, true)];
/// let error = calibration_error(&reliability(&answers, Binning::Width(15)));
/// assert!((error - (3.0 * (0.9 - 2.0 / 3.0) + 0.4) / 4.0).abs() < 1e-12);
/// ```
#[must_use]
pub fn calibration_error(bins: &[Bin]) -> f64 {
    let total: u64 = bins.iter().map(|bin| bin.count).sum();
    let weighted = |bin: &Bin| bin.count as f64 * (bin.accuracy - bin.confidence).abs();
    bins.iter().map(weighted).sum::<f64>() / total.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_certain_answer_costs_nothing_or_two() {
        assert_eq!(brier(&[1.0, 0.0, 0.0], 0), 0.0);
        assert_eq!(brier(&[1.0, 0.0, 0.0], 2), 2.0);
        assert!((brier(&[1.0 / 3.0; 3], 1) - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(negative_log_likelihood(&[1.0, 2.0], 7), f64::INFINITY);
    }

    #[test]
    fn a_confidence_of_one_falls_into_the_last_bin() {
        let bins = reliability(
            &[(1.0, true), (0.96, false), (0.5, true)],
            Binning::Width(10),
        );
        assert_eq!(bins.len(), 2);
        assert_eq!((bins[1].count, bins[1].correct), (2, 1));
        assert!(reliability(&[], Binning::Count(5)).is_empty());
        assert_eq!(calibration_error(&[]), 0.0);
    }

    proptest! {
        #[test]
        fn every_answer_is_in_one_bin(
            answers in prop::collection::vec((0.0f64..=1.0, any::<bool>()), 1..80),
            bins in 1usize..20) {
            for binning in [Binning::Width(bins), Binning::Count(bins)] {
                let found = reliability(&answers, binning);
                prop_assert!(found.len() <= bins);
                let count: u64 = found.iter().map(|bin| bin.count).sum();
                prop_assert_eq!(count, answers.len() as u64);
                prop_assert!(found.is_sorted_by(|a, b| a.confidence <= b.confidence));
                let error = calibration_error(&found);
                // One bin is the least that can be found: bins do not cancel out.
                let mean: f64 = answers.iter().map(|a| a.0 - f64::from(u8::from(a.1))).sum();
                prop_assert!(error + 1e-9 >= mean.abs() / answers.len() as f64 && error <= 1.0);
            }
            let counts = reliability(&answers, Binning::Count(bins));
            let (least, most) = counts.iter().fold((u64::MAX, 0), |(least, most), bin| {
                (least.min(bin.count), most.max(bin.count))
            });
            prop_assert!(most - least <= 1);
        }
    }
}
