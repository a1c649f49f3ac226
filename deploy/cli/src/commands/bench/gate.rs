//! Conditions of `--fail-if` that could not be judged: refused before minutes of measuring. Judges none.

use std::time::Duration;

use bench::cold::OpenedConfig;
use bench::compare::{self, Conditions, Metric};
use bench::plan::Plan;
use bench::{Findings, Key};

use crate::cli::BenchArgs;
use crate::cli_error::CliError;

/// Figures that images with labels give of a classifier.
const OF_DATA: [&str; 3] = ["top1", "flips", "logit_difference"];
/// Figures that pairs give of a verifier.
const OF_PAIRS: [&str; 2] = ["auc", "equal_error_rate"];

fn conditions(args: &BenchArgs) -> impl Iterator<Item = &compare::Condition> {
    let conditions = args.results.fail_if.as_ref();
    conditions.into_iter().flat_map(|Conditions(list)| list)
}

/// Refuses a change against a base that is not there or lacks the figure.
pub(super) fn check_base(args: &BenchArgs, base: Option<&Findings>) -> anyhow::Result<()> {
    for condition in conditions(args).filter(|condition| condition.needs_base()) {
        match base {
            Some(base) => compare::check_base(condition, base)?,
            None => return Err(condition.without_base().into()),
        }
    }
    Ok(())
}

/// Refuses figures that the opened sessions and their data cannot have.
pub(super) fn check_opened(
    args: &BenchArgs,
    plan: &Plan,
    configs: &[OpenedConfig],
) -> anyhow::Result<()> {
    for metric in conditions(args).map(|condition| condition.metric) {
        for opened in configs {
            let (model, memory) = (plan.model(&opened.config), &opened.memory);
            let is_there = match metric.name() {
                "build" => opened.cold.build.is_some(),
                "host_bytes" => memory.host_bytes.is_some(),
                "device_bytes" => memory.device_bytes.is_some(),
                name if OF_DATA.contains(&name) => model.data.is_some(),
                name if OF_PAIRS.contains(&name) => model.pairs.is_some(),
                _ => true,
            };
            if !is_there {
                let (name, key) = (metric.name(), plan.key(&opened.config));
                let is_verifier = model.pair_shape.is_some();
                let hint = match (OF_DATA.contains(&name), OF_PAIRS.contains(&name)) {
                    (true, _) if is_verifier => "a verifier has `auc` and `equal_error_rate`",
                    (_, true) if !is_verifier => {
                        "a classifier has `top1`, `flips` and `logit_difference`"
                    }
                    (true, _) => "name labelled images with `--data`, or leave the condition out",
                    (_, true) => "name labelled pairs with `--data`, or leave the condition out",
                    (false, false) => "leave the condition out",
                };
                return Err(CliError::with_hint(format!("`{key}` has no `{name}`"), hint).into());
            }
        }
    }
    Ok(())
}

/// Refuses percentiles for which the configurations, at the rates of their warm-up, are too slow.
pub(super) fn check_runs(
    args: &BenchArgs,
    keys: &[Key],
    runs_per_second: &[f64],
) -> anyhow::Result<()> {
    let (duration, blocks) = (args.measuring.duration, args.measuring.blocks);
    for metric in conditions(args).map(|condition| condition.metric) {
        for (key, rate) in keys.iter().zip(runs_per_second) {
            check_one(metric, key, *rate, (duration, blocks))?;
        }
    }
    Ok(())
}

fn check_one(
    metric: Metric,
    key: &Key,
    runs_per_second: f64,
    (duration, blocks): (Duration, u16),
) -> Result<(), CliError> {
    let name = metric.name();
    let is_latency = matches!(metric, Metric::Measured(name) if name != "images_per_second");
    if is_latency && key.scenario == "offline" {
        return Err(CliError::with_hint(
            format!(
                "`{name}` has no value in the scenario `offline`, where only throughput counts"
            ),
            "use `images_per_second`, or another `--scenario`",
        ));
    }
    let Some(needed) = metric.needed_runs() else {
        return Ok(());
    };
    let least = usize::from(blocks) * key.streams;
    let expected = (runs_per_second * duration.as_secs_f64()).round() as usize;
    if expected.max(least) >= needed {
        return Ok(());
    }
    Err(CliError::with_hint(
        format!(
            "`{name}` of {key} needs {needed} runs, and `--duration {}` is time for about {expected}",
            humantime::format_duration(duration)
        ),
        format!(
            "measure longer with `--duration {}s`, or use a lower percentile",
            compare::seconds_for(needed, runs_per_second)
        ),
    ))
}
