//! Colors of half the size to that of the image: libjpeg's "fancy" triangle filter (`jdsample.c`).

use super::plane::Plane;

/// Rows for one plane.
pub(super) struct Upsampler {
    /// Sums of two rows of the plane, with a copy of the first before and one of the last after them.
    sums: Vec<u16>,
    out: Vec<u8>,
}

impl Upsampler {
    pub(super) fn new(plane: &Plane) -> Self {
        Self {
            sums: vec![0; plane.width + 2],
            out: vec![0; 2 * plane.width],
        }
    }

    /// A sample for each pixel of a row of the image; at the end may be one too many.
    #[inline(always)]
    pub(super) fn row<'a>(&'a mut self, plane: &'a Plane, y: usize) -> &'a [u8] {
        let near = plane.row(y / plane.pixels_down);
        if plane.pixels_across == 2 && plane.width <= 2 {
            // As libjpeg, which filters no image that is so narrow.
            for (pair, sample) in self.out.as_chunks_mut().0.iter_mut().zip(near) {
                *pair = [*sample; 2];
            }
            return &self.out;
        }
        let is_above = y.is_multiple_of(2);
        match (plane.pixels_across, plane.pixels_down) {
            (1, 1) => near,
            (_, 1) => {
                self.sum(near, near, |near, _| near);
                self.widen::<2>([1, 2]);
                &self.out
            }
            (1, _) => {
                let round = if is_above { 1 } else { 2 };
                let far = far_row(plane, y / 2, is_above);
                for ((out, near), far) in self.out.iter_mut().zip(near).zip(far) {
                    *out = ((u16::from(*near) * 3 + u16::from(*far) + round) >> 2) as u8;
                }
                &self.out[..plane.width]
            }
            _ => {
                let far = far_row(plane, y / 2, is_above);
                self.sum(near, far, |near, far| near * 3 + far);
                self.widen::<4>([8, 7]);
                &self.out
            }
        }
    }

    #[inline(always)]
    fn sum(&mut self, near: &[u8], far: &[u8], sum: impl Fn(u16, u16) -> u16) {
        let width = near.len();
        for ((out, near), far) in self.sums[1..].iter_mut().zip(near).zip(far) {
            *out = sum((*near).into(), (*far).into());
        }
        self.sums[0] = self.sums[1];
        self.sums[width + 1] = self.sums[width];
    }

    /// Two samples for each sum: three quarters of it and one of its neighbour. The two round differently,
    /// so that the image gets no brighter.
    #[inline(always)]
    fn widen<const SHIFT: u32>(&mut self, round: [u16; 2]) {
        let (before, at, after) = (&self.sums, &self.sums[1..], &self.sums[2..]);
        let neighbours = before.iter().zip(at).zip(after);
        for (out, ((before, at), after)) in self.out.as_chunks_mut().0.iter_mut().zip(neighbours) {
            *out = [
                ((3 * at + before + round[0]) >> SHIFT) as u8,
                ((3 * at + after + round[1]) >> SHIFT) as u8,
            ];
        }
    }
}

/// The row above or below one; at the edge that one itself.
fn far_row(plane: &Plane, y: usize, is_above: bool) -> &[u8] {
    plane.row(if is_above {
        y.saturating_sub(1)
    } else {
        (y + 1).min(plane.height - 1)
    })
}
