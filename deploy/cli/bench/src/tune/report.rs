//! Results of tuning, as its files hold them. Measures nothing and prints nothing.

use deploy::tuned::Setting;
use serde::{Deserialize, Serialize};

use super::space::Goal;
use crate::accuracy::Accuracy;
use crate::key::Skipped;
use crate::stats::Latency;
use crate::system::SystemInfo;

/// A setting that was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tried {
    #[serde(flatten)]
    pub setting: Setting,
    /// Turns that it had.
    pub rounds: usize,
    /// Runs of all sessions.
    pub runs: usize,
    /// Milliseconds that count: of a run for latency, of an image for throughput. Geometric mean over the turns.
    pub ms: f64,
    /// 95 % interval of it (Student's t over the turns).
    pub interval: [f64; 2],
    pub images_per_second: f64,
    /// Of a run.
    pub latency_ms: Latency,
    /// How many times as fast it is as the default, with its interval: low, ratio, high. From turns of the same rounds;
    /// null where it shared none with the default. The intervals of all settings hold together with 99 % (Bonferroni).
    pub speedup: Option<[f64; 3]>,
    /// On the images by which it was chosen.
    pub validation: Option<Accuracy>,
    /// On images that chose nothing.
    pub test: Option<Accuracy>,
    /// Why it left the race; null where it stayed to the end.
    pub dropped: Option<String>,
}

/// Everything that tuning found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tuning {
    /// The program and its version.
    pub tool: String,
    /// When it began, UTC.
    pub date: String,
    /// Version of ONNX Runtime.
    pub runtime: String,
    pub machine: SystemInfo,
    pub model: String,
    pub goal: Goal,
    pub max_latency_ms: Option<f64>,
    /// Percentage points.
    pub max_accuracy_drop: f64,
    /// Seconds that it took.
    pub seconds: f64,
    pub validation_images: usize,
    pub test_images: usize,
    pub tried: Vec<Tried>,
    /// Index in `tried` of the setting that is used where nothing is said.
    pub default: usize,
    /// Index in `tried` of the setting to use.
    pub recommended: Option<usize>,
    /// Indices in `tried` than which nothing is faster and at least as accurate.
    pub frontier: Vec<usize>,
    /// The recommendation in words.
    pub reason: String,
    pub skipped: Vec<Skipped>,
    pub warnings: Vec<String>,
}

impl Tried {
    /// Accuracy to show: on test images, or else on those by which it was chosen.
    pub fn accuracy(&self) -> Option<&Accuracy> {
        self.test.as_ref().or(self.validation.as_ref())
    }
}

impl Accuracy {
    /// Share of the images that it gets right.
    pub fn share(&self) -> f64 {
        self.correct as f64 / self.count.max(1) as f64
    }

    /// Percentage points by which it is less accurate than the reference; negative where it is more accurate.
    pub fn drop(&self) -> f64 {
        let lost = self.mcnemar.only_first as f64 - self.mcnemar.only_second as f64;
        100.0 * lost / self.count.max(1) as f64
    }
}
