//! Conditions that make a benchmark fail, as text: `p99>+5%,flips>0`. Compares nothing.
//!
//! A condition is a metric, `>` or `<`, and a limit. A limit with a sign is a change against the base:
//! `+5%` relative, `-0.01` absolute. One without is the value itself, in the metric's unit.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::findings::BenchResult;
use crate::percentiles::{PERCENTILES, needed};

/// A figure that a condition limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// `images_per_second`, or a latency: `mean`, `p50`, `p90`, `p95`, `p99`, `p999`, milliseconds.
    /// Known to within its interval.
    Measured(&'static str),
    /// Counted or measured once, without an interval.
    Plain(&'static str),
}

const MEASURED: [&str; 7] = [
    "images_per_second",
    "mean",
    "p50",
    "p90",
    "p95",
    "p99",
    "p999",
];
const PLAIN: [&str; 10] = [
    "top1",
    "flips",
    "logit_difference",
    "auc",
    "equal_error_rate",
    "session",
    "build",
    "first_run",
    "host_bytes",
    "device_bytes",
];

impl Metric {
    pub fn name(self) -> &'static str {
        match self {
            Self::Measured(name) | Self::Plain(name) => name,
        }
    }

    /// Number of runs that it needs; none where it is no percentile.
    pub fn needed_runs(self) -> Option<usize> {
        let share = PERCENTILES.iter().find(|(name, _)| *name == self.name());
        share.map(|(_, share)| needed(*share))
    }

    /// Its value in a result.
    pub fn value(self, result: &BenchResult) -> Option<f64> {
        let accuracy = result.accuracy.as_ref();
        let verification = result.verification.as_ref().map(|found| &found.scores);
        match self.name() {
            "images_per_second" => Some(result.images_per_second),
            "top1" => result.top1,
            "flips" => accuracy.map(|accuracy| accuracy.flips.len() as f64),
            "logit_difference" => accuracy?.max_logit_difference,
            "auc" => verification.map(|scores| scores.auc),
            "equal_error_rate" => verification.map(|scores| scores.equal_error_rate),
            "session" => Some(result.cold_ms.session),
            "build" => result.cold_ms.build,
            "first_run" => Some(result.cold_ms.first_run),
            "host_bytes" => result.memory.host_bytes.map(|bytes| bytes as f64),
            "device_bytes" => result.memory.device_bytes.map(|bytes| bytes as f64),
            latency => result.latency_ms.get(latency),
        }
    }
}

/// Limit of a condition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// The value itself.
    Value(f64),
    /// A change against the base, in the metric's unit.
    Change(f64),
    /// A change relative to the base: 0.05 is 5 % more.
    Relative(f64),
}

/// A metric beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Condition {
    pub metric: Metric,
    /// Whether the condition holds above the limit, or below.
    pub above: bool,
    pub limit: Limit,
}

impl Condition {
    /// Whether it can only be judged beside a base.
    pub fn needs_base(&self) -> bool {
        !matches!(self.limit, Limit::Value(_))
    }

    /// The error of a condition that needs a base where there is none.
    pub fn without_base(&self) -> Error {
        Error::new(
            format!("`{self}` is a change against a base, and none was given"),
            "give the base with `--compare FILE`",
        )
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, relation) = (self.metric.name(), if self.above { '>' } else { '<' });
        match self.limit {
            Limit::Value(value) => write!(f, "{name}{relation}{value}"),
            Limit::Change(change) => write!(f, "{name}{relation}{change:+}"),
            // Through 12 digits: 100 x 0.07 is not 7 in binary.
            Limit::Relative(change) => {
                let percent = (1e14 * change).round() / 1e12;
                write!(f, "{name}{relation}{percent:+}%")
            }
        }
    }
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let split = text.find(['<', '>']).ok_or_else(|| {
            format!("`{text}` has no `>` or `<`; expected a condition such as `p99>+5%`")
        })?;
        let (name, rest) = (text[..split].trim(), text[split + 1..].trim());
        let find = |names: &[&'static str]| names.iter().copied().find(|known| *known == name);
        let metric = match (find(&MEASURED), find(&PLAIN)) {
            (Some(name), _) => Metric::Measured(name),
            (None, Some(name)) => Metric::Plain(name),
            (None, None) => {
                let known = [&MEASURED[..], &PLAIN].concat().join(", ");
                return Err(format!("`{name}` is not a metric; expected one of {known}"));
            }
        };
        let (number, percent) = match rest.strip_suffix('%') {
            Some(number) => (number.trim_end(), true),
            None => (rest, false),
        };
        let signed = number.starts_with(['+', '-']);
        let value = number.parse::<f64>().ok().filter(|value| value.is_finite());
        let value = value
            .ok_or_else(|| format!("`{rest}` is not a limit; expected `+5%`, `-0.01` or `20`"))?;
        let limit = match (percent, signed) {
            (true, true) => Limit::Relative(value / 100.0),
            (true, false) => {
                return Err(format!(
                    "`{text}` needs a sign: `{name}{}+{rest}` or `-{rest}`",
                    &text[split..=split]
                ));
            }
            (false, true) => Limit::Change(value),
            (false, false) => Limit::Value(value),
        };
        Ok(Self {
            metric,
            above: text[split..].starts_with('>'),
            limit,
        })
    }
}

/// Conditions, parted by commas.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditions(pub Vec<Condition>);

impl FromStr for Conditions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_and_written() {
        let text = "p99>+5%,flips>0,top1<-0.01,images_per_second<-7%,p50>20";
        let Conditions(conditions) = text.parse().unwrap();
        let written: Vec<_> = conditions.iter().map(Condition::to_string).collect();
        assert_eq!(written.join(","), text);
        assert_eq!(conditions[0].metric, Metric::Measured("p99"));
        assert_eq!(conditions[0].limit, Limit::Relative(0.05));
        assert_eq!(conditions[1].metric, Metric::Plain("flips"));
        assert!(!conditions[3].above);
        let needs: Vec<_> = conditions.iter().map(Condition::needs_base).collect();
        assert_eq!(needs, [true, false, true, true, false]);
        assert_eq!(" p50 > + 5 %".parse::<Condition>().ok(), None);
        assert!(" p50 > +5 % ".parse::<Condition>().is_ok());
    }

    #[test]
    fn what_is_no_condition_says_why() {
        let cases = [
            ("p99", "has no `>` or `<`"),
            (
                "p98>1",
                "`p98` is not a metric; expected one of images_per_second, mean, p50",
            ),
            ("max>+5%", "`max` is not a metric"),
            ("p99>5%", "`p99>5%` needs a sign: `p99>+5%` or `-5%`"),
            ("p99>fast", "`fast` is not a limit"),
            ("p99>+inf", "is not a limit"),
            ("", "has no"),
        ];
        for (text, expected) in cases {
            let error = text.parse::<Conditions>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
