//! Batch norm with the batch's or fixed statistics, with or without ReLU or ReLU6, forward and backward.
//!
//! Ioffe and Szegedy, "Batch Normalization", 2015. Knows no running statistics. The mask of ReLU is not
//! stored: the gradient computes the sign of the normalised value again, which costs less than a pass
//! over memory.

use crate::memory::{self, Unwritten};
use pulp::{Arch, NullaryFnOnce, Simd, WithSimd};

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

/// Parameters, one value per channel.
#[derive(Clone, Copy)]
pub(super) struct Params<'a> {
    pub(super) weight: &'a [f32],
    pub(super) bias: &'a [f32],
}

/// Mean and variance of a channel.
#[derive(Clone, Copy)]
pub(super) struct Statistics {
    pub(super) mean: f32,
    /// Biased.
    pub(super) variance: f32,
}

/// The statistics of each channel, of one value per channel.
pub(super) fn fixed<'a>(
    mean: &'a [f32],
    variance: &'a [f32],
) -> impl Fn(usize) -> Statistics + use<'a> {
    move |channel| Statistics {
        mean: mean[channel],
        variance: variance[channel],
    }
}

impl Norm {
    /// `[N, C, H, W]` to the same shape, and what `statistics(channel)` gave, such as [`Norm::statistics`].
    pub(super) fn forward(
        &self,
        x: &[f32],
        params: Params,
        statistics: impl Fn(usize) -> Statistics + Sync,
    ) -> (Vec<f32>, Vec<Statistics>) {
        let high = self.args.clamp.unwrap_or_default();
        let prepare = |c: usize| {
            let own = statistics(c);
            let (scale, shift) = self.affine(params, c, own);
            (own, (scale, shift, high))
        };
        let (channels, pixels) = (self.channels, self.pixels);
        let (y, prepared) =
            memory::write_channels(x.len(), channels, pixels, prepare, |(_, affine), i, y| {
                let x = self.map(x, i);
                let (affine, arch) = (*affine, Arch::new());
                match self.args.clamp {
                    Some(_) => arch.dispatch(Affine::<true> { x, affine, y }),
                    None => arch.dispatch(Affine::<false> { x, affine, y }),
                }
            });
        (y, prepared.into_iter().map(|(own, _)| own).collect())
    }

    /// Of one channel of a batch.
    pub(super) fn statistics(&self, x: &[f32], channel: usize) -> Statistics {
        let count = (x.len() / self.channels) as f64;
        // Moments around the first value: E[x²] - E[x]² of values with a large mean would lose the
        // variance's digits.
        let guess = x[channel * self.pixels];
        let (mut total, mut squares) = (0.0, 0.0);
        // f32 by SIMD within a map, f64 over the maps of the batch.
        for map in self.maps(x, channel) {
            let (s, q) = Arch::new().dispatch(Moments { x: map, guess });
            total += f64::from(s);
            squares += f64::from(q);
        }
        let mean = total / count;
        Statistics {
            mean: mean as f32 + guess,
            variance: at_least_zero(squares / count - mean * mean) as f32,
        }
    }

    /// Gradients of input, weight and bias.
    pub(super) fn backward(
        &self,
        x: &[f32],
        params: Params,
        statistics: impl Fn(usize) -> Statistics + Sync,
        gy: &[f32],
    ) -> [Vec<f32>; 3] {
        let count = (x.len() / self.channels) as f32;
        let prepare = |c: usize| {
            let own = statistics(c);
            let (gw, gb) = self.parameter_gradients(x, gy, params, (c, own));
            let factors = self.gradient_factors(params, (c, own), (gw, gb), count);
            (factors, (gw, gb))
        };
        let (channels, pixels) = (self.channels, self.pixels);
        let (gx, sums) =
            memory::write_channels(x.len(), channels, pixels, prepare, |(factors, _), i, gx| {
                let (x, gy) = (self.map(x, i), self.map(gy, i));
                let (factors, arch) = (*factors, Arch::new());
                match self.args.clamp {
                    Some(_) => arch.dispatch(InputGradient::<true> { x, gy, factors, gx }),
                    None => arch.dispatch(InputGradient::<false> { x, gy, factors, gx }),
                }
            });
        let (gw, gb) = sums.into_iter().map(|(_, sums)| sums).unzip();
        [gx, gw, gb]
    }

    /// Scale and shift of a channel: y = scale · x + shift.
    fn affine(&self, params: Params, channel: usize, own: Statistics) -> (f32, f32) {
        let scale = params.weight[channel] / (own.variance + self.args.epsilon).sqrt();
        (scale, params.bias[channel] - own.mean * scale)
    }

    /// Gradients of a channel's weight and bias.
    fn parameter_gradients(
        &self,
        x: &[f32],
        gy: &[f32],
        params: Params,
        (channel, own): (usize, Statistics),
    ) -> (f32, f32) {
        let (scale, shift) = self.affine(params, channel, own);
        let normal = Normal {
            mean: own.mean,
            scale,
            shift,
            high: self.args.clamp.unwrap_or_default(),
        };
        let (mut total, mut products) = (0.0, 0.0);
        for (x, gy) in self.maps(x, channel).zip(self.maps(gy, channel)) {
            let arch = Arch::new();
            let (s, q) = match self.args.clamp {
                Some(_) => arch.dispatch(Sums::<true> { x, gy, normal }),
                None => arch.dispatch(Sums::<false> { x, gy, normal }),
            };
            total += f64::from(s);
            products += f64::from(q);
        }
        let inverse = f64::from(1.0 / (own.variance + self.args.epsilon).sqrt());
        ((products * inverse) as f32, total as f32)
    }

    /// gx = scale · (gy - gb / n - normalised x · gw / n) with the batch's statistics (section 3 of the paper), scale · gy
    /// with fixed ones: slope and offset are 0 then.
    fn gradient_factors(
        &self,
        params: Params,
        (channel, own): (usize, Statistics),
        (gw, gb): (f32, f32),
        count: f32,
    ) -> GradientFactors {
        let (scale, shift) = self.affine(params, channel, own);
        let through_statistics = if self.args.fixed_statistics {
            0.0
        } else {
            -scale / count
        };
        let inverse = 1.0 / (own.variance + self.args.epsilon).sqrt();
        let slope = through_statistics * gw * inverse;
        GradientFactors {
            scale,
            shift,
            high: self.args.clamp.unwrap_or_default(),
            slope,
            offset: through_statistics * gb - slope * own.mean,
        }
    }

    fn map<'a>(&self, x: &'a [f32], index: usize) -> &'a [f32] {
        &x[index * self.pixels..][..self.pixels]
    }

    /// The maps of one channel, image by image.
    fn maps<'a>(&self, x: &'a [f32], channel: usize) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        x.chunks_exact(self.pixels)
            .skip(channel)
            .step_by(self.channels)
    }
}

/// y = scale · x + shift, clamped from 0 to `high` where CLAMP.
struct Affine<'a, 'b, const CLAMP: bool> {
    x: &'a [f32],
    /// Scale, shift and upper bound.
    affine: (f32, f32, f32),
    y: &'b mut Unwritten,
}

impl<'b, const CLAMP: bool> NullaryFnOnce for Affine<'_, 'b, CLAMP> {
    type Output = &'b mut [f32];

    #[inline(always)]
    fn call(self) -> &'b mut [f32] {
        let (scale, shift, high) = self.affine;
        let values = self.x.iter().map(|x| {
            let value = x * scale + shift;
            if CLAMP { clamp(value, high) } else { value }
        });
        memory::written(self.y, values)
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
struct InputGradient<'a, 'b, const CLAMP: bool> {
    x: &'a [f32],
    gy: &'a [f32],
    factors: GradientFactors,
    gx: &'b mut Unwritten,
}

impl<'b, const CLAMP: bool> NullaryFnOnce for InputGradient<'_, 'b, CLAMP> {
    type Output = &'b mut [f32];

    #[inline(always)]
    fn call(self) -> &'b mut [f32] {
        let factors = self.factors;
        let values = self.x.iter().zip(self.gy).map(|(x, gy)| {
            let gy = masked::<CLAMP>(*x, *gy, factors);
            factors.scale * gy + factors.slope * x + factors.offset
        });
        memory::written(self.gx, values)
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
