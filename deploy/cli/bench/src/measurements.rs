//! Measurements of one turn: latencies, counts, sums. Computes nothing but the rate.

/// The runs of one turn of a configuration.
#[derive(Clone, Debug, Default)]
pub struct Measurements {
    /// Seconds of each run, in order; none in the offline scenario.
    pub latencies: Vec<f64>,
    pub runs: usize,
    pub images: usize,
    /// Seconds in which these images were done.
    pub elapsed: f64,
    /// Seconds on the way to the device, in the model, on the way back: sums over the runs.
    pub to_device: Option<f64>,
    pub compute: f64,
    pub from_device: Option<f64>,
}

impl Measurements {
    pub(crate) fn rate(&self) -> f64 {
        self.images as f64 / self.elapsed.max(f64::MIN_POSITIVE)
    }
}
