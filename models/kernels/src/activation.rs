//! Activations that are not piecewise linear, number by number, forward and backward. Knows no shapes.
//!
//! `exp` and `erf` are polynomials of Cephes and Eigen, at most 4.5e-7 off, relative: the compiler makes SIMD of them, as it
//! cannot of the system's functions. Products and sums are rounded one by one, so that every processor gives the same bits.

use crate::memory;
use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;
use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI, LOG2_E};

/// Values of a task: enough that handing it over costs little.
const CHUNK: usize = 1 << 16;

/// A function of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
    /// x · sigmoid(x), also called Swish.
    Silu,
    /// x · Φ(x), where Φ is the distribution function of the standard normal distribution.
    Gelu,
    /// The error function.
    Erf,
}

impl Activation {
    /// The values of `x`.
    pub(super) fn forward(self, x: &[f32]) -> Vec<f32> {
        let (arch, activation) = (Arch::new(), self);
        memory::write_chunks(x.len(), CHUNK, |index, chunk| {
            let values = memory::written(chunk, x[index * CHUNK..].iter().copied());
            arch.dispatch(Forward { activation, values });
            values
        })
    }

    /// The gradient of `x` in place of `gy`.
    pub(super) fn backward(self, x: &[f32], gy: &mut [f32]) {
        assert_eq!(gy.len(), x.len());
        let (arch, activation) = (Arch::new(), self);
        let chunks = gy.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK));
        chunks.for_each(|(gy, x)| arch.dispatch(Backward { activation, x, gy }));
    }
}

// Loops, not functions that are handed on: the compiler would call these for each number, without SIMD.

struct Forward<'a> {
    activation: Activation,
    values: &'a mut [f32],
}

impl NullaryFnOnce for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        match self.activation {
            Activation::Sigmoid => {
                for value in self.values {
                    *value = sigmoid(*value);
                }
            }
            Activation::Silu => {
                for value in self.values {
                    *value *= sigmoid(*value);
                }
            }
            Activation::Gelu => {
                for value in self.values {
                    *value *= normal(*value);
                }
            }
            Activation::Erf => {
                for value in self.values {
                    *value = erf(*value);
                }
            }
        }
    }
}

struct Backward<'a> {
    activation: Activation,
    x: &'a [f32],
    gy: &'a mut [f32],
}

impl NullaryFnOnce for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let pairs = self.gy.iter_mut().zip(self.x);
        match self.activation {
            Activation::Sigmoid => {
                for (gy, x) in pairs {
                    let s = sigmoid(*x);
                    *gy *= s * (1.0 - s);
                }
            }
            Activation::Silu => {
                for (gy, x) in pairs {
                    let s = sigmoid(*x);
                    *gy *= s * (1.0 + x * (1.0 - s));
                }
            }
            Activation::Gelu => {
                // 1 / √(2π)
                const DENSITY: f32 = 0.398_942_3;
                for (gy, x) in pairs {
                    *gy *= normal(*x) + x * (DENSITY * exp(-0.5 * x * x));
                }
            }
            Activation::Erf => {
                for (gy, x) in pairs {
                    *gy *= FRAC_2_SQRT_PI * exp(-x * x);
                }
            }
        }
    }
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Φ.
#[inline(always)]
fn normal(x: f32) -> f32 {
    0.5 + 0.5 * erf(x * FRAC_1_SQRT_2)
}

/// eˣ from e⁻⁸⁷ to e⁸⁸; less and more are these two.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // Added to a number of up to 2²², it leaves the nearest integer in the lowest bits.
    const ROUNDING: f32 = 12_582_912.0;
    // ln 2 in two parts, of which the first times an integer is exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    // After r² · (...) of Cephes' `expf`, from the highest power.
    const FACTORS: [f32; 6] = [
        1.987_569_1e-4,
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ];
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * LOG2_E + ROUNDING;
    let n = shifted - ROUNDING;
    let r = x - n * LN_2[0] - n * LN_2[1];
    let sum = FACTORS.iter().fold(0.0, |sum, factor| sum * r + factor);
    let exponent = shifted.to_bits().wrapping_sub(ROUNDING.to_bits());
    let power = f32::from_bits(exponent.wrapping_add(127) << 23);
    (sum * (r * r) + r + 1.0) * power
}

#[inline(always)]
fn erf(x: f32) -> f32 {
    // Odd and even powers of Eigen's `erf`, from the highest.
    const ABOVE: [f32; 7] = [
        -2.726_142_3e-10,
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_4e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ];
    const BELOW: [f32; 5] = [
        -1.456_607_2e-5,
        -2.133_740_6e-4,
        -1.682_827e-3,
        -7.373_329e-3,
        -1.426_474e-2,
    ];
    let within = x.clamp(-4.0, 4.0);
    let polynomial = |factors: &[f32]| {
        let factors = factors.iter();
        factors.fold(0.0, |sum, factor| sum * (within * within) + factor)
    };
    let y = within * polynomial(&ABOVE) / polynomial(&BELOW);
    // Not a rounding less: GELU multiplies what is left by x.
    if within == x { y } else { x.signum() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers around zero, and some for which functions are at their limits.
    fn numbers() -> Vec<f32> {
        let mut numbers: Vec<f32> = (-70_000..70_000).map(|i| i as f32 * 3e-4).collect();
        numbers.extend([0.0, -0.0, 1e-8, -1e-20, 87.5, -200.0, 1e30, f32::INFINITY]);
        numbers
    }

    /// The definition in double precision.
    fn exact(activation: Activation, x: f64) -> f64 {
        match activation {
            Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Activation::Silu => x * exact(Activation::Sigmoid, x),
            Activation::Gelu => x * 0.5 * libm::erfc(-x / 2f64.sqrt()),
            Activation::Erf => libm::erf(x),
        }
    }

    const ALL: [Activation; 4] = [
        Activation::Sigmoid,
        Activation::Silu,
        Activation::Gelu,
        Activation::Erf,
    ];

    #[test]
    fn values_are_those_of_the_definition() {
        for activation in ALL {
            // GELU multiplies the error of Φ by x, where Φ is not 0 or 1.
            let limit = if activation == Activation::Gelu {
                6.0
            } else {
                1.0
            };
            for (x, y) in numbers().iter().zip(activation.forward(&numbers())) {
                let expected = exact(activation, f64::from(*x)) as f32;
                let tolerance = 6e-7 * expected.abs().max(x.abs().min(limit));
                let is_near = (y - expected).abs() <= tolerance || y == expected;
                assert!(is_near, "{activation:?} of {x}: {y}, {expected}");
            }
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let numbers: Vec<f32> = numbers().into_iter().filter(|x| x.abs() < 20.0).collect();
        for activation in ALL {
            let mut gradients = vec![2.0; numbers.len()];
            activation.backward(&numbers, &mut gradients);
            for (x, gradient) in numbers.iter().zip(gradients) {
                let (x, step) = (f64::from(*x), 1e-5);
                let [above, below] = [x + step, x - step].map(|x| exact(activation, x));
                let expected = 2.0 * (above - below) / (2.0 * step);
                let is_near = (f64::from(gradient) - expected).abs() < 3e-6;
                assert!(is_near, "{activation:?} at {x}: {gradient}, {expected}");
            }
        }
    }

    #[test]
    fn nan_stays_nan() {
        for activation in ALL {
            assert!(activation.forward(&[f32::NAN])[0].is_nan());
            let mut gradient = [1.0];
            activation.backward(&[f32::NAN], &mut gradient);
            assert!(gradient[0].is_nan());
        }
    }
}
