//! Plans to samples: configurations take turns, so that whatever drifts hits all of them alike. Reads no
//! file, computes no statistic.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use deploy::Result;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::scenario::{self, Pace};
use super::stats::Taken;
use super::worker::{Orders, Worker};

/// How runs follow each other: the scenarios of MLPerf Inference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// Each stream starts a run when its last one is done.
    #[default]
    SingleStream,
    /// All streams start together and wait for the last of them.
    MultiStream,
    /// Arrivals at random times (Poisson); latency from the arrival, so waiting counts.
    Server,
    /// Everything is there from the beginning; images per second count.
    Offline,
}

impl Scenario {
    /// Its name in results and on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SingleStream => "single-stream",
            Self::MultiStream => "multi-stream",
            Self::Server => "server",
            Self::Offline => "offline",
        }
    }
}

/// How everything is measured.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    pub(crate) scenario: Scenario,
    /// Arrivals per second of the server scenario.
    pub(crate) rate: f64,
    pub(crate) warmup: Duration,
    pub(crate) duration: Duration,
    pub(crate) blocks: u32,
    pub(crate) seed: u64,
}

impl Schedule {
    /// How long a turn is.
    fn turn(&self) -> Duration {
        self.duration / self.blocks.max(1)
    }

    /// How a turn of a configuration goes that does so many runs a second.
    fn pace(&self, runs_per_second: f64, turn: u64) -> Pace {
        match self.scenario {
            Scenario::SingleStream => Pace::Closed(self.turn()),
            Scenario::MultiStream => Pace::Together(self.turn()),
            Scenario::Server => {
                // Turns differ in their arrivals; configurations do not.
                let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(turn);
                Pace::Arrivals(scenario::arrivals(self.rate, self.turn(), seed))
            }
            Scenario::Offline => {
                let runs = runs_per_second * self.turn().as_secs_f64();
                Pace::All((runs.round() as usize).max(1))
            }
        }
    }
}

/// A configuration with its sessions open.
#[derive(Debug)]
pub(crate) struct Contender {
    /// One per stream.
    pub(crate) workers: Vec<Worker>,
    pub(crate) batch: usize,
}

impl Contender {
    fn streams(&self) -> Vec<Orders> {
        self.workers
            .iter()
            .map(|worker| worker.orders.clone())
            .collect()
    }
}

/// Takes samples of every configuration, in the order given. What an interruption leaves is what was
/// taken before it. `progress` hears of every turn: the configuration's place and what was taken, if it
/// is recorded.
///
/// # Errors
/// A model stops.
pub(crate) fn run(
    contenders: &[&Contender],
    schedule: &Schedule,
    stop: &Arc<AtomicBool>,
    progress: &dyn Fn(usize, Option<&Taken>),
) -> Result<Vec<Vec<Taken>>> {
    let mut samples = vec![Vec::new(); contenders.len()];
    let mut rates = vec![0.0; contenders.len()];
    for (at, contender) in contenders.iter().enumerate() {
        if stop.load(Ordering::Relaxed) {
            return Ok(samples);
        }
        progress(at, None);
        let pace = Pace::Closed(schedule.warmup);
        let warm = scenario::turn(&contender.streams(), &pace, contender.batch, stop)?;
        rates[at] = warm.runs as f64 / warm.elapsed.max(f64::MIN_POSITIVE);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(schedule.seed);
    let mut order: Vec<usize> = (0..contenders.len()).collect();
    for turn in 0..schedule.blocks {
        order.shuffle(&mut rng);
        for at in &order {
            let (contender, streams) = (contenders[*at], contenders[*at].streams());
            if order.len() > 1 {
                scenario::rouse(&streams)?;
            }
            if stop.load(Ordering::Relaxed) {
                return Ok(samples);
            }
            let pace = schedule.pace(rates[*at], u64::from(turn));
            let taken = scenario::turn(&streams, &pace, contender.batch, stop)?;
            if taken.runs > 0 {
                progress(*at, Some(&taken));
                samples[*at].push(taken);
            }
        }
    }
    Ok(samples)
}

/// Calls `work` and says how many seconds it took.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let value = work();
    (value, start.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::worker::fake;

    fn schedule(scenario: Scenario) -> Schedule {
        Schedule {
            scenario,
            rate: 200.0,
            warmup: Duration::from_millis(5),
            duration: Duration::from_millis(60),
            blocks: 3,
            seed: 1,
        }
    }

    fn contenders() -> [Contender; 2] {
        [(1, 1), (3, 2)].map(|(delay, batch)| Contender {
            workers: vec![fake(delay, batch)],
            batch,
        })
    }

    #[test]
    fn every_configuration_has_its_turn_in_every_block() {
        use Scenario::{MultiStream, Offline, Server, SingleStream};
        let stop = Arc::new(AtomicBool::new(false));
        for scenario in [SingleStream, MultiStream, Server, Offline] {
            let turns = std::cell::RefCell::new(Vec::new());
            let progress =
                |at, taken: Option<&Taken>| turns.borrow_mut().push((at, taken.is_some()));
            let samples = run(
                &contenders().each_ref(),
                &schedule(scenario),
                &stop,
                &progress,
            )
            .unwrap();
            assert!(
                samples.iter().all(|blocks| blocks.len() == 3),
                "{scenario:?}"
            );
            assert_eq!(turns.borrow()[..2], [(0, false), (1, false)]);
            for round in turns.borrow()[2..].chunks(2) {
                let mut places: Vec<_> = round.iter().map(|turn| turn.0).collect();
                places.sort_unstable();
                assert_eq!(places, [0, 1]);
            }
        }
    }

    #[test]
    fn an_interruption_leaves_what_was_taken() {
        let stop = Arc::new(AtomicBool::new(false));
        let interrupt = |_, taken: Option<&Taken>| {
            if taken.is_some() {
                stop.store(true, Ordering::Relaxed);
            }
        };
        let schedule = schedule(Scenario::SingleStream);
        let samples = run(&contenders().each_ref(), &schedule, &stop, &interrupt).unwrap();
        assert_eq!(samples.iter().map(Vec::len).sum::<usize>(), 1);
    }
}
