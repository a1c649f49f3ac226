//! Files that cannot be used, each with its message.

use std::path::Path;

use classifold::Preprocess;
use classifold::{Classifier, Error, Model};
use fs_err as fs;
use onnx::proto::DataType;
use onnx::{Dim, GraphBuilder, ModelInfo};

use crate::support::{Tiny, installed, shared};

fn open(path: &Path) -> Error {
    Classifier::builder(path)
        .runtime(installed().clone())
        .classes(vec!["red".into(), "blue".into()])
        .preprocess(Tiny::default().preprocess())
        .open()
        .unwrap_err()
}

/// A model with these inputs, each passed on as an output of its own.
fn passing(folder: &Path, inputs: &[&[i64]]) -> std::path::PathBuf {
    let mut graph = GraphBuilder::new("passing");
    for (at, dims) in inputs.iter().enumerate() {
        let dims: Vec<Dim> = dims.iter().map(|d| Dim::Fixed(*d)).collect();
        let x = graph.input(&format!("x{at}"), DataType::Float, &dims);
        graph.output(&x, &format!("y{at}"), DataType::Float, &dims);
    }
    let path = folder.join("passing.onnx");
    graph
        .finish(&ModelInfo::default())
        .unwrap()
        .save(&path)
        .unwrap();
    path
}

#[test]
fn what_is_no_image_classifier_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let two: &[&[i64]] = &[&[1, 3, 4, 4], &[1, 2]];
    let cases: [(&[&[i64]], &str); 3] = [
        (two, "one input"),
        (&[&[1, 768]], "an input [N, C, H, W]"),
        (&[&[1, 3, 4, 4]], "an output [N, K]"),
    ];
    for (inputs, expected) in cases {
        let error = open(&passing(folder.path(), inputs));
        assert!(
            error.to_string().contains("is not an image classifier"),
            "{error}"
        );
        assert!(error.to_string().contains(expected), "{expected}: {error}");
    }
}

#[test]
fn a_truncated_model_is_no_model_wherever_it_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = Tiny::default().document().to_bytes();
    let path = folder.path().join("cut.onnx");
    for len in [0, 1, 3, bytes.len() / 3, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..len]).unwrap();
        let error = open(&path);
        assert!(matches!(error, Error::Onnx(_)), "{len}: {error}");
        assert!(error.to_string().contains("cut.onnx"), "{error}");
    }
}

#[test]
fn broken_files_are_told_before_any_runtime_is_needed() {
    let Some(bad) = shared("onnx/bad") else {
        return;
    };
    let error = Model::open(&bad.join("lfs_pointer_resnet18-v1-7.onnx")).unwrap_err();
    assert!(error.to_string().contains("git-LFS pointer"), "{error}");
    assert!(error.hint().unwrap().contains("git lfs pull"));
    let error = Model::open(&bad.join("missing_external_data.onnx")).unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
}

#[test]
fn a_file_without_a_card_asks_for_classes_and_preprocessing() {
    let folder = tempfile::tempdir().unwrap();
    let path = Tiny::default().save(folder.path());
    let error = Classifier::builder(&path)
        .runtime(installed().clone())
        .open()
        .unwrap_err();
    assert!(
        error.to_string().contains("it carries no model card"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("ClassifierBuilder::classes"));
}

#[test]
fn classes_and_preprocessing_must_fit_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = Tiny::default();
    let path = tiny.save(folder.path());
    let error = tiny
        .builder(&path)
        .classes(vec!["one".into()])
        .open()
        .unwrap_err();
    let text = error.to_string();
    assert!(text.ends_with("expected: 2 names\n  found:    1"), "{text}");

    let error = tiny
        .builder(&path)
        .preprocess(Preprocess::imagenet())
        .open()
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("expected: [3, 4, 4]\n  found:    [3, 224, 224]"),
        "{text}"
    );
}

#[test]
fn a_card_of_another_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = Tiny::default();
    let mut document = tiny.document();
    let mut pairs = tiny.card().to_pairs();
    pairs
        .iter_mut()
        .find(|(key, _)| key == "classifier.version")
        .unwrap()
        .1 = "2".into();
    document.set_metadata(classifold::card::PREFIX, &pairs);
    let path = folder.path().join("new.onnx");
    document.save(&path).unwrap();
    let error = Model::open(&path).unwrap_err();
    assert!(matches!(error, Error::Pixels(_)), "{error}");
    let expected = "the model card has version 2; this program knows version 1";
    assert_eq!(error.to_string(), expected);
}
