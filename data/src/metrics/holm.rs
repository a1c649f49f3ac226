//! What several tests at once still show.

/// Holm's step-down adjustment (Holm 1979): p-values, in the same order, such that taking those
/// below 5 % is wrong about any of them at most 5 % of the time.
///
/// ```
/// let adjusted = data::metrics::holm(&[0.01, 0.04, 0.03]);
/// assert_eq!(adjusted, [0.03, 0.06, 0.06]);
/// ```
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let count = p_values.len();
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; count];
    let mut least: f64 = 0.0;
    for (rank, place) in order.into_iter().enumerate() {
        least = least.max((count - rank) as f64 * p_values[place]).min(1.0);
        adjusted[place] = least;
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
