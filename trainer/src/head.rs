//! Classification layer of a frozen backbone at its minimum: multinomial logistic regression on cached features,
//! with an L2 penalty chosen by cross-validation. It knows no network, no file and no printer.
//!
//! All of it is in double precision. The sums have one order, which depends on the number of images alone, so that
//! the result has the same bits with any number of threads.

mod minimise;
mod penalty;
mod problem;
mod scale;
#[cfg(test)]
mod tests;

use std::sync::atomic::AtomicBool;

use report::run_files::HeadFit;

pub(crate) use minimise::minimise;
pub(crate) use problem::{Problem, Row};
pub(crate) use scale::fit_scale;

use crate::features::Features;
use problem::Standardisation;

/// The largest gradient of the mean loss at the minimum. Features have a deviation of 1, so the gradient at zero
/// weights is some tenths.
const GRADIENT: f64 = 1e-7;

/// A classification layer: logits are `weight x + bias`.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// `[K, D]`, row by row.
    pub weight: Vec<f32>,
    /// `[K]`.
    pub bias: Vec<f32>,
}

impl Head {
    /// The logits of an image's features, `[K]`.
    pub fn logits(&self, features: &[f32]) -> Vec<f32> {
        let classes = self.weight.chunks_exact(features.len()).zip(&self.bias);
        let logit = |(weight, bias): (&[f32], &f32)| {
            let pairs = weight.iter().zip(features);
            let dot: f64 = pairs.map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
            (dot + f64::from(*bias)) as f32
        };
        classes.map(logit).collect()
    }

    /// The layer of two classes as one of a single logit, which has the same probabilities: the softmax of two logits is
    /// the sigmoid of their difference.
    #[must_use]
    pub fn into_one_logit(self) -> Self {
        let (first, second) = self.weight.split_at(self.weight.len() / 2);
        Self {
            weight: first.iter().zip(second).map(|(a, b)| b - a).collect(),
            bias: vec![self.bias[1] - self.bias[0]],
        }
    }

    /// Whether single precision holds all values.
    pub fn is_finite(&self) -> bool {
        let mut values = self.weight.iter().chain(&self.bias);
        values.all(|value| value.is_finite())
    }
}

/// Fits the classification layer to all views of all images; an image counts the weight of its class, whatever the
/// number of its views, and all count the same without `class_weights`. The penalty is `penalty`, or else chosen by cross-validation in folds that are drawn by `seed`.
///
/// The result is not valid when `stop` was set meanwhile.
pub fn fit(
    features: &Features,
    num_classes: usize,
    class_weights: &[f64],
    penalty: Option<f64>,
    seed: u64,
    stop: &AtomicBool,
) -> (Head, HeadFit) {
    let mut fit = match penalty {
        Some(penalty) => HeadFit::with_penalty(penalty),
        None => penalty::choose(features, num_classes, class_weights, seed, stop),
    };
    let indices: Vec<usize> = (0..features.samples().len()).collect();
    let mut problem = Problem::standardised(features, &indices, num_classes, fit.penalty);
    problem.weight_classes(class_weights);
    let tolerance = GRADIENT * indices.len() as f64;
    let minimum = minimise(problem.zero(), tolerance, stop, |weights| {
        problem.loss(weights)
    });
    fit.steps = minimum.steps;
    (export(&problem, &minimum.weights), fit)
}

/// The layer for features as they are: the standardisation is folded into weight and bias.
fn export(problem: &Problem<'_>, weights: &[f64]) -> Head {
    let Standardisation { mean, inverse } = problem.standardisation();
    let (mut weight, mut bias) = (vec![], vec![]);
    for class in weights.chunks_exact(mean.len() + 1) {
        let (own_bias, own) = class.split_last().expect("a chunk has a bias");
        let own: Vec<f32> = own
            .iter()
            .zip(inverse)
            .map(|(w, inverse)| (w * inverse) as f32)
            .collect();
        // With the rounded weights: their errors times a large mean would shift the logits.
        let at_mean: f64 = own.iter().zip(mean).map(|(w, m)| f64::from(*w) * m).sum();
        bias.push((own_bias - at_mean) as f32);
        weight.extend(own);
    }
    Head { weight, bias }
}
