//! The result of a run, for people and for programs.

use std::path::Path;

use data::{Scores, Split};
use serde::Serialize;

use crate::error::Result;
use crate::verify::Agreement;

/// `summary.json`, and what `fit --json` writes.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The run's name.
    pub run: String,
    /// The exported file, relative to the run folder.
    pub model: String,
    /// Whether ONNX Runtime agrees with Burn on it.
    pub verified: bool,
    /// The network's name.
    pub network: String,
    /// All parameters.
    pub parameters: usize,
    /// Those that were trained.
    pub trainable_parameters: usize,
    /// Epochs done.
    pub epochs: usize,
    /// The exported epoch, counted from 1.
    pub epoch: usize,
    /// `finished` or `early-stopped`.
    pub ended: &'static str,
    /// Validation accuracy of the exported epoch, in [0, 1].
    pub val_accuracy: f64,
    /// Seconds from start to end.
    pub seconds: f64,
    /// The split that the scores below are of: `test`, or `val` with `--no-test`.
    pub split: Split,
    /// Scores of the exported file through ONNX Runtime.
    #[serde(flatten)]
    pub scores: Scores,
}

/// Writes a JSON file, whole or not at all.
pub fn save(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    Ok(data::write::atomically(path, &text)?)
}

/// One line on a verification.
pub fn agreement(agreement: &Agreement) -> String {
    let batches: Vec<String> = agreement.batches.iter().map(usize::to_string).collect();
    let verdict = match agreement.disagreements.len() {
        0 if agreement.verified => "agree".to_string(),
        count => format!("disagree ({count} times)"),
    };
    format!(
        "Burn and ONNX Runtime {verdict} on {} images at batch {}: at most {:.1e} of {:.1e} apart",
        agreement.images,
        batches.join(", "),
        agreement.max_difference,
        agreement.tolerance,
    )
}

/// Scores for people: what was scored by what, then the table.
pub fn report(split: Split, by: &str, scores: &Scores) -> String {
    format!(
        "{split} images, {by}\n{}",
        data::metrics::table(scores).trim_end()
    )
}
