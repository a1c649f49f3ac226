//! Wilson score interval of a proportion.

/// Wilson score interval at 95 % (Wilson 1927) of a proportion, given `successes` out of `n`. `[0, 1]` when
/// `n` is zero.
///
/// ```
/// let (low, high) = classifold_data::metrics::wilson(146, 153);
/// assert!((low - 0.9085).abs() < 1e-4 && (high - 0.9776).abs() < 1e-4);
/// ```
#[must_use]
pub fn wilson(successes: u64, n: u64) -> (f64, f64) {
    if n == 0 {
        return (0.0, 1.0);
    }
    wilson_from_share(successes.min(n) as f64 / n as f64, n as f64)
}

/// [`wilson`] of a `share` of successes among `n`, above 0. `n` need not be whole: predictions that are not
/// independent count as fewer (effective sample size).
///
/// ```
/// // The roots of (0.95 - p)^2 = 1.96^2 p (1 - p) / 108.4.
/// let (low, high) = classifold_data::metrics::wilson_from_share(0.95, 108.4);
/// assert!((low - 0.891_438).abs() < 1e-6 && (high - 0.977_760).abs() < 1e-6);
/// ```
#[must_use]
pub fn wilson_from_share(share: f64, n: f64) -> (f64, f64) {
    /// The 97.5 % point of the normal distribution.
    const Z: f64 = 1.959_963_984_540_054;
    let center = (share + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    // Rounding may push an end past the share when that is 0 or 1.
    (
        (center - half).clamp(0.0, share),
        (center + half).clamp(share, 1.0),
    )
}

#[cfg(test)]
mod tests {
    use super::wilson;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn contains_the_share(n in 1u64..100_000, part in 0.0f64..=1.0) {
            let successes = (part * n as f64) as u64;
            let (low, high) = wilson(successes, n);
            let share = successes as f64 / n as f64;
            prop_assert!(0.0 <= low && low <= share && share <= high && high <= 1.0);
            prop_assert!(low < high);
        }
    }

    #[test]
    fn more_images_narrow_it() {
        let width = |n: u64| {
            let (low, high) = wilson(n / 2, n);
            high - low
        };
        assert!(width(10) > width(100) && width(100) > width(1000));
    }
}
