//! Batch norm with the batch's statistics, with or without ReLU, forward and backward.
//!
//! ReLU's mask is not stored: backward computes the sign of the normalised value again.

use rayon::prelude::*;

const LANES: usize = 16;

/// Sizes and settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Norm {
    pub(super) channels: usize,
    /// Pixels of a channel.
    pub(super) pixels: usize,
    pub(super) epsilon: f32,
    pub(super) relu: bool,
}

/// Per channel: what is normalised with, and how.
#[derive(Clone, Copy)]
pub(super) struct Params<'a> {
    pub(super) weight: &'a [f32],
    pub(super) bias: &'a [f32],
    pub(super) mean: &'a [f32],
    pub(super) var: &'a [f32],
}

impl Params<'_> {
    /// The channel's normalisation as y = scale · x + shift.
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
            // Around a first guess, so that a large mean does not eat the variance's digits.
            let guess = x[c * self.pixels];
            let (mut total, mut squares) = (0.0, 0.0);
            for map in self.maps(x, c) {
                let (s, q) = moments(map, guess);
                total += f64::from(s);
                squares += f64::from(q);
            }
            let mean = total / count;
            (
                mean as f32 + guess,
                positive(squares / count - mean * mean) as f32,
            )
        };
        (0..self.channels).into_par_iter().map(channel).unzip()
    }

    /// Normalises, scales, shifts, and cuts below zero if asked for.
    pub(super) fn forward(&self, x: &[f32], params: Params) -> Vec<f32> {
        let mut y = vec![0.0; x.len()];
        let images = y
            .par_chunks_exact_mut(self.pixels)
            .zip(x.par_chunks_exact(self.pixels));
        images.enumerate().for_each(|(i, (y, x))| {
            let (scale, shift) = params.affine(i % self.channels, self.epsilon);
            let y = y.iter_mut().zip(x);
            match self.relu {
                true => y.for_each(|(y, x)| *y = cut(x * scale + shift)),
                false => y.for_each(|(y, x)| *y = x * scale + shift),
            }
        });
        y
    }

    /// Gradients of input, weight and bias.
    pub(super) fn backward(&self, x: &[f32], params: Params, gy: &[f32]) -> [Vec<f32>; 3] {
        let count = (x.len() / self.channels) as f32;
        let channel = |c: usize| {
            let (scale, shift) = params.affine(c, self.epsilon);
            let (mut total, mut products) = (0.0, 0.0);
            for (x, gy) in self.maps(x, c).zip(self.maps(gy, c)) {
                let (s, q) = self.sums(x, gy, params.mean[c], (scale, shift));
                total += f64::from(s);
                products += f64::from(q);
            }
            let inverse = f64::from(1.0 / (params.var[c] + self.epsilon).sqrt());
            ((products * inverse) as f32, total as f32)
        };
        let (gw, gb): (Vec<f32>, Vec<f32>) =
            (0..self.channels).into_par_iter().map(channel).unzip();
        let mut gx = vec![0.0; x.len()];
        let maps = gx
            .par_chunks_exact_mut(self.pixels)
            .zip(x.par_chunks_exact(self.pixels));
        maps.zip(gy.par_chunks_exact(self.pixels))
            .enumerate()
            .for_each(|(i, ((gx, x), gy))| {
                let c = i % self.channels;
                let (scale, shift) = params.affine(c, self.epsilon);
                let inverse = 1.0 / (params.var[c] + self.epsilon).sqrt();
                // gx = scale · (gy - gb / n - normalised x · gw / n)
                let slope = -scale * gw[c] / count * inverse;
                let offset = -scale * gb[c] / count - slope * params.mean[c];
                for ((gx, x), gy) in gx.iter_mut().zip(x).zip(gy) {
                    let gy = if self.relu && x * scale + shift <= 0.0 {
                        0.0
                    } else {
                        *gy
                    };
                    *gx = scale * gy + slope * x + offset;
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

    /// Σ gy and Σ gy · (x - mean), where ReLU lets the gradient through.
    fn sums(&self, x: &[f32], gy: &[f32], mean: f32, (scale, shift): (f32, f32)) -> (f32, f32) {
        let relu = self.relu;
        let masked = |x: f32, g: f32| {
            if relu && x * scale + shift <= 0.0 {
                0.0
            } else {
                g
            }
        };
        let (mut total, mut products) = ([0.0; LANES], [0.0; LANES]);
        let (xs, gs) = (x.chunks_exact(LANES), gy.chunks_exact(LANES));
        let rest = xs.remainder().iter().zip(gs.remainder());
        let (mut s, mut q) = (0.0, 0.0);
        for (x, g) in rest {
            let g = masked(*x, *g);
            s += g;
            q += g * (x - mean);
        }
        for (x, g) in xs.zip(gs) {
            for i in 0..LANES {
                let g = masked(x[i], g[i]);
                total[i] += g;
                products[i] += g * (x[i] - mean);
            }
        }
        (
            s + total.iter().sum::<f32>(),
            q + products.iter().sum::<f32>(),
        )
    }
}

/// ReLU; unlike `f32::max` it lets NaN through, so that it shows.
fn cut(value: f32) -> f32 {
    if value < 0.0 { 0.0 } else { value }
}

/// Rounding may leave a variance below zero; NaN stays.
fn positive(value: f64) -> f64 {
    if value < 0.0 { 0.0 } else { value }
}

/// Σ x, in 16 running sums.
pub(super) fn sum(x: &[f32]) -> f32 {
    let chunks = x.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().sum();
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(s, v)| *s += v);
    }
    rest + sums.iter().sum::<f32>()
}

/// Σ (x - guess) and Σ (x - guess)², in 16 running sums each.
fn moments(x: &[f32], guess: f32) -> (f32, f32) {
    let chunks = x.chunks_exact(LANES);
    let (mut s, mut q) = (0.0, 0.0);
    for v in chunks.remainder() {
        s += v - guess;
        q += (v - guess) * (v - guess);
    }
    let (mut sums, mut squares) = ([0.0; LANES], [0.0; LANES]);
    for chunk in chunks {
        for i in 0..LANES {
            let v = chunk[i] - guess;
            sums[i] += v;
            squares[i] += v * v;
        }
    }
    (
        s + sums.iter().sum::<f32>(),
        q + squares.iter().sum::<f32>(),
    )
}
