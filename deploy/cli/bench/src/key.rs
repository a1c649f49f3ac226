//! Key of a configuration in files and reports. Measures nothing.

use serde::{Deserialize, Serialize};

/// The configuration of a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// The model file.
    pub model: String,
    pub provider: String,
    pub precision: String,
    /// Images per run.
    pub batch: usize,
    /// Where the input comes from: `host` or `resident`.
    pub feed: String,
    /// Sessions at work at the same time.
    pub streams: usize,
    /// Threads inside each.
    pub threads: usize,
    pub scenario: String,
    /// Arrivals per second of the server scenario.
    pub rate: Option<f64>,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The models of runs differ in their folder alone.
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

/// A configuration that cannot run here, and why.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Skipped {
    pub configuration: String,
    pub reason: String,
}
