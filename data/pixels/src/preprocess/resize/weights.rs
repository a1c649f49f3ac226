//! Filter weights: for each output pixel along one side, its first input pixel and the weights from there.

use super::{Filter, Resize};

/// Fraction bits of a weight: 32 minus 8 for the pixel and 2 for overshoot (Pillow's `PRECISION_BITS`).
pub(super) const BITS: i32 = 22;
/// One half in fixed point, which makes the shift round.
pub(super) const HALF: i32 = 1 << (BITS - 1);

/// Bits of the lower part of a split weight; the upper part then fits 16 bits as well.
#[cfg(target_arch = "x86_64")]
pub(super) const LOW_BITS: i32 = 11;

/// The output pixels along one side that are computed.
#[derive(Clone, Copy, Debug)]
pub(super) struct OutputRange {
    /// Padding in front of them, pixels.
    pub(super) before: usize,
    /// Index of the first in the whole resized image.
    first: usize,
    pub(super) count: usize,
    /// Whether they are written last to first.
    mirrored: bool,
}

impl OutputRange {
    pub(super) fn inside(start: i64, length: u32, whole: u32, mirrored: bool) -> Self {
        let first = start.clamp(0, whole.into());
        let end = (start + i64::from(length)).clamp(first, whole.into());
        let (before, count) = (first - start, end - first);
        let after = i64::from(length) - before - count;
        Self {
            before: if mirrored { after } else { before } as usize,
            first: first as usize,
            count: count as usize,
            mirrored,
        }
    }

    /// Indices in the order in which the pixels are written.
    fn indices(self) -> impl Iterator<Item = usize> {
        let (first, last) = (self.first, (self.first + self.count).saturating_sub(1));
        (0..self.count).map(move |i| if self.mirrored { last - i } else { first + i })
    }
}

/// Weights of all output pixels along one side.
#[derive(Debug, Default)]
pub(super) struct Weights {
    /// First input pixel of each output pixel.
    starts: Vec<usize>,
    /// `taps` per output pixel, padded with zeros.
    values: Vec<i32>,
    taps: usize,
    /// The same in pairs of taps for `madd`: `[upper parts, lower parts]`, each two 16-bit numbers.
    #[cfg(target_arch = "x86_64")]
    pairs: Vec<[i32; 2]>,
}

impl Weights {
    /// Computes the weights for a side of `from` pixels that becomes `to` pixels.
    pub(super) fn fill(&mut self, from: u32, to: u32, range: OutputRange, resize: &Resize) {
        let scale = f64::from(from) / f64::from(to);
        if from == to || resize.filter == Filter::Nearest {
            self.nearest(from as usize, scale, range);
        } else {
            let widen = if resize.antialias {
                scale.max(1.0)
            } else {
                1.0
            };
            self.filtered(from as usize, scale, widen, range, resize.filter);
        }
        #[cfg(target_arch = "x86_64")]
        self.split_for_simd();
    }

    /// Pillow's `precompute_coeffs`.
    fn filtered(
        &mut self,
        from: usize,
        scale: f64,
        widen: f64,
        range: OutputRange,
        filter: Filter,
    ) {
        let support = filter.support() * widen;
        let center = |x: usize| (x as f64 + 0.5) * scale;
        // `as usize` cuts off below zero and towards zero, as C does after its `max(0)`.
        let bounds = |x: usize| {
            let start = (center(x) - support + 0.5) as usize;
            start..((center(x) + support + 0.5) as usize).min(from)
        };
        self.taps = range.indices().map(|x| bounds(x).len()).max().unwrap_or(0);
        self.starts.clear();
        self.values.clear();
        self.values.resize(self.taps * range.count, 0);
        let rows = self.values.chunks_exact_mut(self.taps.max(1));
        let mut weights = Vec::with_capacity(self.taps);
        for (x, row) in range.indices().zip(rows) {
            let inputs = bounds(x);
            // `taps` pixels are always read: at the far edge the start moves back, with zeros in front.
            let start = inputs.start.min(from - self.taps.min(from));
            let skipped = inputs.start - start;
            let distance = |i: usize| (i as f64 - center(x) + 0.5) * (1.0 / widen);
            weights.clear();
            weights.extend(inputs.map(|i| filter.weight(distance(i))));
            to_fixed_point(&weights, &mut row[skipped..]);
            self.starts.push(start);
        }
    }

    /// Nearest neighbour, and sides that keep their length: one input pixel per output pixel.
    fn nearest(&mut self, from: usize, scale: f64, range: OutputRange) {
        // Pillow adds the step up, rounding errors included, in `ImagingScaleAffine`.
        let mut position = scale * 0.5;
        let picks = (0..range.first + range.count).map(|_| {
            let pick = (position as usize).min(from - 1);
            position += scale;
            pick
        });
        self.starts.clear();
        self.starts.extend(picks.skip(range.first));
        if range.mirrored {
            self.starts.reverse();
        }
        self.values.clear();
        self.values.resize(range.count, 1 << BITS);
        self.taps = 1;
    }

    /// Splits every weight into two 16-bit numbers and pads to a multiple of four taps.
    #[cfg(target_arch = "x86_64")]
    fn split_for_simd(&mut self) {
        let join = |first: i32, second: i32| (first & 0xffff) | (second << 16);
        let lower = |weight: i32| weight & ((1 << LOW_BITS) - 1);
        let upper = |weight: i32| weight >> LOW_BITS;
        let per_pixel = self.pairs_per_pixel();
        self.pairs.clear();
        for weights in self.values.chunks_exact(self.taps.max(1)) {
            let tap = |index: usize| weights.get(index).copied().unwrap_or(0);
            self.pairs.extend((0..per_pixel).map(|pair| {
                let (a, b) = (tap(2 * pair), tap(2 * pair + 1));
                [join(upper(a), upper(b)), join(lower(a), lower(b))]
            }));
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn pairs_per_pixel(&self) -> usize {
        self.taps.next_multiple_of(4) / 2
    }

    /// Number of output pixels.
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Number of input pixels per output pixel.
    pub(super) fn taps(&self) -> usize {
        self.taps
    }

    /// The input pixels that any output pixel needs.
    pub(super) fn span(&self) -> std::ops::Range<usize> {
        let first = self.starts.iter().copied().min().unwrap_or(0);
        first..self.starts.iter().copied().max().unwrap_or(0) + self.taps
    }

    /// The first input pixel and the weights of an output pixel.
    pub(super) fn taps_of(&self, index: usize) -> (usize, &[i32]) {
        let weights = &self.values[index * self.taps..][..self.taps];
        (self.starts[index], weights)
    }

    /// The first input pixel and the split weights of an output pixel: a multiple of four taps.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) fn pairs_of(&self, index: usize) -> (usize, &[[i32; 2]]) {
        let per_pixel = self.pairs_per_pixel();
        let pairs = &self.pairs[index * per_pixel..][..per_pixel];
        (self.starts[index], pairs)
    }
}

/// Weights normalised to a sum of one, in fixed point, halves rounded away from zero.
fn to_fixed_point(weights: &[f64], out: &mut [i32]) {
    let sum: f64 = weights.iter().sum();
    for (fixed, &weight) in out.iter_mut().zip(weights) {
        let weight = if sum == 0.0 { weight } else { weight / sum };
        *fixed = (weight * f64::from(1 << BITS) + 0.5_f64.copysign(weight)) as i32;
    }
}
