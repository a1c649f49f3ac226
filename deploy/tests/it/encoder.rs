//! Features of images: the value before the classification layer.

use classifold::{ClassifierBuilder, Encoder, Kind};
use onnx::ModelFile;

use crate::support::{Tiny, flat, installed, shared};

#[test]
fn the_features_are_what_the_layer_reads() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = Tiny::default();
    let path = tiny.save(folder.path());
    let settings = || {
        ClassifierBuilder::default()
            .runtime(installed().clone())
            .preprocess(tiny.preprocess())
            .threads(1)
    };
    let file = ModelFile::open(&path).unwrap();
    let encoder = Encoder::from_file(&file, settings().sessions(2)).unwrap();
    // The layer reads the mean of each colour.
    assert_eq!(encoder.width(), 3);
    let image = classifold::image::DynamicImage::from(flat(51, 204));
    let features = encoder.features(&image).unwrap();
    for (feature, expected) in features.iter().zip([0.2, 9.0 / 255.0, 0.8]) {
        assert!((feature - expected).abs() < 1e-6, "{features:?}");
    }
    let classifier = tiny.builder(&path).open().unwrap();
    let logits = classifier.classify(&image).unwrap().logits;
    assert!((logits[0] - 10.0 * features[0]).abs() < 1e-5);
    // Many at once are the same, and a bad one fails alone.
    let good = |red| {
        let path = folder.path().join(format!("{red}.png"));
        flat(red, 100).save(&path).unwrap();
        path
    };
    let mut paths: Vec<_> = (0..19_u8).map(good).collect();
    paths.insert(4, folder.path().join("none.png"));
    let mut found = Vec::new();
    encoder.features_many(&paths, |_, features| found.push(features));
    assert_eq!(found.len(), 20);
    for (index, (features, path)) in found.into_iter().zip(&paths).enumerate() {
        match index {
            4 => assert_eq!(features.unwrap_err().kind(), Kind::Image),
            _ => {
                let alone = encoder.features(path).unwrap();
                assert_eq!(features.unwrap(), alone, "{index}");
            }
        }
    }
    let error = Encoder::from_file(&file, ClassifierBuilder::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Model);
}

#[test]
fn a_network_of_others_has_the_features_of_its_pooling() {
    let Some(model) = shared("weights/resnet18.onnx") else {
        return;
    };
    let settings = ClassifierBuilder::default()
        .runtime(installed().clone())
        .preprocess(classifold::Preprocess::imagenet());
    let encoder = Encoder::from_file(&ModelFile::open(&model).unwrap(), settings).unwrap();
    let image = classifold::image::DynamicImage::from(flat(200, 20));
    let features = encoder.features(&image).unwrap();
    assert_eq!((features.len(), encoder.width()), (512, 512));
    // They come behind a ReLU and a mean.
    assert!(features.iter().all(|value| *value >= 0.0) && features.iter().any(|v| *v > 0.0));
}
