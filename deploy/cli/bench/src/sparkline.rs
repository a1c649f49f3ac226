//! Sparkline: numbers as a line of small bars. Knows no benchmark.

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The last `width` values, from the least to the largest of them.
pub fn sparkline(values: &[f64], width: usize) -> String {
    let values = &values[values.len().saturating_sub(width)..];
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let bar = |value: &f64| {
        let share = (value - low) / (high - low).max(f64::MIN_POSITIVE);
        BARS[((BARS.len() - 1) as f64 * share).round() as usize]
    };
    values.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_reach_from_the_least_to_the_largest() {
        assert_eq!(sparkline(&[9.0, 1.0, 2.0, 3.0, 8.0], 4), "▁▂▃█");
        assert_eq!(sparkline(&[5.0, 5.0], 8), "▁▁");
        assert_eq!(sparkline(&[], 8), "");
    }
}
