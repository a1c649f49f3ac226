//! The verifier: its file as it is, and image by image.

use std::path::{Path, PathBuf};

use classifold::card::{CLASSIFY, Golden, PREFIX, VERIFY};
use classifold::image::DynamicImage;
use classifold::{Card, Classifier, ClassifierBuilder, PairSession, Verifier};
use onnx::{ModelFile, siamese};

use crate::support::{Tiny, flat, installed};

/// A verifier whose logit is ten times how far two images are apart in blue, less that in red.
fn verifier(folder: &Path, golden: Vec<Golden>) -> PathBuf {
    let tiny = Tiny {
        single: true,
        ..Tiny::default()
    };
    let mut document = tiny.document();
    siamese::join(&mut document).unwrap();
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
        assert_eq!(answer.same, answer.probability >= 0.75);
        let found = file.run(&prepared[a], &prepared[b], 1).unwrap();
        assert!(
            (f64::from(found[0]) - answer.probability).abs() < 1e-6,
            "{found:?} {answer:?}"
        );
    }
    // 80 and 50 of 255 apart: 10 (80 - 50) / 255.
    let answer = verifier.compare(&features[0], &features[1]).unwrap();
    let logit: f64 = 10.0 * (80.0 - 50.0) / 255.0;
    assert!((answer.probability - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-6);
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
