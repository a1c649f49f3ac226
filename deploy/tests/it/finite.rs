//! Answers that are not finite are refused, and a masked class is an answer.

use classifold::data::Sample;
use classifold::eval::{EvalOptions, evaluate};
use classifold::{Classifier, golden};
use fs_err as fs;
use onnx::Tensor;

use crate::support::{Tiny, flat, installed};

const MASKED: f32 = f32::NEG_INFINITY;

/// The tiny classifier with other weights, for images in the range of bytes.
fn classifier(folder: &tempfile::TempDir, weight: f32, bias: [f32; 2]) -> Classifier {
    let tiny = Tiny::default();
    let mut document = tiny.document();
    let mut set = |name: &str, dims: &[usize], values: Vec<f32>| {
        let tensor = Tensor::f32(dims, values).unwrap();
        document.set_tensor(name, &tensor).unwrap();
    };
    set("weight", &[2, 3], vec![weight, 0.0, 0.0, 0.0, 0.0, 1.0]);
    set("bias", &[2], bias.to_vec());
    let path = folder.path().join("model.onnx");
    document.save(&path).unwrap();
    let bytes = "resize(4, 4, bilinear, antialias)|layout(nchw, f32)";
    let builder = tiny.builder(&path).preprocess(bytes.parse().unwrap());
    builder.open().unwrap()
}

#[test]
fn the_first_image_without_a_finite_answer_is_named() {
    let folder = tempfile::tempdir().unwrap();
    // 3e38 times a red of 200 is infinite; an image without red gets numbers.
    let classifier = classifier(&folder, 3e38, [0.0; 2]);
    let samples: Vec<Sample> = [0, 0, 0, 200, 0, 201]
        .into_iter()
        .enumerate()
        .map(|(index, red)| {
            let relative = format!("{index}.png");
            let path = folder.path().join(&relative);
            flat(red, 50).save(&path).unwrap();
            Sample {
                path,
                relative,
                label: 0,
            }
        })
        .collect();
    let classes = ["red".to_owned(), "blue".to_owned()];
    for (batch, threads) in [(1, 2), (4, 1), (5, 3)] {
        let options = EvalOptions {
            batch,
            threads: Some(threads),
            ..EvalOptions::default()
        };
        let error = evaluate(&classifier, &samples, &classes, &options).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("/3.png`: the model's answer is not"),
            "{text}"
        );
        assert!(text.ends_with("found:    inf, 50"), "{text}");
    }
    assert_eq!(
        classifier.classify_path(&samples[0].path).unwrap().label,
        "blue"
    );
    let error = classifier.classify_path(&samples[3].path).unwrap_err();
    assert!(error.to_string().contains("/3.png`: the model's answer"));
    assert!(error.hint().is_some());
}

#[test]
fn what_is_no_answer_is_not_decided() {
    let folder = tempfile::tempdir().unwrap();
    let classifier = classifier(&folder, 1.0, [f32::NAN, 0.0]);
    let image = flat(1, 2);
    let logits = classifier.logits(&classifier.prepare(&image).unwrap(), 1);
    let logits = logits.unwrap();
    for logits in [&logits[..], &[f32::NAN, 1.0], &[MASKED; 2]] {
        let error = classifier.decide(logits).unwrap_err().to_string();
        assert!(error.starts_with("the model's answer is not"), "{error}");
    }
    for logits in [&[][..], &[1.0], &[1.0, 2.0, 3.0]] {
        let error = classifier.decide(logits).unwrap_err().to_string();
        let expected = format!(
            "one image of this model has 2 logits, {} given",
            logits.len()
        );
        assert_eq!(error, expected);
    }
    // A card with such samples could not be read back.
    let error = golden::create_samples(&classifier).unwrap_err().to_string();
    assert!(
        error.starts_with("`turned.jpg`: the model's answer"),
        "{error}"
    );
}

#[test]
fn a_masked_class_has_no_probability_and_all_else_works() {
    let folder = tempfile::tempdir().unwrap();
    let without = classifier(&folder, 1.0, [MASKED, 0.0]);
    let path = folder.path().join("model.onnx");
    let image = folder.path().join("red.png");
    flat(255, 0).save(&image).unwrap();
    let answer = without.classify_path(&image).unwrap();
    assert_eq!(
        (answer.label.as_str(), answer.probabilities),
        ("blue", vec![0.0, 1.0])
    );

    let mut card = Tiny::default().card();
    card.preprocess = without.preprocess().clone();
    card.golden = golden::create_samples(&without).unwrap();
    assert_eq!(card.golden[0].logits[0], MASKED);
    let mut document = onnx::Document::open(&path).unwrap();
    document.set_metadata(classifold::card::PREFIX, &card.to_pairs());
    fs::write(&path, document.to_bytes()).unwrap();
    let open = Classifier::builder(&path).runtime(installed().clone());
    let results = golden::check(&open.open().unwrap()).unwrap();
    assert!(results.iter().all(|result| result.ok), "{results:?}");
}
