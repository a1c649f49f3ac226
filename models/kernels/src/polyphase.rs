//! Polyphase layout: the rows and columns of a padded image, sorted by their remainders modulo the stride.
//!
//! With stride 2, a row `0 1 2 3 4 5` is stored as `0 2 4 | 1 3 5`, and the even rows before the odd ones: the inputs
//! of neighbouring outputs at one kernel element are then neighbours, and load as one vector. Computes no products.

use crate::geometry::Geometry;

/// The layout `[C, SH, SW, rows, pitch]` of one image, with strides SH and SW.
pub(super) struct Polyphase {
    geometry: Geometry,
    /// Rows of one phase (one pair of remainders modulo the strides).
    rows: usize,
    /// Columns of one phase.
    pitch: usize,
}

/// Values after the last phase, but for the kernel's width. A reader may load four whole vectors that begin at the last
/// value: four times the 16 lanes of AVX-512.
const SLACK: usize = 64;

impl Polyphase {
    pub(super) fn new(geometry: &Geometry) -> Self {
        let size = |i: usize| {
            let padded = geometry.input[i] + geometry.padding[i] + geometry.end_padding[i];
            padded.div_ceil(geometry.stride[i])
        };
        Self {
            geometry: *geometry,
            rows: size(0),
            pitch: size(1),
        }
    }

    /// Length of the buffer.
    pub(super) fn len(&self) -> usize {
        let g = &self.geometry;
        g.in_channels * g.stride[0] * g.stride[1] * self.phase_len() + SLACK + g.kernel[1]
    }

    /// Values of one phase of a channel.
    pub(super) fn phase_len(&self) -> usize {
        self.rows * self.pitch
    }

    /// Distance between the inputs of an output and those of the output below it.
    pub(super) fn pitch(&self) -> usize {
        self.pitch
    }

    /// The phase of a channel in which the kernel element `(dy, dx)` finds its inputs.
    pub(super) fn phase(&self, dy: usize, dx: usize) -> usize {
        let [sh, sw] = self.geometry.stride;
        dy % sh * sw + dx % sw
    }

    /// The place, in its phase, of the input of the first output at the kernel element `(dy, dx)`.
    pub(super) fn shift(&self, dy: usize, dx: usize) -> usize {
        let [sh, sw] = self.geometry.stride;
        dy / sh * self.pitch + dx / sw
    }

    /// Offset of each tap `(channel, kernel row, kernel column)` of the first output.
    pub(super) fn tap_offsets(&self) -> Vec<usize> {
        let Geometry {
            in_channels,
            kernel: [kh, kw],
            stride: [sh, sw],
            ..
        } = self.geometry;
        let mut offsets = Vec::with_capacity(self.geometry.taps());
        for channel in 0..in_channels {
            for dy in 0..kh {
                let offset = |dx: usize| {
                    let phase = channel * sh * sw + self.phase(dy, dx);
                    phase * self.phase_len() + self.shift(dy, dx)
                };
                offsets.extend((0..kw).map(offset));
            }
        }
        offsets
    }

    /// Offset of row `y` of a channel in the phases of even columns, of odd ones and so on, each `phase_len` further.
    fn row(&self, channel: usize, y: usize) -> usize {
        let [sh, sw] = self.geometry.stride;
        let y = y + self.geometry.padding[0];
        (channel * sh + y % sh) * sw * self.phase_len() + y / sh * self.pitch
    }

    /// Writes one image `[C, H, W]` into a buffer that held zeros or an image of the same layout.
    ///
    /// Padding is not written: it is still zero from the buffer's creation.
    pub(super) fn fill(&self, image: &[f32], buffer: &mut [f32]) {
        let Geometry {
            input: [height, width],
            stride: [_, sw],
            padding: [_, left],
            ..
        } = self.geometry;
        for (i, source) in image.chunks_exact(width).enumerate() {
            let rows = &mut buffer[self.row(i / height, i % height)..];
            match sw {
                1 => rows[left..left + width].copy_from_slice(source),
                2 => {
                    let (even, odd) = rows.split_at_mut(self.phase_len());
                    split_even_odd(source, left, even, odd);
                }
                _ => {
                    for (x, value) in source.iter().enumerate() {
                        let x = x + left;
                        rows[x % sw * self.phase_len() + x / sw] = *value;
                    }
                }
            }
        }
    }

    /// Reads one image `[C, H, W]` from a buffer.
    pub(super) fn read(&self, buffer: &[f32], image: &mut [f32]) {
        let Geometry {
            input: [height, width],
            stride: [_, sw],
            padding: [_, left],
            ..
        } = self.geometry;
        for (i, target) in image.chunks_exact_mut(width).enumerate() {
            let rows = &buffer[self.row(i / height, i % height)..];
            match sw {
                1 => target.copy_from_slice(&rows[left..left + width]),
                2 => {
                    let (even, odd) = rows.split_at(self.phase_len());
                    join_even_odd(even, odd, left, target);
                }
                _ => {
                    for (x, value) in target.iter_mut().enumerate() {
                        let x = x + left;
                        *value = rows[x % sw * self.phase_len() + x / sw];
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

/// The reverse of [`split_even_odd`].
#[inline(always)]
pub(super) fn join_even_odd(even: &[f32], odd: &[f32], left: usize, target: &mut [f32]) {
    let (first, second) = if left.is_multiple_of(2) {
        (&even[left / 2..], &odd[left / 2..])
    } else {
        (&odd[left / 2..], &even[left / 2 + 1..])
    };
    let (pairs, rest) = target.as_chunks_mut::<2>();
    let len = pairs.len();
    for ((pair, first), second) in pairs.iter_mut().zip(first).zip(second) {
        *pair = [*first, *second];
    }
    if let [last] = rest {
        *last = first[len];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::ConvArgs;
    use crate::precision::Precision;

    #[test]
    fn every_tap_finds_its_input() {
        for (h, w, k, s, p) in [
            (5, 7, 3, 1, 1),
            (6, 9, 7, 2, 3),
            (8, 5, 1, 4, 0),
            (7, 11, 3, 3, 2),
        ] {
            let args = ConvArgs {
                stride: [s; 2],
                padding: [p; 2],
                end_padding: [p, p + 1],
                precision: Precision::F32,
            };
            let g = Geometry::new([1, 2, h, w], [1, 2, k, k], args);
            let image: Vec<f32> = (1..=g.image_len()).map(|v| v as f32).collect();
            let layout = Polyphase::new(&g);
            let mut buffer = vec![0.0; layout.len()];
            layout.fill(&image, &mut buffer);
            let mut read = vec![0.0; image.len()];
            layout.read(&buffer, &mut read);
            assert_eq!(read, image);
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
                    assert_eq!(buffer[offset + y * layout.pitch() + x], expected);
                }
            }
        }
    }
}
