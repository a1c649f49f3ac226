use std::sync::atomic::AtomicBool;

use super::*;
use crate::features::Features;
use crate::kfold::tests::{classes, samples};

#[test]
fn scores_of_all_images_and_of_every_fold() {
    let samples = samples([10, 10, 0]);
    let classes = classes()[..2].to_vec();
    let kfold = KFold::new(&samples, &classes, 4, 0).unwrap();
    // The first image is wrong, all are equally sure.
    let row = |index: usize| match (samples[index].label, index) {
        (0, 1..) | (1, 0) => vec![2.0, 0.0],
        (0, 0) => vec![0.0, 2.0],
        _ => vec![0.0, 2.0],
    };
    let held_out = HeldOut {
        logits: (0..20).map(row).collect(),
        labels: samples.iter().map(|sample| sample.label).collect(),
    };
    let folds = score_folds(&kfold, &held_out);
    assert_eq!((folds.folds, folds.count), (4, 20));
    assert!((folds.accuracy.mean - 0.95).abs() < 1e-12);
    // 1 + 4/3: 20 images count as 8.57.
    let (low, high) = data::metrics::wilson_from_share(0.95, 20.0 / (7.0 / 3.0));
    let interval = folds.accuracy.interval;
    assert!((interval[0] - low).abs() < 1e-12 && (interval[1] - high).abs() < 1e-12);
    // ln(1 + e^-2) and 2 more once.
    assert!((folds.loss.mean - (0.126_928 + 0.1)).abs() < 1e-6);
    let error = (1.9_f64.powi(2) + 19.0 * 0.01).sqrt() / (19.0 * 20.0_f64).sqrt();
    let half = Z * error * (7.0_f64 / 3.0).sqrt();
    assert!((folds.loss.interval[1] - folds.loss.mean - half).abs() < 1e-6);
    assert!(folds.loss.interval[0] >= 0.0);
    let wrong: Vec<f64> = folds.per_fold.iter().map(|fold| fold.accuracy).collect();
    assert_eq!(wrong.iter().filter(|accuracy| **accuracy < 1.0).count(), 1);
    assert_eq!(
        folds.per_fold.iter().map(|fold| fold.count).sum::<usize>(),
        20
    );
    let suspects = suspects(&samples, &classes, &held_out);
    assert_eq!(suspects.len(), 1);
    assert_eq!(
        (&*suspects[0].path, &*suspects[0].predicted),
        ("train/c0/0.jpg", "c1")
    );
    assert!((suspects[0].probability - 0.880_797).abs() < 1e-6);
}

/// Three clouds of points, of which some bear another cloud's label.
#[test]
fn regression_finds_wrong_labels_and_the_surest_come_first() {
    let wrong = [3, 20, 44];
    let mut samples = samples([20, 20, 20]);
    let width = 6;
    let value = |index: usize, axis: usize| {
        let noise = ((index * 7919 + axis * 104_729) % 97) as f32 / 97.0;
        noise + if axis % 3 == index / 20 { 2.0 } else { 0.0 }
    };
    let points = (0..60).flat_map(|index| (0..width).map(move |axis| value(index, axis)));
    let points = points.collect();
    for index in wrong {
        samples[index].label = (samples[index].label + 1) % 3;
    }
    let rows = Features::new(samples.clone(), width, vec![points]);
    let kfold = KFold::new(&samples, &classes(), 5, 0).unwrap();
    let answers = held_out_logits(&rows, 3, &kfold, &AtomicBool::new(false));
    let found = suspects(&samples, &classes(), &answers);
    let mut first: Vec<_> = found.iter().take(3).map(|suspect| &*suspect.path).collect();
    first.sort_unstable();
    let mut expected = wrong.map(|index| &*samples[index].relative);
    expected.sort_unstable();
    assert_eq!(first, expected, "{found:?}");
    assert!(found.is_sorted_by(|a, b| a.probability >= b.probability));
}
