//! Findings of a benchmark, as its files hold them. Measures nothing and prints nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::accuracy::Accuracy;
use crate::cold::{ColdCosts, Memory};
use crate::key::{Key, Skipped};
use crate::stages::StageTimes;
use crate::stats::{Block, Latency};
use crate::system::SystemInfo;
use crate::verification::Verification;

/// One configuration, measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BenchResult {
    #[serde(flatten)]
    pub key: Key,
    /// Recorded runs.
    pub runs: usize,
    pub images_per_second: f64,
    pub latency_ms: Latency,
    /// 95 % intervals by metric, in the metric's unit.
    pub interval_95: BTreeMap<String, [f64; 2]>,
    /// Standard errors of the metrics' logarithms, over blocks.
    pub log_error: BTreeMap<String, f64>,
    pub cold_ms: ColdCosts,
    /// Milliseconds per image of every stage from the file to the answer.
    pub split_ms: StageTimes,
    pub memory: Memory,
    /// Nodes of the graph, by the provider that ran them.
    pub nodes_by_provider: BTreeMap<String, usize>,
    /// Share of the test images that it gets right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top1: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Accuracy>,
    /// Scores of a verifier, in place of both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// The parts that it was measured in, in order.
    pub blocks: Vec<Block>,
    /// The latencies' quantiles from 0 to 100 %, in steps of 1 %.
    pub quantiles_ms: Vec<f64>,
}

/// Everything that a benchmark found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Findings {
    /// The program and its version.
    pub tool: String,
    /// When it began, UTC.
    pub date: String,
    /// Version of ONNX Runtime.
    pub runtime: String,
    pub machine: SystemInfo,
    pub seed: u64,
    /// Whether it was interrupted.
    pub partial: bool,
    pub results: Vec<BenchResult>,
    #[serde(default)]
    pub skipped: Vec<Skipped>,
    /// Indices in `results` that no other is better than, with `--matrix`.
    #[serde(default)]
    pub pareto: Vec<usize>,
    #[serde(default)]
    pub recommendation: Option<String>,
    #[serde(default)]
    pub warnings: Vec<String>,
    /// The comparison, line by line.
    #[serde(default)]
    pub comparison: Vec<String>,
    /// Most resident memory of the whole process: every session, ONNX Runtime, images (VmHWM).
    pub peak_process_bytes: Option<u64>,
}
