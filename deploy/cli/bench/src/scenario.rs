//! Load scenarios: how runs follow each other, as in MLPerf Inference (Reddi et al. 2020, table II).
//! Reads the clock; knows no configuration.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use deploy::Result;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::measurements::Measurements;
use crate::worker::{Orders, Runner};

/// How runs follow each other: the scenarios of MLPerf Inference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scenario {
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
    pub fn name(self) -> &'static str {
        match self {
            Self::SingleStream => "single-stream",
            Self::MultiStream => "multi-stream",
            Self::Server => "server",
            Self::Offline => "offline",
        }
    }
}

/// How the runs of one turn follow each other.
#[derive(Clone, Debug)]
pub enum Pace {
    /// Each stream starts a run when its last one is done, for so long.
    Closed(Duration),
    /// All streams start together and wait for the last of them, for so long.
    Together(Duration),
    /// A run is due at each of these times after the beginning; whoever is free does it.
    Arrivals(Arc<[Duration]>),
    /// So many runs are due at the beginning.
    All(usize),
}

/// Arrival times of a Poisson process within `duration`, at least one: distances are exponential.
pub fn arrivals(rate: f64, duration: Duration, seed: u64) -> Arc<[Duration]> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut at, mut times) = (0.0, Vec::new());
    loop {
        // 1 - u lies in (0, 1]: its logarithm is finite.
        at += -(1.0 - rng.random::<f64>()).ln() / rate;
        if at > duration.as_secs_f64() && !times.is_empty() {
            return times.into();
        }
        times.push(Duration::from_secs_f64(at));
    }
}

/// One run.
struct Lap {
    /// When it was due, or was begun where nothing says when it was due.
    from: Instant,
    to: Instant,
}

/// The runs of one stream.
struct Ran {
    laps: Vec<Lap>,
    end: Instant,
    to_device: Option<Duration>,
    compute: Duration,
    from_device: Option<Duration>,
}

impl Ran {
    fn new() -> Self {
        Self {
            laps: Vec::new(),
            end: Instant::now(),
            to_device: None,
            compute: Duration::ZERO,
            from_device: None,
        }
    }

    /// Seconds of each run.
    fn latencies(&self) -> impl Iterator<Item = f64> {
        self.laps
            .iter()
            .map(|lap| lap.to.saturating_duration_since(lap.from).as_secs_f64())
    }

    /// Runs the model; the time counts from `from`.
    fn lap(&mut self, runner: &mut dyn Runner, from: Instant) -> Result<()> {
        let phases = runner.run()?;
        self.end = Instant::now();
        self.laps.push(Lap { from, to: self.end });
        self.compute += phases.compute;
        let add = |sum: &mut Option<Duration>, part: Option<Duration>| {
            if let Some(part) = part {
                *sum = Some(sum.unwrap_or_default() + part);
            }
        };
        add(&mut self.to_device, phases.to_device);
        add(&mut self.from_device, phases.from_device);
        Ok(())
    }
}

/// Lets every stream run once, without a record: other configurations have had the caches meanwhile.
pub(crate) fn rouse(streams: &[Orders]) -> Result<()> {
    let pending: Vec<_> = streams
        .iter()
        .map(|orders| orders.ask(|runner| runner.run()))
        .collect();
    for run in pending {
        run.wait()??;
    }
    Ok(())
}

/// One turn of a configuration: `batch` images per run, in every stream.
pub(crate) fn turn(
    streams: &[Orders],
    pace: &Pace,
    batch: usize,
    stop: &Arc<AtomicBool>,
) -> Result<Measurements> {
    let begun = Instant::now();
    let next = Arc::new(AtomicUsize::new(0));
    let barrier = Arc::new(Barrier::new(streams.len()));
    let over = Arc::new(AtomicBool::new(false));
    let start = |orders: &Orders| {
        let (pace, stop, next) = (pace.clone(), Arc::clone(stop), Arc::clone(&next));
        let (barrier, over) = (Arc::clone(&barrier), Arc::clone(&over));
        orders.ask(move |runner| match pace {
            Pace::Closed(duration) => closed(runner, begun + duration, &stop),
            Pace::Together(duration) => {
                together(runner, begun + duration, &stop, (&barrier, &over))
            }
            Pace::Arrivals(times) => served(runner, begun, &times, (&next, &stop)),
            Pace::All(count) => drain(runner, count, (&next, &stop)),
        })
    };
    let pending: Vec<_> = streams.iter().map(start).collect();
    let ran: Result<Vec<Ran>> = pending.into_iter().map(|stream| stream.wait()?).collect();
    Ok(measurements(&ran?, pace, batch, begun))
}

fn closed(runner: &mut dyn Runner, until: Instant, stop: &AtomicBool) -> Result<Ran> {
    let mut ran = Ran::new();
    loop {
        let from = ran.end;
        ran.lap(runner, from)?;
        if ran.end >= until || stop.load(Ordering::Relaxed) {
            return Ok(ran);
        }
    }
}

fn together(
    runner: &mut dyn Runner,
    until: Instant,
    stop: &AtomicBool,
    (barrier, over): (&Barrier, &AtomicBool),
) -> Result<Ran> {
    let mut ran = Ran::new();
    let mut result = Ok(());
    loop {
        barrier.wait();
        if over.load(Ordering::SeqCst) {
            return result.map(|()| ran);
        }
        result = ran.lap(runner, Instant::now());
        // A stream that failed goes on to the barrier, where the others wait for it.
        let end = result.is_err() || ran.end >= until || stop.load(Ordering::Relaxed);
        barrier.wait();
        if end {
            over.store(true, Ordering::SeqCst);
        }
    }
}

fn served(
    runner: &mut dyn Runner,
    begun: Instant,
    times: &[Duration],
    (next, stop): (&AtomicUsize, &AtomicBool),
) -> Result<Ran> {
    let mut ran = Ran::new();
    while let Some(time) = times.get(next.fetch_add(1, Ordering::Relaxed)) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        // From the time at which it was due, not from when a stream was free for it: otherwise a server
        // that is behind looks fast (coordinated omission).
        let due = begun + *time;
        if !wait(due, stop) {
            break;
        }
        ran.lap(runner, due)?;
    }
    Ok(ran)
}

/// Sleeps, and spins at the end: a sleep alone ends some 60 microseconds late. `false`: stopped before.
fn wait(until: Instant, stop: &AtomicBool) -> bool {
    const SPIN: Duration = Duration::from_micros(100);
    const SLICE: Duration = Duration::from_millis(50);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        if left <= SPIN {
            break;
        }
        std::thread::sleep((left - SPIN).min(SLICE));
    }
    while Instant::now() < until {
        std::hint::spin_loop();
    }
    true
}

fn drain(
    runner: &mut dyn Runner,
    count: usize,
    (next, stop): (&AtomicUsize, &AtomicBool),
) -> Result<Ran> {
    let mut ran = Ran::new();
    while next.fetch_add(1, Ordering::Relaxed) < count && !stop.load(Ordering::Relaxed) {
        let from = ran.end;
        ran.lap(runner, from)?;
    }
    Ok(ran)
}

fn measurements(ran: &[Ran], pace: &Pace, batch: usize, begun: Instant) -> Measurements {
    let runs: usize = ran.iter().map(|stream| stream.laps.len()).sum();
    let images = runs * batch;
    let end = ran.iter().map(|stream| stream.end).max().unwrap_or(begun);
    let latencies: Vec<f64> = match pace {
        Pace::Closed(_) | Pace::Arrivals(_) => ran.iter().flat_map(Ran::latencies).collect(),
        Pace::Together(_) => rounds(ran),
        Pace::All(_) => Vec::new(),
    };
    let elapsed = match pace {
        // Streams end at different times: each counts by its own rate while it ran.
        Pace::Closed(_) => {
            let rate = |stream: &Ran| stream.laps.len() as f64 / stream.latencies().sum::<f64>();
            runs as f64 / ran.iter().map(rate).sum::<f64>()
        }
        Pace::Together(_) => latencies.iter().sum(),
        Pace::Arrivals(_) | Pace::All(_) => end.saturating_duration_since(begun).as_secs_f64(),
    };
    let sum = |part: fn(&Ran) -> Option<Duration>| {
        let parts = ran.iter().filter_map(part);
        parts.reduce(|a, b| a + b).map(|sum| sum.as_secs_f64())
    };
    Measurements {
        runs: if matches!(pace, Pace::Together(_)) {
            latencies.len()
        } else {
            runs
        },
        latencies,
        images,
        elapsed,
        to_device: sum(|stream| stream.to_device),
        compute: sum(|stream| Some(stream.compute)).unwrap_or_default(),
        from_device: sum(|stream| stream.from_device),
    }
}

/// From the first start to the last end of each round.
fn rounds(ran: &[Ran]) -> Vec<f64> {
    let count = ran
        .iter()
        .map(|stream| stream.laps.len())
        .min()
        .unwrap_or(0);
    let round = |at: usize| {
        let laps = || ran.iter().map(move |stream| &stream.laps[at]);
        let (from, to) = (
            laps().map(|lap| lap.from).min(),
            laps().map(|lap| lap.to).max(),
        );
        from.zip(to).map(|(from, to)| (to - from).as_secs_f64())
    };
    (0..count).filter_map(round).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::{Worker, fake};

    fn run(workers: &[Worker], pace: &Pace) -> Measurements {
        let streams: Vec<_> = workers.iter().map(|worker| worker.orders.clone()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        rouse(&streams).unwrap();
        turn(&streams, pace, workers[0].batch, &stop).unwrap()
    }

    #[test]
    fn a_stream_runs_at_least_once_and_its_images_are_counted() {
        let measured = run(&[fake(2, 3)], &Pace::Closed(Duration::ZERO));
        assert_eq!(
            (measured.runs, measured.images, measured.latencies.len()),
            (1, 3, 1)
        );
        assert!(measured.latencies[0] >= 0.002 && measured.compute >= 0.002);
        assert_eq!(measured.to_device, None);
    }

    #[test]
    fn streams_of_their_own_add_up() {
        let measured = run(
            &[fake(4, 1), fake(4, 1)],
            &Pace::Closed(Duration::from_millis(40)),
        );
        assert!(measured.runs >= 4);
        // Two streams that each take at least 4 ms a run.
        let rate = measured.rate();
        assert!(rate <= 500.0, "{rate}");
        assert!(
            (measured.latencies.iter().sum::<f64>() / 2.0 / measured.elapsed - 1.0).abs() < 0.5
        );
    }

    #[test]
    fn streams_together_are_as_slow_as_the_slowest() {
        let measured = run(
            &[fake(0, 2), fake(10, 2)],
            &Pace::Together(Duration::from_millis(25)),
        );
        assert!(measured.latencies.iter().all(|latency| *latency >= 0.010));
        assert_eq!(measured.images, 2 * 2 * measured.runs);
    }

    #[test]
    fn a_server_that_is_behind_is_not_fast() {
        // Every 1 ms a run of 10 ms is due: the n-th waits for those before it.
        let times: Arc<[Duration]> = (1..=6).map(Duration::from_millis).collect();
        let measured = run(&[fake(10, 1)], &Pace::Arrivals(times));
        assert_eq!(measured.runs, 6);
        for (n, latency) in measured.latencies.iter().enumerate() {
            assert!(
                *latency >= 0.010 + 0.009 * n as f64,
                "{:?}",
                measured.latencies
            );
        }
    }

    #[test]
    fn everything_at_once_is_done_once() {
        let measured = run(&[fake(1, 4), fake(1, 4)], &Pace::All(7));
        assert_eq!(
            (measured.runs, measured.images, measured.latencies.len()),
            (7, 28, 0)
        );
        assert!(measured.elapsed >= 0.004);
    }

    #[test]
    fn arrivals_have_the_rate_and_come_again_with_the_seed() {
        let seconds = Duration::from_secs(100);
        let times = arrivals(50.0, seconds, 1);
        // 5000 expected, 70.7 is the standard deviation.
        assert!((4600..5400).contains(&times.len()), "{}", times.len());
        assert!(times.is_sorted() && times[times.len() - 1] <= seconds);
        assert_eq!(times, arrivals(50.0, seconds, 1));
        assert_ne!(times, arrivals(50.0, seconds, 2));
        assert_eq!(arrivals(1e-3, seconds, 1).len(), 1);
    }
}
