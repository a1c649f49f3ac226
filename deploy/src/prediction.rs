//! Prediction: the class probabilities of one image. Knows no model.

use std::sync::Arc;

use crate::error::{Error, Result};

/// The most probable class, and how probable every class is.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Name of the most probable class.
    pub label: String,
    /// Its index in the model's output.
    pub index: usize,
    /// Its probability, `[0, 1]`.
    pub probability: f32,
    /// The probability of each class, in the model's order; they sum to 1, unless the output is
    /// [`OutputKind::Independent`](pixels::card::OutputKind::Independent).
    pub probabilities: Vec<f32>,
    classes: Arc<[String]>,
}

impl Prediction {
    /// Picks the most probable class; the first of equals.
    pub(crate) fn new(classes: &Arc<[String]>, probabilities: Vec<f32>) -> Self {
        let mut index = 0;
        for (other, probability) in probabilities.iter().enumerate() {
            if *probability > probabilities[index] {
                index = other;
            }
        }
        Self {
            label: classes.get(index).cloned().unwrap_or_default(),
            index,
            probability: probabilities.get(index).copied().unwrap_or(0.0),
            probabilities,
            classes: Arc::clone(classes),
        }
    }

    /// The `k` most probable classes and their probabilities, the most probable first; fewer where the
    /// model has fewer classes.
    pub fn top(&self, k: usize) -> Vec<(&str, f32)> {
        let mut order: Vec<usize> = (0..self.probabilities.len()).collect();
        // Stable: the first of equals stays first.
        order.sort_by(|a, b| self.probabilities[*b].total_cmp(&self.probabilities[*a]));
        let name = |index: usize| self.classes.get(index).map_or("", String::as_str);
        order
            .into_iter()
            .take(k)
            .map(|index| (name(index), self.probabilities[index]))
            .collect()
    }
}

/// Refuses outputs of one image that are no answer: a NaN, plus infinity, or minus infinity everywhere.
pub(crate) fn check_finite(outputs: &[f32]) -> Result<()> {
    // Minus infinity is a class that the model masks out: its probability is 0.
    let is_number = |output: &f32| output.is_finite() || *output == f32::NEG_INFINITY;
    if outputs.iter().all(is_number) && outputs.iter().any(|output| output.is_finite()) {
        return Ok(());
    }
    Err(Error::not_finite(outputs))
}

/// |a - b|; 0 for two minus infinities, which are the same masked class.
pub fn difference(a: f32, b: f32) -> f32 {
    if a == b { 0.0 } else { (a - b).abs() }
}

/// Softmax of the logits of one image, in double precision; the probabilities of `data`'s `Tally`, bit for bit.
pub(crate) fn softmax(logits: &[f32]) -> Vec<f64> {
    // The largest logit is taken off first: `exp` of 710 overflows.
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights = logits
        .iter()
        .map(|logit| (f64::from(*logit) - f64::from(max)).exp());
    let sum: f64 = weights.clone().sum();
    weights.map(|weight| weight / sum).collect()
}

/// Sigmoid of each logit of one image, in double precision.
pub(crate) fn sigmoid(logits: &[f32]) -> Vec<f64> {
    let sigmoid = |logit: &f32| 1.0 / (1.0 + (-f64::from(*logit)).exp());
    logits.iter().map(sigmoid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_is_sorted_and_never_longer_than_the_classes() {
        let classes: Arc<[String]> = ["ant", "bee", "wasp"].map(String::from).into();
        let prediction = Prediction::new(&classes, vec![0.2, 0.4, 0.4]);
        assert_eq!((prediction.label.as_str(), prediction.index), ("bee", 1));
        assert_eq!(prediction.top(2), [("bee", 0.4), ("wasp", 0.4)]);
        assert_eq!(prediction.top(5).len(), 3);
    }

    #[test]
    fn a_masked_class_is_an_answer_and_a_nan_is_none() {
        const MASKED: f32 = f32::NEG_INFINITY;
        for outputs in [[0.5, -1.0], [MASKED, 2.0], [3.0, MASKED]] {
            assert!(check_finite(&outputs).is_ok(), "{outputs:?}");
        }
        for outputs in [[f32::NAN, 1.0], [f32::INFINITY, 1.0], [MASKED, MASKED]] {
            assert!(check_finite(&outputs).is_err(), "{outputs:?}");
        }
        assert!(check_finite(&[]).is_err());
        assert_eq!(softmax(&[MASKED, 2.0]), [0.0, 1.0]);
        assert_eq!(difference(MASKED, MASKED), 0.0);
        assert_eq!(difference(MASKED, 1.0), f32::INFINITY);
        assert!(difference(f32::NAN, f32::NAN).is_nan());
    }

    #[test]
    fn probabilities_of_large_logits_sum_to_one() {
        assert_eq!(softmax(&[1000.0, 1000.0]), [0.5, 0.5]);
        let probabilities = softmax(&[-3.0, 0.0, 2.5]);
        assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-15);
    }

    #[test]
    #[cfg(feature = "eval")]
    fn a_prediction_and_an_evaluation_give_the_same_probabilities() {
        let logits: [&[f32]; 3] = [&[-3.25, 0.1, 7.5], &[1e4, -1e4], &[0.3]];
        for logits in logits {
            assert_eq!(softmax(logits), data::Tally::probabilities(logits));
        }
    }
}
