//! Text report of a benchmark. Prints nothing, rounds everything.

use bench::percentiles::needed;
use bench::{BenchResult, Findings, Skipped};
use console::numbers;
use console::table::{Column, Table};

/// Flipped files shown; the JSON file has them all.
const SHOWN: usize = 10;

/// The whole report.
pub(crate) fn text(findings: &Findings) -> String {
    let results = &findings.results;
    let mut parts = Vec::new();
    if !results.is_empty() {
        parts.push(speed(results));
        parts.push(cold(results));
        parts.push(stages(results));
        parts.extend(accuracy(results));
        parts.extend(verification(results));
    }
    let left_out: Vec<String> = skipped(&findings.skipped)
        .iter()
        .map(|line| format!("left out {line}"))
        .collect();
    if !left_out.is_empty() {
        parts.push(left_out.join("\n"));
    }
    if !findings.pareto.is_empty() {
        let mut lines =
            vec!["best trade-offs of throughput, latency and accuracy: nothing is at least as good in all three".to_owned()];
        lines.extend(
            findings
                .pareto
                .iter()
                .map(|index| format!("  {}", results[*index].key)),
        );
        parts.push(lines.join("\n"));
    }
    parts.extend(findings.recommendation.clone());
    if !findings.comparison.is_empty() {
        parts.push(findings.comparison.join("\n"));
    }
    parts.join("\n\n")
}

/// A table whose first column is aligned to the left and all others to the right.
fn columns(rows: &[Vec<String>]) -> String {
    let mut table = Table::new([Column::LEFT, Column::RIGHT]);
    rows.iter().for_each(|row| table.row(row));
    table.to_string()
}

fn row<S: ToString>(cells: impl IntoIterator<Item = S>) -> Vec<String> {
    cells.into_iter().map(|cell| cell.to_string()).collect()
}

/// About three significant digits: 0.00012, 0.123, 1.23, 12.3, 123.
pub(crate) fn digits(value: f64) -> String {
    match value.abs() {
        big if big >= 99.95 => format!("{value:.0}"),
        middle if middle >= 9.995 => format!("{value:.1}"),
        small if small >= 0.9995 => format!("{value:.2}"),
        smaller if smaller >= 0.001 => format!("{value:.3}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.5}"),
    }
}

/// The same, empty where there is no value.
pub(crate) fn optional_digits(value: Option<f64>) -> String {
    value.map(digits).unwrap_or_default()
}

/// The 95 % interval of the images per second.
pub(crate) fn throughput_interval(result: &BenchResult) -> String {
    let interval = result.interval_95.get("images_per_second");
    interval.map_or(String::new(), |[low, high]| {
        format!("{} to {}", digits(*low), digits(*high))
    })
}

fn speed(results: &[BenchResult]) -> String {
    let head = [
        "", "images/s", "95 %", "mean ms", "p50", "p90", "p95", "p99", "p99.9", "max", "runs",
    ];
    let mut rows = vec![row(head)];
    let mut empty = false;
    for result in results {
        let latency = &result.latency_ms;
        let mut cells = vec![
            result.key.to_string(),
            digits(result.images_per_second),
            throughput_interval(result),
        ];
        cells.extend(latency.values().map(optional_digits));
        cells.push(result.runs.to_string());
        empty |= latency.mean.is_some() && latency.p999.is_none();
        rows.push(cells);
    }
    let mut text = columns(&rows);
    if empty {
        text += &format!(
            "\n(a percentile is empty where there are too few runs for it: p90 needs {} runs, p99 {}, p99.9 {})",
            needed(0.9),
            needed(0.99),
            needed(0.999)
        );
    }
    text
}

fn cold(results: &[BenchResult]) -> String {
    let head = [
        "cold, ms",
        "library",
        "session",
        "engine",
        "first run",
        "new shape",
        "host MB",
        "GPU MB",
        "nodes",
    ];
    let mut rows = vec![row(head)];
    let megabytes = |bytes: Option<u64>| optional_digits(bytes.map(|bytes| bytes as f64 / 1e6));
    for result in results {
        let (cold, memory) = (&result.cold_ms, &result.memory);
        let nodes: Vec<String> = result
            .nodes_by_provider
            .iter()
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        let mut cells = vec![result.key.to_string()];
        cells.extend(cold.values().map(optional_digits));
        cells.extend([
            megabytes(memory.host_bytes),
            megabytes(memory.device_bytes),
            nodes.join(", "),
        ]);
        rows.push(cells);
    }
    columns(&rows)
}

fn stages(results: &[BenchResult]) -> String {
    let head = [
        "ms per image",
        "decode",
        "preprocess",
        "to device",
        "compute",
        "to host",
        "post",
    ];
    let mut rows = vec![row(head)];
    for result in results {
        let mut cells = vec![result.key.to_string()];
        cells.extend(result.split_ms.values().map(optional_digits));
        rows.push(cells);
    }
    columns(&rows)
}

fn accuracy(results: &[BenchResult]) -> Option<String> {
    let head = [
        "accuracy",
        "top-1 %",
        "95 %",
        "images",
        "flips",
        "McNemar p",
        "logits off by",
    ];
    let mut rows = vec![row(head)];
    let mut flips = Vec::new();
    for result in results {
        let Some(accuracy) = &result.accuracy else {
            continue;
        };
        let [low, high] = accuracy.interval.map(|share| 100.0 * share);
        rows.push(row([
            result.key.to_string(),
            format!("{:.2}", 100.0 * result.top1.unwrap_or_default()),
            format!("{low:.1} to {high:.1}"),
            accuracy.count.to_string(),
            accuracy.flips.len().to_string(),
            numbers::p_value(accuracy.mcnemar.p_value),
            accuracy
                .max_logit_difference
                .map_or("not a number".to_owned(), |most| format!("{most:.2e}")),
        ]));
        if !accuracy.flips.is_empty() {
            flips.push(flipped(result));
        }
    }
    let text = columns(&rows);
    (rows.len() > 1).then(|| [vec![text], flips].concat().join("\n"))
}

/// Scores of verifiers.
fn verification(results: &[BenchResult]) -> Option<String> {
    let head = [
        "verifier",
        "ROC area",
        "95 %",
        "equal error %",
        "95 %",
        "right %",
        "95 %",
        "threshold",
        "pairs",
        "scores off by",
    ];
    let mut rows = vec![row(head)];
    let percents = |[low, high]: [f64; 2]| format!("{:.1} to {:.1}", 100.0 * low, 100.0 * high);
    for result in results {
        let Some(found) = &result.verification else {
            continue;
        };
        let scores = &found.scores;
        let area = scores.auc_interval;
        let area = area.map(|[low, high]| format!("{low:.3} to {high:.3}"));
        rows.push(row([
            result.key.to_string(),
            format!("{:.4}", scores.auc),
            area.unwrap_or_default(),
            format!("{:.2}", 100.0 * scores.equal_error_rate),
            scores
                .equal_error_interval
                .map(percents)
                .unwrap_or_default(),
            format!("{:.2}", 100.0 * scores.accuracy),
            percents(scores.interval),
            format!("{} {:.4}", scores.score.name(), scores.threshold),
            scores.count.to_string(),
            found
                .max_score_difference
                .map_or("not a number".to_owned(), |most| format!("{most:.2e}")),
        ]));
    }
    (rows.len() > 1).then(|| columns(&rows))
}

/// The images that are predicted as another class.
fn flipped(result: &BenchResult) -> String {
    let flips = result.accuracy.iter().flat_map(|accuracy| &accuracy.flips);
    let mut lines = vec![format!(
        "{}: predicted as another class than in fp32 on the CPU",
        result.key
    )];
    for flip in flips.clone().take(SHOWN) {
        let (path, label) = (&flip.path, &flip.label);
        lines.push(format!(
            "  {path} ({label}): {}, was {}",
            flip.found, flip.reference
        ));
    }
    let more = flips.count().saturating_sub(SHOWN);
    if more > 0 {
        lines.push(format!("  and {more} more: `--json FILE` has them all"));
    }
    lines.join("\n")
}

/// What was left out, one line for each reason: many configurations have the same.
pub(crate) fn skipped(skipped: &[Skipped]) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for skipped in skipped {
        match reasons
            .iter_mut()
            .find(|(reason, _)| *reason == skipped.reason)
        {
            Some((_, configurations)) => configurations.push(&skipped.configuration),
            None => reasons.push((&skipped.reason, vec![&skipped.configuration])),
        }
    }
    let line = |(reason, configurations): &(&str, Vec<&str>)| match configurations.as_slice() {
        [one] => format!("{one}: {reason}"),
        [first, .., last] => {
            format!(
                "{} configurations, {first} to {last}: {reason}",
                configurations.len()
            )
        }
        [] => String::new(),
    };
    reasons.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use bench::accuracy::Flip;
    use bench::example::{self, findings, result};

    use super::*;

    #[test]
    fn the_report_in_full() {
        let mut gpu = result("cuda:0", 1234.5, 0.81);
        gpu.key.feed = "resident".to_owned();
        gpu.latency_ms.p99 = Some(0.9);
        let accuracy = gpu.accuracy.as_mut().unwrap();
        accuracy.max_logit_difference = None;
        accuracy.flips = (0..12)
            .map(|at| Flip {
                path: format!("test/bees/{at}.jpg"),
                label: "bees".to_owned(),
                reference: "bees".to_owned(),
                found: "ants".to_owned(),
            })
            .collect();
        let mut findings = findings(vec![result("cpu", 38.2, 26.2), gpu]);
        let skip = |configuration: &str, reason: &str| Skipped {
            configuration: configuration.to_owned(),
            reason: reason.to_owned(),
        };
        findings.skipped = vec![
            skip("m tensorrt fp32 batch 1", "no library"),
            skip("m cpu tf32", "no such thing"),
            skip("m tensorrt fp32 batch 8", "no library"),
        ];
        findings.pareto = vec![1];
        findings.recommendation = Some("recommended: the second".to_owned());
        findings.comparison = vec!["ok     p50>+5%".to_owned()];
        insta::assert_snapshot!(text(&findings));
    }

    #[test]
    fn a_verifier_has_scores_in_place_of_an_accuracy() {
        let mut scored = result("cpu", 38.2, 26.2);
        (scored.accuracy, scored.top1) = (None, None);
        scored.verification = Some(example::verification());
        let text = text(&findings(vec![scored]));
        assert!(!text.contains("top-1"), "{text}");
        let (head, row) = text.split_once("scores off by\n").unwrap();
        assert!(
            head.contains("verifier") && head.contains("ROC area"),
            "{text}"
        );
        let cells: Vec<&str> = row
            .split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .collect();
        // Two intervals take ten identities.
        let expected = [
            "0.7500",
            "50.00",
            "75.00",
            "30.1 to 95.4",
            "probability 0.5000",
            "4",
            "1.00e-7",
        ];
        assert_eq!(cells[1..], expected, "{text}");
    }

    #[test]
    fn numbers_keep_three_digits() {
        let cases = [
            (0.0, "0"),
            (0.000123, "0.00012"),
            (0.1234, "0.123"),
            (1.2345, "1.23"),
            (9.999, "10.0"),
            (99.96, "100"),
            (1234.5, "1234"),
        ];
        for (value, expected) in cases {
            assert_eq!(digits(value), expected);
        }
    }
}
