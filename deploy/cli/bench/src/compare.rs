//! Regression gate: results beside an earlier file's, and whether they are worse beyond doubt. Measures
//! nothing.
//!
//! Of two figures with standard errors of their logarithms a and b, the ratio's logarithm has the error
//! sqrt(a^2 + b^2), and its 95 % interval is Welch's (1947): Student's t with the degrees of freedom that
//! the two numbers of blocks allow. A condition holds only where the whole interval lies beyond it.

mod condition;

pub use condition::{Condition, Conditions, Limit, Metric};

use crate::error::{Error, Result};
use crate::findings::{BenchResult, Findings};
use crate::key::Key;
use crate::percentiles::{PERCENTILES, needed};
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

/// What a condition says of a configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Which configuration and condition, with the figures.
    pub text: String,
    /// Whether the condition holds beyond doubt.
    pub holds: bool,
}

/// How configurations of this run are found in a base. Models are matched by name, or whatever they
/// are called where there is but one on both sides.
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

    fn same(&self, now: &Key, base: &Key) -> bool {
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
/// [`Error::Unmatched`] names those that only one of them has.
pub fn check(now: &[Key], base: &Findings) -> Result<()> {
    let matching = Matching::new(now.iter(), base);
    let known = |key: &&Key| {
        base.results
            .iter()
            .any(|result| matching.same(key, &result.key))
    };
    let measured = |result: &&BenchResult| now.iter().any(|key| matching.same(key, &result.key));
    let new: Vec<String> = now.iter().filter(|key| !known(key)).map(describe).collect();
    let gone = base.results.iter().filter(|result| !measured(result));
    let gone: Vec<String> = gone.map(|result| describe(&result.key)).collect();
    if new.is_empty() && gone.is_empty() {
        return Ok(());
    }
    Err(Error::Unmatched { new, gone })
}

/// Results of the same configuration.
pub fn pairs<'a>(now: &'a Findings, base: &'a Findings) -> Vec<Pair<'a>> {
    let matching = Matching::new(now.results.iter().map(|result| &result.key), base);
    let pair = |now: &'a BenchResult| {
        let base = base
            .results
            .iter()
            .find(|other| matching.same(&now.key, &other.key))?;
        Some(Pair { now, base })
    };
    now.results.iter().filter_map(pair).collect()
}

/// How throughput and the median latency compare, one line for each configuration.
pub fn summary(pairs: &[Pair<'_>]) -> Vec<String> {
    let part = |pair: &Pair<'_>, name: &'static str| {
        ratio(*pair, Metric::Measured(name)).map(|ratio| format!("{name} {}", changed(ratio)))
    };
    let line = |pair: &Pair<'_>| {
        let parts = ["images_per_second", "p50"]
            .into_iter()
            .filter_map(|name| part(pair, name));
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

/// The ratio of a measured metric; `None` where a side does not know it, or how sure it is.
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

/// What every condition says of every configuration.
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
                return Err(Error::NoBase {
                    condition: condition.to_string(),
                });
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
    let value = |result: &BenchResult| metric.value(result).ok_or_else(|| no_value(metric, result));
    let base = || pair.map(|pair| value(pair.base)).transpose();
    // The interval in which the figure lies, and its text.
    let (low, high, limit, found) = match (condition.limit, metric) {
        (Limit::Value(limit), metric) => {
            let value = value(now)?;
            let [low, high] = match metric {
                Metric::Measured(name) => *interval(now, name)?,
                Metric::Plain(_) => [value; 2],
            };
            (low, high, limit, figure(metric, value, low, high))
        }
        (Limit::Relative(change), Metric::Measured(_)) => {
            value(now)?;
            base()?;
            let ratio = pair.and_then(|pair| ratio(pair, metric));
            let ratio = ratio.ok_or_else(|| no_value(metric, now))?;
            (ratio.low, ratio.high, 1.0 + change, changed(ratio))
        }
        (Limit::Change(limit), Metric::Measured(_)) => {
            let (value, base) = (value(now)?, base()?.unwrap_or_default());
            let ratio = pair.and_then(|pair| ratio(pair, metric));
            let ratio = ratio.ok_or_else(|| no_value(metric, now))?;
            let (low, high) = (base * (ratio.low - 1.0), base * (ratio.high - 1.0));
            (low, high, limit, figure(metric, value - base, low, high))
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
    result.interval_95.get(name).ok_or_else(|| Error::NoValue {
        metric: name.to_owned(),
        configuration: result.key.to_string(),
        reason: "it was measured in too few blocks".to_owned(),
    })
}

fn no_value(metric: Metric, result: &BenchResult) -> Error {
    let share = PERCENTILES.iter().find(|(name, _)| *name == metric.name());
    Error::NoValue {
        metric: metric.name().to_owned(),
        configuration: result.key.to_string(),
        reason: match share {
            Some((_, share)) => format!("{} runs, {} are needed", result.runs, needed(*share)),
            None => "it was not measured".to_owned(),
        },
    }
}

fn figure(metric: Metric, value: f64, low: f64, high: f64) -> String {
    match metric {
        Metric::Measured(_) => format!("{value:.3} ({low:.3} to {high:.3})"),
        Metric::Plain(_) => value.to_string(),
    }
}

/// A change in words; "no difference shown" where the interval holds 1.
pub fn changed(ratio: Ratio) -> String {
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
