//! Cold start: opening of configurations, and its costs in time and memory. Computes no statistic.

use std::path::Path;
use std::time::Duration;

use deploy::onnx::ModelFile;
use deploy::session::Session;
use deploy::{PairSession, Result, SessionOptions};
use serde::{Deserialize, Serialize};

use crate::clock::timed;
use crate::plan::{Config, Plan};
use crate::run::BenchConfig;
use crate::system;
use crate::worker::{EngineSpec, Input, Worker};

/// Cold-start costs, milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct ColdCosts {
    /// Loading the ONNX Runtime library, once per process.
    pub load: Option<f64>,
    /// Creating the session, without building the engine.
    pub session: f64,
    /// Building TensorRT's engine; null where there is none.
    pub build: Option<f64>,
    /// The first run.
    pub first_run: f64,
    /// The first run at this batch size in a session that has run another one; null where there is only one.
    pub new_shape: Option<f64>,
}

impl ColdCosts {
    /// The costs in the order of reports.
    pub fn values(&self) -> [Option<f64>; 5] {
        [
            self.load,
            Some(self.session),
            self.build,
            Some(self.first_run),
            self.new_shape,
        ]
    }
}

/// Peaks of memory, bytes.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Memory {
    /// What opening the configuration and its first run added to the process's resident memory, at the
    /// most; null where the system does not say.
    pub host_bytes: Option<u64>,
    /// What they added on the GPU; null on the CPU.
    pub device_bytes: Option<u64>,
}

/// A configuration that is open.
#[derive(Debug)]
pub struct OpenedConfig {
    pub config: Config,
    pub sessions: BenchConfig,
    pub cold: ColdCosts,
    pub memory: Memory,
}

/// Options of every session.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// What a run of the fake engine takes; `None` is ONNX Runtime.
    pub fake: Option<Duration>,
    /// Whether CPU threads spin while they wait for work.
    pub spinning: bool,
    /// Whether the CPU's memory comes from ONNX Runtime's arena.
    pub arena: bool,
    /// Whether nodes that the provider lacks may run on another one.
    pub allow_fallback: bool,
}

/// Opens configurations.
pub struct Opener<'a> {
    pub plan: &'a Plan,
    pub engine: EngineOptions,
    /// The cache folder: engines of TensorRT are kept in it.
    pub cache: &'a Path,
    /// The most resident memory seen, bytes; the system's own mark is reset for each configuration.
    pub peak: Option<u64>,
}

impl Opener<'_> {
    /// Opens one session per stream on `file`, which is the model's own or converted.
    ///
    /// # Errors
    /// Whatever the runtime or the provider refuses.
    pub fn open(
        &mut self,
        config: &Config,
        file: &ModelFile,
        input: &Input,
    ) -> Result<OpenedConfig> {
        self.note_peak();
        let (before, is_reset) = (system::resident(), system::reset_peak());
        let device = config
            .provider
            .device()
            .map(|device| (device, system::device_memory(device)));
        let spec = self.engine_spec(config, file);
        let open = |_| Worker::open(spec.clone(), input.clone(), config.batch);
        let workers: Vec<Worker> = (0..config.streams).map(open).collect::<Result<_>>()?;
        // A peak that was not reset would be that of an earlier configuration.
        let host = system::peak().zip(before).filter(|_| is_reset);
        let device =
            device.and_then(|(device, before)| system::device_memory(device)?.checked_sub(before?));
        let first = &workers[0].info;
        let ms = |time: Duration| 1e3 * time.as_secs_f64();
        Ok(OpenedConfig {
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
            sessions: BenchConfig {
                batch: config.batch,
                workers,
            },
        })
    }

    /// Updates the peak of resident memory.
    pub fn note_peak(&mut self) {
        self.peak = self.peak.max(system::peak());
    }

    fn engine_spec(&self, config: &Config, file: &ModelFile) -> EngineSpec {
        let model = self.plan.model(config);
        match (self.engine.fake, model.pair_shape) {
            (Some(delay), _) => EngineSpec::Fake {
                delay,
                num_outputs: model.classes.as_ref().map_or(2, Vec::len),
                image_len: model
                    .preprocess
                    .as_ref()
                    .map_or(1, |steps| steps.output_len()),
            },
            (None, Some(image_shape)) => EngineSpec::Verifier {
                file: file.clone(),
                options: Box::new(self.options(config, vec![config.batch])),
                image_shape,
            },
            (None, None) => EngineSpec::OnnxRuntime {
                file: file.clone(),
                options: Box::new(self.options(config, vec![config.batch])),
                feed: config.feed,
            },
        }
    }

    fn options(&self, config: &Config, batches: Vec<usize>) -> SessionOptions {
        let model = self.plan.model(config);
        SessionOptions {
            provider: config.provider,
            precision: config.precision,
            threads: config.threads,
            spinning: self.engine.spinning,
            arena: self.engine.arena,
            allow_fallback: self.engine.allow_fallback,
            batches,
            // A thread owns each session and warms it up before the next is opened.
            record: true,
            engines: Some(self.cache.join("engines")),
            image_shape: model.preprocess.as_ref().map(|steps| steps.output_shape()),
            output: Some(model.output.clone()),
        }
    }

    /// Milliseconds of the first run at each batch size that follows another in one session, as in a program that
    /// serves several sizes. `batches` holds at least two; the first has no result, since its first run is the
    /// session's.
    ///
    /// # Errors
    /// The model stops.
    pub fn new_shapes(
        &self,
        config: &Config,
        file: &ModelFile,
        batches: &[usize],
    ) -> Result<Vec<(usize, f64)>> {
        if self.engine.fake.is_some() {
            return Ok(Vec::new());
        }
        let options = self.options(config, batches.to_vec());
        if let Some(image_shape) = self.plan.model(config).pair_shape {
            let mut session = PairSession::with_options(file, image_shape, &options)?;
            let len: usize = image_shape.iter().product();
            return first_runs(batches, len, |images, batch| {
                session.run(images, images, batch)
            });
        }
        let mut session = Session::from_file(file, &options)?;
        let len: usize = session.image_shape().iter().product();
        first_runs(batches, len, |images, batch| session.run(images, batch))
    }
}

/// Milliseconds of a run at each batch size but the first, of images of `len` numbers.
fn first_runs(
    batches: &[usize],
    len: usize,
    mut run: impl FnMut(&[f32], usize) -> Result<Vec<f32>>,
) -> Result<Vec<(usize, f64)>> {
    let mut times = Vec::new();
    for batch in batches {
        let images = vec![0.5; batch * len];
        let (outputs, seconds) = timed(|| run(&images, *batch));
        outputs?;
        times.push((*batch, 1e3 * seconds));
    }
    times.remove(0);
    Ok(times)
}
