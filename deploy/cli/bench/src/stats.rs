//! Statistics of measurements: percentiles, intervals, trend. Never sees a clock, and knows no configuration.

use std::collections::BTreeMap;

use data::metrics::quantile;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::bootstrap;
use crate::measurements::Measurements;
use crate::outliers::{self, Outliers};
use crate::percentiles::supports;

/// Latencies, milliseconds. A percentile is null where there are too few runs for it: see [`supports`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    pub mean: Option<f64>,
    pub p50: Option<f64>,
    pub p90: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
    pub p999: Option<f64>,
    pub max: Option<f64>,
}

/// Figures of one block.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Block {
    pub runs: usize,
    pub images_per_second: f64,
    /// Of the latencies, milliseconds.
    pub mean_ms: Option<f64>,
    pub p50_ms: Option<f64>,
}

/// Statistics of a configuration.
#[derive(Clone, Debug)]
pub struct Stats {
    pub runs: usize,
    pub images_per_second: f64,
    pub latency_ms: Latency,
    pub interval_95: BTreeMap<String, [f64; 2]>,
    pub log_error: BTreeMap<String, f64>,
    pub blocks: Vec<Block>,
    pub quantiles_ms: Vec<f64>,
    /// Milliseconds per image.
    pub to_device: Option<f64>,
    pub compute: f64,
    pub from_device: Option<f64>,
    pub outliers: Outliers,
    /// Median of the first block over that of the others.
    pub first_block: Option<f64>,
    /// Relative change from the first block to the last, where a trend is shown.
    pub drift: Option<f64>,
}

pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile(&sorted, 0.5)
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Quantile 0.975 of Student's t (`statrs`); infinite where there is no degree of freedom.
pub fn t_975(freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::INFINITY, |t| t.inverse_cdf(0.975))
}

/// Statistics of a configuration; `None` where no run was recorded.
pub fn stats(blocks: &[Measurements], seed: u64) -> Option<Stats> {
    let runs = blocks.iter().map(|block| block.runs).sum();
    let images: usize = blocks.iter().map(|block| block.images).sum();
    if images == 0 {
        return None;
    }
    let elapsed: f64 = blocks.iter().map(|block| block.elapsed).sum();
    let mut sorted: Vec<f64> = blocks
        .iter()
        .flat_map(|block| &block.latencies)
        .copied()
        .collect();
    sorted.sort_by(f64::total_cmp);
    let images_per_second = images as f64 / elapsed.max(f64::MIN_POSITIVE);
    let latency_ms = latency(&sorted);
    let log_error = bootstrap::log_errors(blocks, seed);
    let freedom = blocks.len() as f64 - 1.0;
    let interval = |(metric, error): (&String, &f64)| {
        let value = match metric.as_str() {
            "images_per_second" => Some(images_per_second),
            name => latency_ms.get(name),
        };
        // Errors are those of logarithms, so the interval is a factor to each side.
        let reach = (t_975(freedom) * error).exp();
        value.map(|value| (metric.clone(), [value / reach, value * reach]))
    };
    let per_image = |sum: f64| 1e3 * sum / images as f64;
    let total =
        |part: fn(&Measurements) -> Option<f64>| blocks.iter().map(part).sum::<Option<f64>>();
    let medians: Vec<f64> = blocks
        .iter()
        .filter_map(|block| median(&block.latencies))
        .collect();
    Some(Stats {
        runs,
        images_per_second,
        latency_ms,
        interval_95: log_error.iter().filter_map(interval).collect(),
        log_error,
        blocks: blocks.iter().map(block).collect(),
        quantiles_ms: (0..=100)
            .filter_map(|percent| quantile(&sorted, f64::from(percent) / 100.0))
            .map(|seconds| 1e3 * seconds)
            .collect(),
        to_device: total(|block| block.to_device).map(per_image),
        compute: per_image(blocks.iter().map(|block| block.compute).sum()),
        from_device: total(|block| block.from_device).map(per_image),
        outliers: outliers::find(&sorted),
        first_block: first_block(&medians),
        drift: drift(&medians),
    })
}

fn block(measured: &Measurements) -> Block {
    Block {
        runs: measured.runs,
        images_per_second: measured.rate(),
        mean_ms: mean(&measured.latencies).map(|seconds| 1e3 * seconds),
        p50_ms: median(&measured.latencies).map(|seconds| 1e3 * seconds),
    }
}

fn latency(sorted: &[f64]) -> Latency {
    let ms = |seconds: f64| 1e3 * seconds;
    let percentile = |share: f64| {
        let value = quantile(sorted, share).filter(|_| supports(sorted.len(), share));
        value.map(ms)
    };
    Latency {
        mean: mean(sorted).map(ms),
        p50: percentile(0.5),
        p90: percentile(0.9),
        p95: percentile(0.95),
        p99: percentile(0.99),
        p999: percentile(0.999),
        max: sorted.last().copied().map(ms),
    }
}

impl Latency {
    /// Mean, percentiles and maximum in the order of reports.
    pub fn values(&self) -> [Option<f64>; 7] {
        [
            self.mean, self.p50, self.p90, self.p95, self.p99, self.p999, self.max,
        ]
    }

    /// The figure of that name.
    pub fn get(&self, name: &str) -> Option<f64> {
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

/// Ratio of the first block's median to the median of the others.
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
    // Continuity correction, since the score only takes whole numbers.
    let z = (score.abs() - 1.0).max(0.0) / deviation;
    let change = median(&slopes)? * (n - 1.0) / medians.first()?;
    (z > Z_99).then_some(change)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(latencies: &[f64]) -> Measurements {
        Measurements {
            latencies: latencies.to_vec(),
            runs: latencies.len(),
            images: 2 * latencies.len(),
            elapsed: latencies.iter().sum(),
            compute: latencies.iter().sum(),
            ..Measurements::default()
        }
    }

    #[test]
    fn few_runs_leave_percentiles_empty_and_none_is_no_statistic() {
        let stats = stats(&[measured(&[0.01; 20]), measured(&[0.03; 20])], 0).unwrap();
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
            .map(|i| measured(&[0.01 + 1e-6 * f64::from(i); 30]))
            .collect();
        let wild: Vec<_> = (0..10)
            .map(|i| measured(&[0.01 + 1e-3 * f64::from(i % 3); 30]))
            .collect();
        let width = |blocks: &[Measurements]| {
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
