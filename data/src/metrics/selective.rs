//! Selective classification (El-Yaniv and Wiener 2010): a classifier that may answer "unknown", and its risk-coverage
//! curve. Knows probabilities and whether answers were right, no model.

use serde::{Deserialize, Serialize};

use super::wilson;

/// Answers of a classifier with the probabilities of their classes.
///
/// ```
/// use classifold_data::metrics::Selective;
/// let answers = [(0.99, true), (0.9, true), (0.8, false), (0.6, true)];
/// let selective = Selective::new(answers);
/// assert_eq!(selective.at(0.85).accuracy, Some(1.0));
/// assert_eq!(selective.at(0.85).coverage, 0.5);
/// // Every answer from 0.6 on: three of four are right.
/// assert_eq!(selective.threshold(0.75).unwrap().threshold, 0.6);
/// ```
#[derive(Clone, Debug)]
pub struct Selective {
    /// The surest first.
    answers: Vec<(f32, bool)>,
}

/// One point of a risk-coverage curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CoveragePoint {
    /// The least probability that is answered.
    pub threshold: f32,
    /// Share of the images that are answered, `[0, 1]`.
    pub coverage: f64,
    /// Number of images that are answered.
    pub answered: u64,
    /// Share of the answers that are right; none where nothing is answered.
    pub accuracy: Option<f64>,
    /// Wilson 95 % interval of the accuracy.
    pub interval: [f64; 2],
}

impl Selective {
    /// Answers as the probability of the answered class, in the precision of a prediction, and whether it was right.
    #[must_use]
    pub fn new(answers: impl IntoIterator<Item = (f32, bool)>) -> Self {
        let mut answers: Vec<_> = answers.into_iter().collect();
        answers.sort_by(|a, b| b.0.total_cmp(&a.0));
        Self { answers }
    }

    /// The point at which answers of at least this probability are given.
    #[must_use]
    pub fn at(&self, threshold: f32) -> CoveragePoint {
        let answered = self.answers.partition_point(|(p, _)| *p >= threshold);
        let right = self.answers[..answered].iter().filter(|(_, right)| *right);
        self.point(threshold, answered, right.count())
    }

    /// The point at which at least this share of the images is answered; those of one probability are answered
    /// together.
    #[must_use]
    pub fn at_coverage(&self, share: f64) -> CoveragePoint {
        let answered = (share * self.answers.len() as f64).ceil() as usize;
        match self
            .answers
            .get(answered.max(1) - 1)
            .or(self.answers.last())
        {
            Some((threshold, _)) => self.at(*threshold),
            None => self.point(1.0, 0, 0),
        }
    }

    /// The point that answers most images with at least this accuracy; none where even the surest answers are wrong
    /// too often.
    ///
    /// The accuracy is that of these images. Choose on validation images and measure on test images ([`Self::at`]).
    #[must_use]
    pub fn threshold(&self, accuracy: f64) -> Option<CoveragePoint> {
        let (mut right, mut best) = (0, None);
        for (index, (probability, is_right)) in self.answers.iter().enumerate() {
            right += usize::from(*is_right);
            let answered = index + 1;
            // A threshold cannot divide answers of the same probability.
            let is_last = self
                .answers
                .get(answered)
                .is_none_or(|next| next.0 < *probability);
            if is_last && right as f64 >= accuracy * answered as f64 {
                best = Some((*probability, answered, right));
            }
        }
        best.map(|(threshold, answered, right)| self.point(threshold, answered, right))
    }

    fn point(&self, threshold: f32, answered: usize, right: usize) -> CoveragePoint {
        let (low, high) = wilson(right as u64, answered as u64);
        CoveragePoint {
            threshold,
            coverage: answered as f64 / self.answers.len().max(1) as f64,
            answered: answered as u64,
            accuracy: (answered > 0).then(|| right as f64 / answered as f64),
            interval: [low, high],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_one_probability_are_given_together() {
        let selective = Selective::new([(0.9, false), (0.9, true), (0.5, true), (0.7, true)]);
        assert_eq!(selective.at_coverage(0.1).answered, 2);
        assert_eq!(selective.at_coverage(0.75).threshold, 0.7);
        // One of the surest two is wrong: more answers are better.
        let point = selective.threshold(0.75).unwrap();
        assert_eq!((point.threshold, point.answered), (0.5, 4));
        assert_eq!(selective.threshold(0.9), None);
    }

    #[test]
    fn nothing_answered_has_no_accuracy() {
        let selective = Selective::new([(0.5, true)]);
        let point = selective.at(0.51);
        assert_eq!((point.answered, point.accuracy), (0, None));
        assert_eq!(point.interval, [0.0, 1.0]);
        let none = Selective::new([]).at_coverage(1.0);
        assert_eq!((none.answered, none.coverage), (0, 0.0));
    }

    #[test]
    fn a_stricter_accuracy_never_answers_more() {
        let answers = (0..200).map(|i| (i as f32 / 200.0, i % 7 != 0 || i > 150));
        let selective = Selective::new(answers);
        let targets = [0.8, 0.9, 0.95, 0.99, 1.0];
        let answered: Vec<u64> = targets
            .iter()
            .map(|target| {
                selective
                    .threshold(*target)
                    .map_or(0, |point| point.answered)
            })
            .collect();
        assert!(answered.is_sorted_by(|a, b| a >= b), "{answered:?}");
        assert!(answered[0] > answered[4] && answered[4] > 0, "{answered:?}");
    }
}
