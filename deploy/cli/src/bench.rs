//! The benchmark: `Plan ▸ cold costs ▸ warm-up ▸ Samples ▸ Stats ▸ advice ▸ comparison`.
//!
//! [`run`] takes samples, [`stats`] never sees a clock, [`warnings`] never sees a sample, and
//! nothing here prints. Figures leave as [`BenchResult`]s, in the units of the files that hold them.

pub(crate) mod accuracy;
mod bootstrap;
pub(crate) mod cold;
pub(crate) mod compare;
pub(crate) mod machine;
pub(crate) mod matrix;
mod outliers;
pub(crate) mod plan;
pub(crate) mod rooms;
pub(crate) mod run;
mod scenario;
pub(crate) mod sparkline;
pub(crate) mod stats;
pub(crate) mod table;
pub(crate) mod warnings;
pub(crate) mod worker;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use accuracy::Accuracy;
use machine::SystemInfo;
use rooms::Rooms;
use stats::{Block, Latency};

/// Which configuration a result is of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Key {
    /// The model file.
    pub(crate) model: String,
    pub(crate) provider: String,
    pub(crate) precision: String,
    /// Images per run.
    pub(crate) batch: usize,
    /// Where the input comes from: `host` or `resident`.
    pub(crate) feed: String,
    /// Sessions at work at the same time.
    pub(crate) streams: usize,
    /// Threads inside each.
    pub(crate) threads: usize,
    pub(crate) scenario: String,
    /// Arrivals per second of the server scenario.
    pub(crate) rate: Option<f64>,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Runs tell their models by the folder alone.
        let parts: Vec<_> = std::path::Path::new(&self.model).iter().collect();
        let name: std::path::PathBuf = parts[parts.len().saturating_sub(2)..].iter().collect();
        let (provider, precision, batch) = (&self.provider, &self.precision, self.batch);
        write!(f, "{} {provider} {precision} batch {batch}", name.display())?;
        if self.feed != "host" {
            write!(f, " {}", self.feed)?;
        }
        Ok(())
    }
}

/// What it takes before a configuration runs at its pace, milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ColdCosts {
    /// Loading the ONNX Runtime library, once per process.
    pub(crate) load: Option<f64>,
    /// Making the session, without the engine's build.
    pub(crate) session: f64,
    /// Building TensorRT's engine; null where there is none.
    pub(crate) build: Option<f64>,
    /// The first run.
    pub(crate) first_run: f64,
    /// The first run of a session that has run another batch size; null where only one was asked for.
    pub(crate) new_shape: Option<f64>,
}

/// Peaks of memory, bytes.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// What opening the configuration and its first run added to the process's resident memory, at the
    /// most; null where the system does not say.
    pub(crate) host_bytes: Option<u64>,
    /// What they added on the GPU; null on the CPU.
    pub(crate) device_bytes: Option<u64>,
}

/// One configuration, measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BenchResult {
    #[serde(flatten)]
    pub(crate) key: Key,
    /// Recorded runs.
    pub(crate) runs: usize,
    pub(crate) images_per_second: f64,
    pub(crate) latency_ms: Latency,
    /// 95 % intervals by metric, in the metric's unit.
    pub(crate) interval_95: BTreeMap<String, [f64; 2]>,
    /// Standard errors of the metrics' logarithms, over blocks.
    pub(crate) log_error: BTreeMap<String, f64>,
    pub(crate) cold_ms: ColdCosts,
    /// Milliseconds per image of every room from the file to the answer.
    pub(crate) split_ms: Rooms,
    pub(crate) memory: Memory,
    /// Nodes of the graph, by the provider that ran them.
    pub(crate) nodes_by_provider: BTreeMap<String, usize>,
    /// Share of the test images that it gets right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) top1: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) accuracy: Option<Accuracy>,
    /// The parts that it was measured in, in order.
    pub(crate) blocks: Vec<Block>,
    /// The latencies' quantiles from 0 to 100 %, in steps of 1 %.
    pub(crate) quantiles_ms: Vec<f64>,
}

/// A configuration that cannot run here, and why.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Skipped {
    pub(crate) configuration: String,
    pub(crate) reason: String,
}

/// Everything that a benchmark found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Findings {
    /// The program and its version.
    pub(crate) tool: String,
    /// When it began, UTC.
    pub(crate) date: String,
    /// Version of ONNX Runtime.
    pub(crate) runtime: String,
    pub(crate) machine: SystemInfo,
    pub(crate) seed: u64,
    /// Whether it was interrupted.
    pub(crate) partial: bool,
    pub(crate) results: Vec<BenchResult>,
    #[serde(default)]
    pub(crate) skipped: Vec<Skipped>,
    /// Places in `results` that no other is better than, with `--matrix`.
    #[serde(default)]
    pub(crate) pareto: Vec<usize>,
    #[serde(default)]
    pub(crate) recommendation: Option<String>,
    #[serde(default)]
    pub(crate) warnings: Vec<String>,
    /// What the comparison said, line by line.
    #[serde(default)]
    pub(crate) comparison: Vec<String>,
    /// Most resident memory of the whole process: every session, ONNX Runtime, pictures (VmHWM).
    pub(crate) peak_process_bytes: Option<u64>,
}
