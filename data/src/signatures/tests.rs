//! The drawn signatures: whole, repeatable, and not told apart by their pixels.

use super::{FOLDER, FORGED, GENUINE, draw_jpeg, ensure, writers};
use crate::metrics::{ScoredPair, det};
use crate::{Limits, Pair, PairKind, PairOptions, Pairs, Split, decode};
use image::imageops::{FilterType, resize};
use rayon::prelude::*;

/// Brightness of an image at a size that all share, centred on its mean.
fn grey(path: &std::path::Path, side: u32) -> Vec<f64> {
    let image = decode::open(path, &Limits::default()).unwrap();
    let grey = image::DynamicImage::ImageRgb8(image).into_luma8();
    let pixels = resize(&grey, side, side, FilterType::Triangle);
    let values: Vec<f64> = pixels.iter().map(|v| f64::from(*v)).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let deviation = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
    values
        .iter()
        .map(|v| (v - mean) / deviation.sqrt())
        .collect()
}

/// The best accuracy of any threshold on the distance of the pixels, on balanced pairs.
fn best_accuracy(pairs: &Pairs, side: u32) -> f64 {
    let samples = pairs.images.samples(Split::Test);
    let images: Vec<Vec<f64>> = samples.par_iter().map(|s| grey(&s.path, side)).collect();
    let distance =
        |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    let scored = pairs.of(Split::Test).iter().map(|pair: &Pair| ScoredPair {
        score: -distance(&images[pair.a], &images[pair.b]),
        kind: pair.kind,
        identity: samples[pair.a].label,
    });
    let scored: Vec<ScoredPair> = scored.collect();
    let errors = det(scored.iter()).unwrap().points.into_iter();
    // As many pairs of either answer.
    errors.map(|[x, y]| 1.0 - (x + y) / 2.0).fold(0.0, f64::max)
}

#[test]
fn the_set_is_whole_and_pixels_do_not_give_forgeries_away() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join(FOLDER);
    ensure(&folder, &|_, _| {}).unwrap();
    let options = PairOptions::default();
    let pairs = Pairs::open(&folder, &options).unwrap();
    assert!(pairs.images.left_out.is_empty() && pairs.images.notes.is_empty());
    assert_eq!(pairs.identities().len(), 160 + 24 + 40);
    for split in Split::ALL {
        let images = pairs.images.samples(split).len();
        assert_eq!(images, writers(split) * (GENUINE + FORGED));
        let count = |kind| {
            pairs
                .of(split)
                .iter()
                .filter(|pair| pair.kind == kind)
                .count()
        };
        let per_writer = writers(split) * options.per_identity;
        let kinds = [PairKind::Same, PairKind::Forged, PairKind::Different].map(count);
        assert_eq!(kinds, [per_writer, per_writer / 2, per_writer / 2]);
    }
    for side in [16, 48, 112] {
        let found = best_accuracy(&pairs, side);
        assert!(found < 0.7, "{side} x {side} pixels: {found}");
    }
    // A second call finds it.
    ensure(&folder, &|_, _| panic!("nothing to draw")).unwrap();
}

#[test]
fn an_image_depends_on_its_writer_and_its_number_alone() {
    let first = draw_jpeg(3, false, 5).unwrap();
    assert_eq!(first, draw_jpeg(3, false, 5).unwrap());
    for (writer, is_forged, stream) in [(4, false, 5), (3, true, 5), (3, false, 6)] {
        assert_ne!(first, draw_jpeg(writer, is_forged, stream).unwrap());
    }
}
