//! Schedule of the measurements: configurations take turns, so that whatever drifts hits all of them alike.
//! Reads no file, computes no statistic.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deploy::Result;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use crate::measurements::Measurements;
use crate::scenario::{self, Load, Scenario};
use crate::worker::{Worker, WorkerHandle};

/// Times, order and load of the measurements.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub scenario: Scenario,
    /// Arrivals per second of the server scenario.
    pub rate: f64,
    pub warmup: Duration,
    pub duration: Duration,
    pub blocks: u32,
    pub seed: u64,
}

impl Schedule {
    /// Duration of a turn.
    fn turn(&self) -> Duration {
        self.duration / self.blocks.max(1)
    }

    /// Load of a turn, for a configuration that does so many runs per second.
    fn load(&self, runs_per_second: f64, turn: u64) -> Load {
        match self.scenario {
            Scenario::SingleStream => Load::SingleStream(self.turn()),
            Scenario::MultiStream => Load::MultiStream(self.turn()),
            Scenario::Server => {
                // Turns differ in their arrivals; configurations do not.
                let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(turn);
                Load::Server(scenario::arrivals(self.rate, self.turn(), seed))
            }
            Scenario::Offline => {
                let runs = runs_per_second * self.turn().as_secs_f64();
                Load::Offline((runs.round() as usize).max(1))
            }
        }
    }
}

/// A configuration with its sessions open.
#[derive(Debug)]
pub struct BenchConfig {
    /// One per stream.
    pub workers: Vec<Worker>,
    pub batch: usize,
}

impl BenchConfig {
    pub(crate) fn streams(&self) -> Vec<WorkerHandle> {
        self.workers
            .iter()
            .map(|worker| worker.handle.clone())
            .collect()
    }
}

/// Warms every configuration up; the answer is its runs per second. An interruption leaves out the rest.
/// `progress` is called with the index of each.
///
/// # Errors
/// A model stops.
pub fn warm_up(
    configs: &[&BenchConfig],
    schedule: &Schedule,
    stop: &Arc<AtomicBool>,
    progress: &dyn Fn(usize),
) -> Result<Vec<f64>> {
    let mut rates = Vec::new();
    for (index, sessions) in configs.iter().enumerate() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        progress(index);
        let load = Load::SingleStream(schedule.warmup);
        let warm = scenario::turn(&sessions.streams(), &load, sessions.batch, stop)?;
        rates.push(warm.runs as f64 / warm.elapsed.max(f64::MIN_POSITIVE));
    }
    Ok(rates)
}

/// Measures every configuration; the answer is in their order. An interruption leaves what was measured
/// before it. `runs_per_second` is that of the warm-up: the offline scenario fills a turn by it. `progress` is called
/// for every turn with the index of the configuration and what was measured.
///
/// # Errors
/// A model stops.
pub fn run(
    configs: &[&BenchConfig],
    runs_per_second: &[f64],
    schedule: &Schedule,
    stop: &Arc<AtomicBool>,
    progress: &dyn Fn(usize, &Measurements),
) -> Result<Vec<Vec<Measurements>>> {
    let mut measurements = vec![Vec::new(); configs.len()];
    let mut rng = ChaCha8Rng::seed_from_u64(schedule.seed);
    let mut order: Vec<usize> = (0..configs.len()).collect();
    for turn in 0..schedule.blocks {
        order.shuffle(&mut rng);
        for index in &order {
            let (sessions, streams) = (configs[*index], configs[*index].streams());
            if order.len() > 1 {
                scenario::run_unrecorded(&streams)?;
            }
            if stop.load(Ordering::Relaxed) {
                return Ok(measurements);
            }
            // Only an interrupted warm-up leaves a rate out.
            let Some(rate) = runs_per_second.get(*index) else {
                return Ok(measurements);
            };
            let load = schedule.load(*rate, u64::from(turn));
            let measured = scenario::turn(&streams, &load, sessions.batch, stop)?;
            if measured.runs > 0 {
                progress(*index, &measured);
                measurements[*index].push(measured);
            }
        }
    }
    Ok(measurements)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::fake_worker;

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

    fn configs() -> [BenchConfig; 2] {
        [(1, 1), (3, 2)].map(|(delay, batch)| BenchConfig {
            workers: vec![fake_worker(delay, batch)],
            batch,
        })
    }

    #[test]
    fn every_configuration_has_its_turn_in_every_block() {
        use Scenario::{MultiStream, Offline, Server, SingleStream};
        let stop = Arc::new(AtomicBool::new(false));
        for scenario in [SingleStream, MultiStream, Server, Offline] {
            let turns = std::cell::RefCell::new(Vec::new());
            let (configs, schedule) = (configs(), schedule(scenario));
            let warm = |index| turns.borrow_mut().push((index, false));
            let rates = warm_up(&configs.each_ref(), &schedule, &stop, &warm).unwrap();
            assert!(rates[0] > rates[1] && rates[0] <= 1000.0, "{rates:?}");
            let progress = |index, _: &Measurements| turns.borrow_mut().push((index, true));
            let measurements =
                run(&configs.each_ref(), &rates, &schedule, &stop, &progress).unwrap();
            assert!(
                measurements.iter().all(|blocks| blocks.len() == 3),
                "{scenario:?}"
            );
            assert_eq!(turns.borrow()[..2], [(0, false), (1, false)]);
            for round in turns.borrow()[2..].chunks(2) {
                let mut indices: Vec<_> = round.iter().map(|turn| turn.0).collect();
                indices.sort_unstable();
                assert_eq!(indices, [0, 1]);
            }
        }
    }

    #[test]
    fn an_interruption_leaves_what_was_taken() {
        let stop = Arc::new(AtomicBool::new(false));
        let interrupt = |_, _: &Measurements| stop.store(true, Ordering::Relaxed);
        let (configs, schedule) = (configs(), schedule(Scenario::SingleStream));
        let rates = warm_up(&configs.each_ref(), &schedule, &stop, &|_| ()).unwrap();
        let measurements = run(&configs.each_ref(), &rates, &schedule, &stop, &interrupt).unwrap();
        assert_eq!(measurements.iter().map(Vec::len).sum::<usize>(), 1);
    }
}
