//! Golden samples: made, kept in the file, checked, and found out when the model is another.

use classifold::{Classifier, golden};
use onnx::Tensor;

use crate::support::{Tiny, installed};

#[test]
fn golden_samples_prove_the_model_and_find_out_another_one() {
    let tiny = Tiny::default();
    let folder = tempfile::tempdir().unwrap();
    let path = tiny.save(folder.path());
    let open = || {
        Classifier::builder(&path)
            .runtime(installed().clone())
            .open()
            .unwrap()
    };

    let without = tiny.builder(&path).open().unwrap();
    let error = golden::check(&without).unwrap_err();
    assert!(
        error.to_string().contains("carries no golden samples"),
        "{error}"
    );

    let mut card = tiny.card();
    card.golden = golden::create_samples(&without).unwrap();
    let mut document = tiny.document();
    document.set_metadata(classifold::card::PREFIX, &card.to_pairs());
    document.save(&path).unwrap();
    let results = golden::check(&open()).unwrap();
    assert!(results.len() >= 2);
    assert!(
        results
            .iter()
            .all(|result| result.ok && result.difference < 1e-6),
        "{results:?}"
    );

    let weight = vec![10.5, 0.0, 0.0, 0.0, 0.0, 10.5];
    document
        .set_tensor("weight", &Tensor::f32(&[2, 3], weight).unwrap())
        .unwrap();
    document.save(&path).unwrap();
    let results = golden::check(&open()).unwrap();
    assert!(results.iter().any(|result| !result.ok), "{results:?}");
}

#[test]
fn damaged_golden_samples_are_an_error() {
    let tiny = Tiny::default();
    let folder = tempfile::tempdir().unwrap();
    let path = tiny.save(folder.path());
    let mut card = tiny.card();
    card.golden = golden::create_samples(&tiny.builder(&path).open().unwrap()).unwrap();
    card.golden[0].image = "not base64!".into();
    let mut document = tiny.document();
    document.set_metadata(classifold::card::PREFIX, &card.to_pairs());
    document.save(&path).unwrap();
    let classifier = Classifier::builder(&path)
        .runtime(installed().clone())
        .open()
        .unwrap();
    assert!(golden::check(&classifier).is_err());
}
