//! Percentiles, and the number of runs that each needs. Sees no measurement.

/// The percentiles of the table and the files, as shares.
pub const PERCENTILES: [(&str, f64); 5] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p999", 0.999),
];

/// Whether so many runs support the quantile `share`: whether the largest of them lies above it with 95 %
/// confidence, 1 - share^runs >= 0.95 (Wilks 1941, distribution-free tolerance limits). With fewer runs the
/// "percentile" is only the largest value seen. p50 needs 5 runs, p90 29, p95 59, p99
/// 299, p99.9 2995.
pub fn supports(runs: usize, share: f64) -> bool {
    runs >= needed(share)
}

/// Runs that a percentile needs.
pub fn needed(share: f64) -> usize {
    (0.05_f64.ln() / share.ln()).ceil() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_needs_as_many_runs_as_its_rule_says() {
        let cases = [(0.5, 5), (0.9, 29), (0.95, 59), (0.99, 299), (0.999, 2995)];
        for (share, runs) in cases {
            assert_eq!(needed(share), runs);
            assert!(supports(runs, share) && !supports(runs - 1, share));
        }
    }
}
