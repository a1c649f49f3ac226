//! Polyphase layout: the columns of a padded image, sorted by their remainder modulo the stride.
//!
//! With stride 2, a row `0 1 2 3 4 5` is stored as `0 2 4 | 1 3 5`: the inputs of neighbouring outputs
//! at one kernel element are then neighbours, and load as one vector. Computes no products.

use crate::geometry::Geometry;

/// The layout `[C, H + 2 · padding, stride, pitch]` of one image.
pub(super) struct Polyphase {
    geometry: Geometry,
    /// Rows of a channel, with padding.
    rows: usize,
    /// Columns of one phase (one remainder modulo the stride).
    pitch: usize,
}

/// Values after the last row. A reader may load a whole vector that begins at the last value: twice
/// the 16 lanes of AVX-512.
const SLACK: usize = 32;

impl Polyphase {
    pub(super) fn new(geometry: &Geometry) -> Self {
        let padded = |i: usize| geometry.input[i] + 2 * geometry.padding[i];
        Self {
            geometry: *geometry,
            rows: padded(0),
            pitch: padded(1).div_ceil(geometry.stride[1]),
        }
    }

    /// Length of the buffer.
    pub(super) fn len(&self) -> usize {
        self.geometry.in_channels * self.rows * self.row_len() + SLACK
    }

    fn row_len(&self) -> usize {
        self.geometry.stride[1] * self.pitch
    }

    /// Distance between the inputs of an output and those of the output below it.
    pub(super) fn output_row_stride(&self) -> usize {
        self.geometry.stride[0] * self.row_len()
    }

    /// Offset of each tap `(channel, kernel row, kernel column)` of the first output.
    pub(super) fn tap_offsets(&self) -> Vec<usize> {
        let Geometry {
            in_channels,
            kernel: [kh, kw],
            stride: [_, sw],
            ..
        } = self.geometry;
        let mut offsets = Vec::with_capacity(self.geometry.taps());
        for channel in 0..in_channels {
            for dy in 0..kh {
                let row = (channel * self.rows + dy) * self.row_len();
                offsets.extend((0..kw).map(|dx| row + (dx % sw) * self.pitch + dx / sw));
            }
        }
        offsets
    }

    /// Writes one image `[C, H, W]` into a buffer that held zeros or an image of the same layout.
    ///
    /// Padding is not written: it is still zero from the buffer's creation.
    pub(super) fn fill(&self, image: &[f32], buffer: &mut [f32]) {
        let Geometry {
            input: [height, width],
            stride: [_, sw],
            padding: [top, left],
            ..
        } = self.geometry;
        for (i, source) in image.chunks_exact(width).enumerate() {
            let (channel, y) = (i / height, i % height);
            let row = (channel * self.rows + top + y) * self.row_len();
            let row = &mut buffer[row..row + self.row_len()];
            match sw {
                1 => row[left..left + width].copy_from_slice(source),
                2 => {
                    let (even, odd) = row.split_at_mut(self.pitch);
                    split_even_odd(source, left, even, odd);
                }
                _ => {
                    for phase in 0..sw {
                        // The first column of this phase that is not padding.
                        let skip = (phase + sw - left % sw) % sw;
                        let first = (left + skip) / sw;
                        let target = &mut row[phase * self.pitch + first..];
                        let values = source.iter().skip(skip).step_by(sw);
                        target.iter_mut().zip(values).for_each(|(t, v)| *t = *v);
                    }
                }
            }
        }
    }
}

/// Copies a row, whose first value belongs in column `left`, to the even and the odd columns.
#[inline(always)]
pub(super) fn split_even_odd<T: Copy>(source: &[T], left: usize, even: &mut [T], odd: &mut [T]) {
    let (first, second) = if left.is_multiple_of(2) {
        (&mut even[left / 2..], &mut odd[left / 2..])
    } else {
        (&mut odd[left / 2..], &mut even[left / 2 + 1..])
    };
    let (pairs, rest) = source.as_chunks::<2>();
    for ((pair, first), second) in pairs.iter().zip(&mut *first).zip(&mut *second) {
        [*first, *second] = *pair;
    }
    if let [last] = rest {
        first[pairs.len()] = *last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tap_finds_its_input() {
        for (h, w, k, s, p) in [
            (5, 7, 3, 1, 1),
            (6, 9, 7, 2, 3),
            (8, 5, 1, 4, 0),
            (7, 11, 3, 3, 2),
        ] {
            let g = Geometry::new([1, 2, h, w], [1, 2, k, k], [s; 2], [p; 2]);
            let image: Vec<f32> = (1..=g.image_len()).map(|v| v as f32).collect();
            let layout = Polyphase::new(&g);
            let mut buffer = vec![0.0; layout.len()];
            layout.fill(&image, &mut buffer);
            for (tap, offset) in layout.tap_offsets().into_iter().enumerate() {
                let (c, dy, dx) = (tap / (k * k), tap / k % k, tap % k);
                for (y, x) in (0..g.output[0]).flat_map(|y| (0..g.output[1]).map(move |x| (y, x))) {
                    let (iy, ix) = ((y * s + dy).wrapping_sub(p), (x * s + dx).wrapping_sub(p));
                    let inside = iy < h && ix < w;
                    let expected = if inside {
                        image[(c * h + iy) * w + ix]
                    } else {
                        0.0
                    };
                    assert_eq!(
                        buffer[offset + y * layout.output_row_stride() + x],
                        expected
                    );
                }
            }
        }
    }
}
