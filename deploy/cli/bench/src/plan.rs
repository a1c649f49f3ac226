//! Plan of a benchmark: models, and every combination of provider, precision, batch and feed. Opens nothing
//! and reads no clock.

use std::path::Path;

use data::card::OutputKind;
use data::{Dataset, Pairs, Preprocess, Sample, Split};
use deploy::onnx::ModelFile;
use deploy::precision::Precision;
use deploy::session::Feed;
use deploy::tuned::Tuned;
use deploy::{Model, Provider};

use crate::error::{Error, Result};
use crate::key::{Key, Skipped};
use crate::scenario::Scenario;
use crate::system;

/// Default batch sizes.
const BATCHES: [usize; 3] = [1, 8, 32];

/// Sources of the input, as requested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Feeds {
    /// Copied from the host's pinned memory for every run.
    Host,
    /// Left on the GPU.
    Resident,
    /// One configuration of each on a GPU; on the CPU there is only the host.
    #[default]
    Both,
}

/// Options of a plan: every combination of these is a configuration.
#[derive(Clone, Debug, Default)]
pub struct PlanOptions {
    /// Images per run; empty: 1, 8 and 32, or the number that the model is made for.
    pub batches: Vec<usize>,
    /// Empty: the CPU, or every one with `matrix`.
    pub providers: Vec<Provider>,
    /// Empty: fp32, or every one with `matrix`.
    pub precisions: Vec<Precision>,
    pub feeds: Feeds,
    /// Sessions at work at the same time.
    pub streams: usize,
    /// Threads inside each session; `None`: the cores, divided by the streams.
    pub threads: Option<usize>,
    pub allow_fallback: bool,
    /// Every provider and precision that is not named otherwise; what cannot run is skipped.
    pub matrix: bool,
    pub scenario: Scenario,
    /// Arrivals per second of the server scenario.
    pub rate: Option<f64>,
}

/// Labelled images to score a model on, with its classes and preprocessing.
#[derive(Clone, Debug)]
pub struct TestSet {
    pub dataset: Dataset,
    pub split: Split,
    /// Names of the model's outputs.
    pub classes: Vec<String>,
    pub preprocess: Preprocess,
}

impl TestSet {
    pub fn samples(&self) -> &[Sample] {
        self.dataset.samples(self.split)
    }

    /// The test set of a model.
    ///
    /// # Errors
    /// The model does not say what its classes are or how it takes images, or the data has other ones.
    pub fn new(
        path: &Path,
        dataset: Dataset,
        split: Split,
        (classes, preprocess): (Option<&Vec<String>>, Option<&Preprocess>),
    ) -> deploy::Result<Self> {
        let no_card = |what| deploy::Error::no_card(path, what);
        let classes = classes.ok_or_else(|| no_card("what its classes are called"))?;
        let preprocess = preprocess.ok_or_else(|| no_card("how images are prepared for it"))?;
        if dataset.classes.iter().any(|name| !classes.contains(name)) {
            return Err(deploy::Error::classes_differ(
                path,
                classes,
                &dataset.classes,
            ));
        }
        Ok(Self {
            dataset,
            split,
            classes: classes.clone(),
            preprocess: preprocess.clone(),
        })
    }
}

/// Labelled pairs to score a verifier on.
#[derive(Clone, Debug)]
pub struct PairTestSet {
    pub pairs: Pairs,
    pub split: Split,
}

impl PairTestSet {
    pub fn samples(&self) -> &[Sample] {
        self.pairs.images.samples(self.split)
    }
}

/// A model, its class names and preprocessing by card or flag, and its test set.
#[derive(Clone, Debug)]
pub struct BenchModel {
    /// Read once: every session is of the same bytes.
    pub file: ModelFile,
    /// What the file says of itself.
    pub contents: Model,
    pub classes: Option<Vec<String>>,
    pub preprocess: Option<Preprocess>,
    /// Name of the output that is read.
    pub output: String,
    /// The meaning of the output; `None` infers it.
    pub output_kind: Option<OutputKind>,
    pub data: Option<TestSet>,
    /// The saved setting, which is then the model's only configuration, and the file that it runs.
    pub tuned: Option<Tuned>,
    /// Shape of each of the two images that a verifier compares; none of classifiers.
    pub pair_shape: Option<[usize; 3]>,
    /// What a verifier is scored on.
    pub pairs: Option<PairTestSet>,
}

impl BenchModel {
    /// Refuses what a verifier's session of two inputs does not do.
    fn runs_on(&self, provider: Provider, precision: Precision) -> Result<()> {
        let is_plain = provider == Provider::Cpu && precision == Precision::Fp32;
        if self.pair_shape.is_none() || is_plain {
            return Ok(());
        }
        Err(Error::new(
            format!(
                "`{}` is a verifier, which is measured on the CPU in the precision of its file alone\n  found:    \
                 {provider} {precision}",
                self.file.path().display()
            ),
            "leave out `--provider` and `--precision`",
        ))
    }

    fn batches(&self, requested: &[usize]) -> Result<Vec<usize>> {
        let other = |fixed: usize| requested.iter().copied().find(|batch| *batch != fixed);
        match self.contents.fixed_batch() {
            Some(fixed) => match other(fixed) {
                Some(requested) => Err(Error::new(
                    format!(
                        "`{}` takes exactly {fixed} images at a time\n  expected: --batch {fixed}\n  \
                         found:    --batch {requested}",
                        self.file.path().display()
                    ),
                    "leave out `--batch`",
                )),
                None => Ok(vec![fixed]),
            },
            None if requested.is_empty() => Ok(BATCHES.to_vec()),
            None => Ok(requested.to_vec()),
        }
    }
}

/// A configuration: one combination of model, provider, precision, batch, feed, sessions and threads.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Index of the model in the plan.
    pub model: usize,
    pub provider: Provider,
    pub precision: Precision,
    pub batch: usize,
    pub feed: Feed,
    /// Sessions at work at the same time.
    pub streams: usize,
    /// Threads inside a session; `None` leaves it to ONNX Runtime, which takes one per core.
    pub threads: Option<usize>,
}

/// The configurations to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    pub models: Vec<BenchModel>,
    pub configs: Vec<Config>,
    pub skipped: Vec<Skipped>,
    allow_fallback: bool,
    scenario: Scenario,
    rate: Option<f64>,
}

impl Plan {
    /// Every combination that was asked for; with `--matrix` every one there is.
    ///
    /// # Errors
    /// A model of a fixed batch is asked for another; a provider has no such precision (`--matrix`: it
    /// is skipped).
    pub fn new(models: Vec<BenchModel>, options: &PlanOptions) -> Result<Self> {
        let mut plan = Self {
            models,
            configs: Vec::new(),
            skipped: Vec::new(),
            allow_fallback: options.allow_fallback,
            scenario: options.scenario,
            rate: options
                .rate
                .filter(|_| options.scenario == Scenario::Server),
        };
        for model in 0..plan.models.len() {
            plan.add(model, options)?;
        }
        Ok(plan)
    }

    fn add(&mut self, model: usize, options: &PlanOptions) -> Result<()> {
        if let Some(setting) = self.models[model].tuned.as_ref().map(|tuned| tuned.setting) {
            let feeds = feeds(setting.provider, options.feeds).into_iter();
            self.configs.extend(feeds.map(|feed| Config {
                model,
                provider: setting.provider,
                precision: setting.precision,
                batch: setting.batch,
                feed,
                streams: setting.sessions,
                threads: setting.threads,
            }));
            return Ok(());
        }
        let batches = self.models[model].batches(&options.batches)?;
        let streams = options.streams.max(1);
        // Streams that each took all cores would wait for each other.
        let shared = (streams > 1).then(|| (system::cores() / streams).max(1));
        for provider in providers(options) {
            for precision in precisions(options) {
                let possible = precision.converts(provider).map_err(Error::from);
                let possible =
                    possible.and_then(|_| self.models[model].runs_on(provider, precision));
                if let Err(error) = possible {
                    if !options.matrix {
                        return Err(error);
                    }
                    let path = self.models[model].file.path().display();
                    self.skipped.push(Skipped {
                        configuration: format!("{path} {provider} {precision}"),
                        reason: error.to_string(),
                    });
                    continue;
                }
                // An int8 file is not measured under the name of fp32.
                let precision = precision.in_file(self.models[model].contents.precision);
                for batch in &batches {
                    for feed in feeds(provider, options.feeds) {
                        let config = Config {
                            model,
                            provider,
                            precision,
                            batch: *batch,
                            feed,
                            streams,
                            threads: options.threads.or(shared),
                        };
                        if !self.configs.contains(&config) {
                            self.configs.push(config);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// A plan of one model whose configurations are not known beforehand.
    pub fn of_model(model: BenchModel) -> Self {
        Self {
            models: vec![model],
            configs: Vec::new(),
            skipped: Vec::new(),
            allow_fallback: false,
            scenario: Scenario::SingleStream,
            rate: None,
        }
    }

    pub fn model(&self, config: &Config) -> &BenchModel {
        &self.models[config.model]
    }

    /// The key of a configuration's results.
    pub fn key(&self, config: &Config) -> Key {
        Key {
            model: self.model(config).file.path().display().to_string(),
            provider: config.provider.to_string(),
            precision: config.precision.to_string(),
            batch: config.batch,
            feed: match config.feed {
                Feed::Host => "host".to_owned(),
                Feed::Resident => "resident".to_owned(),
            },
            streams: config.streams,
            threads: match (config.threads, config.provider) {
                (Some(threads), _) => threads,
                (None, provider) if provider.is_on_cpu() => system::cores(),
                // Beside a GPU the CPU computes nothing but shapes.
                (None, _) if !self.allow_fallback => 1,
                (None, _) => system::cores(),
            },
            scenario: self.scenario.name().to_owned(),
            rate: self.rate,
        }
    }

    /// The batches of the configurations that share model, provider and precision with this one.
    pub fn batches_beside(&self, config: &Config) -> Vec<usize> {
        let beside = |other: &&Config| {
            (other.model, other.provider, other.precision)
                == (config.model, config.provider, config.precision)
        };
        let mut batches: Vec<usize> = self
            .configs
            .iter()
            .filter(beside)
            .map(|other| other.batch)
            .collect();
        batches.dedup();
        batches
    }
}

fn providers(options: &PlanOptions) -> Vec<Provider> {
    match options.providers.as_slice() {
        [] if options.matrix => vec![
            Provider::Cpu,
            Provider::Cuda { device: 0 },
            Provider::TensorRt { device: 0 },
            Provider::TensorRtRtx { device: 0 },
            Provider::openvino(),
        ],
        [] => vec![Provider::Cpu],
        named => named.to_vec(),
    }
}

fn precisions(options: &PlanOptions) -> Vec<Precision> {
    match options.precisions.as_slice() {
        [] if options.matrix => Precision::ALL.to_vec(),
        [] => vec![Precision::Fp32],
        named => named.to_vec(),
    }
}

/// Outside of NVIDIA's GPUs there is one feed: the host's memory.
fn feeds(provider: Provider, feeds: Feeds) -> Vec<Feed> {
    match (provider, feeds) {
        (provider, _) if !provider.needs_cuda() => vec![Feed::Host],
        (_, Feeds::Host) => vec![Feed::Host],
        (_, Feeds::Resident) => vec![Feed::Resident],
        (_, Feeds::Both) => vec![Feed::Host, Feed::Resident],
    }
}
