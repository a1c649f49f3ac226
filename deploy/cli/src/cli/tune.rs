//! The flags of `deploy tune`.

use std::path::PathBuf;
use std::time::Duration;

use bench::tune::{Goal, Limits};
use clap::{Args, ValueEnum};
use deploy::{Precision, Provider};

use super::{LocationArgs, ModelArgs};

/// The flags of `deploy tune`.
#[derive(Debug, Args)]
pub(crate) struct TuneArgs {
    /// The same as `--model`
    #[arg(value_name = "MODEL", conflicts_with = "model")]
    pub(crate) file: Option<PathBuf>,
    /// A folder or a CSV file of labelled images, or `builtin:insects`: training images calibrate, validation images
    /// choose, test images are reported [default: the run's own data]
    #[arg(long, value_name = "DIR", conflicts_with = "no_data")]
    pub(crate) data: Option<String>,
    /// Measure on random numbers: time alone, without int8
    #[arg(long)]
    pub(crate) no_data: bool,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) search: SearchArgs,
    #[command(flatten)]
    pub(crate) results: TuneResultArgs,
    #[command(flatten)]
    pub(crate) location: LocationArgs,
}

/// What is sought, and where.
#[derive(Debug, Args)]
#[command(next_help_heading = "Search")]
pub(crate) struct SearchArgs {
    /// What is made as good as possible
    #[arg(long = "for", value_enum, value_name = "GOAL", default_value_t = GoalArg::Latency)]
    pub(crate) goal: GoalArg,
    /// Time that a run may take: its 95th percentile
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) max_latency: Option<Duration>,
    /// Percentage points of accuracy that may be lost on the validation images, against fp32 on the CPU provider
    #[arg(long, value_name = "POINTS", default_value_t = 0.5, value_parser = points)]
    pub(crate) max_accuracy_drop: f64,
    /// Time for the measurements; files are converted before, and every setting has at least three turns, however long
    /// they take
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    pub(crate) time: Duration,
    /// Execution providers to try [default: all that run on this machine]
    #[arg(long, value_name = "P,...", value_delimiter = ',')]
    pub(crate) provider: Vec<Provider>,
    /// Precisions to try [default: all that the providers have]
    #[arg(long, value_name = "P,...", value_delimiter = ',')]
    pub(crate) precision: Vec<Precision>,
    /// Seed of the random numbers and of the order of turns
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

impl SearchArgs {
    /// What a setting must keep.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            max_latency_ms: self.max_latency.map(|limit| limit.as_nanos() as f64 / 1e6),
            max_accuracy_drop: self.max_accuracy_drop,
        }
    }
}

/// What is made as good as possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GoalArg {
    /// The time of one image, alone
    Latency,
    /// Images per second, many at a time
    Throughput,
}

impl From<GoalArg> for Goal {
    fn from(goal: GoalArg) -> Self {
        match goal {
            GoalArg::Latency => Self::Latency,
            GoalArg::Throughput => Self::Throughput,
        }
    }
}

/// Files of results, and the saved setting.
#[derive(Debug, Args)]
#[command(next_help_heading = "Results")]
pub(crate) struct TuneResultArgs {
    /// Save the recommended setting in the cache folder, for `--tuned`
    #[arg(long)]
    pub(crate) save: bool,
    /// Write all results as JSON; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write an HTML page with accuracy against time
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

fn points(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(points) if (0.0..=100.0).contains(&points) => Ok(points),
        _ => Err("expected a number from 0 to 100".to_owned()),
    }
}
