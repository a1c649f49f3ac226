//! The gray values of a window, and whether two are of near duplicates.

use super::window::{VALUES, Window};
use super::{SIDE, Thumbnail};

/// From this correlation on, candidates are near duplicates.
pub(super) const LEAST_CORRELATION: f32 = 0.88;
/// Values with a smaller share of their variance in details have little detail.
const LITTLE_DETAIL: f32 = 0.1;
/// From this correlation of the details on, candidates with little detail are near duplicates.
const LEAST_DETAIL_CORRELATION: f32 = 0.62;
const COUNT: usize = VALUES * VALUES;

/// Gray values `[16, 16]` without their mean.
pub(super) struct Values([f32; COUNT]);

impl Values {
    pub(super) fn of(window: &Window, thumbnail: &Thumbnail) -> Self {
        let values = window.values(thumbnail);
        let values = values.as_flattened().as_array();
        Self::centred(*values.expect("16 x 16"))
    }

    /// Of the window that is the whole thumbnail: a value is the mean of 2 x 2.
    pub(super) fn of_whole(Thumbnail(thumbnail): &Thumbnail) -> Self {
        let mut values = [0.0; COUNT];
        let two_rows = thumbnail.as_chunks::<{ 2 * SIDE }>().0;
        for (values, rows) in values.as_chunks_mut::<VALUES>().0.iter_mut().zip(two_rows) {
            for (column, value) in values.iter_mut().enumerate() {
                let four = [0, 1, SIDE, SIDE + 1].map(|i| u16::from(rows[2 * column + i]));
                *value = f32::from(four.iter().sum::<u16>()) / 4.0;
            }
        }
        Self::centred(values)
    }

    fn centred(mut values: [f32; COUNT]) -> Self {
        let mean = product(&values, &[1.0; COUNT]) / COUNT as f32;
        for value in &mut values {
            *value -= mean;
        }
        Self(values)
    }

    /// The correlation with the values of another window, where the two are of near duplicates.
    pub(super) fn near(&self, other: &Self) -> Option<f32> {
        let correlation = self.correlation(other);
        if correlation < LEAST_CORRELATION {
            return None;
        }
        let details = [self, other].map(Self::details);
        let is_plain = [self, other]
            .into_iter()
            .zip(&details)
            .any(|(values, details)| details.variance() < LITTLE_DETAIL * values.variance());
        let is_near = !is_plain || details[0].correlation(&details[1]) >= LEAST_DETAIL_CORRELATION;
        is_near.then_some(correlation)
    }

    /// Values without their mean over 3 x 3, the edge repeated: a mean of fewer values would leave slopes.
    fn details(&self) -> Self {
        let around = |i: usize| [i.saturating_sub(1), i, (i + 1).min(VALUES - 1)];
        let detail = |i: usize| {
            let (rows, columns) = (around(i / VALUES), around(i % VALUES));
            let sum: f32 = rows
                .into_iter()
                .flat_map(|row| columns.map(|column| self.0[row * VALUES + column]))
                .sum();
            self.0[i] - sum / 9.0
        };
        Self::centred(std::array::from_fn(detail))
    }

    /// The sum of the squares.
    fn variance(&self) -> f32 {
        product(&self.0, &self.0)
    }

    /// Pearson's correlation coefficient.
    pub(super) fn correlation(&self, other: &Self) -> f32 {
        let variances = self.variance() * other.variance();
        product(&self.0, &other.0) / variances.sqrt().max(f32::MIN_POSITIVE)
    }
}

/// In several sums, which a vector holds.
fn product(a: &[f32; COUNT], b: &[f32; COUNT]) -> f32 {
    let mut sums = [0.0; 16];
    for (a, b) in a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::super::window::Windows;
    use super::*;

    #[test]
    fn the_whole_is_the_window_of_the_whole() {
        let gray = std::array::from_fn(|i| (i * i % 251) as u8);
        let thumbnail = Thumbnail(Box::new(gray));
        let window = Values::of(Windows::new().whole(), &thumbnail);
        assert_eq!(Values::of_whole(&thumbnail).0, window.0);
    }
}
