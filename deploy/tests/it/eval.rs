//! Scoring: order, classes by name, unreadable images.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use classifold::card::OutputKind;
use classifold::data::Sample;
use classifold::engine::{Engine, FakeEngine};
use classifold::eval::{EvalOptions, evaluate};
use classifold::{Classifier, Error, Kind};
use fs_err as fs;

use crate::support::{Tiny, flat};

/// `count` images, red and blue in turn; every third is labelled wrongly.
fn samples(folder: &Path, count: u8) -> Vec<Sample> {
    (0..count)
        .map(|i| {
            let relative = format!("test/x/{i:03}.png");
            let path = folder.join(&relative);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let red = i % 2 == 0;
            flat(if red { 200 } else { i }, if red { i } else { 200 })
                .save(&path)
                .unwrap();
            let label = u32::from(red) ^ u32::from(i % 3 == 0);
            Sample {
                path,
                relative,
                label,
            }
        })
        .collect()
}

fn classifier(folder: &Path) -> Classifier {
    let tiny = Tiny::default();
    tiny.builder(&tiny.save(folder)).open().unwrap()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn scores_do_not_depend_on_batch_or_threads() {
    let folder = tempfile::tempdir().unwrap();
    let (classifier, samples) = (classifier(folder.path()), samples(folder.path(), 23));
    // The data's classes come in another order than the model's.
    let classes = names(&["blue", "red"]);
    let mut results = Vec::new();
    for (batch, threads) in [(1, 1), (4, 3), (32, 2), (7, 8)] {
        let most = AtomicUsize::new(0);
        let options = EvalOptions {
            batch,
            threads: Some(threads),
            strict: true,
            progress: &|done| {
                most.fetch_max(done, Ordering::Relaxed);
            },
        };
        let evaluation = evaluate(&classifier, &samples, &classes, &options).unwrap();
        assert_eq!(most.load(Ordering::Relaxed), 23);
        results.push((evaluation.scores.clone(), evaluation.predictions.clone()));
        assert_eq!(evaluation.misclassified().count(), 8);
        assert!(evaluation.seconds >= evaluation.session_seconds);
    }
    let (scores, predictions) = &results[0];
    assert_eq!(
        (scores.count, scores.classes.as_slice()),
        (23, &*names(&["red", "blue"]))
    );
    assert!((scores.accuracy - 15.0 / 23.0).abs() < 1e-12);
    for (i, prediction) in predictions.iter().enumerate() {
        assert_eq!(prediction.path, format!("test/x/{i:03}.png"));
        assert_eq!(
            prediction.predicted,
            if i % 2 == 0 { "red" } else { "blue" }
        );
    }
    for (other, others) in &results[1..] {
        assert_eq!(other.confusion, scores.confusion);
        assert!((other.loss - scores.loss).abs() < 1e-6);
        for (a, b) in others.iter().zip(predictions) {
            assert_eq!((&a.path, &a.predicted), (&b.path, &b.predicted));
        }
    }
}

#[test]
fn classes_that_the_model_does_not_know_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (classifier, samples) = (classifier(folder.path()), samples(folder.path(), 2));
    let classes = names(&["blue", "red", "green"]);
    let error = evaluate(&classifier, &samples, &classes, &EvalOptions::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Argument);
    assert!(
        error
            .to_string()
            .contains("knows 2 classes but the data has 3"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("green"));
}

#[test]
fn fewer_classes_than_the_model_knows_are_fine() {
    let folder = tempfile::tempdir().unwrap();
    let mut samples = samples(folder.path(), 6);
    samples.retain(|sample| sample.label == 0);
    let classifier = classifier(folder.path());
    let evaluation = evaluate(
        &classifier,
        &samples,
        &names(&["blue"]),
        &EvalOptions::default(),
    )
    .unwrap();
    assert_eq!(evaluation.scores.confusion[0], [0, 0], "no red image");
    assert_eq!(evaluation.scores.count, samples.len() as u64);
}

#[test]
fn unreadable_images_are_left_out_up_to_a_twentieth() {
    let folder = tempfile::tempdir().unwrap();
    let (classifier, samples) = (classifier(folder.path()), samples(folder.path(), 40));
    let classes = names(&["blue", "red"]);
    let strict = EvalOptions {
        strict: true,
        batch: 4,
        ..EvalOptions::default()
    };
    let lenient = EvalOptions {
        batch: 4,
        ..EvalOptions::default()
    };
    for (broken, fine) in [(1, true), (2, true), (3, false)] {
        fs::write(&samples[7 * broken].path, "not a image").unwrap();
        let result = evaluate(&classifier, &samples, &classes, &lenient);
        if fine {
            let evaluation = result.unwrap();
            assert_eq!(evaluation.unreadable.len(), broken);
            assert_eq!(evaluation.unreadable[0].path, samples[7].path);
            assert_eq!(evaluation.scores.count, 40 - broken as u64);
        } else {
            let error = result.unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with("3 of 40 images cannot be read"),
                "{error}"
            );
        }
        let error = evaluate(&classifier, &samples, &classes, &strict).unwrap_err();
        let start = format!("`{}` cannot be read", samples[7].path.display());
        assert!(error.to_string().starts_with(&start), "{error}");
    }
}

#[test]
fn there_must_be_images() {
    let folder = tempfile::tempdir().unwrap();
    let classifier = classifier(folder.path());
    let error = evaluate(&classifier, &[], &names(&["red"]), &EvalOptions::default()).unwrap_err();
    assert_eq!(error.to_string(), "there are no images to evaluate");
}

#[test]
fn an_engine_that_fails_ends_the_evaluation() {
    struct Broken;
    impl Engine for Broken {
        fn run(&mut self, _: &[f32], _: usize) -> classifold::Result<Vec<f32>> {
            Err(Error::run("on purpose"))
        }
        fn num_outputs(&self) -> usize {
            2
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path(), 40);
    let tiny = Tiny::default();
    let kind = OutputKind::Logits;
    let classes = names(&["red", "blue"]);
    let fake: Vec<Box<dyn Engine>> = vec![Box::new(FakeEngine::new(2, Duration::from_millis(1)))];
    let broken: Vec<Box<dyn Engine>> = vec![Box::new(Broken)];
    let options = EvalOptions {
        batch: 2,
        ..EvalOptions::default()
    };

    let classifier =
        Classifier::from_engines(fake, classes.clone(), tiny.preprocess(), kind).unwrap();
    let evaluation = evaluate(&classifier, &samples, &classes, &options).unwrap();
    assert!(
        evaluation.predictions.iter().all(|p| p.predicted == "blue"),
        "twice the mean wins"
    );
    assert!(
        evaluation.session_seconds >= 0.02,
        "twenty batches of a millisecond"
    );

    let classifier =
        Classifier::from_engines(broken, classes.clone(), tiny.preprocess(), kind).unwrap();
    let error = evaluate(&classifier, &samples, &classes, &options).unwrap_err();
    assert_eq!(error.to_string(), "the model stopped: on purpose");
}

/// Classes of a model whose file of names was made on another system, and ImageNet's two cranes.
#[test]
fn names_are_matched_in_any_unicode_form_and_a_name_of_two_classes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path(), 4);
    let named = |model: &[&str]| {
        let tiny = Tiny::default();
        let builder = tiny.builder(&tiny.save(folder.path()));
        builder.classes(names(model)).open().unwrap()
    };
    let score = |model: &[&str], data: &[&str]| {
        evaluate(
            &named(model),
            &samples,
            &names(data),
            &EvalOptions::default(),
        )
    };
    let plain = score(&["red", "blue"], &["blue", "red"]).unwrap();
    let mixed = score(&["re\u{301}d", "blue"], &["blue", "r\u{e9}d"]).unwrap();
    assert_eq!(mixed.scores.confusion, plain.scores.confusion);
    let error = score(&["crane", "crane"], &["crane"]).unwrap_err();
    assert!(
        error.to_string().contains("has two classes `crane`"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("ClassifierBuilder::classes"));
}

#[test]
fn a_comparison_counts_the_images_of_both_models_and_names_an_unreadable_one_once() {
    let folder = tempfile::tempdir().unwrap();
    let (classifier, samples) = (classifier(folder.path()), samples(folder.path(), 40));
    fs::write(&samples[5].path, "not an image").unwrap();
    let most = AtomicUsize::new(0);
    let options = EvalOptions {
        progress: &|done| {
            most.fetch_max(done, Ordering::Relaxed);
        },
        ..EvalOptions::default()
    };
    let diff = classifold::diff::diff(&classifier, &classifier, &samples, None, &options).unwrap();
    assert_eq!(most.load(Ordering::Relaxed), 80);
    assert_eq!(diff.pairs.len(), 39);
    let unreadable: Vec<_> = diff.unreadable.iter().map(|file| &file.path).collect();
    assert_eq!(unreadable, [&samples[5].path]);
}

#[test]
fn a_comparison_counts_what_one_model_alone_has_right_and_averages_the_differences() {
    let folder = tempfile::tempdir().unwrap();
    let (first, samples) = (classifier(folder.path()), samples(folder.path(), 40));
    let other = tempfile::tempdir().unwrap();
    let turned = Tiny {
        last: Some("Neg"),
        ..Tiny::default()
    };
    let second = turned.builder(&turned.save(other.path())).open().unwrap();
    let classes = names(&["blue", "red"]);
    let options = EvalOptions::default();
    let diff = classifold::diff::diff(&first, &second, &samples, Some(&classes), &options).unwrap();
    // Every third label is wrong: that is what the turned model answers.
    let mcnemar = diff.accuracy.as_ref().unwrap().mcnemar;
    assert_eq!((mcnemar.only_first, mcnemar.only_second), (26, 14));
    assert_eq!(diff.flips().count(), 40);
    // The logits are 10 times red and blue, of which one is 200 and the other 0 to 39, with either sign.
    let mean = 20.0 * (200.0 + 19.5) / 2.0 / 255.0;
    assert!(
        (diff.mean_logit_difference - mean).abs() < 1e-4,
        "{}",
        diff.mean_logit_difference
    );
    assert!((diff.max_logit_difference - 20.0 * 200.0 / 255.0).abs() < 1e-4);
}
