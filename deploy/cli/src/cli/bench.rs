//! The flags of `deploy bench` and how their texts are read. Nothing else.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use data::{Preprocess, Split};
use deploy::Provider;
use deploy::precision::Precision;

use super::{Kind, PlaceArgs};
use bench::cold::EngineOptions;
use bench::compare::Conditions;
use bench::plan::{Feeds, PlanOptions};
use bench::scenario::Scenario;

/// The flags of `deploy bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// A labelled folder, a CSV file or `builtin:insects` to score every configuration on [default: the
    /// run's own data]
    #[arg(long, value_name = "DIR", conflicts_with = "no_data")]
    pub(crate) data: Option<String>,
    /// Time drawn numbers and score nothing
    #[arg(long)]
    pub(crate) no_data: bool,
    /// Which images
    #[arg(long, default_value_t = Split::Test)]
    pub(crate) split: Split,
    #[command(flatten)]
    pub(crate) model: ModelsArgs,
    #[command(flatten)]
    pub(crate) what: WhatArgs,
    #[command(flatten)]
    pub(crate) how: HowArgs,
    #[command(flatten)]
    pub(crate) out: OutArgs,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

impl BenchArgs {
    /// Which configurations that is.
    pub(crate) fn plan_options(&self) -> PlanOptions {
        let (what, how) = (&self.what, &self.how);
        PlanOptions {
            batches: what.batch.iter().copied().map(usize::from).collect(),
            providers: what.provider.clone(),
            precisions: what.precision.clone(),
            feeds: match what.feed {
                FeedArg::Host => Feeds::Host,
                FeedArg::Resident => Feeds::Resident,
                FeedArg::Both => Feeds::Both,
            },
            streams: usize::from(what.streams),
            threads: what.threads.map(usize::from),
            allow_fallback: what.allow_fallback,
            matrix: what.matrix,
            scenario: how.scenario(),
            rate: how.rate,
        }
    }
}

/// Which models, and what they do not say themselves.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelsArgs {
    /// The model files [default: that of the latest run]
    #[arg(long = "model", value_name = "FILE", num_args = 1..)]
    pub(crate) models: Vec<PathBuf>,
    /// Folder of the runs
    #[arg(long, value_name = "DIR", default_value = data::run_files::RUNS)]
    pub(crate) runs: PathBuf,
    /// Class names, one per line in the order of the outputs, in place of the card's
    #[arg(long, value_name = "FILE")]
    pub(crate) classes: Option<PathBuf>,
    /// Steps from an image to the model's input, in place of the card's
    #[arg(long, value_name = "TEXT")]
    pub(crate) preprocess: Option<Preprocess>,
    /// What the output means [default: as the card or the graph says]
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) output_kind: Option<Kind>,
}

/// The configurations: every combination of these is one.
#[derive(Debug, Args)]
#[command(next_help_heading = "Configurations")]
pub(crate) struct WhatArgs {
    /// Images per run [default: 1,8,32, or the one that the model is made for]
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) batch: Vec<u16>,
    /// What computes: `cpu`, `cuda[:N]`, `tensorrt[:N]`; each runs there or is an error [default: cpu]
    #[arg(long, value_name = "P,...", value_delimiter = ',')]
    pub(crate) provider: Vec<Provider>,
    /// In which precision: fp32, tf32, fp16, int8 [default: fp32]
    #[arg(long, value_name = "P,...", value_delimiter = ',')]
    pub(crate) precision: Vec<Precision>,
    /// Where the input of a GPU comes from
    #[arg(long, value_enum, default_value_t = FeedArg::Both)]
    pub(crate) feed: FeedArg,
    /// Sessions at work at the same time, each in a thread of its own
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) streams: u16,
    /// Threads inside each session [default: the cores, divided by the streams]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
    /// CPU threads sleep, not spin, while they wait for work
    #[arg(long)]
    pub(crate) no_spinning: bool,
    /// The CPU's memory comes from the system, not from ONNX Runtime's arena
    #[arg(long)]
    pub(crate) no_arena: bool,
    /// Operators that the provider lacks may run on another one
    #[arg(long)]
    pub(crate) allow_fallback: bool,
    /// Every provider and precision not named otherwise, what cannot run here left out with its reason;
    /// then the best of all
    #[arg(long)]
    pub(crate) matrix: bool,
    /// In place of ONNX Runtime: `fake:1.5ms`
    #[arg(long, hide = true)]
    pub(crate) engine: Option<FakeDelay>,
}

impl WhatArgs {
    /// How every session is made.
    pub(crate) fn engine_options(&self) -> EngineOptions {
        EngineOptions {
            fake: self.engine.map(|FakeDelay(delay)| delay),
            spinning: !self.no_spinning,
            arena: !self.no_arena,
            allow_fallback: self.allow_fallback,
        }
    }
}

/// Where the input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FeedArg {
    /// Copied from the host's pinned memory for every run
    Host,
    /// Left on the GPU
    Resident,
    /// One configuration of each on a GPU; on the CPU there is only `host`
    Both,
}

/// How configurations are measured.
#[derive(Debug, Args)]
#[command(next_help_heading = "Measuring")]
pub(crate) struct HowArgs {
    /// How runs follow each other (as in MLPerf Inference)
    #[arg(long, value_enum, default_value_t = ScenarioArg::SingleStream)]
    pub(crate) scenario: ScenarioArg,
    /// Arrivals per second of the server scenario, of `--batch` images each
    #[arg(long, value_name = "R", value_parser = positive, required_if_eq("scenario", "server"))]
    pub(crate) rate: Option<f64>,
    /// Unrecorded running of each configuration, first
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = humantime::parse_duration)]
    pub(crate) warmup: Duration,
    /// Recorded running of each configuration
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    pub(crate) duration: Duration,
    /// Parts that the duration is divided into; the configurations take turns
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(2..))]
    pub(crate) blocks: u16,
    /// Of the drawn numbers, the order of turns and the arrivals
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

impl HowArgs {
    /// How runs follow each other.
    pub(crate) fn scenario(&self) -> Scenario {
        match self.scenario {
            ScenarioArg::SingleStream => Scenario::SingleStream,
            ScenarioArg::MultiStream => Scenario::MultiStream,
            ScenarioArg::Server => Scenario::Server,
            ScenarioArg::Offline => Scenario::Offline,
        }
    }
}

/// How runs follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScenarioArg {
    /// Each stream starts a run when its last one is done
    SingleStream,
    /// All streams start together and wait for the last of them
    MultiStream,
    /// Arrivals at random times (Poisson); latency from the arrival, so waiting counts
    Server,
    /// Everything is there from the beginning; images per second count
    Offline,
}

/// Where results go, and what makes them fail.
#[derive(Debug, Args)]
#[command(next_help_heading = "Results")]
pub(crate) struct OutArgs {
    /// Write everything as JSON; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write one row per configuration as CSV
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
    /// Write a page: latencies, accuracy against throughput
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// An earlier `--json` to compare with
    #[arg(long, value_name = "FILE")]
    pub(crate) compare: Option<PathBuf>,
    /// Exit code 1 where one of these holds beyond doubt, such as `p99>+5%,flips>0`
    #[arg(long, value_name = "CONDITIONS")]
    pub(crate) fail_if: Option<Conditions>,
}

/// What a run of the fake engine takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FakeDelay(pub(crate) Duration);

impl std::str::FromStr for FakeDelay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let time = text
            .strip_prefix("fake:")
            .ok_or("expected `fake:` and a time")?;
        // The library for durations takes whole numbers only.
        let millis = time.strip_suffix("ms").and_then(|ms| ms.parse().ok());
        let millis: f64 = millis.ok_or("expected milliseconds such as `1.5ms`")?;
        Duration::try_from_secs_f64(millis / 1e3)
            .map(Self)
            .map_err(|e| e.to_string())
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err("expected a number above 0".to_owned()),
    }
}
