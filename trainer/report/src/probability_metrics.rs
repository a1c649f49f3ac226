//! Metrics of predicted probabilities: log loss, Brier score, calibration error, ROC and precision-recall
//! curves, with bootstrap intervals.

use data::metrics::{self, Bin, Binning, Curve};

use crate::predictions::{Answer, Answers};

/// Resamples of the bootstrap.
pub(crate) const RESAMPLES: usize = 1000;
/// A resample sorts all images for its curve: with more images, an interval would take too long, and be
/// too narrow to matter.
const MOST_RESAMPLED: usize = 5000;
/// From here on, the usual 15 bins of equal width (Guo et al. 2017) hold enough images each.
const MANY: usize = 1000;
/// Images that a bin of equal count should hold.
const PER_BIN: usize = 15;

/// An estimate and its bootstrap interval at 95 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub value: f64,
    pub interval: Option<[f64; 2]>,
}

impl Estimate {
    /// A value without an interval.
    pub fn without_interval(value: f64) -> Estimate {
        Estimate {
            value,
            interval: None,
        }
    }
}

/// Metrics of predicted probabilities.
#[derive(Clone, Debug)]
pub struct ProbabilityMetrics {
    pub count: usize,
    /// Mean negative log-likelihood, in nats.
    pub loss: Estimate,
    /// Mean Brier score, `[0, 2]`.
    pub brier: Estimate,
    pub binning: Binning,
    /// Bins of the reliability diagram.
    pub bins: Vec<Bin>,
    /// Expected calibration error over the bins, `[0, 1]`.
    pub calibration_error: f64,
    /// None unless there are two classes and images of both.
    pub ranking: Option<Ranking>,
}

/// Ranking of images by score: how well one class is told from another at every threshold.
#[derive(Clone, Debug)]
pub struct Ranking {
    /// Name of the positive class.
    pub positive: String,
    /// Share of positive images.
    pub share: f64,
    pub roc: Curve,
    /// Area under the ROC curve.
    pub auc: Estimate,
    /// Recall against precision; its area is the average precision.
    pub precision_recall: Curve,
}

impl ProbabilityMetrics {
    /// None without predictions.
    pub fn new(answers: &Answers) -> Option<ProbabilityMetrics> {
        let rows = &answers.rows;
        if rows.is_empty() {
            return None;
        }
        let mean = |value: &dyn Fn(&Answer) -> f64| {
            let values: Vec<f64> = rows.iter().map(value).collect();
            Estimate {
                value: values.iter().sum::<f64>() / values.len() as f64,
                interval: metrics::bootstrap_mean(&values, RESAMPLES, 0),
            }
        };
        let loss = |row: &Answer| metrics::negative_log_likelihood(&row.logits, row.label as u32);
        let brier = |row: &Answer| metrics::brier(&row.probs(), row.label as u32);
        let confidences: Vec<(f64, bool)> = rows
            .iter()
            .map(|row| (row.probability(), row.is_right()))
            .collect();
        let binning = binning(rows.len());
        let bins = metrics::reliability(&confidences, binning);
        Some(ProbabilityMetrics {
            count: rows.len(),
            loss: mean(&loss),
            brier: mean(&brier),
            binning,
            calibration_error: metrics::calibration_error(&bins),
            bins,
            ranking: ranking(answers),
        })
    }
}

fn binning(count: usize) -> Binning {
    if count >= MANY {
        return Binning::Width(15);
    }
    Binning::Count((count / PER_BIN).clamp(1, 10))
}

fn ranking(answers: &Answers) -> Option<Ranking> {
    let [_, positive] = answers.classes.as_slice() else {
        return None;
    };
    // The difference of two logits orders images as the probability does, and never rounds to 1.
    let score = |row: &Answer| match row.logits[..] {
        [first, second] => f64::from(second) - f64::from(first),
        _ => f64::NAN,
    };
    let scores: Vec<f64> = answers.rows.iter().map(score).collect();
    let labels: Vec<bool> = answers.rows.iter().map(|row| row.label == 1).collect();
    let roc = metrics::roc(&scores, &labels)?;
    let resampled_area = |draw: &[usize]| {
        let scores: Vec<f64> = draw.iter().map(|&index| scores[index]).collect();
        let labels: Vec<bool> = draw.iter().map(|&index| labels[index]).collect();
        metrics::roc(&scores, &labels).map(|curve| curve.area)
    };
    let count = scores.len();
    // The seed is fixed: the same run gives the same page.
    let interval = (count <= MOST_RESAMPLED)
        .then(|| metrics::bootstrap(count, RESAMPLES, 0, resampled_area))
        .flatten();
    Some(Ranking {
        positive: positive.clone(),
        share: labels.iter().filter(|label| **label).count() as f64 / count as f64,
        auc: Estimate {
            value: roc.area,
            interval,
        },
        precision_recall: metrics::precision_recall(&scores, &labels)?,
        roc,
    })
}

#[cfg(test)]
mod tests {
    use data::Split;

    use super::*;

    fn answers(rows: Vec<Answer>) -> Answers {
        let classes = vec!["ants".into(), "bees".into()];
        Answers {
            split: Split::Test,
            classes,
            rows,
        }
    }

    #[test]
    fn metrics_by_hand() {
        let rows = vec![
            Answer::new("a", 0, &[2.0, 0.0]),
            Answer::new("b", 1, &[0.0, 1.0]),
            Answer::new("c", 0, &[0.0, 0.5]),
        ];
        let metrics = ProbabilityMetrics::new(&answers(rows)).unwrap();
        // ln(1 + e^-2), ln(1 + e^-1), ln(1 + e^0.5)
        let loss = (0.126_928 + 0.313_262 + 0.974_077) / 3.0;
        assert!((metrics.loss.value - loss).abs() < 1e-5);
        let [low, high] = metrics.loss.interval.unwrap();
        assert!(low < loss && loss < high);
        assert_eq!(metrics.binning, Binning::Count(1));
        let ranking = metrics.ranking.unwrap();
        assert_eq!(
            (ranking.positive.as_str(), ranking.auc.value),
            ("bees", 1.0)
        );
        assert!((ranking.share - 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn nothing_has_no_metrics_and_one_class_alone_no_curve() {
        assert!(ProbabilityMetrics::new(&answers(vec![])).is_none());
        let one =
            ProbabilityMetrics::new(&answers(vec![Answer::new("a", 0, &[900.0, 0.0])])).unwrap();
        assert!(one.ranking.is_none());
        assert_eq!((one.loss.value, one.calibration_error), (0.0, 0.0));
    }

    #[test]
    fn few_images_have_bins_of_equal_count() {
        assert_eq!(binning(153), Binning::Count(10));
        assert_eq!(binning(40), Binning::Count(2));
        assert_eq!(binning(5000), Binning::Width(15));
    }
}
