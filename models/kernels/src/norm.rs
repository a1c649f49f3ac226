//! Batch norm with the batch's or fixed statistics, with or without ReLU or ReLU6, forward and backward.
//!
//! Ioffe and Szegedy, "Batch Normalization", 2015. Knows no running statistics. The mask of ReLU is not
//! stored: the gradient computes the sign of the normalised value again, which costs less than a pass
//! over memory.

use crate::memory;
use pulp::{Arch, NullaryFnOnce, Simd, WithSimd};
use rayon::prelude::*;

/// Vectors of running sums: additions that do not wait for each other.
const ACCUMULATORS: usize = 4;

/// Settings of batch norm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NormArgs {
    pub(crate) epsilon: f32,
    /// The upper bound of the clamp from 0 that follows, if one does: infinity is ReLU, 6 is ReLU6.
    pub(crate) clamp: Option<f32>,
    /// Whether mean and variance are constants, not the batch's: then no gradient flows through them.
    pub(crate) fixed_statistics: bool,
}

/// Sizes and settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Norm {
    pub(super) channels: usize,
    /// Pixels of a channel.
    pub(super) pixels: usize,
    pub(super) args: NormArgs,
}

/// Parameters and statistics, one value per channel.
#[derive(Clone, Copy)]
pub(super) struct Params<'a> {
    pub(super) weight: &'a [f32],
    pub(super) bias: &'a [f32],
    pub(super) mean: &'a [f32],
    pub(super) var: &'a [f32],
}

impl Params<'_> {
    /// Scale and shift of the channel: y = scale · x + shift.
    fn affine(&self, channel: usize, epsilon: f32) -> (f32, f32) {
        let scale = self.weight[channel] / (self.var[channel] + epsilon).sqrt();
        (scale, self.bias[channel] - self.mean[channel] * scale)
    }
}

impl Norm {
    /// Mean and biased variance of every channel.
    pub(super) fn statistics(&self, x: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let batch = x.len() / (self.channels * self.pixels);
        let count = (batch * self.pixels) as f64;
        let channel = |c: usize| {
            // Moments around the first value: E[x²] - E[x]² of values with a large mean would lose the
            // variance's digits.
            let guess = x[c * self.pixels];
            let (mut total, mut squares) = (0.0, 0.0);
            // f32 by SIMD within a map, f64 over the maps of the batch.
            for map in self.maps(x, c) {
                let (s, q) = Arch::new().dispatch(Moments { x: map, guess });
                total += f64::from(s);
                squares += f64::from(q);
            }
            let mean = total / count;
            (
                mean as f32 + guess,
                at_least_zero(squares / count - mean * mean) as f32,
            )
        };
        (0..self.channels).into_par_iter().map(channel).unzip()
    }

    /// `[N, C, H, W]` to the same shape.
    pub(super) fn forward(&self, x: &[f32], params: Params) -> Vec<f32> {
        memory::fill_chunks(x.len(), self.pixels, |i, y| {
            let (scale, shift) = params.affine(i % self.channels, self.args.epsilon);
            let x = &x[i * self.pixels..][..self.pixels];
            let arch = Arch::new();
            let high = self.args.clamp.unwrap_or_default();
            let affine = (scale, shift, high);
            match self.args.clamp {
                Some(_) => arch.dispatch(Affine::<true> { x, affine, y }),
                None => arch.dispatch(Affine::<false> { x, affine, y }),
            }
        })
    }

    /// Gradients of input, weight and bias.
    pub(super) fn backward(&self, x: &[f32], params: Params, gy: &[f32]) -> [Vec<f32>; 3] {
        let count = (x.len() / self.channels) as f32;
        let channel = |c: usize| {
            let (scale, shift) = params.affine(c, self.args.epsilon);
            let (mut total, mut products) = (0.0, 0.0);
            let normal = Normal {
                mean: params.mean[c],
                scale,
                shift,
                high: self.args.clamp.unwrap_or_default(),
            };
            for (x, gy) in self.maps(x, c).zip(self.maps(gy, c)) {
                let arch = Arch::new();
                let (s, q) = match self.args.clamp {
                    Some(_) => arch.dispatch(Sums::<true> { x, gy, normal }),
                    None => arch.dispatch(Sums::<false> { x, gy, normal }),
                };
                total += f64::from(s);
                products += f64::from(q);
            }
            let inverse = f64::from(1.0 / (params.var[c] + self.args.epsilon).sqrt());
            ((products * inverse) as f32, total as f32)
        };
        let (gw, gb): (Vec<f32>, Vec<f32>) =
            (0..self.channels).into_par_iter().map(channel).unzip();
        let gx = memory::fill_chunks(x.len(), self.pixels, |i, gx| {
            let c = i % self.channels;
            let (scale, shift) = params.affine(c, self.args.epsilon);
            let inverse = 1.0 / (params.var[c] + self.args.epsilon).sqrt();
            // gx = scale · (gy - gb / n - normalised x · gw / n) with the batch's statistics
            // (section 3 of the paper), scale · gy with fixed ones: slope and offset are 0 then.
            let through_statistics = if self.args.fixed_statistics {
                0.0
            } else {
                -scale / count
            };
            let slope = through_statistics * gw[c] * inverse;
            let offset = through_statistics * gb[c] - slope * params.mean[c];
            let map = i * self.pixels..(i + 1) * self.pixels;
            let (x, gy) = (&x[map.clone()], &gy[map]);
            let factors = GradientFactors {
                scale,
                shift,
                high: self.args.clamp.unwrap_or_default(),
                slope,
                offset,
            };
            let arch = Arch::new();
            match self.args.clamp {
                Some(_) => arch.dispatch(InputGradient::<true> { x, gy, factors, gx }),
                None => arch.dispatch(InputGradient::<false> { x, gy, factors, gx }),
            }
        });
        [gx, gw, gb]
    }

    /// The maps of one channel, image by image.
    fn maps<'a>(&self, x: &'a [f32], channel: usize) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        x.chunks_exact(self.pixels)
            .skip(channel)
            .step_by(self.channels)
    }
}

/// y = scale · x + shift, clamped from 0 to `high` where CLAMP.
struct Affine<'a, const CLAMP: bool> {
    x: &'a [f32],
    /// Scale, shift and upper bound.
    affine: (f32, f32, f32),
    y: &'a mut [f32],
}

impl<const CLAMP: bool> NullaryFnOnce for Affine<'_, CLAMP> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let (scale, shift, high) = self.affine;
        for (y, x) in self.y.iter_mut().zip(self.x) {
            let value = x * scale + shift;
            *y = if CLAMP { clamp(value, high) } else { value };
        }
    }
}

/// The gradient that the clamp lets through.
#[inline(always)]
fn masked<const CLAMP: bool>(x: f32, gy: f32, factors: GradientFactors) -> f32 {
    let y = x * factors.scale + factors.shift;
    // `|`, not `||`: without a branch the loop becomes SIMD.
    if CLAMP && (y <= 0.0) | (y >= factors.high) {
        0.0
    } else {
        gy
    }
}

/// Factors of one channel's input gradient.
#[derive(Clone, Copy)]
struct GradientFactors {
    scale: f32,
    shift: f32,
    /// Upper bound of the clamp.
    high: f32,
    slope: f32,
    offset: f32,
}

/// gx = scale · gy + slope · x + offset, with gy = 0 where the clamp was at a bound.
struct InputGradient<'a, const CLAMP: bool> {
    x: &'a [f32],
    gy: &'a [f32],
    factors: GradientFactors,
    gx: &'a mut [f32],
}

impl<const CLAMP: bool> NullaryFnOnce for InputGradient<'_, CLAMP> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let factors = self.factors;
        for ((gx, x), gy) in self.gx.iter_mut().zip(self.x).zip(self.gy) {
            let gy = masked::<CLAMP>(*x, *gy, factors);
            *gx = factors.scale * gy + factors.slope * x + factors.offset;
        }
    }
}

/// Mean, scale and shift of a channel, and the clamp's upper bound, as numbers or as vectors.
#[derive(Clone, Copy)]
struct Normal<T> {
    mean: T,
    scale: T,
    shift: T,
    high: T,
}

/// Σ gy and Σ gy · (x - mean), where the clamp lets the gradient through.
struct Sums<'a, const CLAMP: bool> {
    x: &'a [f32],
    gy: &'a [f32],
    normal: Normal<f32>,
}

impl<const CLAMP: bool> WithSimd for Sums<'_, CLAMP> {
    type Output = (f32, f32);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> (f32, f32) {
        let zero = simd.splat_f32s(0.0);
        let normal = Normal {
            mean: simd.splat_f32s(self.normal.mean),
            scale: simd.splat_f32s(self.normal.scale),
            shift: simd.splat_f32s(self.normal.shift),
            high: simd.splat_f32s(self.normal.high),
        };
        let (mut total, mut products) = ([zero; ACCUMULATORS], [zero; ACCUMULATORS]);
        let (xs, x_rest) = S::as_simd_f32s(self.x);
        let (gs, g_rest) = S::as_simd_f32s(self.gy);
        let (mut xs, mut gs) = (xs.chunks_exact(ACCUMULATORS), gs.chunks_exact(ACCUMULATORS));
        for (x, g) in xs.by_ref().zip(gs.by_ref()) {
            for i in 0..ACCUMULATORS {
                let gy = masked_vector::<S, CLAMP>(simd, x[i], g[i], normal);
                total[i] = simd.add_f32s(total[i], gy);
                products[i] = simd.mul_add_f32s(gy, simd.sub_f32s(x[i], normal.mean), products[i]);
            }
        }
        let rest = xs.remainder().iter().zip(gs.remainder());
        // Beyond the end the gradient is zero and adds nothing.
        let last = (
            simd.partial_load_f32s(x_rest),
            simd.partial_load_f32s(g_rest),
        );
        for (x, g) in rest.chain([(&last.0, &last.1)]) {
            let gy = masked_vector::<S, CLAMP>(simd, *x, *g, normal);
            total[0] = simd.add_f32s(total[0], gy);
            products[0] = simd.mul_add_f32s(gy, simd.sub_f32s(*x, normal.mean), products[0]);
        }
        (reduced(simd, total), reduced(simd, products))
    }
}

/// [`masked`] of a vector.
#[inline(always)]
fn masked_vector<S: Simd, const CLAMP: bool>(
    simd: S,
    x: S::f32s,
    gy: S::f32s,
    normal: Normal<S::f32s>,
) -> S::f32s {
    if !CLAMP {
        return gy;
    }
    let zero = simd.splat_f32s(0.0);
    let y = simd.mul_add_f32s(x, normal.scale, normal.shift);
    let gy = simd.select_f32s(simd.less_than_or_equal_f32s(y, zero), zero, gy);
    simd.select_f32s(simd.less_than_or_equal_f32s(normal.high, y), zero, gy)
}

/// Not `f32::max` and `min`, which would make a number of NaN and hide a training that diverges.
#[inline(always)]
fn clamp(value: f32, high: f32) -> f32 {
    let value = if value < 0.0 { 0.0 } else { value };
    if value > high { high } else { value }
}

/// Rounding may leave a variance below zero. Not `f64::max`: NaN must stay.
fn at_least_zero(value: f64) -> f64 {
    if value < 0.0 { 0.0 } else { value }
}

/// Σ x.
pub(super) fn sum(x: &[f32]) -> f32 {
    Arch::new().dispatch(Moments { x, guess: 0.0 }).0
}

/// Σ (x - guess) and Σ (x - guess)².
struct Moments<'a> {
    x: &'a [f32],
    guess: f32,
}

impl WithSimd for Moments<'_> {
    type Output = (f32, f32);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> (f32, f32) {
        let zero = simd.splat_f32s(0.0);
        let guess = simd.splat_f32s(self.guess);
        let (mut sums, mut squares) = ([zero; ACCUMULATORS], [zero; ACCUMULATORS]);
        let (vectors, rest) = S::as_simd_f32s(self.x);
        let mut vectors = vectors.chunks_exact(ACCUMULATORS);
        for chunk in vectors.by_ref() {
            for i in 0..ACCUMULATORS {
                let v = simd.sub_f32s(chunk[i], guess);
                sums[i] = simd.add_f32s(sums[i], v);
                squares[i] = simd.mul_add_f32s(v, v, squares[i]);
            }
        }
        for v in vectors.remainder() {
            let v = simd.sub_f32s(*v, guess);
            sums[0] = simd.add_f32s(sums[0], v);
            squares[0] = simd.mul_add_f32s(v, v, squares[0]);
        }
        let (mut s, mut q) = (reduced(simd, sums), reduced(simd, squares));
        for v in rest {
            s += v - self.guess;
            q += (v - self.guess) * (v - self.guess);
        }
        (s, q)
    }
}

/// Sum of all lanes of all accumulators.
#[inline(always)]
fn reduced<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; ACCUMULATORS]) -> f32 {
    simd.reduce_sum_f32s(simd.add_f32s(simd.add_f32s(a, b), simd.add_f32s(c, d)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sums on the vectors of this machine and on `pulp`'s scalar path.
    #[test]
    fn simd_and_scalar_agree() {
        for len in [1, 7, 16, 64, 203] {
            let x: Vec<f32> = (0..len).map(|i| (i as f32).sin()).collect();
            let gy: Vec<f32> = (0..len).map(|i| (i as f32).cos()).collect();
            let (x, gy) = (&x[..], &gy[..]);
            let close = |a: (f32, f32), b: (f32, f32)| {
                assert!(
                    (a.0 - b.0).abs() < 1e-4 && (a.1 - b.1).abs() < 1e-4,
                    "{a:?} {b:?}"
                );
            };
            let moments = || Moments { x, guess: 0.3 };
            close(
                Arch::new().dispatch(moments()),
                moments().with_simd(pulp::Scalar),
            );
            let normal = Normal {
                mean: 0.2,
                scale: 1.5,
                shift: -0.4,
                high: 0.9,
            };
            let sums = || Sums::<true> { x, gy, normal };
            close(Arch::new().dispatch(sums()), sums().with_simd(pulp::Scalar));
        }
    }
}
