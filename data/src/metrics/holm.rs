//! Holm's correction for multiple tests.

/// Holm's step-down adjustment (Holm 1979): adjusted p-values in the same order. Rejecting those below 5 %
/// keeps the family-wise error rate at 5 %.
///
/// ```
/// let adjusted = classifold_data::metrics::holm(&[0.01, 0.04, 0.03]);
/// assert_eq!(adjusted, [0.03, 0.06, 0.06]);
/// ```
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let count = p_values.len();
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; count];
    let mut least: f64 = 0.0;
    for (rank, index) in order.into_iter().enumerate() {
        // An adjusted value is never below that of a smaller p-value.
        least = least.max((count - rank) as f64 * p_values[index]).min(1.0);
        adjusted[index] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::holm;

    #[test]
    fn one_test_stays_as_it_is_and_none_goes_above_one() {
        assert_eq!(holm(&[0.2]), [0.2]);
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
        // R: p.adjust(c(0.005, 0.011, 0.02, 0.04), "holm")
        let adjusted = holm(&[0.04, 0.005, 0.02, 0.011]);
        for (found, expected) in adjusted.iter().zip([0.04, 0.02, 0.04, 0.033]) {
            assert!((found - expected).abs() < 1e-12, "{adjusted:?}");
        }
    }
}
