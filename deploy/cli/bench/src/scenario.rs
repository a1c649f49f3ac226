//! Load scenarios: how runs follow each other, as in MLPerf Inference (Reddi et al. 2020, table II).
//! Reads the clock; knows no configuration.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use deploy::Result;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::measurements::Measurements;
use crate::worker::{Runner, WorkerHandle};

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

/// Load of one turn: how its runs follow each other.
#[derive(Clone, Debug)]
pub enum Load {
    /// Each stream starts a run when its last one is done, for so long.
    SingleStream(Duration),
    /// All streams start together and wait for the last of them, for so long.
    MultiStream(Duration),
    /// A run is due at each of these times after the beginning; whoever is free does it.
    Server(Arc<[Duration]>),
    /// So many runs are due at the beginning.
    Offline(usize),
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

/// Start and end of a run.
struct TimedRun {
    /// The time at which it was due, or started where no time was due.
    from: Instant,
    to: Instant,
}

/// The runs of one stream.
struct StreamRuns {
    runs: Vec<TimedRun>,
    end: Instant,
    to_device: Option<Duration>,
    compute: Duration,
    from_device: Option<Duration>,
}

impl StreamRuns {
    fn new() -> Self {
        Self {
            runs: Vec::new(),
            end: Instant::now(),
            to_device: None,
            compute: Duration::ZERO,
            from_device: None,
        }
    }

    /// Seconds of each run.
    fn latencies(&self) -> impl Iterator<Item = f64> {
        self.runs
            .iter()
            .map(|run| run.to.saturating_duration_since(run.from).as_secs_f64())
    }

    /// Runs the model; the latency counts from `from`.
    fn run_timed(&mut self, runner: &mut dyn Runner, from: Instant) -> Result<()> {
        let phases = runner.run()?;
        self.end = Instant::now();
        self.runs.push(TimedRun { from, to: self.end });
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

/// Runs every stream once without recording: other configurations have filled the caches meanwhile.
pub(crate) fn run_unrecorded(streams: &[WorkerHandle]) -> Result<()> {
    let pending: Vec<_> = streams
        .iter()
        .map(|handle| handle.submit(|runner| runner.run()))
        .collect();
    for run in pending {
        run.wait()??;
    }
    Ok(())
}

/// One turn of a configuration: `batch` images per run, in every stream.
pub(crate) fn turn(
    streams: &[WorkerHandle],
    load: &Load,
    batch: usize,
    stop: &Arc<AtomicBool>,
) -> Result<Measurements> {
    let start_time = Instant::now();
    let next = Arc::new(AtomicUsize::new(0));
    let barrier = Arc::new(Barrier::new(streams.len()));
    let over = Arc::new(AtomicBool::new(false));
    let start = |handle: &WorkerHandle| {
        let (load, stop, next) = (load.clone(), Arc::clone(stop), Arc::clone(&next));
        let (barrier, over) = (Arc::clone(&barrier), Arc::clone(&over));
        handle.submit(move |runner| match load {
            Load::SingleStream(duration) => run_single_stream(runner, start_time + duration, &stop),
            Load::MultiStream(duration) => {
                run_multi_stream(runner, start_time + duration, &stop, (&barrier, &over))
            }
            Load::Server(times) => run_server(runner, start_time, &times, (&next, &stop)),
            Load::Offline(count) => run_offline(runner, count, (&next, &stop)),
        })
    };
    let pending: Vec<_> = streams.iter().map(start).collect();
    let stream_runs: Result<Vec<StreamRuns>> =
        pending.into_iter().map(|stream| stream.wait()?).collect();
    Ok(to_measurements(&stream_runs?, load, batch, start_time))
}

fn run_single_stream(
    runner: &mut dyn Runner,
    until: Instant,
    stop: &AtomicBool,
) -> Result<StreamRuns> {
    let mut stream_runs = StreamRuns::new();
    loop {
        let from = stream_runs.end;
        stream_runs.run_timed(runner, from)?;
        if stream_runs.end >= until || stop.load(Ordering::Relaxed) {
            return Ok(stream_runs);
        }
    }
}

fn run_multi_stream(
    runner: &mut dyn Runner,
    until: Instant,
    stop: &AtomicBool,
    (barrier, over): (&Barrier, &AtomicBool),
) -> Result<StreamRuns> {
    let mut stream_runs = StreamRuns::new();
    let mut result = Ok(());
    loop {
        barrier.wait();
        if over.load(Ordering::SeqCst) {
            return result.map(|()| stream_runs);
        }
        result = stream_runs.run_timed(runner, Instant::now());
        // A stream that failed continues to the barrier, where the others wait for it.
        let end = result.is_err() || stream_runs.end >= until || stop.load(Ordering::Relaxed);
        barrier.wait();
        if end {
            over.store(true, Ordering::SeqCst);
        }
    }
}

fn run_server(
    runner: &mut dyn Runner,
    start_time: Instant,
    times: &[Duration],
    (next, stop): (&AtomicUsize, &AtomicBool),
) -> Result<StreamRuns> {
    let mut stream_runs = StreamRuns::new();
    while let Some(time) = times.get(next.fetch_add(1, Ordering::Relaxed)) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        // Latency counts from the time at which the run was due, not from when a stream was free for it:
        // otherwise a server that is behind looks fast (coordinated omission).
        let due = start_time + *time;
        if !wait_until(due, stop) {
            break;
        }
        stream_runs.run_timed(runner, due)?;
    }
    Ok(stream_runs)
}

/// Sleeps, and spins at the end: a sleep alone ends some 60 microseconds late. `false`: stopped before.
fn wait_until(until: Instant, stop: &AtomicBool) -> bool {
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

fn run_offline(
    runner: &mut dyn Runner,
    count: usize,
    (next, stop): (&AtomicUsize, &AtomicBool),
) -> Result<StreamRuns> {
    let mut stream_runs = StreamRuns::new();
    while next.fetch_add(1, Ordering::Relaxed) < count && !stop.load(Ordering::Relaxed) {
        let from = stream_runs.end;
        stream_runs.run_timed(runner, from)?;
    }
    Ok(stream_runs)
}

fn to_measurements(
    streams: &[StreamRuns],
    load: &Load,
    batch: usize,
    start_time: Instant,
) -> Measurements {
    let runs: usize = streams.iter().map(|stream| stream.runs.len()).sum();
    let images = runs * batch;
    let end = streams
        .iter()
        .map(|stream| stream.end)
        .max()
        .unwrap_or(start_time);
    let latencies: Vec<f64> = match load {
        Load::SingleStream(_) | Load::Server(_) => {
            streams.iter().flat_map(StreamRuns::latencies).collect()
        }
        Load::MultiStream(_) => round_latencies(streams),
        Load::Offline(_) => Vec::new(),
    };
    let elapsed = match load {
        // Streams end at different times: each counts by its own rate while it ran.
        Load::SingleStream(_) => {
            let rate =
                |stream: &StreamRuns| stream.runs.len() as f64 / stream.latencies().sum::<f64>();
            runs as f64 / streams.iter().map(rate).sum::<f64>()
        }
        Load::MultiStream(_) => latencies.iter().sum(),
        // Streams share the runs of these, so they end together.
        Load::Server(_) | Load::Offline(_) => {
            end.saturating_duration_since(start_time).as_secs_f64()
        }
    };
    let sum = |part: fn(&StreamRuns) -> Option<Duration>| {
        let parts = streams.iter().filter_map(part);
        parts.reduce(|a, b| a + b).map(|sum| sum.as_secs_f64())
    };
    Measurements {
        runs: if matches!(load, Load::MultiStream(_)) {
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

/// Seconds from the first start to the last end of each round.
fn round_latencies(streams: &[StreamRuns]) -> Vec<f64> {
    let count = streams
        .iter()
        .map(|stream| stream.runs.len())
        .min()
        .unwrap_or(0);
    let round = |index: usize| {
        let runs = || streams.iter().map(move |stream| &stream.runs[index]);
        let (from, to) = (
            runs().map(|run| run.from).min(),
            runs().map(|run| run.to).max(),
        );
        from.zip(to).map(|(from, to)| (to - from).as_secs_f64())
    };
    (0..count).filter_map(round).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::{Worker, fake_worker};

    fn run(workers: &[Worker], load: &Load) -> Measurements {
        let streams: Vec<_> = workers.iter().map(|worker| worker.handle.clone()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        run_unrecorded(&streams).unwrap();
        turn(&streams, load, workers[0].batch, &stop).unwrap()
    }

    #[test]
    fn a_stream_runs_at_least_once_and_its_images_are_counted() {
        let measured = run(&[fake_worker(2, 3)], &Load::SingleStream(Duration::ZERO));
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
            &[fake_worker(4, 1), fake_worker(4, 1)],
            &Load::SingleStream(Duration::from_millis(40)),
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
            &[fake_worker(0, 2), fake_worker(10, 2)],
            &Load::MultiStream(Duration::from_millis(25)),
        );
        assert!(measured.latencies.iter().all(|latency| *latency >= 0.010));
        assert_eq!(measured.images, 2 * 2 * measured.runs);
    }

    #[test]
    fn a_server_that_is_behind_is_not_fast() {
        // Every 1 ms a run of 10 ms is due: the n-th waits for those before it.
        let times: Arc<[Duration]> = (1..=6).map(Duration::from_millis).collect();
        let measured = run(&[fake_worker(10, 1)], &Load::Server(times));
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
        let measured = run(&[fake_worker(1, 4), fake_worker(1, 4)], &Load::Offline(7));
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
