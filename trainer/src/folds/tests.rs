use std::sync::atomic::AtomicBool;

use super::*;
use crate::features::Rows;

fn samples(counts: [usize; 3]) -> Vec<Sample> {
    let of = |(class, count): (usize, usize)| {
        (0..count).map(move |i| Sample {
            path: "".into(),
            relative: format!("train/c{class}/{i}.jpg"),
            label: class as u32,
        })
    };
    counts.into_iter().enumerate().flat_map(of).collect()
}

fn classes() -> Vec<String> {
    (0..3).map(|class| format!("c{class}")).collect()
}

#[test]
fn every_image_is_held_out_once_and_classes_are_spread_evenly() {
    let samples = samples([23, 9, 17]);
    let division = Division::new(&samples, &classes(), 5, 3).unwrap();
    let mut all = vec![];
    for number in 0..5 {
        let fold = division.fold(number);
        assert!([9, 10].contains(&fold.held_out.len()));
        for (class, count) in [23_usize, 9, 17].into_iter().enumerate() {
            let of = |places: &[usize]| {
                let own = |place: &&usize| samples[**place].label as usize == class;
                places.iter().filter(own).count()
            };
            let held_out = of(&fold.held_out);
            assert!([count / 5, count.div_ceil(5)].contains(&held_out));
            let [train, val] = counts_of_two(count - held_out);
            assert_eq!((of(&fold.train), of(&fold.val)), (train, val));
        }
        let mut places = [&fold.train[..], &fold.val, &fold.held_out].concat();
        places.sort_unstable();
        assert!(places.into_iter().eq(0..49));
        all.extend(fold.held_out);
    }
    all.sort_unstable();
    assert!(all.into_iter().eq(0..49));
    let again = Division::new(&samples, &classes(), 5, 3).unwrap();
    assert_eq!(again, division);
    let other = Division::new(&samples, &classes(), 5, 4).unwrap();
    assert_ne!(other.fold(0), division.fold(0));
}

#[test]
fn held_out_logits_come_back_in_the_order_of_the_images() {
    let division = Division::new(&samples([8, 4, 5]), &classes(), 4, 0).unwrap();
    let part = |fold: usize| {
        let places = division.fold(fold).held_out.into_iter();
        places.map(|place| vec![place as f32]).collect()
    };
    let held_out = division.gather((0..4).map(part).collect());
    let places = held_out.logits.iter().map(|row| row[0] as usize);
    assert!(places.eq(0..17));
    assert_eq!(
        held_out.labels.iter().filter(|label| **label == 1).count(),
        4
    );
}

#[test]
fn too_few_images_are_refused_with_the_class() {
    for (counts, folds, says) in [
        ([9, 3, 9], 2, "`--folds 2`: `c1` has 3 images"),
        ([9, 5, 9], 6, "6 are needed"),
        ([9, 9, 9], 1, "must be 2 or more"),
    ] {
        let error = Division::new(&samples(counts), &classes(), folds, 0).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn scores_of_all_images_and_of_every_fold() {
    let samples = samples([10, 10, 0]);
    let classes = classes()[..2].to_vec();
    let division = Division::new(&samples, &classes, 4, 0).unwrap();
    // The first image is wrong, all are equally sure.
    let row = |place: usize| match (samples[place].label, place) {
        (0, 1..) | (1, 0) => vec![2.0, 0.0],
        (0, 0) => vec![0.0, 2.0],
        _ => vec![0.0, 2.0],
    };
    let held_out = HeldOut {
        logits: (0..20).map(row).collect(),
        labels: samples.iter().map(|sample| sample.label).collect(),
    };
    let folds = Folds::new(&division, &held_out);
    assert_eq!((folds.folds, folds.count), (4, 20));
    assert!((folds.accuracy.mean - 0.95).abs() < 1e-12);
    // 1 + 4/3: 20 images count as 8.57.
    let (low, high) = data::metrics::wilson_of(0.95, 20.0 / (7.0 / 3.0));
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
    let value = |place: usize, axis: usize| {
        let noise = ((place * 7919 + axis * 104_729) % 97) as f32 / 97.0;
        noise + if axis % 3 == place / 20 { 2.0 } else { 0.0 }
    };
    let points = (0..60).flat_map(|place| (0..width).map(move |axis| value(place, axis)));
    let points = points.collect();
    for place in wrong {
        samples[place].label = (samples[place].label + 1) % 3;
    }
    let rows = Rows::new(samples.clone(), width, vec![points]);
    let division = Division::new(&samples, &classes(), 5, 0).unwrap();
    let answers = answers(&rows, 3, &division, &AtomicBool::new(false));
    let found = suspects(&samples, &classes(), &answers);
    let mut first: Vec<_> = found.iter().take(3).map(|suspect| &*suspect.path).collect();
    first.sort_unstable();
    let mut expected = wrong.map(|place| &*samples[place].relative);
    expected.sort_unstable();
    assert_eq!(first, expected, "{found:?}");
    assert!(found.is_sorted_by(|a, b| a.probability >= b.probability));
}
