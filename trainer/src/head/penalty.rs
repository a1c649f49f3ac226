//! L2 penalty of a classification layer, chosen by the log loss of held-out images.

use std::sync::atomic::{AtomicBool, Ordering};

use data::metrics::negative_log_likelihood;
use rayon::prelude::*;
use report::run_files::{HeadFit, TriedPenalty};

use super::{Problem, Row, minimise};
use crate::features::Features;
use crate::kfold::KFold;

const FOLDS: usize = 5;
/// Strengths per image that are tried, from strong to weak, each half a power of ten below the one before: the
/// penalty is so many times the number of images.
const STRENGTHS: usize = 15;
const STRONGEST: f64 = 100.0;
/// The strength where there are too few images for folds.
const UNCHOSEN: f64 = 1.0;
/// Weaker penalties that are tried after the best one so far: the loss has one minimum but for chance.
const PATIENCE: usize = 2;
/// The largest gradient of the mean loss. More changes the held-out loss in the fifth decimal.
const GRADIENT: f64 = 1e-4;

/// A fold's search, which begins where that of the penalty before ended.
struct Search<'a> {
    problem: Problem<'a>,
    weights: Vec<f64>,
    num_images: usize,
    held_out: Vec<Row<'a>>,
}

/// Chooses the penalty of the least mean log loss over all images, each held out once, weighted by class. Held-out images are seen as
/// they are, without augmentation.
pub(super) fn choose(
    features: &Features,
    num_classes: usize,
    class_weights: &[f64],
    seed: u64,
    stop: &AtomicBool,
) -> HeadFit {
    let num_images = features.samples().len();
    let Some(kfold) = folds(features, num_classes, seed) else {
        return HeadFit::with_penalty(UNCHOSEN * num_images as f64);
    };
    let mut searches: Vec<Search<'_>> = (0..kfold.folds())
        .map(|fold| Search::new(features, &kfold, fold, num_classes, class_weights))
        .collect();
    let held_out = searches.iter().flat_map(|search| &search.held_out);
    let total_weight: f64 = held_out.map(|row| row.weight).sum();
    let mut tried: Vec<TriedPenalty> = vec![];
    let mut best = 0;
    for number in 0..STRENGTHS {
        if stop.load(Ordering::Relaxed) || number > best + PATIENCE {
            break;
        }
        let penalty = STRONGEST / 10_f64.powf(number as f64 / 2.0) * num_images as f64;
        let losses = searches
            .par_iter_mut()
            .map(|search| search.held_out_loss(penalty, stop));
        // Collected first: the sum has one order.
        let losses: Vec<f64> = losses.collect();
        let loss = losses.iter().sum::<f64>() / total_weight;
        tried.push(TriedPenalty { penalty, loss });
        if loss < tried[best].loss {
            best = number;
        }
    }
    // None is tried where the run is to stop.
    let chosen = tried.get(best).map_or(UNCHOSEN, |best| best.penalty);
    HeadFit {
        folds: kfold.folds(),
        tried,
        ..HeadFit::with_penalty(chosen)
    }
}

/// Five folds by identity, of pairs; none where there are fewer identities: pairs that share images with the held-out ones
/// would choose too weak a penalty. Of images five folds, or four where the smallest class has four images; none where it
/// has fewer.
fn folds(features: &Features, num_classes: usize, seed: u64) -> Option<KFold> {
    if !features.identities().is_empty() {
        return KFold::of_identities(features.samples(), features.identities(), FOLDS, seed);
    }
    let names: Vec<String> = (0..num_classes).map(|class| class.to_string()).collect();
    let folds = |count| KFold::new(features.samples(), &names, count, seed).ok();
    folds(FOLDS).or_else(|| folds(FOLDS - 1))
}

impl<'a> Search<'a> {
    fn new(
        features: &'a Features,
        kfold: &KFold,
        fold: usize,
        num_classes: usize,
        class_weights: &[f64],
    ) -> Self {
        let fold = kfold.fold(fold);
        let mut indices = [fold.train, fold.val].concat();
        indices.sort_unstable();
        let mut problem = Problem::standardised(features, &indices, num_classes, 0.0);
        problem.weight_classes(class_weights);
        let held_out = fold.held_out.iter().map(|index| {
            let label = features.samples()[*index].label;
            Row {
                values: features.row(0, *index),
                scale: 1.0,
                label,
                weight: class_weights.get(label as usize).copied().unwrap_or(1.0),
            }
        });
        Self {
            weights: problem.zero(),
            problem,
            num_images: indices.len(),
            held_out: held_out.collect(),
        }
    }

    /// The weighted sum of the held-out losses at the minimum with this penalty.
    fn held_out_loss(&mut self, penalty: f64, stop: &AtomicBool) -> f64 {
        self.problem.set_penalty(penalty);
        let start = std::mem::take(&mut self.weights);
        let tolerance = GRADIENT * self.num_images as f64;
        let minimum = minimise(start, tolerance, stop, |weights| self.problem.loss(weights));
        self.weights = minimum.weights;
        let logits = self.problem.logits(&self.held_out, &self.weights);
        let losses = self.held_out.iter().zip(&logits).map(|(row, logits)| {
            let logits: Vec<f32> = logits.iter().map(|logit| *logit as f32).collect();
            row.weight * negative_log_likelihood(&logits, row.label)
        });
        losses.sum()
    }
}
