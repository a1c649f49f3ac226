//! Other people's classifiers give Python's answers (scripts/reference/foreign.py).

use classifold::Classifier;
use serde::Deserialize;

use crate::support::{installed, shared};

#[derive(Deserialize)]
struct Reference {
    models: Vec<Foreign>,
}

#[derive(Deserialize)]
struct Foreign {
    file: String,
    preprocess: String,
    outputs: usize,
    /// Relative to the largest output.
    tolerance: f32,
    answers: Vec<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    photo: String,
    top: Vec<(usize, f32)>,
    largest: f32,
}

#[test]
fn other_peoples_classifiers_give_pythons_answers() {
    let Some(models) = shared("onnx") else { return };
    let Some(photos) = shared("data/hymenoptera") else {
        return;
    };
    let text = include_str!("../../../tests/reference/foreign.json");
    let reference: Reference = serde_json::from_str(text).unwrap();
    assert_eq!(reference.models.len(), 6);
    for foreign in reference.models {
        let classes = (0..foreign.outputs.max(2))
            .map(|class| class.to_string())
            .collect();
        let classifier = Classifier::builder(models.join(&foreign.file))
            .runtime(installed().clone())
            .classes(classes)
            .preprocess(foreign.preprocess.parse().unwrap())
            .open()
            .unwrap();
        for answer in foreign.answers {
            let image = classifold::decode::open(&photos.join(&answer.photo), classifier.limits());
            let prepared = classifier.prepare(&image.unwrap()).unwrap();
            let outputs = classifier.run(&prepared, 1).unwrap();
            assert_eq!(outputs.len(), foreign.outputs, "{}", foreign.file);
            for (class, expected) in &answer.top {
                let off = (outputs[*class] - expected).abs() / answer.largest;
                assert!(
                    off <= foreign.tolerance,
                    "{} {}: {off}",
                    foreign.file,
                    answer.photo
                );
            }
            let logits = classifier.logits(&prepared, 1).unwrap();
            let first = classifier.decide(&logits).unwrap();
            if foreign.outputs > 1 {
                assert_eq!(
                    first.index, answer.top[0].0,
                    "{} {}",
                    foreign.file, answer.photo
                );
            } else {
                assert_eq!(first.index, usize::from(answer.top[0].1 > 0.5));
            }
        }
    }
}
