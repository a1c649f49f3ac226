//! L-BFGS: the minimum of a smooth convex function. It knows no data.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

/// Steps at most; some forty to two hundred are enough.
const STEPS: usize = 1000;
/// Steps that L-BFGS remembers.
const MEMORY: usize = 10;
/// The share of the promised descent that a step must bring (Armijo).
const DESCENT: f64 = 1e-4;

/// Relative rounding of a sum of losses.
const ROUNDING: f64 = 1e-14;

/// A function's value and its gradient.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Loss {
    pub(crate) value: f64,
    pub(crate) gradient: Vec<f64>,
}

impl Loss {
    fn largest_gradient(&self) -> f64 {
        let sizes = self.gradient.iter().map(|g| g.abs());
        sizes.fold(0.0, f64::max)
    }
}

/// Where the search ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Minimum {
    pub(crate) weights: Vec<f64>,
    pub(crate) steps: usize,
}

/// A step of the search and the change of the gradient.
struct Step {
    step: Vec<f64>,
    change: Vec<f64>,
    inverse: f64,
}

/// The weights of the least loss by L-BFGS (Nocedal and Wright 2006, Numerical Optimization,
/// algorithms 7.4 and 7.5), from `weights` on. `evaluate` gives the loss.
///
/// Ends where no part of the gradient exceeds `tolerance`, where rounding leaves no lower point, or when `stop` is
/// set.
pub(crate) fn minimise(
    mut weights: Vec<f64>,
    tolerance: f64,
    stop: &AtomicBool,
    evaluate: impl Fn(&[f64]) -> Loss,
) -> Minimum {
    let mut loss = evaluate(&weights);
    let mut memory: VecDeque<Step> = VecDeque::new();
    let mut steps = 0;
    while steps < STEPS {
        let (gradient, largest) = (&loss.gradient, loss.largest_gradient());
        if largest < tolerance || stop.load(Ordering::Relaxed) {
            break;
        }
        let direction = direction(gradient, &memory);
        let promised = dot(&direction, gradient);
        // The first step knows no curvature: it has length 1. Later ones are scaled by the curvature.
        let mut length = if memory.is_empty() {
            1.0 / dot(gradient, gradient).sqrt()
        } else {
            1.0
        };
        let next = loop {
            let mut next = weights.clone();
            add(&mut next, length, &direction);
            let next_loss = evaluate(&next);
            let is_lower = next_loss.value <= loss.value + DESCENT * length * promised;
            // Close to the minimum the loss changes by less than its rounding, but the gradient still falls.
            let is_level = next_loss.value <= loss.value + ROUNDING * loss.value.abs();
            if is_lower || is_level && next_loss.largest_gradient() < largest {
                break Some((next, next_loss));
            }
            length /= 2.0;
            if length < 1e-10 {
                break None;
            }
        };
        // Rounding leaves no lower point along this direction.
        let Some((next, next_loss)) = next else {
            break;
        };
        let difference =
            |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a - b).collect() };
        let step = difference(&next, &weights);
        let change = difference(&next_loss.gradient, gradient);
        let curvature = dot(&step, &change);
        // A step of negative curvature would make the approximated Hessian indefinite.
        if curvature > f64::MIN_POSITIVE {
            let inverse = 1.0 / curvature;
            memory.push_back(Step {
                step,
                change,
                inverse,
            });
        }
        if memory.len() > MEMORY {
            memory.pop_front();
        }
        (weights, loss) = (next, next_loss);
        steps += 1;
    }
    Minimum { weights, steps }
}

/// The two-loop recursion: the search direction by the remembered steps.
fn direction(gradient: &[f64], memory: &VecDeque<Step>) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut factors = vec![];
    for past in memory.iter().rev() {
        let factor = past.inverse * dot(&past.step, &direction);
        add(&mut direction, -factor, &past.change);
        factors.push(factor);
    }
    if let Some(newest) = memory.back() {
        // Initial Hessian: equation 7.20 of Nocedal and Wright.
        let scale = 1.0 / (newest.inverse * dot(&newest.change, &newest.change));
        direction.iter_mut().for_each(|value| *value *= scale);
    }
    for (past, factor) in memory.iter().zip(factors.into_iter().rev()) {
        let back = past.inverse * dot(&past.change, &direction);
        add(&mut direction, factor - back, &past.step);
    }
    direction
}

/// Eight partial sums, which the compiler turns into vector instructions.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, rest_a), (b, rest_b)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for i in 0..8 {
            sums[i] += a[i] * b[i];
        }
    }
    let rest: f64 = rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

fn add(to: &mut [f64], factor: f64, what: &[f64]) {
    for (to, what) in to.iter_mut().zip(what) {
        *to += factor * what;
    }
}
