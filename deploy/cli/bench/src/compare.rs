//! Regression gate: comparison with an earlier file, and whether results are worse beyond doubt. Measures nothing.
//!
//! Of two figures with standard errors of their logarithms a and b, the ratio's logarithm has the error
//! sqrt(a^2 + b^2), and its 95 % interval is Welch's (1947): Student's t with the degrees of freedom that
//! the two numbers of blocks allow. A condition holds only where the whole interval lies beyond it.

mod condition;

pub use condition::{Condition, Conditions, Limit, Metric};

use crate::error::{Error, Result};
use crate::findings::{BenchResult, Findings};
use crate::key::Key;
use crate::stats::t_975;

/// A result and the base's of the same configuration.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    pub now: &'a BenchResult,
    pub base: &'a BenchResult,
}

/// A ratio, this run's over the base's, with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

/// Verdict of a condition about a configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Which configuration and condition, with the figures.
    pub text: String,
    /// Whether the condition holds beyond doubt.
    pub holds: bool,
}

/// Rule by which configurations of this run and the base match: models match by name, or by being the only one on
/// both sides.
struct Matching {
    any_model: bool,
}

impl Matching {
    fn new<'k>(now: impl Iterator<Item = &'k Key>, base: &Findings) -> Self {
        let models = |keys: &mut dyn Iterator<Item = &Key>| {
            let mut models: Vec<String> = keys.map(|key| key.model.clone()).collect();
            models.sort();
            models.dedup();
            models.len()
        };
        let mut base = base.results.iter().map(|result| &result.key);
        let mut now = now;
        Self {
            any_model: models(&mut now) == 1 && models(&mut base) == 1,
        }
    }

    fn is_same(&self, now: &Key, base: &Key) -> bool {
        let renamed = Key {
            model: if self.any_model {
                &base.model
            } else {
                &now.model
            }
            .clone(),
            ..now.clone()
        };
        renamed == *base
    }
}

/// Whether this run and the base have the same configurations.
///
/// # Errors
/// The error names those that only one of them has.
pub fn check_configurations(now: &[Key], base: &Findings) -> Result<()> {
    let matching = Matching::new(now.iter(), base);
    let known = |key: &&Key| {
        base.results
            .iter()
            .any(|result| matching.is_same(key, &result.key))
    };
    let measured = |result: &&BenchResult| now.iter().any(|key| matching.is_same(key, &result.key));
    let new: Vec<String> = now.iter().filter(|key| !known(key)).map(describe).collect();
    let gone = base.results.iter().filter(|result| !measured(result));
    let gone: Vec<String> = gone.map(|result| describe(&result.key)).collect();
    if new.is_empty() && gone.is_empty() {
        return Ok(());
    }
    let list = |heading: &str, configurations: &[String]| -> String {
        let lines = configurations.iter();
        lines.map(|name| format!("\n  {heading}: {name}")).collect()
    };
    Err(Error::new(
        format!(
            "the configurations are not those of the base{}{}",
            list("only here", &new),
            list("only in the base", &gone)
        ),
        "measure with the options of the base, or write a new one with `--json`",
    ))
}

/// Refuses a condition whose figure the base lacks.
///
/// # Errors
/// The error names the configuration, and for a percentile how long the base has to be measured.
pub fn check_base(condition: &Condition, base: &Findings) -> Result<()> {
    let metric = condition.metric;
    for result in &base.results {
        let has_error = match metric {
            Metric::Measured(name) => result.log_error.contains_key(name),
            Metric::Plain(_) => true,
        };
        if metric.value(result).is_some() && has_error {
            continue;
        }
        let (name, key) = (metric.name(), &result.key);
        return Err(match metric.needed_runs() {
            Some(needed) if result.runs < needed => {
                let rate = result.images_per_second / result.key.batch as f64;
                Error::new(
                    format!(
                        "the base has no `{name}` of {key}: {} runs, {needed} are needed",
                        result.runs
                    ),
                    format!(
                        "measure the base again with `--duration {}s`, or use a lower percentile",
                        seconds_for(needed, rate)
                    ),
                )
            }
            _ => Error::new(
                format!("the base has no `{name}` of {key}"),
                "measure the base again, or leave the condition out",
            ),
        });
    }
    Ok(())
}

/// Seconds in which so many runs are done, with a fifth to spare.
pub fn seconds_for(runs: usize, runs_per_second: f64) -> u64 {
    (1.2 * runs as f64 / runs_per_second.max(f64::MIN_POSITIVE)).ceil() as u64
}

/// Results of the same configuration.
pub fn pairs<'a>(now: &'a Findings, base: &'a Findings) -> Vec<Pair<'a>> {
    let matching = Matching::new(now.results.iter().map(|result| &result.key), base);
    let pair = |now: &'a BenchResult| {
        let base = base
            .results
            .iter()
            .find(|other| matching.is_same(&now.key, &other.key))?;
        Some(Pair { now, base })
    };
    now.results.iter().filter_map(pair).collect()
}

/// How throughput and the median latency compare, one line for each configuration.
pub fn summary(pairs: &[Pair<'_>]) -> Vec<String> {
    let change = |pair: &Pair<'_>, name: &'static str| {
        ratio(*pair, Metric::Measured(name))
            .map(|ratio| format!("{name} {}", describe_change(ratio)))
    };
    let line = |pair: &Pair<'_>| {
        let parts = ["images_per_second", "p50"]
            .into_iter()
            .filter_map(|name| change(pair, name));
        format!("{}: {}", pair.now.key, parts.collect::<Vec<_>>().join(", "))
    };
    pairs.iter().map(line).collect()
}

/// A configuration with everything that must agree.
fn describe(key: &Key) -> String {
    let Key {
        feed,
        streams,
        threads,
        scenario,
        rate,
        ..
    } = key;
    let rate = rate.map(|rate| format!(" {rate}/s")).unwrap_or_default();
    format!("{key} ({feed}, {streams} x {threads} threads, {scenario}{rate})")
}

/// The ratio of a measured metric; `None` where a side has no value or no standard error.
pub fn ratio(pair: Pair<'_>, metric: Metric) -> Option<Ratio> {
    let (now, base) = (metric.value(pair.now)?, metric.value(pair.base)?);
    let error = |result: &BenchResult| result.log_error.get(metric.name()).copied();
    let (a, b) = (error(pair.now)?, error(pair.base)?);
    let freedom = |result: &BenchResult| result.blocks.len() as f64 - 1.0;
    let sum = a * a + b * b;
    let parts = a.powi(4) / freedom(pair.now) + b.powi(4) / freedom(pair.base);
    let freedom = if parts > 0.0 {
        sum * sum / parts
    } else {
        f64::INFINITY
    };
    // Without any noise there is nothing to multiply: t of infinitely many degrees is finite.
    let reach = (t_975(freedom.min(1e6)) * sum.sqrt()).exp();
    let value = now / base;
    Some(Ratio {
        value,
        low: value / reach,
        high: value * reach,
    })
}

/// Verdicts of every condition about every configuration.
///
/// # Errors
/// A metric has no value, or a condition needs a base and there is none.
pub fn judge(
    now: &Findings,
    pairs: Option<&[Pair<'_>]>,
    conditions: &Conditions,
) -> Result<Vec<Verdict>> {
    let mut verdicts = Vec::new();
    for condition in &conditions.0 {
        match pairs {
            Some(pairs) => {
                for pair in pairs {
                    verdicts.push(verdict(condition, pair.now, Some(*pair))?);
                }
            }
            None if condition.needs_base() => {
                return Err(condition.without_base());
            }
            None => {
                for result in &now.results {
                    verdicts.push(verdict(condition, result, None)?);
                }
            }
        }
    }
    Ok(verdicts)
}

fn verdict(condition: &Condition, now: &BenchResult, pair: Option<Pair<'_>>) -> Result<Verdict> {
    let metric = condition.metric;
    let value = |result: &BenchResult| {
        metric
            .value(result)
            .ok_or_else(|| unmeasured(metric, result))
    };
    let base = || pair.map(|pair| value(pair.base)).transpose();
    // The interval in which the figure lies, and its text.
    let (low, high, limit, found) = match (condition.limit, metric) {
        (Limit::Value(limit), metric) => {
            let value = value(now)?;
            let [low, high] = match metric {
                Metric::Measured(name) => *interval(now, name)?,
                Metric::Plain(_) => [value; 2],
            };
            (low, high, limit, format_figure(metric, value, low, high))
        }
        (Limit::Relative(change), Metric::Measured(_)) => {
            value(now)?;
            base()?;
            let ratio = pair.and_then(|pair| ratio(pair, metric));
            let ratio = ratio.ok_or_else(|| unmeasured(metric, now))?;
            (ratio.low, ratio.high, 1.0 + change, describe_change(ratio))
        }
        (Limit::Change(limit), Metric::Measured(_)) => {
            let (value, base) = (value(now)?, base()?.unwrap_or_default());
            let ratio = pair.and_then(|pair| ratio(pair, metric));
            let ratio = ratio.ok_or_else(|| unmeasured(metric, now))?;
            let (low, high) = (base * (ratio.low - 1.0), base * (ratio.high - 1.0));
            (
                low,
                high,
                limit,
                format_figure(metric, value - base, low, high),
            )
        }
        (limit, Metric::Plain(_)) => {
            let (value, base) = (value(now)?, base()?.unwrap_or_default());
            let (change, limit) = match limit {
                Limit::Relative(change) => (value, base * (1.0 + change)),
                Limit::Change(limit) | Limit::Value(limit) => (value - base, limit),
            };
            (change, change, limit, format!("{value} against {base}"))
        }
    };
    let holds = if condition.above {
        low > limit
    } else {
        high < limit
    };
    let touches = if condition.above {
        high > limit
    } else {
        low < limit
    };
    let word = match (holds, touches) {
        (true, _) => "FAILED",
        (false, true) => "ok     not beyond doubt",
        (false, false) => "ok    ",
    };
    let name = metric.name();
    Ok(Verdict {
        text: format!("{word} {condition}  {}: {name} {found}", now.key),
        holds,
    })
}

fn interval<'r>(result: &'r BenchResult, name: &str) -> Result<&'r [f64; 2]> {
    let reason = "it was measured in too few blocks";
    let interval = result.interval_95.get(name);
    interval.ok_or_else(|| no_value(name, result, reason))
}

fn unmeasured(metric: Metric, result: &BenchResult) -> Error {
    let reason = match metric.needed_runs() {
        Some(needed) => format!("{} runs, {needed} are needed", result.runs),
        None => "it was not measured".to_owned(),
    };
    no_value(metric.name(), result, &reason)
}

fn no_value(metric: &str, result: &BenchResult, reason: &str) -> Error {
    Error::new(
        format!("`{metric}` of {} has no value: {reason}", result.key),
        "measure longer with `--duration`, or leave out the condition",
    )
}

fn format_figure(metric: Metric, value: f64, low: f64, high: f64) -> String {
    match metric {
        Metric::Measured(_) => format!("{value:.3} ({low:.3} to {high:.3})"),
        Metric::Plain(_) => value.to_string(),
    }
}

/// A change in words; "no difference shown" where the interval holds 1.
pub fn describe_change(ratio: Ratio) -> String {
    let percent = |ratio: f64| format!("{:+.1} %", 100.0 * (ratio - 1.0));
    let (low, high) = (percent(ratio.low), percent(ratio.high));
    if ratio.low <= 1.0 && 1.0 <= ratio.high {
        format!("no difference shown ({low} to {high})")
    } else {
        format!("{} ({low} to {high})", percent(ratio.value))
    }
}

#[cfg(test)]
mod tests;
