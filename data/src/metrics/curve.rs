//! ROC and precision-recall curves with their areas.
//!
//! They measure how well a score ranks the images of one class before the others, over all thresholds.

use serde::{Deserialize, Serialize};

/// A curve over all thresholds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Points `[x, y]`, from the strictest threshold to the most lenient; both in `[0, 1]`.
    pub points: Vec<[f64; 2]>,
    /// Area under the curve, `[0, 1]`.
    pub area: f64,
}

/// The receiver operating characteristic: false positive rate against true positive rate, and the
/// area under it by trapezoids, which counts a tie as half (Fawcett 2006, algorithms 1 and 2).
///
/// A higher one of `scores` means more likely positive. `None` where all images are of one class.
///
/// ```
/// let curve = classifold_data::metrics::roc(&[0.9, 0.8, 0.7, 0.1], &[true, false, true, false]).unwrap();
/// assert_eq!(curve.points, [[0.0, 0.0], [0.0, 0.5], [0.5, 0.5], [0.5, 1.0], [1.0, 1.0]]);
/// assert_eq!(curve.area, 0.75);
/// ```
#[must_use]
pub fn roc(scores: &[f64], positive: &[bool]) -> Option<Curve> {
    let steps = steps(scores, positive);
    let (positives, negatives) = totals(&steps)?;
    let mut curve = Curve {
        points: vec![[0.0, 0.0]],
        area: 0.0,
    };
    let mut last = [0.0, 0.0];
    for (true_positives, false_positives) in steps {
        let next = [
            false_positives as f64 / negatives,
            true_positives as f64 / positives,
        ];
        // A trapezoid; ties make its slanted side.
        curve.area += (next[0] - last[0]) * (next[1] + last[1]) / 2.0;
        curve.points.push(next);
        last = next;
    }
    Some(curve)
}

/// Recall against precision, and the average precision: precision weighted by the recall that each
/// threshold adds, without interpolation, as in scikit-learn. Straight lines between the points would be too
/// optimistic (Davis and Goadrich 2006).
///
/// `None` where all images are of one class.
///
/// ```
/// let scores = [0.9, 0.8, 0.7, 0.1];
/// let curve = classifold_data::metrics::precision_recall(&scores, &[true, false, true, false]).unwrap();
/// assert_eq!(curve.points[1], [0.5, 0.5]);
/// assert!((curve.area - 5.0 / 6.0).abs() < 1e-12);
/// ```
#[must_use]
pub fn precision_recall(scores: &[f64], positive: &[bool]) -> Option<Curve> {
    let steps = steps(scores, positive);
    let (positives, _) = totals(&steps)?;
    let mut curve = Curve {
        points: vec![],
        area: 0.0,
    };
    let mut recall = 0.0;
    for (true_positives, false_positives) in steps {
        let next = true_positives as f64 / positives;
        let precision = true_positives as f64 / (true_positives + false_positives) as f64;
        curve.area += (next - recall) * precision;
        curve.points.push([next, precision]);
        recall = next;
    }
    Some(curve)
}

/// True and false positives at each threshold, from the highest score on. Equal scores are one threshold.
fn steps(scores: &[f64], positive: &[bool]) -> Vec<(u64, u64)> {
    let mut images: Vec<(f64, bool)> = scores
        .iter()
        .copied()
        .zip(positive.iter().copied())
        .collect();
    images.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut true_positives, mut false_positives) = (0, 0);
    let mut steps = vec![];
    for tied in images.chunk_by(|a, b| a.0 == b.0) {
        let positives = tied.iter().filter(|image| image.1).count() as u64;
        true_positives += positives;
        false_positives += tied.len() as u64 - positives;
        steps.push((true_positives, false_positives));
    }
    steps
}

fn totals(steps: &[(u64, u64)]) -> Option<(f64, f64)> {
    let &(positives, negatives) = steps.last()?;
    (positives > 0 && negatives > 0).then_some((positives as f64, negatives as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ties_are_one_threshold() {
        // scikit-learn 1.9: roc_auc_score 0.75, average_precision_score 0.8333333.
        let scores = [0.8, 0.8, 0.6, 0.4, 0.4, 0.4, 0.2];
        let positive = [true, true, false, true, false, true, false];
        let curve = roc(&scores, &positive).unwrap();
        assert_eq!(curve.points.len(), 5);
        assert!((curve.area - 0.75).abs() < 1e-12, "{}", curve.area);
        let curve = precision_recall(&scores, &positive).unwrap();
        assert!((curve.area - 5.0 / 6.0).abs() < 1e-12, "{}", curve.area);
    }

    #[test]
    fn one_class_alone_has_no_curve() {
        assert_eq!(roc(&[0.1, 0.9], &[true, true]), None);
        assert_eq!(precision_recall(&[0.1], &[false]), None);
        assert_eq!(roc(&[], &[]), None);
    }

    #[test]
    fn scores_that_say_nothing_are_worth_a_half() {
        let curve = roc(&[0.5; 5], &[true, false, true, false, false]).unwrap();
        assert_eq!((curve.points.len(), curve.area), (2, 0.5));
    }

    proptest! {
        #[test]
        fn the_area_is_the_share_of_pairs_in_order(
            images in prop::collection::vec((0u8..6, any::<bool>()), 2..40)) {
            let scores: Vec<f64> = images.iter().map(|image| f64::from(image.0)).collect();
            let positive: Vec<bool> = images.iter().map(|image| image.1).collect();
            let (mut pairs, mut ordered) = (0.0, 0.0);
            for a in images.iter().filter(|image| image.1) {
                for b in images.iter().filter(|image| !image.1) {
                    pairs += 1.0;
                    ordered += if a.0 > b.0 { 1.0 } else if a.0 == b.0 { 0.5 } else { 0.0 };
                }
            }
            match roc(&scores, &positive) {
                None => prop_assert_eq!(pairs, 0.0),
                Some(curve) => prop_assert!((curve.area - ordered / pairs).abs() < 1e-12),
            }
        }
    }
}
