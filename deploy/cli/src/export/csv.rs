//! CSV of a benchmark: one row per configuration. What is not known is an empty cell, never a 0.

use bench::{BenchResult, Findings};

const HEAD: [&str; 45] = [
    "model",
    "provider",
    "precision",
    "batch",
    "feed",
    "streams",
    "threads",
    "scenario",
    "rate",
    "runs",
    "images_per_second",
    "images_per_second_low",
    "images_per_second_high",
    "mean_ms",
    "p50_ms",
    "p90_ms",
    "p95_ms",
    "p99_ms",
    "p999_ms",
    "max_ms",
    "load_ms",
    "session_ms",
    "build_ms",
    "first_run_ms",
    "new_shape_ms",
    "decode_ms",
    "preprocess_ms",
    "host_to_device_ms",
    "compute_ms",
    "device_to_host_ms",
    "post_ms",
    "host_bytes",
    "device_bytes",
    "nodes_by_provider",
    "top1",
    "images",
    "flips",
    "mcnemar_p",
    "max_logit_difference",
    "auc",
    "equal_error_rate",
    "accuracy",
    "threshold",
    "pairs",
    "max_score_difference",
];

/// The file.
pub(crate) fn render(findings: &Findings) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(HEAD)?;
    for result in &findings.results {
        writer.write_record(row(result))?;
    }
    Ok(writer.into_inner().map_err(|error| error.into_error())?)
}

fn row(result: &BenchResult) -> Vec<String> {
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let bytes = |value: Option<u64>| value.map(|value| value.to_string()).unwrap_or_default();
    let (key, latency, cold) = (&result.key, &result.latency_ms, &result.cold_ms);
    let (stages, accuracy) = (&result.split_ms, result.accuracy.as_ref());
    let interval = result.interval_95.get("images_per_second");
    let nodes = result
        .nodes_by_provider
        .iter()
        .map(|(name, count)| format!("{name} {count}"));
    let mut row = vec![
        key.model.clone(),
        key.provider.clone(),
        key.precision.clone(),
        key.batch.to_string(),
        key.feed.clone(),
        key.streams.to_string(),
        key.threads.to_string(),
        key.scenario.clone(),
        number(key.rate),
        result.runs.to_string(),
        result.images_per_second.to_string(),
        number(interval.map(|[low, _]| *low)),
        number(interval.map(|[_, high]| *high)),
    ];
    row.extend(latency.values().map(number));
    row.extend(cold.values().map(number));
    row.extend(stages.values().map(number));
    row.extend([result.memory.host_bytes, result.memory.device_bytes].map(bytes));
    row.push(nodes.collect::<Vec<_>>().join(" "));
    row.push(number(result.top1));
    row.push(bytes(accuracy.map(|accuracy| accuracy.count)));
    row.push(bytes(accuracy.map(|accuracy| accuracy.flips.len() as u64)));
    row.push(number(accuracy.map(|accuracy| accuracy.mcnemar.p_value)));
    row.push(number(
        accuracy.and_then(|accuracy| accuracy.max_logit_difference),
    ));
    let verification = result.verification.as_ref();
    let scores = verification.map(|found| &found.scores);
    row.push(number(scores.map(|scores| scores.auc)));
    row.push(number(scores.map(|scores| scores.equal_error_rate)));
    row.push(number(scores.map(|scores| scores.accuracy)));
    row.push(number(scores.map(|scores| scores.threshold)));
    row.push(bytes(scores.map(|scores| scores.count)));
    row.push(number(
        verification.and_then(|found| found.max_score_difference),
    ));
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use bench::example::{findings, result, verification};

    #[test]
    fn every_row_has_a_cell_for_each_name_and_what_is_unknown_is_empty() {
        let mut verifier = result("cpu", 10.0, 100.0);
        (verifier.accuracy, verifier.top1) = (None, None);
        verifier.verification = Some(verification());
        let bytes = render(&findings(vec![result("cuda:0", 20.5, 48.0), verifier])).unwrap();
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        let head = reader.headers().unwrap().clone();
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        let cell = |row: usize, name: &str| {
            let column = head.iter().position(|known| known == name).unwrap();
            rows[row][column].to_owned()
        };
        assert_eq!(cell(0, "provider"), "cuda:0");
        assert_eq!(
            (cell(0, "top1"), cell(1, "top1")),
            ("0.95".into(), String::new())
        );
        assert_eq!(
            (cell(0, "p95_ms"), cell(0, "p99_ms")),
            ("62.400000000000006".into(), String::new())
        );
        assert_eq!(
            (cell(0, "nodes_by_provider"), cell(1, "flips")),
            ("cpu 49".into(), String::new())
        );
        assert_eq!(
            (cell(0, "auc"), cell(1, "auc")),
            (String::new(), "0.75".into())
        );
        assert_eq!(
            (cell(0, "max_logit_difference"), cell(0, "rate")),
            ("0".into(), String::new())
        );
    }
}
