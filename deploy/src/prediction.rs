//! Prediction: the class probabilities of one image. Knows no model.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The most probable class, and how probable every class is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Prediction {
    /// Name of the most probable class.
    pub label: String,
    /// Its index in the model's output.
    pub index: usize,
    /// Its probability, `[0, 1]`.
    pub probability: f32,
    /// Whether the probability is below that of [`ClassifierBuilder::reject_below`](crate::ClassifierBuilder::reject_below)
    /// or of the card: the image is of no class that the model is sure of.
    pub is_rejected: bool,
    /// The probability of each class, in the model's order; they sum to 1, unless the output is
    /// [`OutputKind::Independent`](pixels::card::OutputKind::Independent).
    pub probabilities: Vec<f32>,
    /// The logit of each class, in the model's order. Minus infinity, a masked class, is the text `-inf` in JSON.
    #[serde(with = "pixels::card::logits")]
    pub logits: Vec<f32>,
    #[serde(with = "class_names")]
    classes: Arc<[String]>,
}

/// The names of classes, which all predictions of a classifier share.
mod class_names {
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(names: &[String], to: S) -> Result<S::Ok, S::Error> {
        names.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Arc<[String]>, D::Error> {
        Ok(Vec::deserialize(from)?.into())
    }
}

impl Prediction {
    /// Picks the most probable class; the first of equals.
    pub(crate) fn new(
        classes: &Arc<[String]>,
        probabilities: Vec<f32>,
        logits: Vec<f32>,
        reject_below: Option<f32>,
    ) -> Self {
        let mut index = 0;
        for (other, probability) in probabilities.iter().enumerate() {
            if *probability > probabilities[index] {
                index = other;
            }
        }
        let probability = probabilities.get(index).copied().unwrap_or(0.0);
        Self {
            label: classes.get(index).cloned().unwrap_or_default(),
            index,
            probability,
            is_rejected: reject_below.is_some_and(|least| probability < least),
            probabilities,
            logits,
            classes: Arc::clone(classes),
        }
    }

    /// The name of the most probable class; `None` where the prediction [is rejected](Self::is_rejected).
    pub fn answer(&self) -> Option<&str> {
        (!self.is_rejected).then_some(self.label.as_str())
    }

    /// The names of all classes, in the model's order.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The indices of all classes, the most probable first; the first of equals stays first.
    pub fn indices(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.probabilities.len()).collect();
        order.sort_by(|a, b| self.probabilities[*b].total_cmp(&self.probabilities[*a]));
        order
    }

    /// The `k` most probable classes and their probabilities, the most probable first; fewer where the
    /// model has fewer classes.
    pub fn top(&self, k: usize) -> Vec<(&str, f32)> {
        let name = |index: usize| self.classes.get(index).map_or("", String::as_str);
        self.indices()
            .into_iter()
            .take(k)
            .map(|index| (name(index), self.probabilities[index]))
            .collect()
    }

    /// How much more probable the first class is than the second, `[0, 1]`; its probability where there is one class.
    pub fn margin(&self) -> f32 {
        match self.indices().as_slice() {
            [first, second, ..] => self.probabilities[*first] - self.probabilities[*second],
            _ => self.probability,
        }
    }

    /// Entropy of the probabilities in nats: 0 for one sure class, `ln K` for classes that are all as probable. Without
    /// meaning where the output is [`OutputKind::Independent`](pixels::card::OutputKind::Independent).
    pub fn entropy(&self) -> f32 {
        let probabilities = self.probabilities.iter().map(|p| f64::from(*p));
        // 0 times the logarithm of 0 is 0 here.
        let terms = probabilities.filter(|p| *p > 0.0).map(|p| -p * p.ln());
        terms.sum::<f64>() as f32
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
        let logits = vec![-1.6, -0.9, -0.9];
        let prediction = Prediction::new(&classes, vec![0.2, 0.4, 0.4], logits, None);
        assert_eq!((prediction.label.as_str(), prediction.index), ("bee", 1));
        assert_eq!(prediction.top(2), [("bee", 0.4), ("wasp", 0.4)]);
        assert_eq!(prediction.top(5).len(), 3);
        assert_eq!(prediction.indices(), [1, 2, 0]);
        assert_eq!(prediction.answer(), Some("bee"));
    }

    #[test]
    fn an_answer_below_the_threshold_is_rejected_and_one_at_it_is_not() {
        let classes: Arc<[String]> = ["ant", "bee"].map(String::from).into();
        let rejected = |least| {
            let answer = Prediction::new(&classes, vec![0.25, 0.75], vec![0.0, 1.0986], least);
            (answer.is_rejected, answer.answer().is_none())
        };
        assert_eq!(rejected(Some(0.75)), (false, false));
        assert_eq!(rejected(Some(0.7501)), (true, true));
        assert_eq!(rejected(None), (false, false));
    }

    #[test]
    fn margin_and_entropy_say_how_sure_a_prediction_is() {
        let classes: Arc<[String]> = ["ant", "bee", "wasp"].map(String::from).into();
        let of = |probabilities: [f32; 3]| {
            let found = Prediction::new(&classes, probabilities.to_vec(), vec![0.0; 3], None);
            (found.margin(), found.entropy())
        };
        assert_eq!(of([1.0, 0.0, 0.0]), (1.0, 0.0));
        let (margin, entropy) = of([0.25, 0.5, 0.25]);
        assert_eq!(margin, 0.25);
        assert!((entropy - 1.5 * 2.0_f32.ln()).abs() < 1e-6, "{entropy}");
        assert_eq!(of([0.25, 0.25, 0.25]).0, 0.0);
    }

    #[test]
    fn a_prediction_goes_through_json_with_a_masked_class() {
        let classes: Arc<[String]> = ["ant", "bee"].map(String::from).into();
        let logits = vec![f32::NEG_INFINITY, 2.5];
        let prediction = Prediction::new(&classes, vec![0.0, 1.0], logits, Some(0.5));
        let json = serde_json::to_string(&prediction).unwrap();
        assert!(
            json.contains(r#""label":"bee","index":1,"probability":1.0"#),
            "{json}"
        );
        assert_eq!(
            serde_json::from_str::<Prediction>(&json).unwrap(),
            prediction
        );
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
