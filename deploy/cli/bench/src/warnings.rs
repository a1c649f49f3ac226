//! Warnings about a measurement, with advice. Sees statistics, never a measurement.

use crate::key::Key;
use crate::percentiles::needed;
use crate::stats::Stats;
use crate::system::{self, SystemInfo};

/// Share of the processor time of other programs above which a warning is due.
const MAX_OTHER_LOAD: f64 = 0.03;
/// Ratio of the first block to the others above which a warning is due.
const MAX_FIRST_BLOCK: f64 = 1.1;
/// Relative drift above which a warning is due.
const MAX_DRIFT: f64 = 0.02;
/// Share of outliers above which a warning is due.
const MAX_OUTLIERS: f64 = 0.01;
/// Share of the arrivals that are served below which a warning is due.
const MIN_SERVED: f64 = 0.95;

/// Warnings about the machine; `others` is the share of the processor time of other programs.
pub fn about_system(info: &SystemInfo, others: Option<f64>) -> Vec<String> {
    let mut warnings = Vec::new();
    let all = system::cores().max(info.cores);
    if let Some(share) = others.filter(|share| *share > MAX_OTHER_LOAD) {
        let cores = share * all as f64;
        warnings.push(format!(
            "other work took {cores:.1} of {all} cores meanwhile; measure on a quiet machine"
        ));
    }
    if let Some(name) = info.governor.as_ref().filter(|name| *name != "performance") {
        warnings.push(format!(
            "the processor's frequency governor is `{name}`; set it to `performance` (`cpupower \
             frequency-set -g performance`)"
        ));
    }
    warnings
}

/// Warnings about a configuration.
pub fn about_result(key: &Key, stats: &Stats) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(ratio) = stats.first_block.filter(|ratio| *ratio > MAX_FIRST_BLOCK) {
        warnings.push(format!(
            "{key}: the first runs took {ratio:.2} times as long as the others; warm up longer with \
             `--warmup`"
        ));
    }
    if let Some(change) = stats.drift.filter(|change| change.abs() > MAX_DRIFT) {
        let (word, percent) = (
            if change > 0.0 { "slower" } else { "faster" },
            100.0 * change.abs(),
        );
        warnings.push(format!(
            "{key}: runs became {word} by {percent:.1} % from the first block to the last; the machine may \
             heat up or change its frequency: warm up longer with `--warmup`, or let it rest"
        ));
    }
    let (outliers, runs) = (stats.outliers, stats.runs);
    // In a server runs wait for each other: latencies far above the median belong to it.
    if outliers.count as f64 > MAX_OUTLIERS * runs as f64 && key.scenario != "server" {
        let (count, worst) = (outliers.count, outliers.worst);
        warnings.push(format!(
            "{key}: {count} of {runs} runs are far above the others, the slowest {worst:.1} times the \
             median; close other programs or measure longer with `--duration`"
        ));
    }
    let needed = needed(0.9);
    if key.scenario != "offline" && runs < needed {
        warnings.push(format!(
            "{key}: {runs} runs say nothing of the 90th percentile, which needs {needed}; measure longer \
             with `--duration`"
        ));
    }
    if let Some(requested) = key.rate {
        let served = stats.images_per_second / key.batch as f64;
        if served < MIN_SERVED * requested {
            warnings.push(format!(
                "{key}: {requested:.1} arrivals a second were asked for and {served:.1} served, so the queue \
                 grew all the time; lower `--rate` or add `--streams`"
            ));
        }
    }
    warnings
}
