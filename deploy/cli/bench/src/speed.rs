//! Speed of a second piece of work beside that of a first one. Knows no model.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::clock::timed;
use crate::stats::median;

/// Enough pairs for an interval, whatever one run takes, and no more than it needs.
const PAIRS: std::ops::RangeInclusive<usize> = 6..=1000;

/// How many times as fast the second one is as the first.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Speed {
    /// Median over the pairs of runs.
    pub ratio: f64,
    /// 95 % interval of the median (order statistics).
    pub interval: [f64; 2],
    /// Pairs of runs.
    pub runs: usize,
    /// Median of a run of the first, in milliseconds.
    pub first_ms: f64,
    /// Median of a run of the second, in milliseconds.
    pub second_ms: f64,
}

/// Runs both in turns for about `budget`, so that a machine that becomes slower is slower for both. The one that begins
/// changes from pair to pair.
///
/// # Errors
/// Those of the runs.
pub fn compare<E>(
    mut first: impl FnMut() -> Result<(), E>,
    mut second: impl FnMut() -> Result<(), E>,
    budget: Duration,
) -> Result<Speed, E> {
    // The first runs allocate.
    for _ in 0..2 {
        first()?;
        second()?;
    }
    let start = Instant::now();
    let mut pairs: Vec<[f64; 2]> = Vec::new();
    while pairs.len() < *PAIRS.start() || (pairs.len() < *PAIRS.end() && start.elapsed() < budget) {
        let mut seconds = [0.0; 2];
        let first_begins = pairs.len().is_multiple_of(2);
        for is_first in [first_begins, !first_begins] {
            let (done, took) = if is_first {
                timed(&mut first)
            } else {
                timed(&mut second)
            };
            done?;
            // A clock may not tell so short a run from none.
            seconds[usize::from(!is_first)] = took.max(1e-9);
        }
        pairs.push(seconds);
    }
    Ok(speed(&pairs))
}

/// The speed from the seconds of each pair of runs.
fn speed(pairs: &[[f64; 2]]) -> Speed {
    let mut ratios: Vec<f64> = pairs.iter().map(|[first, second]| first / second).collect();
    ratios.sort_by(f64::total_cmp);
    // Ranks between which the median lies with 95 %: the binomial's n/2 and 1.96 of its deviations.
    let (half, reach) = (
        ratios.len() as f64 / 2.0,
        0.98 * (ratios.len() as f64).sqrt(),
    );
    let last = ratios.len() - 1;
    let low = (half - reach).floor().max(0.0) as usize;
    let high = ((half + reach).ceil() as usize).min(last);
    let middle = |values: Vec<f64>| median(&values).unwrap_or_default();
    let ms = |index: usize| 1e3 * middle(pairs.iter().map(|pair| pair[index]).collect());
    Speed {
        interval: [ratios[low], ratios[high]],
        ratio: middle(ratios),
        runs: pairs.len(),
        first_ms: ms(0),
        second_ms: ms(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_the_median_of_pairs_and_lies_in_its_interval() {
        // The machine becomes slower by and by; the second takes twice as long, but once.
        let mut pairs: Vec<[f64; 2]> = (1..=40)
            .map(f64::from)
            .map(|slowness| [0.001 * slowness, 0.002 * slowness])
            .collect();
        pairs[3] = [0.004, 0.001];
        let found = speed(&pairs);
        assert_eq!(
            (found.ratio, found.interval, found.runs),
            (0.5, [0.5, 0.5], 40)
        );
        assert!(found.first_ms < found.second_ms);
        // Half of the pairs one way, half the other: nothing is shown.
        let even: Vec<[f64; 2]> = (0..40)
            .map(|i| [1.0, 0.9 + 0.2 * f64::from(i % 2)])
            .collect();
        let [low, high] = speed(&even).interval;
        assert!(low < 1.0 && high > 1.0, "{low} {high}");
    }

    #[test]
    fn both_run_in_turns_and_an_error_ends_it() {
        let order = std::cell::RefCell::new(String::new());
        let run = |name: char| {
            let order = &order;
            move || {
                order.borrow_mut().push(name);
                Ok::<(), ()>(())
            }
        };
        let found = compare(run('a'), run('b'), Duration::ZERO).unwrap();
        assert_eq!(
            (found.runs, order.borrow().as_str()),
            (6, "abababbaabbaabba")
        );
        let failed = compare(run('a'), || Err(()), Duration::ZERO);
        assert_eq!(failed, Err(()));
    }
}
