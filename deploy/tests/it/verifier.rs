//! The verifier: its file as it is, and image by image.

use std::path::{Path, PathBuf};

use classifold::card::{CLASSIFY, Golden, PREFIX, ScoreKind, VERIFY};
use classifold::image::DynamicImage;
use classifold::{
    Card, Classifier, ClassifierBuilder, PairSession, Provider, SessionOptions, Verifier,
};
use onnx::siamese::Distance;
use onnx::{ModelFile, Tensor, siamese};

use crate::support::{Tiny, flat, installed};

/// A verifier whose logit is ten times how far two images are apart in blue, less that in red.
fn verifier(folder: &Path, golden: Vec<Golden>) -> PathBuf {
    let tiny = Tiny {
        single: true,
        ..Tiny::default()
    };
    let mut document = tiny.document();
    siamese::join(&mut document, Distance::AbsoluteDifference, 3).unwrap();
    let card = Card {
        task: VERIFY.into(),
        threshold: Some(0.75),
        golden,
        ..tiny.card()
    };
    document.set_metadata(PREFIX, &card.to_pairs());
    let path = folder.join("verifier.onnx");
    document.save(&path).unwrap();
    path
}

fn open(path: &Path) -> classifold::Result<Verifier> {
    let settings = ClassifierBuilder::default()
        .runtime(installed().clone())
        .threads(1);
    Verifier::from_file(&ModelFile::open(path)?, settings)
}

#[test]
fn its_answer_is_that_of_the_file_whatever_the_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = verifier(folder.path(), vec![]);
    let verifier = open(&path).unwrap();
    let images = [flat(10, 200), flat(60, 120), flat(250, 0)].map(DynamicImage::ImageRgb8);
    let features: Vec<Vec<f32>> = images.iter().map(|i| verifier.encode(i).unwrap()).collect();
    assert_eq!(features[0].len(), 3);
    let prepared: Vec<Vec<f32>> = images
        .iter()
        .map(|image| {
            verifier
                .encoder()
                .prepare(image.as_rgb8().unwrap())
                .unwrap()
        })
        .collect();
    let mut file = PairSession::open(&ModelFile::open(&path).unwrap(), [3, 4, 4]).unwrap();
    for (a, b) in [(0, 1), (1, 2), (2, 0), (1, 1)] {
        let answer = verifier.compare(&features[a], &features[b]).unwrap();
        assert_eq!(
            answer,
            verifier.compare(&features[b], &features[a]).unwrap()
        );
        assert_eq!(answer, verifier.verify(&images[a], &images[b]).unwrap());
        assert_eq!(answer.same, answer.score >= 0.75);
        let found = file.run(&prepared[a], &prepared[b], 1).unwrap();
        assert!(
            (f64::from(found[0]) - answer.score).abs() < 1e-6,
            "{found:?} {answer:?}"
        );
    }
    // Three pairs in one call, and where the nodes run.
    let batch = |order: [usize; 3]| order.map(|i| prepared[i].clone()).concat();
    let scores = file.run(&batch([0, 1, 2]), &batch([1, 2, 0]), 3).unwrap();
    let alone = file.run(&prepared[1], &prepared[2], 1).unwrap();
    assert_eq!((scores.len(), scores[1]), (3, alone[0]));
    assert_eq!(
        file.placement().counts().keys().collect::<Vec<_>>(),
        ["cpu"]
    );
    let elsewhere = SessionOptions {
        provider: Provider::openvino(),
        ..SessionOptions::default()
    };
    let model = ModelFile::open(&path).unwrap();
    let error = PairSession::with_options(&model, [3, 4, 4], &elsewhere).unwrap_err();
    assert!(
        error.to_string().contains("run on the CPU alone"),
        "{error}"
    );
    // 80 and 50 of 255 apart: 10 (80 - 50) / 255.
    let answer = verifier.compare(&features[0], &features[1]).unwrap();
    let logit: f64 = 10.0 * (80.0 - 50.0) / 255.0;
    assert!((answer.score - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-6);
    assert!(
        answer.same
            && !verifier
                .with_threshold(0.8)
                .compare(&features[0], &features[1])
                .unwrap()
                .same
    );
    // Three pairs at once.
    let both = file.run(
        &prepared.concat(),
        &[&prepared[1][..], &prepared[2], &prepared[0]].concat(),
        3,
    );
    assert_eq!(both.unwrap().len(), 3);
    assert!(file.run(&prepared[0], &prepared.concat(), 1).is_err());
}

/// A verifier of a layer of one number.
fn verifier_of(folder: &Path, distance: Distance, [weight, bias]: [f32; 2]) -> PathBuf {
    let tiny = Tiny {
        single: true,
        ..Tiny::default()
    };
    let mut document = tiny.document();
    let one = |dims: &[usize], value| Tensor::f32(dims, vec![value]).unwrap();
    document
        .set_tensor("weight", &one(&[1, 1], weight))
        .unwrap();
    document.set_tensor("bias", &one(&[1], bias)).unwrap();
    siamese::join(&mut document, distance, 3).unwrap();
    let kind = match distance {
        Distance::Euclidean => ScoreKind::Distance,
        _ => ScoreKind::Probability,
    };
    let card = Card {
        task: VERIFY.into(),
        threshold: Some(0.5),
        output_kind: kind.into(),
        ..tiny.card()
    };
    document.set_metadata(PREFIX, &card.to_pairs());
    let path = folder.join("verifier.onnx");
    document.save(&path).unwrap();
    path
}

#[test]
fn cosines_and_distances_are_those_of_the_file_to_the_bit_whatever_the_order() {
    let folder = tempfile::tempdir().unwrap();
    let images = [flat(10, 200), flat(60, 120), flat(250, 0)].map(DynamicImage::ImageRgb8);
    for (distance, layer) in [
        (Distance::Cosine, [14.0, -7.0]),
        (Distance::Euclidean, [0.8, 0.0]),
    ] {
        let path = verifier_of(folder.path(), distance, layer);
        let verifier = open(&path).unwrap();
        assert_eq!(verifier.head().distance, distance);
        let features = images.each_ref().map(|i| verifier.encode(i).unwrap());
        let prepared = images.each_ref().map(|image| {
            let image = image.as_rgb8().unwrap();
            verifier.encoder().prepare(image).unwrap()
        });
        let mut file = PairSession::open(&ModelFile::open(&path).unwrap(), [3, 4, 4]).unwrap();
        for (a, b) in [(0, 1), (1, 2), (2, 0), (1, 1)] {
            let answer = verifier.compare(&features[a], &features[b]).unwrap();
            assert_eq!(
                answer,
                verifier.compare(&features[b], &features[a]).unwrap()
            );
            let found = file.run(&prepared[a], &prepared[b], 1).unwrap();
            assert_eq!(found, file.run(&prepared[b], &prepared[a], 1).unwrap());
            assert!(
                (f64::from(found[0]) - answer.score).abs() < 1e-5,
                "{found:?} {answer:?}"
            );
            let is_distance = distance == Distance::Euclidean;
            assert_eq!(
                answer.same,
                if is_distance {
                    answer.score <= 0.5
                } else {
                    answer.score >= 0.5
                }
            );
        }
        // Three pairs at once, in both orders.
        let [first, second] = [prepared.concat(), {
            [&prepared[1][..], &prepared[2], &prepared[0]].concat()
        }];
        let there = file.run(&first, &second, 3).unwrap();
        assert_eq!(there, file.run(&second, &first, 3).unwrap());
        // 50 and 80 of 255 apart, in red and in blue.
        let answer = verifier.compare(&features[0], &features[1]).unwrap().score;
        let expected = match distance {
            Distance::Euclidean => 0.8 * (50_f64.powi(2) + 80_f64.powi(2)).sqrt() / 255.0,
            _ => {
                let (a, b) = ([10.0, 9.0, 200.0], [60.0, 9.0, 120.0]);
                let dot = |a: [f64; 3], b: [f64; 3]| -> f64 {
                    a.iter().zip(&b).map(|(a, b)| a * b).sum()
                };
                let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
                1.0 / (1.0 + (7.0 - 14.0 * cosine).exp())
            }
        };
        assert!((answer - expected).abs() < 1e-6, "{answer} {expected}");
    }
}

#[test]
fn black_images_have_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let black = vec![0.0; 48];
    for (distance, expected) in [(Distance::Cosine, 0.5), (Distance::Euclidean, 1e-6)] {
        let path = verifier_of(folder.path(), distance, [1.0, 0.0]);
        // First: it loads the runtime, which the session of two inputs needs.
        let own = open(&path).unwrap().compare(&[0.0; 3], &[0.0; 3]).unwrap();
        let mut file = PairSession::open(&ModelFile::open(&path).unwrap(), [3, 4, 4]).unwrap();
        let found = file.run(&black, &black, 1).unwrap();
        for found in [f64::from(found[0]), own.score] {
            assert!((found - expected).abs() < 1e-9, "{distance:?}: {found}");
        }
    }
}

#[test]
fn golden_pairs_are_compared_with_what_the_card_expects() {
    let folder = tempfile::tempdir().unwrap();
    let png = |red, blue| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let image = DynamicImage::ImageRgb8(flat(red, blue));
        image
            .write_to(&mut bytes, classifold::image::ImageFormat::Png)
            .unwrap();
        bytes.into_inner()
    };
    let golden = |name: &str, probability| {
        let sample = Golden::new(
            name,
            &png(0, 51),
            vec![probability],
            [("fp32".into(), 1e-3)].into(),
        );
        sample.with_second(&png(0, 0))
    };
    // A fifth apart in blue: a logit of 2.
    let right = 1.0 / (1.0 + (-2.0_f32).exp());
    let path = verifier(
        folder.path(),
        vec![golden("right", right), golden("wrong", 0.5)],
    );
    let results = classifold::golden::check_pairs(&open(&path).unwrap()).unwrap();
    let ok: Vec<bool> = results.iter().map(|result| result.ok).collect();
    assert_eq!(ok, [true, false]);
    let none = open(&verifier(folder.path(), vec![])).unwrap();
    assert!(classifold::golden::check_pairs(&none).is_err());
}

#[test]
fn files_and_features_of_another_task_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = verifier(folder.path(), vec![]);
    let error = Classifier::open(&path).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("is a verifier, which compares two images"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("--pair"));
    let tiny = Tiny::default();
    let mut document = tiny.document();
    assert_eq!(tiny.card().task, CLASSIFY);
    document.set_metadata(PREFIX, &tiny.card().to_pairs());
    let classifier = folder.path().join("classifier.onnx");
    document.save(&classifier).unwrap();
    let error = open(&classifier).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("is a classifier, not a verifier"),
        "{error}"
    );
    // A card that says verifier on a graph that is none.
    let card = Card {
        task: VERIFY.into(),
        threshold: Some(0.5),
        ..tiny.card()
    };
    document.set_metadata(PREFIX, &card.to_pairs());
    document.save(&classifier).unwrap();
    let error = open(&classifier).unwrap_err();
    assert!(
        error.to_string().contains("does not compare two images"),
        "{error}"
    );
    let verifier = open(&path).unwrap();
    let error = verifier
        .compare(&[0.5; 3], &[0.5; 4])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("expected: 3 numbers") && error.contains("found:    4"),
        "{error}"
    );
    assert!(verifier.compare(&[f32::NAN; 3], &[0.5; 3]).is_err());
}
