//! Confusion matrix, and precision, recall and F1 by class.

use serde::{Deserialize, Serialize};

/// Confusion matrix.
///
/// ```
/// let mut confusion = classifold_data::metrics::Confusion::new(vec!["ants".into(), "bees".into()]);
/// confusion.add(0, 0);
/// confusion.add(1, 0);
/// assert_eq!(confusion.counts, [[1, 0], [1, 0]]);
/// assert_eq!(confusion.per_class()[0].precision, Some(0.5));
/// assert_eq!(confusion.per_class()[1].precision, None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Images `[K, K]`: rows true, columns predicted.
    pub counts: Vec<Vec<u64>>,
}

/// Scores of one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassScore {
    /// Name of the class.
    pub class: String,
    /// Correct share of the images predicted as this class; `None` when there are none.
    pub precision: Option<f64>,
    /// Correct share of the images of this class; `None` when there are none.
    pub recall: Option<f64>,
    /// Harmonic mean of both; `None` when neither exists.
    pub f1: Option<f64>,
    /// Number of images of this class.
    pub support: u64,
}

impl Confusion {
    /// A matrix of zeros.
    #[must_use]
    pub fn new(classes: Vec<String>) -> Self {
        let counts = vec![vec![0; classes.len()]; classes.len()];
        Self { classes, counts }
    }

    /// Counts one image.
    ///
    /// # Panics
    /// An index is no class.
    pub fn add(&mut self, label: u32, predicted: u32) {
        self.counts[label as usize][predicted as usize] += 1;
    }

    /// Number of images.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// Number of correctly predicted images.
    #[must_use]
    pub fn correct(&self) -> u64 {
        self.counts
            .iter()
            .enumerate()
            .map(|(index, row)| row[index])
            .sum()
    }

    /// Share of correct predictions, `[0, 1]`; 0 when nothing was counted.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        ratio(self.correct(), self.total()).unwrap_or(0.0)
    }

    /// Share of the most frequent class, `[0, 1]`; 0 when nothing was counted.
    #[must_use]
    pub fn majority_baseline(&self) -> f64 {
        let largest = self
            .counts
            .iter()
            .map(|row| row.iter().sum())
            .max()
            .unwrap_or(0);
        ratio(largest, self.total()).unwrap_or(0.0)
    }

    /// Precision, recall and F1 of each class.
    #[must_use]
    pub fn per_class(&self) -> Vec<ClassScore> {
        let score = |(index, class): (usize, &String)| {
            let hits = self.counts[index][index];
            let support = self.counts[index].iter().sum();
            let predicted: u64 = self.counts.iter().map(|row| row[index]).sum();
            ClassScore {
                class: class.clone(),
                precision: ratio(hits, predicted),
                recall: ratio(hits, support),
                // 2 TP / (2 TP + FP + FN)
                f1: ratio(2 * hits, support + predicted),
                support,
            }
        };
        self.classes.iter().enumerate().map(score).collect()
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_by_hand() {
        let mut confusion = Confusion::new(vec!["a".into(), "b".into(), "c".into()]);
        confusion.counts = vec![vec![5, 1, 0], vec![2, 2, 0], vec![0, 0, 0]];
        assert_eq!((confusion.total(), confusion.correct()), (10, 7));
        assert_eq!(confusion.majority_baseline(), 0.6);
        let scores = confusion.per_class();
        assert_eq!(scores[0].precision, Some(5.0 / 7.0));
        assert_eq!(scores[0].recall, Some(5.0 / 6.0));
        assert_eq!(scores[0].f1, Some(10.0 / 13.0));
        let nothing = ClassScore {
            class: "c".into(),
            precision: None,
            recall: None,
            f1: None,
            support: 0,
        };
        assert_eq!(scores[2], nothing);
    }
}
