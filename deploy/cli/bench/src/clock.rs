//! Monotonic clock. Knows no configuration.

use std::time::Instant;

/// Calls `work` and says how many seconds it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let value = work();
    (value, start.elapsed().as_secs_f64())
}
