//! Colors of half the size to that of the image: libjpeg's "fancy" triangle filter (`jdsample.c`).

use super::plane::Plane;

/// A plane at the size of the image, row by row.
pub(super) struct Upsampled<'a> {
    plane: &'a Plane,
    /// Sums of two rows of the plane, with a copy of the first before and one of the last after them.
    sums: Vec<u16>,
    out: Vec<u8>,
}

impl<'a> Upsampled<'a> {
    pub(super) fn new(plane: &'a Plane) -> Self {
        Self {
            plane,
            sums: vec![0; plane.width + 2],
            out: vec![0; 2 * plane.width],
        }
    }

    /// The samples of a row of the image; at the end may be one too many.
    #[inline(always)]
    pub(super) fn row(&mut self, y: usize) -> &[u8] {
        let [across, down] = self.plane.scale;
        if across == 2 && self.plane.width <= 2 {
            // As libjpeg, which filters no image that is so narrow.
            let row = self.plane.row(y / down);
            for (pair, sample) in self.out.as_chunks_mut().0.iter_mut().zip(row) {
                *pair = [*sample; 2];
            }
            return &self.out;
        }
        let near = self.plane.row(y / down);
        let above = (y / down).saturating_sub(1);
        let below = (y / down + 1).min(self.plane.height - 1);
        let far = self.plane.row(if y % 2 == 0 { above } else { below });
        match (across, down) {
            (1, 1) => near,
            (2, 1) => {
                self.sum(near, |near, _| near, near);
                self.widen::<2>([1, 2]);
                &self.out
            }
            (1, _) => {
                let round = if y % 2 == 0 { 1 } else { 2 };
                for ((out, near), far) in self.out.iter_mut().zip(near).zip(far) {
                    *out = ((u16::from(*near) * 3 + u16::from(*far) + round) >> 2) as u8;
                }
                &self.out[..self.plane.width]
            }
            _ => {
                self.sum(near, |near, far| near * 3 + far, far);
                self.widen::<4>([8, 7]);
                &self.out
            }
        }
    }

    #[inline(always)]
    fn sum(&mut self, near: &[u8], sum: impl Fn(u16, u16) -> u16, far: &[u8]) {
        let (last, width) = (self.sums.len() - 1, self.plane.width);
        for ((out, near), far) in self.sums[1..].iter_mut().zip(near).zip(far) {
            *out = sum((*near).into(), (*far).into());
        }
        self.sums[0] = self.sums[1];
        self.sums[last] = self.sums[width];
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
