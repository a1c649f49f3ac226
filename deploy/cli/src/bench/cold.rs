//! Configurations opened, and what that costs before anything runs at its pace.

use std::path::Path;
use std::time::Duration;

use deploy::session::Session;
use deploy::{Result, SessionOptions};

use super::plan::{Config, Plan};
use super::run::{Contender, timed};
use super::worker::{Engines, Input, Worker};
use super::{ColdCosts, Memory, machine};

/// A configuration that is open.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) config: Config,
    pub(crate) contender: Contender,
    pub(crate) cold: ColdCosts,
    pub(crate) memory: Memory,
}

/// How sessions are made, whatever the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EngineOptions {
    /// What a run of the fake engine takes; `None` is ONNX Runtime.
    pub(crate) fake: Option<Duration>,
    /// Whether CPU threads spin while they wait for work.
    pub(crate) spinning: bool,
    /// Whether the CPU's memory comes from ONNX Runtime's arena.
    pub(crate) arena: bool,
    /// Whether nodes that the provider lacks may run on another one.
    pub(crate) allow_fallback: bool,
}

/// What all configurations are opened with.
pub(crate) struct Opener<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) engine: EngineOptions,
    /// The cache folder: engines of TensorRT are kept in it.
    pub(crate) cache: &'a Path,
    /// The most resident memory seen, bytes; the system's own mark is reset for each configuration.
    pub(crate) peak: Option<u64>,
}

impl Opener<'_> {
    /// Opens one session per stream on the model file `path`, which is the model's own or converted.
    ///
    /// # Errors
    /// Whatever the runtime or the provider refuses.
    pub(crate) fn open(&mut self, config: &Config, path: &Path, input: &Input) -> Result<Opened> {
        self.note_peak();
        let (before, forgotten) = (machine::resident(), machine::forget_peak());
        let device = config
            .provider
            .device()
            .map(|device| (device, machine::device_memory(device)));
        let engines = self.engines(config, path);
        let open = |_| Worker::open(engines.clone(), input.clone(), config.batch);
        let workers: Vec<Worker> = (0..self.plan.streams).map(open).collect::<Result<_>>()?;
        let host = machine::peak().zip(before).filter(|_| forgotten);
        let device = device
            .and_then(|(device, before)| machine::device_memory(device)?.checked_sub(before?));
        let first = &workers[0].opened;
        let ms = |time: Duration| 1e3 * time.as_secs_f64();
        Ok(Opened {
            config: config.clone(),
            cold: ColdCosts {
                load: None,
                session: ms(first.session),
                build: first.build.map(ms),
                first_run: ms(first.first_run),
                new_shape: None,
            },
            memory: Memory {
                host_bytes: host.map(|(peak, before)| peak.saturating_sub(before)),
                device_bytes: device,
            },
            contender: Contender {
                batch: config.batch,
                workers,
            },
        })
    }

    /// Keeps the most resident memory so far.
    pub(crate) fn note_peak(&mut self) {
        self.peak = self.peak.max(machine::peak());
    }

    fn engines(&self, config: &Config, path: &Path) -> Engines {
        let subject = self.plan.subject(config);
        match self.engine.fake {
            Some(delay) => Engines::Fake {
                delay,
                num_outputs: subject.classes.as_ref().map_or(2, Vec::len),
                image_len: subject
                    .preprocess
                    .as_ref()
                    .map_or(1, |steps| steps.output_len()),
            },
            None => Engines::OnnxRuntime {
                path: path.to_owned(),
                options: Box::new(self.options(config, vec![config.batch])),
                feed: config.feed,
            },
        }
    }

    fn options(&self, config: &Config, batches: Vec<usize>) -> SessionOptions {
        let subject = self.plan.subject(config);
        let card = subject.model.card.as_ref();
        SessionOptions {
            provider: config.provider,
            precision: config.precision,
            threads: self.plan.threads,
            spinning: self.engine.spinning,
            arena: self.engine.arena,
            allow_fallback: self.engine.allow_fallback,
            batches,
            // A thread owns each session and warms it up before the next is opened.
            record: true,
            engines: Some(self.cache.join("engines")),
            image_shape: subject
                .preprocess
                .as_ref()
                .map(|steps| steps.output_shape()),
            output: card.and_then(|card| card.outputs.first().cloned()),
        }
    }

    /// Milliseconds of the first run at each batch size that follows another in one session: what a
    /// program pays that serves several. `batches` holds at least two sizes; the first is not among the
    /// answers, since its first run is the session's.
    ///
    /// # Errors
    /// The model stops.
    pub(crate) fn new_shapes(
        &self,
        config: &Config,
        path: &Path,
        batches: &[usize],
    ) -> Result<Vec<(usize, f64)>> {
        if self.engine.fake.is_some() {
            return Ok(Vec::new());
        }
        let mut session = Session::open(path, &self.options(config, batches.to_vec()))?;
        let len: usize = session.image_shape().iter().product();
        let mut times = Vec::new();
        for batch in batches {
            let images = vec![0.5; batch * len];
            let (outputs, seconds) = timed(|| session.run(&images, *batch));
            outputs?;
            times.push((*batch, 1e3 * seconds));
        }
        times.remove(0);
        Ok(times)
    }
}
