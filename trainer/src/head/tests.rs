use std::sync::atomic::AtomicBool;

use data::Sample;
use serde::Deserialize;

use super::*;
use crate::recipe::ClassWeights;

static RUNNING: AtomicBool = AtomicBool::new(false);

fn features(width: usize, labels: &[u32], views: Vec<Vec<f32>>) -> Features {
    let samples = labels.iter().map(|label| Sample {
        path: "".into(),
        relative: String::new(),
        label: *label,
    });
    Features::new(samples.collect(), width, views)
}

/// A number in [-1, 1) that depends on its arguments alone.
fn noise(index: usize, axis: usize, salt: usize) -> f64 {
    let mut bits = (index as u64) << 40 ^ (axis as u64) << 20 ^ salt as u64;
    for _ in 0..3 {
        // SplitMix64.
        bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
    }
    (bits >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

/// Clouds of three classes about centres `distance` apart in the first three of `width` axes.
fn clouds(count: usize, width: usize, distance: f64) -> Features {
    let labels: Vec<u32> = (0..count).map(|index| (index % 3) as u32).collect();
    let value = |index: usize, axis: usize| {
        let centre = if axis == index % 3 { distance } else { 0.0 };
        (centre + noise(index, axis, 7)) as f32
    };
    let values = (0..count).flat_map(|index| (0..width).map(move |axis| value(index, axis)));
    features(width, &labels, vec![values.collect()])
}

#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    classes: usize,
    penalty: f64,
    class_weights: String,
    features: Vec<Vec<f32>>,
    labels: Vec<u32>,
    weight: Vec<Vec<f64>>,
    bias: Vec<f64>,
    probabilities: Vec<Vec<f64>>,
}

#[test]
fn the_minimum_is_that_of_scikit_learn() {
    let text = include_str!("../../../tests/reference/head.json");
    let reference: Reference = serde_json::from_str(text).unwrap();
    for case in &reference.cases {
        let width = case.features[0].len();
        let features = features(width, &case.labels, vec![case.features.concat()]);
        let indices: Vec<usize> = (0..case.labels.len()).collect();
        let names: Vec<String> = (0..case.classes).map(|class| class.to_string()).collect();
        let class_weights: ClassWeights = case.class_weights.parse().unwrap();
        let class_weights = class_weights.weights(&names, &case.labels).unwrap();
        let mut problem = Problem::standardised(&features, &indices, case.classes, case.penalty);
        problem.weight_classes(&class_weights);
        let minimum = minimise(problem.zero(), 1e-9, &RUNNING, |w| problem.loss(w));
        let expected = case.weight.iter().zip(&case.bias);
        let expected = expected.flat_map(|(weight, bias)| weight.iter().chain([bias]));
        for (found, expected) in minimum.weights.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        // The exported layer, in single precision, on features from 1e-4 to 1e4.
        let (head, fit) = fit(
            &features,
            case.classes,
            &class_weights,
            Some(case.penalty),
            0,
            &RUNNING,
        );
        assert_eq!((fit.penalty, fit.folds), (case.penalty, 0));
        for (row, expected) in case.features.iter().zip(&case.probabilities) {
            let logits: Vec<f64> = head.logits(row).into_iter().map(f64::from).collect();
            let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
            for (logit, expected) in logits.iter().zip(expected) {
                let found = logit.exp() / sum;
                assert!((found - expected).abs() < 1e-4, "{found} {expected}");
            }
        }
        // A constant feature says nothing.
        assert!(head.weight.chunks_exact(width).all(|class| class[1] == 0.0));
    }
}

#[test]
fn the_gradient_is_the_slope_of_the_loss_and_vanishes_at_the_minimum() {
    // Neither the rows nor the features fill whole blocks and vectors.
    let features = clouds(83, 19, 1.0);
    let indices: Vec<usize> = (0..83).collect();
    let problem = Problem::standardised(&features, &indices, 3, 0.5);
    let weights: Vec<f64> = (0..60).map(|index| noise(index, 0, 1)).collect();
    let loss = problem.loss(&weights);
    for index in 0..weights.len() {
        let moved = |by: f64| {
            let mut weights = weights.clone();
            weights[index] += by;
            problem.loss(&weights).value
        };
        let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        assert!((slope - loss.gradient[index]).abs() < 1e-6, "{index}");
    }
    let minimum = minimise(problem.zero(), 1e-8, &RUNNING, |w| problem.loss(w));
    let at = problem.loss(&minimum.weights);
    assert!(at.gradient.iter().all(|g| g.abs() < 1e-8));
    assert!(at.value < loss.value && minimum.steps < 200);
}

#[test]
fn one_and_several_threads_give_the_same_bits() {
    let features = clouds(1500, 37, 0.5);
    let fit = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build()
            .unwrap()
            .install(|| fit(&features, 3, &[], None, 3, &RUNNING))
    };
    let one = fit(1);
    for threads in [2, 5] {
        assert_eq!(fit(threads), one);
    }
}

#[test]
fn a_view_counts_one_over_the_number_of_views() {
    let plain = clouds(60, 8, 1.0);
    let view: Vec<f32> = (0..60)
        .flat_map(|index| plain.row(0, index).to_vec())
        .collect();
    let labels: Vec<u32> = plain.samples().iter().map(|sample| sample.label).collect();
    let tripled = features(8, &labels, vec![view.clone(), view.clone(), view]);
    let [(plain, _), (tripled, _)] =
        [&plain, &tripled].map(|features| fit(features, 3, &[], Some(0.3), 0, &RUNNING));
    for (one, other) in plain.weight.iter().zip(&tripled.weight) {
        assert!((one - other).abs() < 1e-5, "{one} {other}");
    }
}

#[test]
fn noise_gets_a_strong_penalty_and_clear_classes_a_weak_one() {
    let chosen = |distance| {
        let (_, fit) = fit(&clouds(90, 60, distance), 3, &[], None, 0, &RUNNING);
        assert_eq!(fit.folds, 5);
        let least = fit.tried.iter().map(|tried| tried.loss);
        assert_eq!(
            fit.held_out_loss(),
            Some(least.fold(f64::INFINITY, f64::min))
        );
        assert!(fit.tried.is_sorted_by(|a, b| a.penalty > b.penalty));
        fit.penalty / 90.0
    };
    let [none, some, clear] = [0.0, 1.0, 6.0].map(chosen);
    assert!(none >= 10.0, "{none}");
    assert!(none > some && some > clear, "{none} {some} {clear}");
    assert!(clear < 0.1, "{clear}");
}

#[test]
fn the_penalty_is_chosen_by_the_weighted_loss() {
    // Class 0 has 60 of 90 images, in the midst of the others.
    let even = clouds(90, 20, 0.7);
    let labels: Vec<u32> = (0..90).map(|i| if i % 6 < 4 { 0 } else { i % 3 }).collect();
    let values = (0..90).flat_map(|index| even.row(0, index).to_vec());
    let features = features(20, &labels, vec![values.collect()]);
    let fit = |weights: &[f64]| fit(&features, 3, weights, None, 0, &RUNNING);
    let (plain, weighted) = (fit(&[]), fit(&[0.1, 1.0, 8.0]));
    assert_ne!(plain.0, weighted.0);
    assert_ne!(plain.1.tried[0].loss, weighted.1.tried[0].loss);
    assert_eq!(fit(&[1.0; 3]), plain);
    // The strongest penalty leaves the bias alone, whose loss is the entropy of the weighted classes: 6, 15, 120 of
    // 141 here, 60, 15, 15 of 90 without weights.
    for (fit, expected) in [(&plain, 0.8676), (&weighted, 0.5100)] {
        let loss = fit.1.tried[0].loss;
        assert!((loss - expected).abs() < 0.01, "{loss} {expected}");
    }
}

#[test]
fn a_class_with_too_few_images_for_folds_leaves_the_penalty_unchosen() {
    for (count, folds) in [(6, 0), (12, 4), (15, 5)] {
        let (head, fit) = fit(&clouds(count, 4, 2.0), 3, &[], None, 0, &RUNNING);
        assert_eq!((fit.folds, fit.tried.is_empty()), (folds, folds == 0));
        assert!(head.is_finite() && fit.penalty > 0.0);
        assert_eq!(fit.line(0.1).contains("too few images"), folds == 0);
    }
}

#[test]
fn a_stop_ends_the_search() {
    let stopped = AtomicBool::new(true);
    let (_, fit) = fit(&clouds(60, 8, 1.0), 3, &[], None, 0, &stopped);
    assert_eq!((fit.steps, fit.tried.len()), (0, 0));
}

#[test]
fn two_logits_become_one_of_the_same_probability() {
    let two = Head {
        weight: vec![0.5, -1.0, 2.0, 0.25],
        bias: vec![0.125, -0.5],
    };
    let one = two.clone().into_one_logit();
    assert_eq!(one.weight, [1.5, 1.25]);
    for features in [[0.0, 0.0], [3.0, -1.0], [-0.5, 2.0]] {
        let [first, second] = two.logits(&features).try_into().unwrap();
        assert_eq!(one.logits(&features), [second - first]);
    }
}
