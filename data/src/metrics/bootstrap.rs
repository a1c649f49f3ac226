//! Bootstrap intervals, for statistics whose interval has no formula.

use super::quantile;
use rand::RngExt as _;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

/// Percentile bootstrap interval at 95 % (Efron and Tibshirani 1993, chapter 13): `statistic` of
/// `resamples` draws of `count` indices in `0..count` with replacement. The same `seed` gives the
/// same interval.
///
/// `None` where there is nothing to draw, or where a statistic is `None` for more than half of the
/// draws.
///
/// ```
/// use classifold_data::metrics::bootstrap;
///
/// let values = [1.0, 2.0, 3.0, 4.0, 5.0];
/// let mean = |draw: &[usize]| Some(draw.iter().map(|&i| values[i]).sum::<f64>() / 5.0);
/// let [low, high] = bootstrap(5, 1000, 0, mean).unwrap();
/// assert!(1.0 < low && low < 2.2 && 3.8 < high && high < 5.0);
/// ```
pub fn bootstrap(
    count: usize,
    resamples: usize,
    seed: u64,
    mut statistic: impl FnMut(&[usize]) -> Option<f64>,
) -> Option<[f64; 2]> {
    let [statistics] = resample(count, resamples, seed, |draw| Some([statistic(draw)?]))?;
    percentile_interval(&statistics)
}

/// Several statistics of the draws of [`bootstrap`], each sorted. `None` where `bootstrap` has no interval.
pub(super) fn resample<const N: usize>(
    count: usize,
    resamples: usize,
    seed: u64,
    mut statistics: impl FnMut(&[usize]) -> Option<[f64; N]>,
) -> Option<[Vec<f64>; N]> {
    if count == 0 {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // One buffer for all draws: `statistics` is called thousands of times.
    let mut draw = vec![0; count];
    let mut values = [(); N].map(|()| Vec::with_capacity(resamples));
    let mut num_drawn = 0;
    for _ in 0..resamples {
        draw.fill_with(|| rng.random_range(0..count));
        let Some(found) = statistics(&draw) else {
            continue;
        };
        num_drawn += 1;
        for (values, value) in values.iter_mut().zip(found) {
            values.push(value);
        }
    }
    if 2 * num_drawn <= resamples {
        return None;
    }
    for values in &mut values {
        values.sort_by(f64::total_cmp);
    }
    Some(values)
}

/// The percentile interval at 95 % of sorted statistics.
pub(super) fn percentile_interval(sorted: &[f64]) -> Option<[f64; 2]> {
    Some([quantile(sorted, 0.025)?, quantile(sorted, 0.975)?])
}

/// [`bootstrap`] interval of the mean of `values`.
///
/// ```
/// let [low, high] = classifold_data::metrics::bootstrap_mean(&[0.0, 0.0, 1.0, 1.0], 1000, 0).unwrap();
/// assert!(low < 0.5 && 0.5 < high);
/// ```
#[must_use]
pub fn bootstrap_mean(values: &[f64], resamples: usize, seed: u64) -> Option<[f64; 2]> {
    bootstrap(values.len(), resamples, seed, |draw| {
        Some(draw.iter().map(|&index| values[index]).sum::<f64>() / values.len() as f64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_share_is_about_the_normal_one() {
        // 150 of 200: 0.75 ± 1.96 sqrt(0.75 · 0.25 / 200) = 0.690 to 0.810.
        let values: Vec<f64> = (0..200).map(|i| f64::from(u8::from(i % 4 != 0))).collect();
        let [low, high] = bootstrap_mean(&values, 4000, 1).unwrap();
        assert!(
            (low - 0.690).abs() < 0.01 && (high - 0.810).abs() < 0.01,
            "{low} {high}"
        );
        assert_eq!(bootstrap_mean(&values, 4000, 1), Some([low, high]));
    }

    #[test]
    fn what_cannot_be_computed_has_no_interval() {
        assert_eq!(bootstrap_mean(&[], 100, 0), None);
        assert_eq!(bootstrap(3, 100, 0, |_| None), None);
        assert_eq!(bootstrap_mean(&[2.5], 100, 0), Some([2.5, 2.5]));
    }
}
