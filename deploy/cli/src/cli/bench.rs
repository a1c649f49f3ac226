//! The flags of `deploy bench`.

use std::path::PathBuf;
use std::time::Duration;

use bench::cold::EngineOptions;
use bench::compare::Conditions;
use bench::plan::{Feeds, PlanOptions};
use bench::scenario::Scenario;
use clap::{Args, ValueEnum};
use data::{Preprocess, Split};
use deploy::Provider;
use deploy::precision::Precision;

use super::{LocationArgs, OutputKindArg};

/// The flags of `deploy bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// The same as `--model`
    #[arg(value_name = "MODEL", conflicts_with = "models")]
    pub(crate) files: Vec<PathBuf>,
    /// A folder or a CSV file of labelled images, or `builtin:insects`, on which every configuration is scored; for a
    /// verifier, of identities or pairs [default: the run's own data]
    #[arg(long, value_name = "DIR", conflicts_with = "no_data")]
    pub(crate) data: Option<String>,
    /// Measure on random numbers, and score nothing
    #[arg(long)]
    pub(crate) no_data: bool,
    /// The split to score: `train`, `val` or `test`
    #[arg(long, default_value_t = Split::Test)]
    pub(crate) split: Split,
    #[command(flatten)]
    pub(crate) model: BenchModelArgs,
    #[command(flatten)]
    pub(crate) configurations: ConfigurationArgs,
    #[command(flatten)]
    pub(crate) measuring: MeasuringArgs,
    #[command(flatten)]
    pub(crate) results: ResultArgs,
    #[command(flatten)]
    pub(crate) location: LocationArgs,
}

impl BenchArgs {
    /// Options of the plan.
    pub(crate) fn plan_options(&self) -> PlanOptions {
        let (configurations, measuring) = (&self.configurations, &self.measuring);
        PlanOptions {
            batches: configurations
                .batch
                .iter()
                .copied()
                .map(usize::from)
                .collect(),
            providers: configurations.provider.clone(),
            precisions: configurations.precision.clone(),
            feeds: match configurations.feed {
                FeedArg::Host => Feeds::Host,
                FeedArg::Resident => Feeds::Resident,
                FeedArg::Both => Feeds::Both,
            },
            streams: usize::from(configurations.streams),
            threads: configurations.threads.map(usize::from),
            allow_fallback: configurations.allow_fallback,
            matrix: configurations.matrix,
            scenario: measuring.scenario(),
            rate: measuring.rate,
        }
    }
}

/// The models, and facts that their cards lack.
#[derive(Debug, Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct BenchModelArgs {
    /// The model files, or runs by their folders or names [default: the latest run]
    #[arg(long = "model", value_name = "FILE|RUN", num_args = 1..)]
    pub(crate) models: Vec<PathBuf>,
    /// The folder of the runs
    #[arg(long, value_name = "DIR", default_value = data::run_files::RUNS)]
    pub(crate) runs: PathBuf,
    /// A file of class names, one per line in the order of the outputs; replaces the card's names
    #[arg(long, value_name = "FILE")]
    pub(crate) classes: Option<PathBuf>,
    /// Preprocessing steps from an image to the model's input; replaces the card's steps
    #[arg(long, value_name = "TEXT")]
    pub(crate) preprocess: Option<Preprocess>,
    /// The output to read, where the model has several [default: the card's, or the only one of class scores]
    #[arg(long, value_name = "NAME")]
    pub(crate) output: Option<String>,
    /// Meaning of the model's output [default: as the card says, or the graph and the numbers for drawn images]
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) output_kind: Option<OutputKindArg>,
}

/// The configurations: every combination of these is one.
#[derive(Debug, Args)]
#[command(next_help_heading = "Configurations")]
pub(crate) struct ConfigurationArgs {
    /// Images per run [default: 1,8,32, or the number that the model fixes]
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) batch: Vec<u16>,
    /// Execution providers: `cpu`, `cuda[:N]`, `tensorrt[:N]`, `tensorrt-rtx[:N]`, `openvino[:gpu|:npu]`; a model that
    /// cannot run there is an error [default: cpu]
    #[arg(long, value_name = "P,...", value_delimiter = ',')]
    pub(crate) provider: Vec<Provider>,
    /// Precisions: `fp32`, `tf32`, `bf16`, `fp16`, `int8` [default: fp32]
    #[arg(long, value_name = "P,...", value_delimiter = ',')]
    pub(crate) precision: Vec<Precision>,
    /// Source of a GPU's input
    #[arg(long, value_enum, default_value_t = FeedArg::Both)]
    pub(crate) feed: FeedArg,
    /// Number of sessions that run at the same time, each in its own thread
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) streams: u16,
    /// Number of threads in each session [default: the cores, divided by the streams]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
    /// Let idle CPU threads sleep, not spin
    #[arg(long)]
    pub(crate) no_spinning: bool,
    /// Take the CPU's memory from the system, not from ONNX Runtime's arena
    #[arg(long)]
    pub(crate) no_arena: bool,
    /// Let nodes that the provider cannot compute run on another one
    #[arg(long)]
    pub(crate) allow_fallback: bool,
    /// Measure each model with the setting that `deploy tune --save` found for it here, in place of the flags for it
    #[arg(long, conflicts_with_all = ["provider", "precision", "batch", "streams", "threads", "matrix", "engine"])]
    pub(crate) tuned: bool,
    /// Measure every provider and precision, unless some are named; list those that cannot run here with the
    /// reason, and recommend the best
    #[arg(long)]
    pub(crate) matrix: bool,
    /// In place of ONNX Runtime: `fake:1.5ms`
    #[arg(long, hide = true)]
    pub(crate) engine: Option<FakeDelay>,
}

impl ConfigurationArgs {
    /// Options of every session.
    pub(crate) fn engine_options(&self) -> EngineOptions {
        EngineOptions {
            fake: self.engine.map(|FakeDelay(delay)| delay),
            spinning: !self.no_spinning,
            arena: !self.no_arena,
            allow_fallback: self.allow_fallback,
        }
    }
}

/// Source of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FeedArg {
    /// Copied from the host's pinned memory for every run
    Host,
    /// Left on the GPU
    Resident,
    /// A configuration with each on a GPU; on the CPU only `host`
    Both,
}

/// Options of the measurement.
#[derive(Debug, Args)]
#[command(next_help_heading = "Measuring")]
pub(crate) struct MeasuringArgs {
    /// How runs follow each other, as in MLPerf Inference
    #[arg(long, value_enum, default_value_t = ScenarioArg::SingleStream)]
    pub(crate) scenario: ScenarioArg,
    /// Arrivals per second in the server scenario, of `--batch` images each
    #[arg(long, value_name = "R", value_parser = positive, required_if_eq("scenario", "server"))]
    pub(crate) rate: Option<f64>,
    /// Time for which each configuration runs before it is measured
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = humantime::parse_duration)]
    pub(crate) warmup: Duration,
    /// Time for which each configuration is measured
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    pub(crate) duration: Duration,
    /// Number of blocks into which the duration is divided; configurations take turns
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(2..))]
    pub(crate) blocks: u16,
    /// Seed of the random numbers, of the order of turns and of the arrivals
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

impl MeasuringArgs {
    /// The load scenario.
    pub(crate) fn scenario(&self) -> Scenario {
        match self.scenario {
            ScenarioArg::SingleStream => Scenario::SingleStream,
            ScenarioArg::MultiStream => Scenario::MultiStream,
            ScenarioArg::Server => Scenario::Server,
            ScenarioArg::Offline => Scenario::Offline,
        }
    }
}

/// Load scenario of MLPerf Inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScenarioArg {
    /// Each stream starts a run when its last one has ended
    SingleStream,
    /// All streams start together and wait for the last of them
    MultiStream,
    /// Images arrive at random times (Poisson); latency counts from the arrival, waiting included
    Server,
    /// All images are there from the start; only throughput counts
    Offline,
}

/// Files of results, and conditions that fail.
#[derive(Debug, Args)]
#[command(next_help_heading = "Results")]
pub(crate) struct ResultArgs {
    /// Write all results as JSON; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write one row per configuration as CSV
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
    /// Write an HTML page with latencies, and accuracy against throughput
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Compare with the file of an earlier `--json`
    #[arg(long, value_name = "FILE")]
    pub(crate) compare: Option<PathBuf>,
    /// Exit with 1 if one of these conditions holds beyond doubt, such as `p50>+5%,flips>0`
    #[arg(long, value_name = "CONDITIONS")]
    pub(crate) fail_if: Option<Conditions>,
}

/// Time of a run of the fake engine.
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
