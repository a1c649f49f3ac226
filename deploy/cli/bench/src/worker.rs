//! Worker thread that owns a session with its buffers and runs jobs on it. Knows no scenario.
//!
//! Each session has a thread of its own since its bound buffers borrow it, and configurations take turns many
//! times: so they stay open and bound, as in a program that serves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use deploy::engine::{Engine, FakeEngine};
use deploy::onnx::ModelFile;
use deploy::session::{Bound, Feed, Phases};
use deploy::{Error, PairSession, Provider, Result, Session, SessionOptions};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

/// Buffers filled once and run many times.
pub trait Runner {
    /// Copies images `[batch, C, H, W]` into the input buffer.
    fn fill(&mut self, images: &[f32]) -> Result<()>;
    /// Runs the model on the input buffer.
    fn run(&mut self) -> Result<Phases>;
    /// Output of the last run, `[batch, K]`.
    fn outputs(&self) -> Result<Vec<f32>>;
}

impl Runner for Bound<'_> {
    fn fill(&mut self, images: &[f32]) -> Result<()> {
        Bound::fill(self, images)
    }

    fn run(&mut self) -> Result<Phases> {
        Bound::run(self)
    }

    fn outputs(&self) -> Result<Vec<f32>> {
        Bound::outputs(self)
    }
}

/// The fake engine in a session's place.
struct Fake {
    engine: FakeEngine,
    batch: usize,
    images: Vec<f32>,
    outputs: Vec<f32>,
}

impl Runner for Fake {
    fn fill(&mut self, images: &[f32]) -> Result<()> {
        self.images = images.to_vec();
        Ok(())
    }

    fn run(&mut self) -> Result<Phases> {
        let start = Instant::now();
        self.outputs = self.engine.run(&self.images, self.batch)?;
        Ok(Phases {
            to_device: None,
            compute: start.elapsed(),
            from_device: None,
        })
    }

    fn outputs(&self) -> Result<Vec<f32>> {
        Ok(self.outputs.clone())
    }
}

/// A verifier's session of two inputs.
struct Pairs {
    session: PairSession,
    batch: usize,
    /// `[batch, C, H, W]` each.
    images: [Vec<f32>; 2],
    scores: Vec<f32>,
}

impl Runner for Pairs {
    /// The first images of the pairs, then the second ones.
    fn fill(&mut self, images: &[f32]) -> Result<()> {
        let (first, second) = images.split_at(images.len() / 2);
        self.images = [first.to_vec(), second.to_vec()];
        Ok(())
    }

    fn run(&mut self) -> Result<Phases> {
        let [first, second] = &self.images;
        let start = Instant::now();
        self.scores = self.session.run(first, second, self.batch)?;
        Ok(Phases {
            to_device: None,
            compute: start.elapsed(),
            from_device: None,
        })
    }

    fn outputs(&self) -> Result<Vec<f32>> {
        Ok(self.scores.clone())
    }
}

/// The engine that a worker opens.
#[derive(Clone, Debug)]
pub enum EngineSpec {
    OnnxRuntime {
        file: ModelFile,
        options: Box<SessionOptions>,
        feed: Feed,
    },
    /// A verifier: every image of the batch is a pair of images of this shape.
    Verifier {
        file: ModelFile,
        options: Box<SessionOptions>,
        image_shape: [usize; 3],
    },
    Fake {
        delay: Duration,
        num_outputs: usize,
        image_len: usize,
    },
}

/// Input of the runs.
#[derive(Clone, Debug)]
pub enum Input {
    /// Prepared images, over and over.
    Prepared(Arc<[f32]>),
    /// Numbers of mean 0 and variance 1, drawn from a seed.
    Drawn(u64),
}

impl Input {
    /// `batch` images of `len` numbers each.
    fn batch(&self, batch: usize, len: usize) -> Vec<f32> {
        match self {
            Self::Prepared(images) => images.iter().copied().cycle().take(batch * len).collect(),
            Self::Drawn(seed) => {
                // The uniform distribution on [-sqrt(3), sqrt(3)] has variance 1.
                let reach = 3_f32.sqrt();
                let mut rng = ChaCha8Rng::seed_from_u64(*seed);
                (0..batch * len)
                    .map(|_| rng.random_range(-reach..reach))
                    .collect()
            }
        }
    }
}

/// Facts of an opened session.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    pub session: Duration,
    pub build: Option<Duration>,
    pub first_run: Duration,
    pub nodes: BTreeMap<String, usize>,
    /// For people: what opening had to work around.
    pub notes: Vec<String>,
    pub num_outputs: usize,
    /// Numbers of one image, or of one pair.
    pub image_len: usize,
}

type Job = Box<dyn FnOnce(&mut dyn Runner) + Send>;

/// Sends jobs to a worker thread.
#[derive(Clone, Debug)]
pub struct WorkerHandle(Sender<Job>);

/// A worker thread with its session. The thread ends when it is dropped.
#[derive(Debug)]
pub struct Worker {
    pub handle: WorkerHandle,
    pub input: Input,
    pub batch: usize,
    pub info: SessionInfo,
}

fn thread_ended() -> Error {
    Error::run("the thread of the session has ended")
}

impl Worker {
    /// Opens and binds an engine in a new thread, fills it and runs it for the first time.
    ///
    /// # Errors
    /// Whatever stops the engine.
    pub fn open(spec: EngineSpec, input: Input, batch: usize) -> Result<Self> {
        let (send, jobs) = channel::<Job>();
        let (report, info) = channel();
        let filled = input.clone();
        std::thread::spawn(move || {
            if let Err(error) = run_worker(spec, &filled, batch, &report, jobs) {
                // Nobody waits for it where the engine is open already.
                report.send(Err(error)).unwrap_or_default();
            }
        });
        Ok(Self {
            info: info.recv().unwrap_or_else(|_| Err(thread_ended()))?,
            handle: WorkerHandle(send),
            input,
            batch,
        })
    }

    /// Restores the input that a test set has replaced.
    pub fn refill(&self) -> Result<()> {
        let images = self.input.batch(self.batch, self.info.image_len);
        self.handle
            .submit(move |runner| runner.fill(&images))
            .wait()?
    }
}

/// A result that can be waited for.
#[derive(Debug)]
pub struct Pending<T>(Receiver<T>);

impl<T> Pending<T> {
    pub fn wait(self) -> Result<T> {
        self.0.recv().map_err(|_| thread_ended())
    }
}

impl WorkerHandle {
    /// Runs `work` in the thread; its result can be waited for.
    pub fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Runner) -> T + Send + 'static,
    ) -> Pending<T> {
        let (send, receive) = channel();
        let job: Job = Box::new(move |runner| send.send(work(runner)).unwrap_or_default());
        // A thread that has ended drops the job, and with it the sender of the result.
        self.0.send(job).unwrap_or_default();
        Pending(receive)
    }
}

fn run_worker(
    spec: EngineSpec,
    input: &Input,
    batch: usize,
    report: &Sender<Result<SessionInfo>>,
    jobs: Receiver<Job>,
) -> Result<()> {
    match spec {
        EngineSpec::OnnxRuntime {
            file,
            options,
            feed,
        } => {
            let mut session = Session::from_file(&file, &options)?;
            let cold = session.cold_start();
            let info = SessionInfo {
                session: cold.session,
                build: cold.build,
                first_run: Duration::ZERO,
                nodes: session.placement().counts(),
                notes: notes(&session, options.provider),
                num_outputs: session.num_outputs(),
                image_len: session.image_shape().iter().product(),
            };
            run_jobs(
                &mut session.bind(batch, feed)?,
                info,
                (input, batch),
                report,
                jobs,
            )
        }
        EngineSpec::Verifier {
            file,
            options,
            image_shape,
        } => {
            let start = Instant::now();
            let session = PairSession::with_options(&file, image_shape, &options)?;
            let info = SessionInfo {
                session: start.elapsed(),
                build: None,
                first_run: Duration::ZERO,
                nodes: session.placement().counts(),
                notes: Vec::new(),
                num_outputs: 1,
                image_len: 2 * image_shape.iter().product::<usize>(),
            };
            let mut pairs = Pairs {
                session,
                batch,
                images: [Vec::new(), Vec::new()],
                scores: Vec::new(),
            };
            run_jobs(&mut pairs, info, (input, batch), report, jobs)
        }
        EngineSpec::Fake {
            delay,
            num_outputs,
            image_len,
        } => {
            let mut fake = Fake {
                engine: FakeEngine::new(num_outputs, delay),
                batch,
                images: Vec::new(),
                outputs: Vec::new(),
            };
            let info = SessionInfo {
                session: Duration::ZERO,
                build: None,
                first_run: Duration::ZERO,
                nodes: BTreeMap::from([("fake".to_owned(), 1)]),
                notes: Vec::new(),
                num_outputs,
                image_len,
            };
            run_jobs(&mut fake, info, (input, batch), report, jobs)
        }
    }
}

/// Notes of opening, and the nodes on other providers.
fn notes(session: &Session, provider: Provider) -> Vec<String> {
    let others = session.placement().other_providers(provider).into_iter();
    let others = others.map(|line| format!("  on {line}"));
    session.notes().iter().cloned().chain(others).collect()
}

fn run_jobs(
    runner: &mut dyn Runner,
    info: SessionInfo,
    (input, batch): (&Input, usize),
    report: &Sender<Result<SessionInfo>>,
    jobs: Receiver<Job>,
) -> Result<()> {
    runner.fill(&input.batch(batch, info.image_len))?;
    let start = Instant::now();
    runner.run()?;
    let first_run = start.elapsed();
    report
        .send(Ok(SessionInfo { first_run, ..info }))
        .unwrap_or_default();
    for job in jobs {
        job(runner);
    }
    Ok(())
}

#[cfg(test)]
pub fn fake_worker(delay_ms: u64, batch: usize) -> Worker {
    let engines = EngineSpec::Fake {
        delay: Duration::from_millis(delay_ms),
        num_outputs: 2,
        image_len: 3,
    };
    Worker::open(engines, Input::Drawn(0), batch).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_does_what_it_is_asked_and_gets_its_input_back() {
        let worker = fake_worker(0, 2);
        let run = |images: Option<Vec<f32>>| {
            let pending = worker.handle.submit(move |runner| {
                if let Some(images) = images {
                    runner.fill(&images)?;
                }
                runner.run()?;
                runner.outputs()
            });
            pending.wait().unwrap().unwrap()
        };
        let before = run(None);
        assert_eq!(
            run(Some(vec![1.0, 1.0, 1.0, 3.0, 3.0, 3.0])),
            [1.0, 2.0, 3.0, 6.0]
        );
        worker.refill().unwrap();
        assert_eq!(run(None), before);
    }

    #[test]
    fn an_engine_that_stops_is_an_error_and_so_is_a_thread_that_is_gone() {
        let engines = EngineSpec::Fake {
            delay: Duration::ZERO,
            num_outputs: 2,
            image_len: 3,
        };
        assert!(Worker::open(engines, Input::Drawn(0), 0).is_err());
        let handle = WorkerHandle(channel().0);
        assert!(handle.submit(|_| ()).wait().is_err());
    }

    #[test]
    fn input_is_repeated_or_drawn_with_variance_1() {
        let prepared = Input::Prepared(Arc::from([1.0, 2.0, 3.0, 4.0]));
        assert_eq!(prepared.batch(3, 2), [1.0, 2.0, 3.0, 4.0, 1.0, 2.0]);
        let drawn = Input::Drawn(7).batch(10, 1000);
        let square: f32 = drawn.iter().map(|x| x * x).sum::<f32>() / 1e4;
        assert!((square - 1.0).abs() < 0.05, "{square}");
        assert_eq!(drawn, Input::Drawn(7).batch(10, 1000));
    }
}
