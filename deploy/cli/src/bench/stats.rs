//! Samples to statistics. Never sees a clock, and knows no configuration.

use std::collections::BTreeMap;

use data::metrics::quantile;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::bootstrap;
use super::outliers::{self, Outliers};

/// The percentiles of the table and the files, as shares.
pub(crate) const PERCENTILES: [(&str, f64); 5] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p999", 0.999),
];

/// The runs of one turn of a configuration, as taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken {
    /// Seconds of each run, in order; none in the offline scenario.
    pub(crate) latencies: Vec<f64>,
    pub(crate) runs: usize,
    pub(crate) images: usize,
    /// Seconds in which these images were done.
    pub(crate) elapsed: f64,
    /// Seconds on the way to the device, in the model, on the way back: sums over the runs.
    pub(crate) to_device: Option<f64>,
    pub(crate) compute: f64,
    pub(crate) from_device: Option<f64>,
}

impl Taken {
    pub(super) fn rate(&self) -> f64 {
        self.images as f64 / self.elapsed.max(f64::MIN_POSITIVE)
    }
}

/// Latencies, milliseconds. A percentile is null where the runs cannot support it: see [`supports`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) mean: Option<f64>,
    pub(crate) p50: Option<f64>,
    pub(crate) p90: Option<f64>,
    pub(crate) p95: Option<f64>,
    pub(crate) p99: Option<f64>,
    pub(crate) p999: Option<f64>,
    pub(crate) max: Option<f64>,
}

/// Figures of one block.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Block {
    pub(crate) runs: usize,
    pub(crate) images_per_second: f64,
    /// Of the latencies, milliseconds.
    pub(crate) mean_ms: Option<f64>,
    pub(crate) p50_ms: Option<f64>,
}

/// What the samples of a configuration say.
#[derive(Clone, Debug)]
pub(crate) struct Stats {
    pub(crate) runs: usize,
    pub(crate) images_per_second: f64,
    pub(crate) latency_ms: Latency,
    pub(crate) interval_95: BTreeMap<String, [f64; 2]>,
    pub(crate) log_error: BTreeMap<String, f64>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) quantiles_ms: Vec<f64>,
    /// Milliseconds per image.
    pub(crate) to_device: Option<f64>,
    pub(crate) compute: f64,
    pub(crate) from_device: Option<f64>,
    pub(crate) outliers: Outliers,
    /// Median of the first block over that of the others.
    pub(crate) first_block: Option<f64>,
    /// Relative change from the first block to the last, where a trend is shown.
    pub(crate) drift: Option<f64>,
}

/// Whether `runs` say something about the quantile `share`: whether the largest of them lies above it
/// with 95 % confidence, 1 - share^runs >= 0.95 (Wilks 1941, tolerance limits without a distribution).
/// Below that the "percentile" is but the largest value seen. p50 needs 5 runs, p90 29, p95 59, p99
/// 299, p99.9 2995.
pub(crate) fn supports(runs: usize, share: f64) -> bool {
    runs >= needed(share)
}

/// Runs that a percentile needs.
pub(crate) fn needed(share: f64) -> usize {
    (0.05_f64.ln() / share.ln()).ceil() as usize
}

pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile(&sorted, 0.5)
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Quantile 0.975 of Student's t; infinite where there is no degree of freedom.
pub(crate) fn t_975(freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::INFINITY, |t| t.inverse_cdf(0.975))
}

/// Statistics of a configuration; `None` where no run was recorded.
pub(crate) fn stats(taken: &[Taken], seed: u64) -> Option<Stats> {
    let runs = taken.iter().map(|block| block.runs).sum();
    let images: usize = taken.iter().map(|block| block.images).sum();
    if images == 0 {
        return None;
    }
    let elapsed: f64 = taken.iter().map(|block| block.elapsed).sum();
    let mut sorted: Vec<f64> = taken
        .iter()
        .flat_map(|block| &block.latencies)
        .copied()
        .collect();
    sorted.sort_by(f64::total_cmp);
    let images_per_second = images as f64 / elapsed.max(f64::MIN_POSITIVE);
    let latency_ms = latency(&sorted);
    let log_error = bootstrap::log_errors(taken, seed);
    let freedom = taken.len() as f64 - 1.0;
    let interval = |(metric, error): (&String, &f64)| {
        let value = match metric.as_str() {
            "images_per_second" => Some(images_per_second),
            name => latency_ms.get(name),
        };
        let reach = (t_975(freedom) * error).exp();
        value.map(|value| (metric.clone(), [value / reach, value * reach]))
    };
    let per_image = |sum: f64| 1e3 * sum / images as f64;
    let total = |part: fn(&Taken) -> Option<f64>| taken.iter().map(part).sum::<Option<f64>>();
    let medians: Vec<f64> = taken
        .iter()
        .filter_map(|block| median(&block.latencies))
        .collect();
    Some(Stats {
        runs,
        images_per_second,
        latency_ms,
        interval_95: log_error.iter().filter_map(interval).collect(),
        log_error,
        blocks: taken.iter().map(block).collect(),
        quantiles_ms: (0..=100)
            .filter_map(|percent| quantile(&sorted, f64::from(percent) / 100.0))
            .map(|seconds| 1e3 * seconds)
            .collect(),
        to_device: total(|block| block.to_device).map(per_image),
        compute: per_image(taken.iter().map(|block| block.compute).sum()),
        from_device: total(|block| block.from_device).map(per_image),
        outliers: outliers::find(&sorted),
        first_block: first_block(&medians),
        drift: drift(&medians),
    })
}

fn block(taken: &Taken) -> Block {
    Block {
        runs: taken.runs,
        images_per_second: taken.rate(),
        mean_ms: mean(&taken.latencies).map(|seconds| 1e3 * seconds),
        p50_ms: median(&taken.latencies).map(|seconds| 1e3 * seconds),
    }
}

fn latency(sorted: &[f64]) -> Latency {
    let ms = |seconds: f64| 1e3 * seconds;
    let at = |share: f64| {
        let value = quantile(sorted, share).filter(|_| supports(sorted.len(), share));
        value.map(ms)
    };
    Latency {
        mean: mean(sorted).map(ms),
        p50: at(0.5),
        p90: at(0.9),
        p95: at(0.95),
        p99: at(0.99),
        p999: at(0.999),
        max: sorted.last().copied().map(ms),
    }
}

impl Latency {
    /// The figure of that name.
    pub(crate) fn get(&self, name: &str) -> Option<f64> {
        match name {
            "mean" => self.mean,
            "p50" => self.p50,
            "p90" => self.p90,
            "p95" => self.p95,
            "p99" => self.p99,
            "p999" => self.p999,
            "max" => self.max,
            _ => None,
        }
    }
}

/// How much slower the first block is than the median of the others.
fn first_block(medians: &[f64]) -> Option<f64> {
    let (first, others) = medians.split_first()?;
    Some(first / median(others)?)
}

/// The relative change over all blocks where their medians rise or fall beyond chance: two-sided
/// Mann-Kendall test at 1 % (Mann 1945), slope of Theil and Sen. Needs 6 blocks, since fewer cannot
/// reach 1 %.
fn drift(medians: &[f64]) -> Option<f64> {
    const Z_99: f64 = 2.576;
    let n = medians.len() as f64;
    if medians.len() < 6 {
        return None;
    }
    let (mut score, mut slopes) = (0.0, Vec::new());
    for (i, early) in medians.iter().enumerate() {
        for (steps, late) in medians[i + 1..].iter().enumerate() {
            score += (late - early)
                .partial_cmp(&0.0)
                .map_or(0.0, |sign| f64::from(sign as i8));
            slopes.push((late - early) / (steps + 1) as f64);
        }
    }
    let deviation = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    // One less: the correction for a score that only takes whole numbers.
    let z = (score.abs() - 1.0).max(0.0) / deviation;
    let change = median(&slopes)? * (n - 1.0) / medians.first()?;
    (z > Z_99).then_some(change)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(latencies: &[f64]) -> Taken {
        Taken {
            latencies: latencies.to_vec(),
            runs: latencies.len(),
            images: 2 * latencies.len(),
            elapsed: latencies.iter().sum(),
            compute: latencies.iter().sum(),
            ..Taken::default()
        }
    }

    #[test]
    fn a_percentile_needs_as_many_runs_as_its_rule_says() {
        let cases = [(0.5, 5), (0.9, 29), (0.95, 59), (0.99, 299), (0.999, 2995)];
        for (share, runs) in cases {
            assert_eq!(needed(share), runs);
            assert!(supports(runs, share) && !supports(runs - 1, share));
        }
    }

    #[test]
    fn few_runs_leave_percentiles_empty_and_none_is_no_statistic() {
        let stats = stats(&[taken(&[0.01; 20]), taken(&[0.03; 20])], 0).unwrap();
        assert_eq!(stats.runs, 40);
        let latency = stats.latency_ms;
        assert_eq!(
            (latency.p90, latency.p95, latency.p99),
            (Some(30.0), None, None)
        );
        assert_eq!(latency.max, Some(30.0));
        assert!((latency.mean.unwrap() - 20.0).abs() < 1e-9);
        assert!((stats.images_per_second - 100.0).abs() < 1e-9);
        assert!((stats.compute - 10.0).abs() < 1e-9, "per image");
        assert_eq!(stats.quantiles_ms.len(), 101);
        assert!(super::stats(&[], 0).is_none());
    }

    #[test]
    fn the_interval_holds_the_value_and_reaches_further_with_noise() {
        let calm: Vec<_> = (0..10)
            .map(|i| taken(&[0.01 + 1e-6 * f64::from(i); 30]))
            .collect();
        let wild: Vec<_> = (0..10)
            .map(|i| taken(&[0.01 + 1e-3 * f64::from(i % 3); 30]))
            .collect();
        let width = |blocks: &[Taken]| {
            let stats = stats(blocks, 0).unwrap();
            let [low, high] = stats.interval_95["images_per_second"];
            assert!(low <= stats.images_per_second && stats.images_per_second <= high);
            high / low
        };
        assert!(width(&calm) < 1.001 && width(&wild) > 1.02);
    }

    #[test]
    fn quantiles_of_student_are_those_of_the_tables() {
        for (freedom, expected) in [(1.0, 12.706), (9.0, 2.262), (30.0, 2.042)] {
            assert!((t_975(freedom) - expected).abs() < 1e-3);
        }
        assert_eq!(t_975(0.0), f64::INFINITY);
    }

    #[test]
    fn a_trend_is_a_drift_and_noise_is_none() {
        let rising: Vec<f64> = (0..10).map(|i| 1.0 + 0.01 * f64::from(i)).collect();
        assert!((drift(&rising).unwrap() - 0.09).abs() < 1e-9);
        assert_eq!(drift(&[1.0, 1.1, 1.0, 1.2, 1.0, 1.1, 1.05, 1.0]), None);
        assert_eq!(drift(&rising[..5]), None);
        assert!((first_block(&[3.0, 1.0, 2.0, 1.0]).unwrap() - 3.0).abs() < 1e-12);
    }
}
