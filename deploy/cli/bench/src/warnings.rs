//! Warnings about a measurement, with advice. Sees statistics, never a measurement.

use std::fmt;

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

/// A reason to distrust figures.
#[derive(Clone, Debug, PartialEq)]
pub enum Warning {
    /// The first block was slower than the others: a ratio.
    FirstRunsSlower { key: String, ratio: f64 },
    /// Runs far above the others.
    Outliers {
        key: String,
        count: usize,
        runs: usize,
        worst: f64,
    },
    /// Runs became slower or faster throughout: a relative change.
    Drifting { key: String, change: f64 },
    /// Other programs, or the machine's other guests, computed meanwhile: so many cores.
    OtherLoad { cores: f64, total: usize },
    /// Not enough runs for a tail.
    TooFewRuns {
        key: String,
        runs: usize,
        needed: usize,
    },
    /// The processor's frequency is not held high.
    Governor { name: String },
    /// Arrivals came faster than they could be served: both per second.
    Overloaded {
        key: String,
        requested: f64,
        served: f64,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstRunsSlower { key, ratio } => write!(
                f,
                "{key}: the first runs took {ratio:.2} times as long as the others; warm up longer \
                 with `--warmup`"
            ),
            Self::Outliers {
                key,
                count,
                runs,
                worst,
            } => write!(
                f,
                "{key}: {count} of {runs} runs are far above the others, the slowest {worst:.1} times \
                 the median; close other programs or measure longer with `--duration`"
            ),
            Self::Drifting { key, change } => write!(
                f,
                "{key}: runs became {} by {:.1} % from the first block to the last; the machine may \
                 heat up or change its frequency: warm up longer with `--warmup`, or let it rest",
                if *change > 0.0 { "slower" } else { "faster" },
                100.0 * change.abs()
            ),
            Self::OtherLoad { cores, total } => write!(
                f,
                "other work took {cores:.1} of {total} cores meanwhile; measure on a quiet machine"
            ),
            Self::TooFewRuns { key, runs, needed } => write!(
                f,
                "{key}: {runs} runs say nothing of the 90th percentile, which needs {needed}; measure \
                 longer with `--duration`"
            ),
            Self::Governor { name } => write!(
                f,
                "the processor's frequency governor is `{name}`; set it to `performance` (`cpupower \
                 frequency-set -g performance`)"
            ),
            Self::Overloaded {
                key,
                requested,
                served,
            } => write!(
                f,
                "{key}: {requested:.1} arrivals a second were asked for and {served:.1} served, so the \
                 queue grew all the time; lower `--rate` or add `--streams`"
            ),
        }
    }
}

/// Warnings about the machine.
pub fn about_system(info: &SystemInfo, others: Option<f64>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let all = system::cores().max(info.cores);
    if let Some(share) = others.filter(|share| *share > MAX_OTHER_LOAD) {
        warnings.push(Warning::OtherLoad {
            cores: share * all as f64,
            total: all,
        });
    }
    if let Some(name) = info.governor.as_ref().filter(|name| *name != "performance") {
        warnings.push(Warning::Governor { name: name.clone() });
    }
    warnings
}

/// Warnings about a configuration.
pub fn about_result(key: &Key, stats: &Stats) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let name = || key.to_string();
    if let Some(ratio) = stats.first_block.filter(|ratio| *ratio > MAX_FIRST_BLOCK) {
        warnings.push(Warning::FirstRunsSlower { key: name(), ratio });
    }
    if let Some(change) = stats.drift.filter(|change| change.abs() > MAX_DRIFT) {
        warnings.push(Warning::Drifting {
            key: name(),
            change,
        });
    }
    let (count, runs) = (stats.outliers.count, stats.runs);
    if count as f64 > MAX_OUTLIERS * runs as f64 && key.scenario != "server" {
        let worst = stats.outliers.worst;
        warnings.push(Warning::Outliers {
            key: name(),
            count,
            runs,
            worst,
        });
    }
    let needed = needed(0.9);
    if key.scenario != "offline" && runs < needed {
        warnings.push(Warning::TooFewRuns {
            key: name(),
            runs,
            needed,
        });
    }
    if let Some(requested) = key.rate {
        let served = stats.images_per_second / key.batch as f64;
        if served < MIN_SERVED * requested {
            warnings.push(Warning::Overloaded {
                key: name(),
                requested,
                served,
            });
        }
    }
    warnings
}
