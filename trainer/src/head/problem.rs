//! Multinomial logistic regression with an L2 penalty: its loss and gradient. It knows no search.
//!
//! The rows stay as they are, in single precision: standardisation is a linear map, so it moves into the weights
//! before the passes over the rows and back into the gradient behind them. Nothing is copied.

use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;

use super::minimise::Loss;
use crate::features::Features;

/// Rows that are converted and multiplied together: a value of the weights is loaded once for all of them.
const BLOCK: usize = 4;
/// Partial sums of a scalar product: a vector of AVX-512.
const LANES: usize = 8;
/// The fewest rows of a part, which one thread works on.
const LEAST_ROWS: usize = 64;
/// Parts at most: each holds a gradient of its own.
const MOST_PARTS: usize = 16;

/// The least deviation of a feature relative to its mean. Below it the layer, which computes in single precision,
/// would lose a hundredth of what the feature says to the rounding of its mean.
const LEAST_DEVIATION: f64 = 1e-5;

/// The features of a view of an image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    /// `[D]`.
    pub(crate) values: &'a [f32],
    /// Factor of the values.
    pub(crate) scale: f64,
    pub(crate) label: u32,
    /// Factor of the row's loss.
    pub(crate) weight: f64,
}

/// The linear map by which every feature gets mean 0 and deviation 1.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Standardisation {
    /// `[D]`.
    pub(crate) mean: Vec<f64>,
    /// One over the deviation, `[D]`; 0 of a constant feature, which then has no weight.
    pub(crate) inverse: Vec<f64>,
}

/// Rows, labels and penalty; weights are `[K, D + 1]`, the last column the bias.
pub(crate) struct Problem<'a> {
    rows: Vec<Row<'a>>,
    num_classes: usize,
    standardisation: Standardisation,
    /// Half of it is the factor of the squared weights, against the sum of the losses: scikit-learn's 1 / C.
    penalty: f64,
}

impl<'a> Problem<'a> {
    /// A problem on rows as they are.
    pub(crate) fn new(rows: Vec<Row<'a>>, num_classes: usize, penalty: f64) -> Self {
        let width = rows.first().map_or(0, |row| row.values.len());
        let standardisation = Standardisation {
            mean: vec![0.0; width],
            inverse: vec![1.0; width],
        };
        Self {
            rows,
            num_classes,
            standardisation,
            penalty,
        }
    }

    /// A problem on the standardised features of some images, in all views. A view counts one over their number.
    pub(crate) fn standardised(
        features: &'a Features,
        indices: &[usize],
        num_classes: usize,
        penalty: f64,
    ) -> Self {
        let num_views = features.num_views();
        let views = (0..num_views).flat_map(|view| indices.iter().map(move |index| (view, *index)));
        let rows: Vec<Row<'a>> = views
            .map(|(view, index)| Row {
                values: features.row(view, index),
                scale: 1.0,
                label: features.samples()[index].label,
                weight: 1.0 / num_views as f64,
            })
            .collect();
        let standardisation = Standardisation::of(&rows, features.width());
        Self {
            standardisation,
            ..Self::new(rows, num_classes, penalty)
        }
    }

    pub(crate) fn standardisation(&self) -> &Standardisation {
        &self.standardisation
    }

    /// Multiplies the losses of each class by its weight, `[K]`; without weights nothing changes. The standardisation
    /// stays that of the images.
    pub(crate) fn weight_classes(&mut self, weights: &[f64]) {
        for row in &mut self.rows {
            row.weight *= weights.get(row.label as usize).copied().unwrap_or(1.0);
        }
    }

    pub(crate) fn set_penalty(&mut self, penalty: f64) {
        self.penalty = penalty;
    }

    /// Weights of zero, where a search begins.
    pub(crate) fn zero(&self) -> Vec<f64> {
        vec![0.0; self.num_classes * (self.standardisation.mean.len() + 1)]
    }

    /// The penalised loss and its gradient, `[K, D + 1]`.
    pub(crate) fn loss(&self, weights: &[f64]) -> Loss {
        let layer = self.standardisation.layer(weights);
        let parts: Vec<Loss> = self
            .parts()
            .map(|rows| {
                Arch::new().dispatch(Pass {
                    rows,
                    layer: &layer,
                })
            })
            .collect();
        let mut sums = Loss {
            value: 0.0,
            gradient: vec![0.0; weights.len()],
        };
        // In the order of the rows, whichever thread was first.
        for part in parts {
            sums.value += part.value;
            for (sum, value) in sums.gradient.iter_mut().zip(part.gradient) {
                *sum += value;
            }
        }
        let Standardisation { mean, inverse } = &self.standardisation;
        let width = mean.len();
        let classes = weights.chunks_exact(width + 1);
        for (weight, gradient) in classes.zip(sums.gradient.chunks_exact_mut(width + 1)) {
            let of_bias = gradient[width];
            // No penalty on the bias, which is the last column.
            for d in 0..width {
                let of_weight = (gradient[d] - of_bias * mean[d]) * inverse[d];
                gradient[d] = of_weight + self.penalty * weight[d];
                sums.value += 0.5 * self.penalty * weight[d] * weight[d];
            }
        }
        sums
    }

    /// Logits of other rows, `[N, K]`, by this problem's standardisation.
    pub(crate) fn logits(&self, rows: &[Row<'_>], weights: &[f64]) -> Vec<Vec<f64>> {
        let layer = self.standardisation.layer(weights);
        let row_logits = |row: &Row<'_>| {
            let classes = layer.chunks_exact(row.values.len() + 1);
            classes
                .map(|class| {
                    let (bias, weight) = class.split_last().expect("a chunk has a bias");
                    let values = row.values.iter().map(|x| f64::from(*x) * row.scale);
                    weight.iter().zip(values).map(|(w, x)| w * x).sum::<f64>() + bias
                })
                .collect()
        };
        rows.par_iter().map(row_logits).collect()
    }

    /// Parts of the rows. Their bounds depend on the number of rows alone: they decide the order of the sums.
    fn parts(&self) -> impl IndexedParallelIterator<Item = &[Row<'a>]> {
        let length = self.rows.len().div_ceil(MOST_PARTS).max(LEAST_ROWS);
        self.rows.par_chunks(length.next_multiple_of(BLOCK))
    }
}

impl Standardisation {
    /// Means and deviations of weighted rows.
    fn of(rows: &[Row<'_>], width: usize) -> Self {
        let mean = weighted_mean(rows, width, |_, x| x);
        // Two passes: the difference of large squares would lose small deviations.
        let variance = weighted_mean(rows, width, |d, x| (x - mean[d]).powi(2));
        let inverse = variance.iter().zip(&mean).map(|(variance, mean)| {
            let deviation = variance.sqrt();
            let is_constant = deviation <= LEAST_DEVIATION * mean.abs();
            if is_constant { 0.0 } else { 1.0 / deviation }
        });
        Self {
            inverse: inverse.collect(),
            mean,
        }
    }

    /// Weights `[K, D + 1]` of standardised features as weights of features as they are.
    fn layer(&self, weights: &[f64]) -> Vec<f64> {
        let width = self.mean.len();
        let mut layer = weights.to_vec();
        for class in layer.chunks_exact_mut(width + 1) {
            for d in 0..width {
                class[d] *= self.inverse[d];
                class[width] -= class[d] * self.mean[d];
            }
        }
        layer
    }
}

/// The weighted mean of a function of the features, `[D]`.
fn weighted_mean(rows: &[Row<'_>], width: usize, function: impl Fn(usize, f64) -> f64) -> Vec<f64> {
    let total: f64 = rows.iter().map(|row| row.weight).sum();
    let mut sums = vec![0.0; width];
    for row in rows {
        for (d, (sum, x)) in sums.iter_mut().zip(row.values).enumerate() {
            *sum += row.weight * function(d, f64::from(*x));
        }
    }
    sums.iter().map(|sum| sum / total).collect()
}

/// Loss and gradient of some rows, without the penalty.
struct Pass<'a> {
    rows: &'a [Row<'a>],
    /// `[K, D + 1]`.
    layer: &'a [f64],
}

impl NullaryFnOnce for Pass<'_> {
    type Output = Loss;

    #[inline(always)]
    fn call(self) -> Loss {
        let width = self.rows[0].values.len();
        let num_classes = self.layer.len() / (width + 1);
        let mut sums = Loss {
            value: 0.0,
            gradient: vec![0.0; self.layer.len()],
        };
        let mut block = vec![0.0; BLOCK * width];
        // [K, BLOCK]
        let mut logits = vec![[0.0; BLOCK]; num_classes];
        for rows in self.rows.chunks(BLOCK) {
            // Rows that the last block lacks are zero and count nothing.
            block[rows.len() * width..].fill(0.0);
            for (row, values) in rows.iter().zip(block.chunks_exact_mut(width)) {
                for (value, x) in values.iter_mut().zip(row.values) {
                    *value = f64::from(*x) * row.scale;
                }
            }
            let values: [&[f64]; BLOCK] = std::array::from_fn(|i| &block[i * width..][..width]);
            for (class, logits) in self.layer.chunks_exact(width + 1).zip(&mut logits) {
                *logits = dots(&class[..width], values).map(|dot| dot + class[width]);
            }
            sums.value += residuals(rows, &mut logits);
            for (class, residuals) in sums.gradient.chunks_exact_mut(width + 1).zip(&logits) {
                add_rows(&mut class[..width], *residuals, values);
                class[width] += residuals.iter().sum::<f64>();
            }
        }
        sums
    }
}

/// The loss of a block. Replaces its logits by the loss's derivative, which is 0 for rows that the block lacks.
#[inline(always)]
fn residuals(rows: &[Row<'_>], logits: &mut [[f64; BLOCK]]) -> f64 {
    let mut loss = 0.0;
    for i in 0..BLOCK {
        let Some(row) = rows.get(i) else {
            logits.iter_mut().for_each(|logits| logits[i] = 0.0);
            continue;
        };
        let highest = logits
            .iter()
            .map(|l| l[i])
            .fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logits.iter().map(|l| (l[i] - highest).exp()).sum();
        let ln_sum = highest + sum.ln();
        for (class, logits) in logits.iter_mut().enumerate() {
            let own = class == row.label as usize;
            if own {
                loss += row.weight * (ln_sum - logits[i]);
            }
            let probability = (logits[i] - ln_sum).exp();
            logits[i] = row.weight * (probability - f64::from(u8::from(own)));
        }
    }
    loss
}

/// The scalar products of `weight` with the rows of a block.
///
/// Multiplied and added, not fused: so the bits are the same on processors of any width.
#[inline(always)]
fn dots(weight: &[f64], block: [&[f64]; BLOCK]) -> [f64; BLOCK] {
    let (weights, rest) = weight.as_chunks::<LANES>();
    let [a, b, c, d] = block.map(|row| row.as_chunks::<LANES>().0);
    let mut sums = [[0.0; LANES]; BLOCK];
    // Row by row written out: the compiler makes vectors of this form, and not of a loop over the rows.
    for ((((w, a), b), c), d) in weights.iter().zip(a).zip(b).zip(c).zip(d) {
        for lane in 0..LANES {
            sums[0][lane] += w[lane] * a[lane];
            sums[1][lane] += w[lane] * b[lane];
            sums[2][lane] += w[lane] * c[lane];
            sums[3][lane] += w[lane] * d[lane];
        }
    }
    let tail = weight.len() - rest.len();
    std::array::from_fn(|i| {
        let rest = rest.iter().zip(&block[i][tail..]);
        sums[i].iter().sum::<f64>() + rest.map(|(w, x)| w * x).sum::<f64>()
    })
}

/// Adds the rows of a block, each times its factor.
#[inline(always)]
fn add_rows(to: &mut [f64], factors: [f64; BLOCK], block: [&[f64]; BLOCK]) {
    let [a, b, c, d] = block;
    let rows = a.iter().zip(b).zip(c).zip(d);
    for (to, (((a, b), c), d)) in to.iter_mut().zip(rows) {
        *to += (factors[0] * a + factors[1] * b) + (factors[2] * c + factors[3] * d);
    }
}
