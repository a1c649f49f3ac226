//! What is to be measured: models, and every combination of provider, precision, batch and feed. Opens
//! nothing and reads no clock.

use std::path::{Path, PathBuf};

use data::card::OutputKind;
use data::{Dataset, Preprocess, Sample, Split};
use deploy::precision::Precision;
use deploy::session::Feed;
use deploy::{Error, Model, Provider};
use onnx::Dim;

use super::run::Scenario;
use super::{Key, Skipped, machine};
use crate::cli_error::CliError;

/// Images per run where nothing is said.
const BATCHES: [usize; 3] = [1, 8, 32];

/// Where the input comes from, as asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Feeds {
    /// Copied from the host's pinned memory for every run.
    Host,
    /// Left on the GPU.
    Resident,
    /// One configuration of each on a GPU; on the CPU there is only the host.
    #[default]
    Both,
}

/// Which configurations are measured: every combination of these is one.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlanOptions {
    /// Images per run; empty: 1, 8 and 32, or the number that the model is made for.
    pub(crate) batches: Vec<usize>,
    /// Empty: the CPU, or every one with `matrix`.
    pub(crate) providers: Vec<Provider>,
    /// Empty: fp32, or every one with `matrix`.
    pub(crate) precisions: Vec<Precision>,
    pub(crate) feeds: Feeds,
    /// Sessions at work at the same time.
    pub(crate) streams: usize,
    /// Threads inside each session; `None`: the cores, divided by the streams.
    pub(crate) threads: Option<usize>,
    pub(crate) allow_fallback: bool,
    /// Every provider and precision that is not named otherwise; what cannot run is skipped.
    pub(crate) matrix: bool,
    pub(crate) scenario: Scenario,
    /// Arrivals per second of the server scenario.
    pub(crate) rate: Option<f64>,
}

/// Labelled images to score a model on, and how it reads them.
#[derive(Clone, Debug)]
pub(crate) struct TestSet {
    pub(crate) dataset: Dataset,
    pub(crate) split: Split,
    /// Names of the model's outputs.
    pub(crate) classes: Vec<String>,
    pub(crate) preprocess: Preprocess,
}

impl TestSet {
    pub(crate) fn samples(&self) -> &[Sample] {
        self.dataset.samples(self.split)
    }

    /// What the model is scored on.
    ///
    /// # Errors
    /// The model does not say what its classes are or how it takes images, or the data has other ones.
    pub(crate) fn new(
        path: &Path,
        dataset: Dataset,
        split: Split,
        (classes, preprocess): (Option<&Vec<String>>, Option<&Preprocess>),
    ) -> Result<Self, Error> {
        let no_card = |what| Error::NoCard {
            path: path.to_owned(),
            what,
        };
        let classes = classes.ok_or_else(|| no_card("what its classes are called"))?;
        let preprocess = preprocess.ok_or_else(|| no_card("how images are prepared for it"))?;
        if dataset.classes.iter().any(|name| !classes.contains(name)) {
            return Err(Error::ClassesDiffer {
                path: path.to_owned(),
                expected: classes.clone(),
                found: dataset.classes,
            });
        }
        Ok(Self {
            dataset,
            split,
            classes: classes.clone(),
            preprocess: preprocess.clone(),
        })
    }
}

/// A model, with what it does not say itself.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) path: PathBuf,
    pub(crate) model: Model,
    pub(crate) classes: Option<Vec<String>>,
    pub(crate) preprocess: Option<Preprocess>,
    pub(crate) output_kind: OutputKind,
    pub(crate) data: Option<TestSet>,
}

impl Subject {
    /// The number of images that the model is made for, where it is only one.
    pub(crate) fn fixed_batch(&self) -> Option<usize> {
        match self.model.inputs.first()?.dims.first()? {
            Dim::Fixed(batch) => usize::try_from(*batch).ok().filter(|batch| *batch > 0),
            _ => None,
        }
    }

    fn batches(&self, asked: &[usize]) -> Result<Vec<usize>, CliError> {
        let other = |fixed: usize| asked.iter().copied().find(|batch| *batch != fixed);
        match self.fixed_batch() {
            Some(fixed) => match other(fixed) {
                Some(asked) => Err(CliError::FixedBatch {
                    path: self.path.clone(),
                    fixed,
                    asked,
                }),
                None => Ok(vec![fixed]),
            },
            None if asked.is_empty() => Ok(BATCHES.to_vec()),
            None => Ok(asked.to_vec()),
        }
    }
}

/// One combination.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    /// Place of the model in the plan.
    pub(crate) subject: usize,
    pub(crate) provider: Provider,
    pub(crate) precision: Precision,
    pub(crate) batch: usize,
    pub(crate) feed: Feed,
}

/// Everything that is to be measured.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) subjects: Vec<Subject>,
    pub(crate) configs: Vec<Config>,
    pub(crate) skipped: Vec<Skipped>,
    pub(crate) streams: usize,
    allow_fallback: bool,
    /// Threads inside a session; `None` leaves it to ONNX Runtime, which takes one per core.
    pub(crate) threads: Option<usize>,
    scenario: Scenario,
    rate: Option<f64>,
}

impl Plan {
    /// Every combination that was asked for; with `--matrix` every one there is.
    ///
    /// # Errors
    /// A model of a fixed batch is asked for another; a provider has no such precision (`--matrix`: it
    /// is skipped).
    pub(crate) fn new(subjects: Vec<Subject>, options: &PlanOptions) -> anyhow::Result<Self> {
        let streams = options.streams.max(1);
        let shared = (streams > 1).then(|| (machine::cores() / streams).max(1));
        let mut plan = Self {
            subjects,
            configs: Vec::new(),
            skipped: Vec::new(),
            streams,
            allow_fallback: options.allow_fallback,
            threads: options.threads.or(shared),
            scenario: options.scenario,
            rate: options
                .rate
                .filter(|_| options.scenario == Scenario::Server),
        };
        for at in 0..plan.subjects.len() {
            plan.add(at, options)?;
        }
        Ok(plan)
    }

    fn add(&mut self, subject: usize, options: &PlanOptions) -> anyhow::Result<()> {
        let batches = self.subjects[subject].batches(&options.batches)?;
        for provider in providers(options) {
            for precision in precisions(options) {
                if let Err(error) = precision.converts(provider) {
                    if !options.matrix {
                        return Err(error.into());
                    }
                    let path = self.subjects[subject].path.display();
                    self.skipped.push(Skipped {
                        configuration: format!("{path} {provider} {precision}"),
                        reason: error.to_string(),
                    });
                    continue;
                }
                for batch in &batches {
                    for feed in feeds(provider, options.feeds) {
                        let config = Config {
                            subject,
                            provider,
                            precision,
                            batch: *batch,
                            feed,
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

    pub(crate) fn subject(&self, config: &Config) -> &Subject {
        &self.subjects[config.subject]
    }

    /// What a result of this configuration is called.
    pub(crate) fn key(&self, config: &Config) -> Key {
        Key {
            model: self.subject(config).path.display().to_string(),
            provider: config.provider.to_string(),
            precision: config.precision.to_string(),
            batch: config.batch,
            feed: match config.feed {
                Feed::Host => "host".to_owned(),
                Feed::Resident => "resident".to_owned(),
            },
            streams: self.streams,
            threads: match (self.threads, config.provider) {
                (Some(threads), _) => threads,
                (None, Provider::Cpu) => machine::cores(),
                // Beside a GPU the CPU computes sizes at most.
                (None, _) if !self.allow_fallback => 1,
                (None, _) => machine::cores(),
            },
            scenario: self.scenario.name().to_owned(),
            rate: self.rate,
        }
    }

    /// The batches of the configurations that share model, provider and precision with this one.
    pub(crate) fn batches_beside(&self, config: &Config) -> Vec<usize> {
        let beside = |other: &&Config| {
            (other.subject, other.provider, other.precision)
                == (config.subject, config.provider, config.precision)
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
        ],
        [] => vec![Provider::Cpu],
        given => given.to_vec(),
    }
}

fn precisions(options: &PlanOptions) -> Vec<Precision> {
    match options.precisions.as_slice() {
        [] if options.matrix => Precision::ALL.to_vec(),
        [] => vec![Precision::Fp32],
        given => given.to_vec(),
    }
}

/// The CPU's memory is the host's: there is one way to feed it.
fn feeds(provider: Provider, feeds: Feeds) -> Vec<Feed> {
    match (provider, feeds) {
        (Provider::Cpu, _) | (_, Feeds::Host) => vec![Feed::Host],
        (_, Feeds::Resident) => vec![Feed::Resident],
        (_, Feeds::Both) => vec![Feed::Host, Feed::Resident],
    }
}
