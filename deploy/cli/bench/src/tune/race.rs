//! Race: candidates take turns in shuffled rounds, and one that is shown to be slower than another leaves.
//!
//! Racing (Maron and Moore 1997, "The Racing Algorithm"; with paired t-tests as in Birattari et al. 2002) and not
//! successive halving: halving drops a share of the candidates however close they are, and on a machine that is busy
//! with other work the best one is often in the wrong half. A race drops what the measurements show, so that candidates
//! far behind cost three turns, and those that are about equal stay until the time is over. Pairs of turns of one round
//! are compared: what slows the machine down slows both.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use deploy::Result;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::space::Goal;
use crate::measurements::Measurements;
use crate::run::BenchConfig;
use crate::scenario::{self, Load};
use crate::stats::median;

/// Rounds before a candidate may leave: with fewer the t distribution has no tail that says anything.
const MIN_ROUNDS: usize = 3;
/// Rounds after which nothing new is learnt about small networks.
const MAX_ROUNDS: usize = 60;
/// Rounds in which a race divides its time while all candidates are in it.
const WANTED_ROUNDS: u32 = 8;
/// Bounds of a turn: short ones count the clock's grain, long ones leave few rounds.
const TURN: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(500)];
/// Two-sided error of what counts as shown: intervals are of 99 %.
const ERROR: f64 = 0.01;
/// Runs longer than this need no unrecorded run before a turn: refilling the caches is a small part of them.
const LONG_RUN: f64 = 0.05;

/// Rules of a race. Candidates are named by their indices.
pub struct Rules<'a> {
    pub goal: Goal,
    pub seed: u64,
    /// Whether the first may put the second out of the race by being faster.
    pub may_drop: &'a dyn Fn(usize, usize) -> bool,
    /// The candidate that all others are compared with: it stays.
    pub kept: usize,
    /// Seconds that a run may take at most.
    pub max_latency: Option<f64>,
}

/// Why a candidate left the race.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Dropped {
    /// Shown to be slower than another, which takes `share` of its time.
    Slower { than: usize, share: f64 },
    /// Its runs take longer than they may.
    TooSlow,
}

/// Result of a race.
#[derive(Debug)]
pub struct Finish {
    /// The turns of each candidate.
    pub turns: Vec<Vec<Measurements>>,
    pub dropped: Vec<Option<Dropped>>,
    pub rounds: usize,
}

/// Races for about `time`: every candidate has at least three turns, however long they take.
///
/// # Errors
/// A model stops.
pub fn race(
    candidates: &[&BenchConfig],
    rules: &Rules<'_>,
    time: Duration,
    stop: &Arc<AtomicBool>,
) -> Result<Finish> {
    let start = Instant::now();
    let count = candidates.len();
    let mut finish = Finish {
        turns: vec![Vec::new(); count],
        dropped: vec![None; count],
        rounds: 0,
    };
    let mut costs: Vec<Vec<f64>> = vec![Vec::new(); count];
    let mut alive: Vec<usize> = (0..count).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(rules.seed);
    while finish.rounds < MAX_ROUNDS {
        let left = time.saturating_sub(start.elapsed());
        let is_decided = alive.len() <= 2 && finish.rounds >= 2 * WANTED_ROUNDS as usize;
        if finish.rounds >= MIN_ROUNDS && (left.is_zero() || is_decided) {
            break;
        }
        let rounds = WANTED_ROUNDS.saturating_sub(finish.rounds as u32).max(1);
        let turn = (left / rounds / alive.len().max(1) as u32).clamp(TURN[0], TURN[1]);
        alive.shuffle(&mut rng);
        for index in &alive {
            if stop.load(Ordering::Relaxed) {
                return Ok(finish);
            }
            let measured = take_turn(candidates[*index], finish.turns[*index].last(), turn, stop)?;
            if measured.runs == 0 {
                return Ok(finish);
            }
            costs[*index].push(cost(&measured, rules.goal));
            finish.turns[*index].push(measured);
        }
        finish.rounds += 1;
        for (index, reason) in leavers(&costs, &finish.turns, &alive, rules) {
            finish.dropped[index] = Some(reason);
        }
        alive.retain(|index| finish.dropped[*index].is_none());
    }
    Ok(finish)
}

fn take_turn(
    candidate: &BenchConfig,
    last: Option<&Measurements>,
    turn: Duration,
    stop: &Arc<AtomicBool>,
) -> Result<Measurements> {
    let streams = candidate.streams();
    let is_long = last
        .and_then(|last| median(&last.latencies))
        .is_some_and(|seconds| seconds > LONG_RUN);
    if !is_long {
        scenario::run_unrecorded(&streams)?;
    }
    scenario::turn(&streams, &Load::SingleStream(turn), candidate.batch, stop)
}

/// Seconds that count: of a run, or of an image among many.
pub fn cost(measured: &Measurements, goal: Goal) -> f64 {
    match goal {
        Goal::Latency => median(&measured.latencies).unwrap_or(f64::INFINITY),
        Goal::Throughput => 1.0 / measured.rate(),
    }
}

/// Who leaves after a round, and why.
fn leavers(
    costs: &[Vec<f64>],
    turns: &[Vec<Measurements>],
    alive: &[usize],
    rules: &Rules<'_>,
) -> Vec<(usize, Dropped)> {
    let is_over = |index: usize| {
        let over = |limit: f64| {
            let mut medians = turns[index].iter().map(|turn| median(&turn.latencies));
            medians.all(|median| median.is_some_and(|seconds| seconds > limit))
        };
        turns[index].len() >= MIN_ROUNDS && rules.max_latency.is_some_and(over)
    };
    let reason = |index: usize| {
        if is_over(index) {
            return Some(Dropped::TooSlow);
        }
        let others = alive
            .iter()
            .copied()
            .filter(|other| *other != index && !is_over(*other) && (rules.may_drop)(*other, index));
        let shown = others.filter_map(|other| {
            // Not corrected for the number of pairs: a candidate that leaves by mistake costs no more than its lead over
            // the one that stays.
            let [low, share, high] = share(&costs[other], &costs[index], 1)?;
            (low > 0.0 && high < 1.0).then_some((other, share))
        });
        let best = shown.min_by(|a, b| a.1.total_cmp(&b.1));
        best.map(|(than, share)| Dropped::Slower { than, share })
    };
    let open = alive.iter().copied().filter(|index| *index != rules.kept);
    open.filter_map(|index| Some((index, reason(index)?)))
        .collect()
}

/// The share of the second's time that the first takes, with its interval: low, share, high. From the logarithms of the
/// ratios within rounds (Student's t); `None` before there are enough rounds of both.
///
/// All intervals of so many `comparisons` hold together with 99 % (Bonferroni): of many settings that are as fast as the
/// default, the luckiest would seem to be faster otherwise.
pub fn share(first: &[f64], second: &[f64], comparisons: usize) -> Option<[f64; 3]> {
    let ratios: Vec<f64> = first.iter().zip(second).map(|(a, b)| a / b).collect();
    (ratios.len() >= MIN_ROUNDS).then(|| {
        let level = 1.0 - ERROR / 2.0 / comparisons.max(1) as f64;
        let (share, [low, high]) = geometric_mean(&ratios, level);
        [low, share, high]
    })
}

/// Mean of the turns' figures with its 95 % interval.
pub fn mean(costs: &[f64]) -> (f64, [f64; 2]) {
    geometric_mean(costs, 0.975)
}

/// Geometric mean, and the interval to the quantile `level` of Student's t on both sides.
fn geometric_mean(values: &[f64], level: f64) -> (f64, [f64; 2]) {
    let logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
    let n = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / n;
    let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
    let error = (squares / (n - 1.0) / n).sqrt();
    let t = StudentsT::new(0.0, 1.0, n - 1.0).map_or(f64::INFINITY, |t| t.inverse_cdf(level));
    let reach = t * error;
    (mean.exp(), [(mean - reach).exp(), (mean + reach).exp()])
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::worker::fake_worker;

    fn rules<'a>(may_drop: &'a dyn Fn(usize, usize) -> bool) -> Rules<'a> {
        Rules {
            goal: Goal::Latency,
            seed: 1,
            may_drop,
            kept: 0,
            max_latency: None,
        }
    }

    /// Turns of one run each, which took these milliseconds.
    fn turns(milliseconds: &[f64]) -> Vec<Measurements> {
        let turn = |ms: &f64| Measurements {
            latencies: vec![ms / 1e3],
            runs: 1,
            images: 2,
            elapsed: ms / 1e3,
            ..Measurements::default()
        };
        milliseconds.iter().map(turn).collect()
    }

    fn left(all: &[&[f64]], rules: &Rules<'_>) -> Vec<(usize, Dropped)> {
        let turns: Vec<Vec<Measurements>> = all.iter().map(|ms| turns(ms)).collect();
        let costs: Vec<Vec<f64>> = turns
            .iter()
            .map(|turns| turns.iter().map(|turn| cost(turn, rules.goal)).collect())
            .collect();
        let alive: Vec<usize> = (0..all.len()).collect();
        leavers(&costs, &turns, &alive, rules)
    }

    #[test]
    fn what_is_shown_to_be_slower_leaves_and_what_is_close_stays() {
        // The machine is three times as slow in the second round, for all of them.
        let all: [&[f64]; 4] = [
            &[20.0, 60.0, 21.0],
            &[10.0, 30.0, 10.2],
            &[11.0, 29.0, 10.0],
            &[30.0, 91.0, 30.5],
        ];
        let anyone = |_, _| true;
        let found = left(&all, &rules(&anyone));
        let [(3, Dropped::Slower { than, share })] = found[..] else {
            panic!("{found:?}")
        };
        assert!(
            [1, 2].contains(&than) && (share - 0.33).abs() < 0.02,
            "{found:?}"
        );
        // Two rounds say nothing yet.
        let early: Vec<&[f64]> = all.iter().map(|ms| &ms[..2]).collect();
        assert_eq!(left(&early, &rules(&anyone)), []);
        // The one that all are compared with stays, and who may not drop others does not.
        let first_only = |by, _| by == 0;
        assert_eq!(left(&all, &rules(&first_only)).len(), 1);
        let nobody = |_, _| false;
        assert_eq!(left(&all, &rules(&nobody)), []);
    }

    #[test]
    fn what_takes_longer_than_it_may_leaves_and_drops_nobody() {
        let all: [&[f64]; 3] = [&[40.0; 3], &[30.0, 30.1, 30.2], &[9.0, 50.0, 9.0]];
        let anyone = |_, _| true;
        let limited = Rules {
            max_latency: Some(0.010),
            ..rules(&anyone)
        };
        assert_eq!(left(&all, &limited), [(1, Dropped::TooSlow)]);
    }

    #[test]
    fn a_share_lies_in_its_interval_and_needs_three_rounds() {
        let [low, share, high] = share(&[1.0, 2.2, 2.9], &[2.0, 4.0, 6.0], 1).unwrap();
        assert!(
            low < share && share < high && (share - 0.505).abs() < 0.01,
            "{share}"
        );
        assert_eq!(super::share(&[1.0, 1.0], &[2.0, 2.0], 1), None);
    }

    /// About normal, of mean 0 and variance 1.
    fn noise(rng: &mut ChaCha8Rng) -> f64 {
        (0..12).map(|_| rng.random_range(-0.5..0.5)).sum()
    }

    /// Whether one of so many settings that are all equal ends the race as shown to be faster than the first.
    fn is_fooled(rng: &mut ChaCha8Rng, settings: usize, comparisons: usize) -> bool {
        let anyone = |_, _| true;
        let (rules, turns) = (rules(&anyone), vec![Vec::new(); settings]);
        let mut costs: Vec<Vec<f64>> = vec![Vec::new(); settings];
        let mut alive: Vec<usize> = (0..settings).collect();
        for _ in 0..WANTED_ROUNDS {
            let slowness = 0.2 * noise(rng);
            for index in &alive {
                costs[*index].push((slowness + 0.05 * noise(rng)).exp());
            }
            let leaving = leavers(&costs, &turns, &alive, &rules);
            alive.retain(|index| leaving.iter().all(|(left, _)| left != index));
        }
        let is_faster = |index: &usize| {
            let found = share(&costs[*index], &costs[0], comparisons);
            found.is_some_and(|[.., high]| high < 1.0)
        };
        alive.iter().skip(1).any(is_faster)
    }

    #[test]
    fn of_many_equal_settings_none_is_shown_to_be_faster_in_99_of_100_races() {
        const RACES: usize = 600;
        const SETTINGS: usize = 16;
        let fooled = |comparisons: usize| {
            let mut rng = ChaCha8Rng::seed_from_u64(7);
            let races = (0..RACES).filter(|_| is_fooled(&mut rng, SETTINGS, comparisons));
            races.count() as f64 / RACES as f64
        };
        let corrected = fooled(SETTINGS - 1);
        assert!(corrected <= ERROR, "{corrected}");
        // Each interval by itself would not hold for all of them.
        let uncorrected = fooled(1);
        assert!(uncorrected > 2.0 * ERROR, "{uncorrected}");
    }

    #[test]
    fn throughput_counts_images_and_latency_runs() {
        let turn = &turns(&[10.0])[0];
        assert!((cost(turn, Goal::Latency) - 0.010).abs() < 1e-9);
        assert!((cost(turn, Goal::Throughput) - 0.005).abs() < 1e-9);
    }

    #[test]
    fn the_slow_ones_have_three_turns_and_the_fastest_goes_on() {
        let candidates: Vec<BenchConfig> = [1, 12, 2]
            .map(|delay| BenchConfig {
                workers: vec![fake_worker(delay, 1)],
                batch: 1,
            })
            .into();
        let all: Vec<&BenchConfig> = candidates.iter().collect();
        let anyone = |_, _| true;
        let stop = Arc::new(AtomicBool::new(false));
        // Enough rounds for the difference to show on a machine that does other work, too.
        let time = Duration::from_secs(1);
        let finish = race(&all, &rules(&anyone), time, &stop).unwrap();
        assert!(finish.dropped[0].is_none() && finish.rounds >= MIN_ROUNDS);
        assert!(finish.turns.iter().all(|turns| turns.len() >= MIN_ROUNDS));
        assert!(matches!(finish.dropped[1], Some(Dropped::Slower { .. })));
        // An interruption ends it with what was measured.
        stop.store(true, Ordering::Relaxed);
        let finish = race(&all, &rules(&anyone), time, &stop).unwrap();
        assert!(finish.turns.iter().all(Vec::is_empty));
    }
}
