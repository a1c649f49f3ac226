//! Layer norm of rows, forward and backward. Knows no axes: a row is what is normalised.

use crate::memory;
use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;

/// Rows of a task, by which sums over rows are divided: no bit depends on the threads.
const ROWS: usize = 64;
/// Sums that are kept side by side, so that adding up becomes SIMD.
const LANES: usize = 16;

/// Layer norm of rows as long as weight and bias.
#[derive(Clone, Copy)]
pub(crate) struct LayerNorm<'a> {
    pub(crate) weight: &'a [f32],
    pub(crate) epsilon: f32,
}

impl LayerNorm<'_> {
    /// (x - mean) / √(variance + ε) · weight + bias, `[rows, width]`.
    pub(crate) fn forward(self, x: &[f32], bias: &[f32]) -> Vec<f32> {
        let len = (ROWS * self.weight.len()).max(1);
        let (arch, norm) = (Arch::new(), self);
        memory::write_chunks(x.len(), len, |index, chunk| {
            let rows = memory::written(chunk, x[index * len..].iter().copied());
            arch.dispatch(Forward { norm, bias, rows });
            rows
        })
    }

    /// The gradient of `x` in place of `gy`; returned are those of weight and bias.
    pub(crate) fn backward(self, x: &[f32], gy: &mut [f32]) -> [Vec<f32>; 2] {
        assert_eq!(gy.len(), x.len());
        let width = self.weight.len();
        let len = (ROWS * width).max(1);
        let (arch, norm) = (Arch::new(), self);
        let tasks = gy.par_chunks_mut(len).zip(x.par_chunks(len));
        let parts = tasks.map(|(gy, x)| {
            let mut sums = [vec![0.0; width], vec![0.0; width]];
            let [weight, bias] = &mut sums;
            arch.dispatch(Backward {
                norm,
                x,
                gy,
                sums: [weight, bias],
            });
            sums
        });
        let parts: Vec<[Vec<f32>; 2]> = parts.collect();
        let (weight, bias) = parts
            .into_iter()
            .map(|[weight, bias]| (weight, bias))
            .unzip();
        [weight, bias].map(|parts| memory::sum_in_order(parts, width))
    }
}

struct Forward<'a> {
    norm: LayerNorm<'a>,
    bias: &'a [f32],
    rows: &'a mut [f32],
}

impl NullaryFnOnce for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let LayerNorm { weight, epsilon } = self.norm;
        for row in self.rows.chunks_exact_mut(weight.len().max(1)) {
            let (mean, scale) = mean_and_scale(row, epsilon);
            for ((value, weight), bias) in row.iter_mut().zip(weight).zip(self.bias) {
                *value = (*value - mean) * scale * weight + bias;
            }
        }
    }
}

struct Backward<'a> {
    norm: LayerNorm<'a>,
    x: &'a [f32],
    gy: &'a mut [f32],
    /// Gradients of weight and bias.
    sums: [&'a mut [f32]; 2],
}

impl NullaryFnOnce for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let LayerNorm { weight, epsilon } = self.norm;
        let [weight_sums, bias_sums] = self.sums;
        let width = weight.len().max(1);
        let mut normed = vec![0.0; width];
        let mut scaled = vec![0.0; width];
        let rows = self.gy.chunks_exact_mut(width);
        for (gy, x) in rows.zip(self.x.chunks_exact(width)) {
            let (mean, scale) = mean_and_scale(x, epsilon);
            for (normed, x) in normed.iter_mut().zip(x) {
                *normed = (x - mean) * scale;
            }
            for ((sum, gy), normed) in weight_sums.iter_mut().zip(&*gy).zip(&normed) {
                *sum += gy * normed;
            }
            for (sum, gy) in bias_sums.iter_mut().zip(&*gy) {
                *sum += gy;
            }
            for ((scaled, gy), weight) in scaled.iter_mut().zip(&*gy).zip(weight) {
                *scaled = gy * weight;
            }
            let plain = sum(&scaled) / width as f32;
            let along = sum_of_products(&scaled, &normed) / width as f32;
            for ((gy, scaled), normed) in gy.iter_mut().zip(&scaled).zip(&normed) {
                *gy = scale * (scaled - plain - normed * along);
            }
        }
    }
}

/// The mean of a row, and 1 / √(variance + ε).
#[inline(always)]
fn mean_and_scale(row: &[f32], epsilon: f32) -> (f32, f32) {
    let mean = sum(row) / row.len() as f32;
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += (value - mean) * (value - mean);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane += (value - mean) * (value - mean);
    }
    let variance = lanes.iter().sum::<f32>() / row.len() as f32;
    (mean, 1.0 / (variance + epsilon).sqrt())
}

#[inline(always)]
fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

#[inline(always)]
fn sum_of_products(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| a * b);
    lanes.iter().sum::<f32>() + rest.sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::LayerNorm;

    const EPSILON: f32 = 1e-3;

    /// The definition in double precision, and its sum weighted with `gy`.
    fn weighted(x: &[f64], weight: &[f64], bias: &[f64], gy: &[f64]) -> (Vec<f64>, f64) {
        let width = weight.len();
        let mut y = vec![];
        for row in x.chunks_exact(width) {
            let mean = row.iter().sum::<f64>() / width as f64;
            let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / width as f64;
            let scale = 1.0 / (variance + f64::from(EPSILON)).sqrt();
            y.extend((0..width).map(|i| (row[i] - mean) * scale * weight[i] + bias[i]));
        }
        let sum = y.iter().zip(gy).map(|(y, g)| y * g).sum();
        (y, sum)
    }

    #[test]
    fn values_are_those_of_the_definition_and_gradients_those_of_finite_differences() {
        // Not a multiple of the lanes; more rows than a task has, and fewer.
        for (rows, width) in [(130, 21), (3, 48), (2, 1)] {
            let numbers = |len: usize, seed: f32| -> Vec<f32> {
                (0..len).map(|i| (i as f32 * seed).sin() + 0.3).collect()
            };
            let (x, mut gy) = (numbers(rows * width, 0.7), numbers(rows * width, 1.3));
            let (weight, bias) = (numbers(width, 0.9), numbers(width, 2.1));
            let exact =
                |values: &[f32]| -> Vec<f64> { values.iter().map(|v| f64::from(*v)).collect() };
            let [x64, gy64, weight64, bias64] = [&x, &gy, &weight, &bias].map(|v| exact(v));
            let norm = LayerNorm {
                weight: &weight,
                epsilon: EPSILON,
            };
            let (expected, _) = weighted(&x64, &weight64, &bias64, &gy64);
            for (y, expected) in norm.forward(&x, &bias).iter().zip(expected) {
                assert!((f64::from(*y) - expected).abs() < 1e-5, "{y}, {expected}");
            }
            let [gw, gb] = norm.backward(&x, &mut gy);
            let inputs = [x64, weight64, bias64];
            for (which, gradient) in [gy, gw, gb].iter().enumerate() {
                for (index, found) in gradient.iter().enumerate() {
                    let moved = |step: f64| {
                        let mut inputs = inputs.clone();
                        inputs[which][index] += step;
                        let [x, weight, bias] = &inputs;
                        weighted(x, weight, bias, &gy64).1
                    };
                    let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                    let is_near =
                        (f64::from(*found) - expected).abs() < 1e-4 * expected.abs().max(1.0);
                    assert!(is_near, "input {which}, {index}: {found}, {expected}");
                }
            }
        }
    }
}
