//! Block bootstrap: standard errors of the figures. Knows no configuration and no clock.
//!
//! Runs that follow each other are not independent samples (the clock rate changes, another program works); blocks
//! that took turns with other configurations nearly are. So whole blocks are resampled (Efron and Tibshirani 1993,
//! 8.5).

use std::collections::BTreeMap;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::measurements::Measurements;
use crate::percentiles::{PERCENTILES, supports};

/// Number of resamples: a standard error from so many is itself within 4 % (1 / sqrt(2 n)).
const RESAMPLES: usize = 400;

/// Standard errors of the logarithms of throughput, mean and percentiles; none with fewer than two
/// blocks, and none for percentiles that the runs do not support.
pub(crate) fn log_errors(blocks: &[Measurements], seed: u64) -> BTreeMap<String, f64> {
    if blocks.len() < 2 {
        return BTreeMap::new();
    }
    let mut runs: Vec<(f64, usize)> = Vec::new();
    for (block, measured) in blocks.iter().enumerate() {
        runs.extend(measured.latencies.iter().map(|latency| (*latency, block)));
    }
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let shares: Vec<_> = PERCENTILES
        .into_iter()
        .filter(|(_, share)| supports(runs.len(), *share))
        .collect();
    let mut logs: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for _ in 0..RESAMPLES {
        let mut counts = vec![0_usize; blocks.len()];
        for _ in 0..blocks.len() {
            counts[rng.random_range(0..blocks.len())] += 1;
        }
        for (name, value) in resample(blocks, &runs, &counts, &shares) {
            logs.entry(name).or_default().push(value.ln());
        }
    }
    // A resample of n values has a variance of (n - 1) / n of the sample's.
    let n = blocks.len() as f64;
    let correction = (n / (n - 1.0)).sqrt();
    logs.into_iter()
        .map(|(name, logs)| (name.to_owned(), correction * deviation(&logs)))
        .collect()
}

/// Figures of a resample: each block counts as often as it was drawn.
fn resample<'n>(
    blocks: &[Measurements],
    runs: &[(f64, usize)],
    counts: &[usize],
    shares: &[(&'n str, f64)],
) -> Vec<(&'n str, f64)> {
    let sum = |part: fn(&Measurements) -> f64| -> f64 {
        let weighted = blocks
            .iter()
            .zip(counts)
            .map(|(block, n)| part(block) * *n as f64);
        weighted.sum()
    };
    let images = sum(|block| block.images as f64);
    let mut figures = vec![("images_per_second", images / sum(|block| block.elapsed))];
    let total = sum(|block| block.latencies.len() as f64);
    if total == 0.0 {
        return figures;
    }
    figures.push(("mean", sum(|block| block.latencies.iter().sum()) / total));
    let (mut seen, mut shares) = (0.0, shares.iter().peekable());
    for (latency, block) in runs {
        seen += counts[*block] as f64;
        while let Some((name, _)) = shares.next_if(|(_, share)| seen >= share * total) {
            figures.push((name, *latency));
        }
    }
    figures
}

fn deviation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (n - 1.0)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks_of(means: impl IntoIterator<Item = f64>) -> Vec<Measurements> {
        let block = |mean: f64| Measurements {
            latencies: vec![mean; 10],
            runs: 10,
            images: 10,
            elapsed: 10.0 * mean,
            ..Measurements::default()
        };
        means.into_iter().map(block).collect()
    }

    #[test]
    fn the_error_of_the_mean_is_the_textbooks() {
        // Logarithms of means near 1 differ as the means do: sd / sqrt(n).
        let means: Vec<f64> = (0..20).map(|i| 1.0 + 0.01 * f64::from(i % 5)).collect();
        let expected = deviation(&means) / (means.len() as f64).sqrt() / 1.02;
        let errors = log_errors(&blocks_of(means), 1);
        for metric in ["mean", "images_per_second"] {
            assert!(
                (errors[metric] / expected - 1.0).abs() < 0.12,
                "{errors:?} {expected}"
            );
        }
        assert!(errors.contains_key("p95") && !errors.contains_key("p99"));
    }

    #[test]
    fn equal_blocks_have_no_error_and_one_block_none_at_all() {
        assert!(
            log_errors(&blocks_of([0.5; 4]), 0)
                .values()
                .all(|error| *error < 1e-12)
        );
        assert!(log_errors(&blocks_of([0.5]), 0).is_empty());
    }

    #[test]
    fn draws_depend_on_the_seed_alone() {
        let blocks = blocks_of((0..9).map(|i| 1.0 + f64::from(i)));
        assert_eq!(log_errors(&blocks, 3), log_errors(&blocks, 3));
        assert_ne!(log_errors(&blocks, 3), log_errors(&blocks, 4));
    }
}
