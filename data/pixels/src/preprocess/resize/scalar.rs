//! Inner loops of the passes in portable code.

use super::weights::{BITS, HALF, Weights};

/// Resamples a row; `first` is the column of its first pixel.
pub(super) fn resample_horizontal(row: &[u8], weights: &Weights, first: usize, target: &mut [u8]) {
    let row: &[[u8; 3]] = row.as_chunks().0;
    for (index, target) in target.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (start, weights) = weights.taps_of(index);
        let mut sums = [HALF; 3];
        for (pixel, &weight) in row[start - first..][..weights.len()].iter().zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(pixel) {
                *sum += i32::from(value) * weight;
            }
        }
        *target = sums.map(clip);
    }
}

/// Weighted sum of rows that begin `stride` bytes apart.
pub(super) fn resample_vertical(rows: &[u8], stride: usize, weights: &[i32], target: &mut [u8]) {
    /// Sums that the compiler keeps in vector registers.
    const LANES: usize = 32;
    let (chunks, rest) = target.as_chunks_mut::<LANES>();
    let done = chunks.len() * LANES;
    for (index, target) in chunks.iter_mut().enumerate() {
        let mut sums = [HALF; LANES];
        for (row, &weight) in rows.chunks(stride).zip(weights) {
            let Some(values) = row[index * LANES..].first_chunk::<LANES>() else {
                continue;
            };
            for (sum, &value) in sums.iter_mut().zip(values) {
                *sum += i32::from(value) * weight;
            }
        }
        *target = sums.map(clip);
    }
    for (offset, target) in rest.iter_mut().enumerate() {
        let mut sum = HALF;
        for (row, &weight) in rows.chunks(stride).zip(weights) {
            sum += i32::from(row[done + offset]) * weight;
        }
        *target = clip(sum);
    }
}

fn clip(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}
