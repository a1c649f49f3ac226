//! Outliers among latencies, by the modified z-score. Knows no configuration.

use data::metrics::quantile;

/// Runs far above the others.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outliers {
    pub count: usize,
    /// The slowest run over the median run.
    pub worst: f64,
}

/// Runs whose modified z-score, 0.6745 (x - median) / MAD (Iglewicz and Hoaglin 1993, 3.3), is above 10.
///
/// Why 10 and not their 3.5? Latencies have a long upper tail without any disturbance, and 3.5, made for
/// a normal distribution, calls a few percent of it outliers; a run of another program's work costs
/// milliseconds and is far beyond 10.
const THRESHOLD: f64 = 10.0;
/// Makes the median absolute deviation of a normal distribution 1.
const CONSISTENCY: f64 = 0.6745;
/// The smallest deviation taken for real, relative to the median: clocks and counters are no better.
const FLOOR: f64 = 1e-3;

/// The outliers among sorted latencies.
pub(crate) fn find(sorted: &[f64]) -> Outliers {
    let Some(median) = quantile(sorted, 0.5).filter(|median| *median > 0.0) else {
        return Outliers::default();
    };
    let mut distances: Vec<f64> = sorted.iter().map(|x| (x - median).abs()).collect();
    distances.sort_by(f64::total_cmp);
    // Equal values have no deviation (a MAD of 0), and then everything would be an outlier.
    let deviation = quantile(&distances, 0.5)
        .unwrap_or_default()
        .max(FLOOR * median);
    let limit = median + THRESHOLD * deviation / CONSISTENCY;
    Outliers {
        count: sorted.len() - sorted.partition_point(|x| *x <= limit),
        worst: sorted.last().map_or(1.0, |worst| worst / median),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_runs_are_outliers_and_a_tail_is_not() {
        let mut runs: Vec<f64> = (0..100).map(|i| 1.0 + 0.001 * f64::from(i)).collect();
        assert_eq!(find(&runs).count, 0);
        // MAD 0.025: the limit lies at 1.0495 + 0.37.
        runs.extend([1.4, 1.5, 9.0]);
        let outliers = find(&runs);
        assert_eq!(outliers.count, 2);
        assert!((outliers.worst - 9.0 / 1.051).abs() < 1e-9);
    }

    #[test]
    fn equal_runs_are_no_outliers_and_one_other_is() {
        assert_eq!(find(&[2.0; 9]).count, 0);
        assert_eq!(find(&[2.0, 2.0, 2.0, 2.01]).count, 0);
        assert_eq!(find(&[2.0, 2.0, 2.0, 2.2]).count, 1);
        assert_eq!(find(&[]), Outliers::default());
    }
}
