//! Choice among measured settings: the fastest that keeps within the limits. Measures nothing.

use deploy::Precision;

use super::report::Tried;
use crate::accuracy::Accuracy;

/// What a setting must keep to be chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Milliseconds that a run may take.
    pub max_latency_ms: Option<f64>,
    /// Percentage points that may be lost on the validation images.
    pub max_accuracy_drop: f64,
}

/// The chosen setting and the reason, or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    pub recommended: Option<usize>,
    pub reason: String,
}

impl Limits {
    /// Whether answers such as these keep within the limit. Without images nothing is known of another precision than
    /// the reference's, whose answers are its own.
    pub fn keeps_accuracy(
        &self,
        validation: Option<&Accuracy>,
        precision: Precision,
        reference: Precision,
    ) -> bool {
        match validation {
            Some(accuracy) => accuracy.drop() <= self.max_accuracy_drop,
            None => precision == reference,
        }
    }

    fn keeps_latency(&self, tried: &Tried) -> bool {
        self.max_latency_ms
            .is_none_or(|limit| tail_ms(tried).is_some_and(|ms| ms <= limit))
    }
}

/// The latency that is compared with the limit: the 95th percentile, or the highest figure that so few runs support.
pub fn tail_ms(tried: &Tried) -> Option<f64> {
    let latency = &tried.latency_ms;
    latency.p95.or(latency.p90).or(latency.max)
}

/// The fastest of the settings that stayed in the race, keep within the limits, and are shown to be faster than the
/// default. The default, where there is none: a change without a gain is no gain.
pub fn choose(tried: &[Tried], default: usize, limits: &Limits) -> Choice {
    let reference = tried[default].setting.precision;
    let is_accurate = |tried: &Tried| {
        limits.keeps_accuracy(
            tried.validation.as_ref(),
            tried.setting.precision,
            reference,
        )
    };
    let is_eligible = |tried: &Tried| {
        tried.dropped.is_none() && is_accurate(tried) && limits.keeps_latency(tried)
    };
    let is_faster = |tried: &Tried| tried.speedup.is_some_and(|[low, ..]| low > 1.0);
    // Another setting must be shown to be better than a default that keeps within the limits.
    let keeps_default = is_eligible(&tried[default]);
    let eligible = tried.iter().enumerate().filter(|(index, tried)| {
        is_eligible(tried) && (*index == default || !keeps_default || is_faster(tried))
    });
    let Some((fastest, best)) = eligible.min_by(|a, b| a.1.ms.total_cmp(&b.1.ms)) else {
        return Choice {
            recommended: None,
            reason: none_reason(tried, limits),
        };
    };
    if fastest == default {
        return Choice {
            recommended: Some(default),
            reason: "the default is recommended: nothing that keeps within the limits is shown to be faster"
                .to_owned(),
        };
    }
    let speed = best.speedup.map(|[low, ratio, high]| {
        format!(", {ratio:.2} times as fast as the default (simultaneous 99 % interval {low:.2} to {high:.2})")
    });
    Choice {
        recommended: Some(fastest),
        reason: format!(
            "recommended: {}{}{}",
            best.setting,
            speed.unwrap_or_default(),
            accuracy_reason(best, limits)
        ),
    }
}

fn accuracy_reason(best: &Tried, limits: &Limits) -> String {
    let Some(accuracy) = &best.validation else {
        return "; without images only the file's own precision is recommended".to_owned();
    };
    let (flips, count) = (accuracy.flips.len(), accuracy.count);
    let answers = match flips {
        0 => format!("the same answers to {count} validation images"),
        1 => format!("another answer to 1 of {count} validation images"),
        _ => format!("another answer to {flips} of {count} validation images"),
    };
    let change = match accuracy.drop() {
        0.0 => "no accuracy lost".to_owned(),
        lost if lost > 0.0 => format!(
            "{lost:.1} points of accuracy lost, {} allowed",
            limits.max_accuracy_drop
        ),
        lost => format!("{:.1} points of accuracy won", -lost),
    };
    format!("; {answers}, {change}")
}

fn none_reason(tried: &[Tried], limits: &Limits) -> String {
    let latency = limits.max_latency_ms.map(|limit| {
        let quickest = tried.iter().filter_map(tail_ms).min_by(f64::total_cmp);
        let quickest =
            quickest.map_or_else(String::new, |ms| format!("; the quickest takes {ms:.2} ms"));
        format!("no setting keeps within {limit} ms a run{quickest}")
    });
    latency.unwrap_or_else(|| "no setting keeps the accuracy".to_owned())
}

/// Indices of the settings than which none is faster and at least as accurate: time against accuracy, of those that
/// were scored on the same images.
pub fn frontier(tried: &[Tried]) -> Vec<usize> {
    let has_test = tried.iter().any(|tried| tried.test.is_some());
    let points: Vec<(usize, f64, f64)> = tried
        .iter()
        .enumerate()
        .filter(|(_, tried)| tried.test.is_some() == has_test)
        .filter_map(|(index, tried)| Some((index, tried.ms, tried.accuracy()?.share())))
        .collect();
    let is_beaten = |(_, ms, share): &(usize, f64, f64)| {
        points.iter().any(|(_, other_ms, other_share)| {
            (other_ms < ms && other_share >= share) || (other_ms <= ms && other_share > share)
        })
    };
    let best = points.iter().filter(|point| !is_beaten(point));
    best.map(|(index, ..)| *index).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use deploy::Provider;
    use deploy::tuned::Setting;

    use super::*;
    use crate::accuracy::Flip;
    use crate::stats::Latency;

    /// Of 200 validation images the default gets 190 right, and this one `lost` fewer.
    pub(crate) fn tried(provider: Provider, precision: Precision, ms: f64, lost: u64) -> Tried {
        let correct = 190 - lost;
        let (low, high) = data::metrics::wilson(correct, 200);
        let flip = |index: u64| Flip {
            path: format!("val/bees/{index}.jpg"),
            label: "bees".to_owned(),
            reference: "bees".to_owned(),
            found: "ants".to_owned(),
        };
        Tried {
            setting: Setting {
                provider,
                precision,
                sessions: 1,
                threads: None,
                batch: 1,
            },
            rounds: 8,
            runs: 100,
            ms,
            interval: [0.98 * ms, 1.02 * ms],
            images_per_second: 1e3 / ms,
            latency_ms: Latency {
                p95: Some(1.2 * ms),
                ..Latency::default()
            },
            speedup: Some([19.0 / ms, 20.0 / ms, 21.0 / ms]),
            validation: Some(Accuracy {
                count: 200,
                correct,
                interval: [low, high],
                flips: (0..lost).map(flip).collect(),
                mcnemar: data::metrics::mcnemar(lost, 0),
                max_logit_difference: Some(0.1),
            }),
            test: None,
            dropped: None,
        }
    }

    fn all() -> Vec<Tried> {
        let openvino = Provider::openvino();
        vec![
            tried(Provider::Cpu, Precision::Fp32, 20.0, 0),
            tried(openvino, Precision::Int8, 4.0, 3),
            tried(Provider::Cpu, Precision::Int8, 6.0, 1),
            tried(openvino, Precision::Fp32, 18.0, 0),
        ]
    }

    fn choose_with(all: &[Tried], max_latency_ms: Option<f64>, max_accuracy_drop: f64) -> Choice {
        let limits = Limits {
            max_latency_ms,
            max_accuracy_drop,
        };
        choose(all, 0, &limits)
    }

    #[test]
    fn the_fastest_within_the_limits_is_chosen_with_its_reason() {
        let all = all();
        // 3 of 200 are 1.5 points, 1 of 200 is half a point.
        assert_eq!(choose_with(&all, None, 1.5).recommended, Some(1));
        let choice = choose_with(&all, None, 0.5);
        assert_eq!(choice.recommended, Some(2));
        assert_eq!(
            choice.reason,
            "recommended: cpu int8, default threads, batch 1, 3.33 times as fast as the default (simultaneous \
             99 % interval 3.17 to 3.50); another answer to 1 of 200 validation images, 0.5 points of accuracy lost, 0.5 allowed"
        );
        assert_eq!(choose_with(&all, None, 0.0).recommended, Some(3));
        assert_eq!(choose_with(&all, Some(7.2), 0.5).recommended, Some(2));
        let none = choose_with(&all, Some(5.0), 0.5);
        assert_eq!(none.recommended, None);
        assert_eq!(
            none.reason,
            "no setting keeps within 5 ms a run; the quickest takes 4.80 ms"
        );
    }

    #[test]
    fn the_default_stays_where_nothing_is_shown_to_be_faster() {
        let mut all = all();
        all.truncate(1);
        all.push(tried(Provider::openvino(), Precision::Fp32, 19.5, 0));
        let choice = choose_with(&all, None, 0.5);
        assert_eq!(choice.recommended, Some(0));
        assert!(
            choice.reason.starts_with("the default is recommended"),
            "{choice:?}"
        );
        // Another one that is shown to be faster is not kept back by one that only seems so.
        all.push(tried(Provider::openvino(), Precision::Fp32, 10.0, 0));
        all.push(Tried {
            speedup: Some([0.9, 2.2, 5.0]),
            ..tried(Provider::openvino(), Precision::Fp32, 9.0, 0)
        });
        assert_eq!(choose_with(&all, None, 0.5).recommended, Some(2));
        all.truncate(2);
        // Not where it breaks a limit that the other one keeps.
        assert_eq!(choose_with(&all, Some(23.5), 0.5).recommended, Some(1));
    }

    #[test]
    fn what_left_the_race_is_not_chosen_and_without_images_neither_is_another_precision() {
        let mut all = all();
        all[2].dropped = Some("slower".to_owned());
        all[3].ms = 10.0;
        all[3].speedup = Some([1.9, 2.0, 2.1]);
        assert_eq!(choose_with(&all, None, 0.5).recommended, Some(3));
        for tried in &mut all {
            tried.validation = None;
        }
        let choice = choose_with(&all, None, 0.5);
        assert_eq!(choice.recommended, Some(3));
        assert!(choice.reason.contains("without images"), "{choice:?}");
    }

    #[test]
    fn the_frontier_holds_what_nothing_beats() {
        assert_eq!(frontier(&all()), [1, 2, 3]);
        let mut unscored = all();
        unscored[1].validation = None;
        assert_eq!(frontier(&unscored), [2, 3]);
        // Validation and test images are not compared.
        unscored[2].test = unscored[2].validation.clone();
        assert_eq!(frontier(&unscored), [2]);
    }
}
