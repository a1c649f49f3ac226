//! Pareto front of many configurations, and one recommendation with its reason. Measures nothing.

use crate::findings::BenchResult;

/// Objectives, of which more is better: throughput, negative latency, accuracy where it is known.
fn objectives(result: &BenchResult) -> [f64; 3] {
    let latency = result.latency_ms.p50.or(result.latency_ms.mean);
    [
        result.images_per_second,
        latency.map_or(0.0, |latency| -latency),
        result.top1.unwrap_or(0.0),
    ]
}

/// Pareto front: indices of the results that no other dominates, which is as good in every objective and better in
/// one.
pub fn pareto(results: &[BenchResult]) -> Vec<usize> {
    let objectives: Vec<_> = results.iter().map(objectives).collect();
    let dominates = |a: &[f64; 3], b: &[f64; 3]| {
        a.iter().zip(b).all(|(a, b)| a >= b) && a.iter().zip(b).any(|(a, b)| a > b)
    };
    (0..objectives.len())
        .filter(|index| {
            !objectives
                .iter()
                .any(|other| dominates(other, &objectives[*index]))
        })
        .collect()
}

/// Significance level of McNemar's test.
const SIGNIFICANCE: f64 = 0.05;

/// One sentence: the fastest of those whose accuracy is not shown to be worse than their reference's,
/// and whose accuracy lies within the best one's interval. `None` without results.
pub fn recommend(results: &[BenchResult]) -> Option<String> {
    let accuracies = || results.iter().filter_map(|result| result.accuracy.as_ref());
    let share = |result: &BenchResult| result.top1;
    let best = accuracies().map(|a| (a.correct as f64 / a.count.max(1) as f64, a.interval[0]));
    let best = best.max_by(|a, b| a.0.total_cmp(&b.0));
    let as_good = |result: &&BenchResult| match (&result.accuracy, best) {
        (Some(accuracy), Some((_, low))) => {
            let worse = accuracy.mcnemar.only_first > accuracy.mcnemar.only_second;
            // McNemar's test has two sides: only a difference to the worse counts.
            let shown = worse && accuracy.mcnemar.p_value < SIGNIFICANCE;
            !shown && share(result) >= Some(low)
        }
        (None, Some(_)) => false,
        (_, None) => true,
    };
    let faster =
        |a: &&BenchResult, b: &&BenchResult| a.images_per_second.total_cmp(&b.images_per_second);
    let chosen = results.iter().filter(as_good).max_by(faster)?;
    let reason = match (&chosen.accuracy, best) {
        (Some(accuracy), Some((best, _))) => format!(
            "its accuracy of {:.1} % on {} images is not shown to be worse than that of fp32 on the CPU ({} \
             images predicted otherwise, McNemar {}), and the best accuracy is {:.1} %",
            100.0 * share(chosen).unwrap_or_default(),
            accuracy.count,
            accuracy.flips.len(),
            data::metrics::p_text(accuracy.mcnemar.p_value),
            100.0 * best
        ),
        _ if chosen.verification.is_some() => {
            "its scores are those of the file in every configuration".to_owned()
        }
        _ => "its accuracy is not known: give `--data`".to_owned(),
    };
    let latency = chosen.latency_ms.p50.or(chosen.latency_ms.mean);
    let latency = latency
        .map(|ms| format!(" at {ms:.2} ms a run"))
        .unwrap_or_default();
    Some(format!(
        "recommended: {}, the fastest with {:.1} images/s{latency}; {reason}",
        chosen.key, chosen.images_per_second
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::result;

    /// Of 100 images, `correct` right; `broken` of those that the reference had right.
    fn scored(rate: f64, p50: f64, correct: u64, broken: u64) -> BenchResult {
        let mut result = result("cpu", rate, p50);
        let accuracy = result.accuracy.as_mut().unwrap();
        (accuracy.count, accuracy.correct) = (100, correct);
        let (low, high) = data::metrics::wilson(correct, 100);
        accuracy.interval = [low, high];
        accuracy.mcnemar = data::metrics::mcnemar(broken, 0);
        result.top1 = Some(correct as f64 / 100.0);
        result
    }

    #[test]
    fn the_front_holds_what_nothing_beats() {
        let results = [
            scored(100.0, 10.0, 95, 0), // the most accurate
            scored(200.0, 10.0, 90, 5), // fast
            scored(90.0, 11.0, 95, 0),  // beaten by the first
            scored(50.0, 2.0, 95, 0),   // quick to answer
            scored(200.0, 10.0, 90, 5), // as good as the second
        ];
        assert_eq!(pareto(&results), [0, 1, 3, 4]);
        assert_eq!(pareto(&[]), Vec::<usize>::new());
    }

    #[test]
    fn the_fastest_is_recommended_unless_it_answers_worse() {
        let mut results = vec![scored(100.0, 10.0, 95, 0), scored(300.0, 3.0, 80, 15)];
        let sentence = recommend(&results).unwrap();
        assert!(
            sentence.contains("100.0 images/s") && sentence.contains("95.0 % on 100"),
            "{sentence}"
        );
        results.push(scored(200.0, 5.0, 94, 1));
        assert!(recommend(&results).unwrap().contains("200.0 images/s"));
        for result in &mut results {
            (result.accuracy, result.top1) = (None, None);
        }
        let sentence = recommend(&results).unwrap();
        assert!(sentence.contains("300.0 images/s") && sentence.contains("give `--data`"));
        assert_eq!(recommend(&[]), None);
    }
}
