//! Accuracy of a configuration: its predictions for the test set, compared with those of fp32 on the CPU.
//! Measures no time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use data::metrics::{McNemar, mcnemar};
use deploy::engine::Engine;
use deploy::eval::{EvalOptions, Evaluation, evaluate};
use deploy::{Classifier, Error, Result};
use serde::{Deserialize, Serialize};

use crate::plan::{BenchModel, TestSet};
use crate::worker::{Worker, WorkerHandle};

/// Accuracy of a configuration, and its differences from the reference.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Accuracy {
    /// Test images that could be read.
    pub count: u64,
    pub correct: u64,
    /// Wilson's 95 % interval of the share.
    pub interval: [f64; 2],
    /// Images that get another class than from the reference, fp32 on the CPU.
    pub flips: Vec<Flip>,
    /// First the reference, second this configuration.
    pub mcnemar: McNemar,
    /// The largest difference of a logit to the reference's; null where one is no number.
    pub max_logit_difference: Option<f64>,
}

/// An image that gets another class than from the reference.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Flip {
    pub path: String,
    pub label: String,
    pub reference: String,
    pub found: String,
}

/// A worker's session as an engine: batches are padded to the size that it is bound to.
struct WorkerEngine {
    handle: WorkerHandle,
    batch: usize,
    num_outputs: usize,
    stop: Arc<AtomicBool>,
}

impl Engine for WorkerEngine {
    fn run(&mut self, images: &[f32], batch: usize) -> Result<Vec<f32>> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::run("interrupted"));
        }
        let mut padded = images.to_vec();
        padded.resize(images.len() / batch.max(1) * self.batch, 0.0);
        let pending = self.handle.submit(move |runner| {
            runner.fill(&padded)?;
            runner.run()?;
            runner.outputs()
        });
        let mut logits = pending.wait()??;
        // The scores of the padding.
        logits.truncate(batch * self.num_outputs);
        Ok(logits)
    }

    fn num_outputs(&self) -> usize {
        self.num_outputs
    }
}

/// Evaluates a configuration on the test set, and restores the session's input afterwards.
///
/// # Errors
/// Names and outputs do not fit, or it is not clear what the outputs mean; too many files are unreadable; the model stops; `stop` is set.
pub fn evaluate_worker(
    worker: &Worker,
    model: &BenchModel,
    data: &TestSet,
    stop: &Arc<AtomicBool>,
) -> Result<Evaluation> {
    let engine = WorkerEngine {
        handle: worker.handle.clone(),
        batch: worker.batch,
        num_outputs: worker.info.num_outputs,
        stop: Arc::clone(stop),
    };
    let (classes, preprocess) = (data.classes.clone(), data.preprocess.clone());
    let engines: Vec<Box<dyn Engine>> = vec![Box::new(engine)];
    let kind = model.output_kind.unwrap_or_default();
    let mut classifier = Classifier::from_engines(engines, classes, preprocess, kind)?;
    if model.output_kind.is_none() {
        let activation = model.contents.activation(&model.output);
        classifier = classifier.infer_output_kind(activation)?;
    }
    let options = EvalOptions {
        batch: worker.batch,
        ..EvalOptions::default()
    };
    let evaluation = evaluate(&classifier, data.samples(), &data.dataset.classes, &options)?;
    worker.refill()?;
    Ok(evaluation)
}

/// Compares a configuration's predictions with the reference's. Both are of the same files in the same order.
pub fn compare(found: &Evaluation, reference: &Evaluation) -> Accuracy {
    let (mut correct, mut only_reference, mut only_found) = (0, 0, 0);
    let mut flips = Vec::new();
    for (a, b) in reference.predictions.iter().zip(&found.predictions) {
        let (right_a, right_b) = (a.predicted == a.label, b.predicted == b.label);
        correct += u64::from(right_b);
        only_reference += u64::from(right_a && !right_b);
        only_found += u64::from(right_b && !right_a);
        if a.predicted != b.predicted {
            flips.push(Flip {
                path: b.path.clone(),
                label: b.label.clone(),
                reference: a.predicted.clone(),
                found: b.predicted.clone(),
            });
        }
    }
    let difference = |(a, b): (&f32, &f32)| f64::from(deploy::prediction::difference(*a, *b));
    let pairs = reference.logits.iter().zip(&found.logits);
    let count = found.predictions.len() as u64;
    let (low, high) = data::metrics::wilson(correct, count);
    Accuracy {
        count,
        correct,
        interval: [low, high],
        flips,
        mcnemar: mcnemar(only_reference, only_found),
        // `total_cmp` puts NaN above every number: NaN must not look like agreement.
        max_logit_difference: pairs
            .map(difference)
            .max_by(f64::total_cmp)
            .filter(|largest| largest.is_finite()),
    }
}

#[cfg(test)]
mod tests {
    use data::{Prediction, Tally};

    use super::*;
    use crate::worker::fake_worker;

    fn evaluation(answers: [&str; 4], logits: [f32; 4]) -> Evaluation {
        let prediction = |(index, predicted): (usize, &&str)| Prediction {
            path: format!("{index}.jpg"),
            label: "ant".to_owned(),
            predicted: (*predicted).to_owned(),
            probability: 0.9,
        };
        Evaluation {
            scores: Tally::new(vec!["ant".into(), "bee".into()]).scores(),
            predictions: answers.iter().enumerate().map(prediction).collect(),
            logits: logits.to_vec(),
            unreadable: Vec::new(),
            seconds: 0.0,
            prepare_seconds: 0.0,
            session_seconds: 0.0,
            images_per_second: 0.0,
            prepare_images_per_second: 0.0,
            session_images_per_second: 0.0,
        }
    }

    #[test]
    fn flips_are_listed_and_counted_on_both_sides() {
        let reference = evaluation(["ant", "ant", "bee", "ant"], [0.0, 1.0, 2.0, 3.0]);
        let found = evaluation(["ant", "bee", "ant", "bee"], [0.0, 1.5, 2.0, 2.9]);
        let accuracy = compare(&found, &reference);
        assert_eq!((accuracy.count, accuracy.correct), (4, 2));
        assert_eq!(
            (accuracy.mcnemar.only_first, accuracy.mcnemar.only_second),
            (2, 1)
        );
        let paths: Vec<_> = accuracy
            .flips
            .iter()
            .map(|flip| flip.path.as_str())
            .collect();
        assert_eq!(paths, ["1.jpg", "2.jpg", "3.jpg"]);
        assert_eq!(accuracy.max_logit_difference, Some(0.5));
        let nan = evaluation(["ant"; 4], [f32::NAN, 0.0, 0.0, 0.0]);
        assert_eq!(compare(&nan, &reference).max_logit_difference, None);
    }

    #[test]
    fn a_worker_as_engine_pads_and_cuts_and_stops_when_asked() {
        let worker = fake_worker(0, 3);
        let mut engine = WorkerEngine {
            handle: worker.handle.clone(),
            batch: 3,
            num_outputs: 2,
            stop: Arc::new(AtomicBool::new(false)),
        };
        assert_eq!(
            engine.run(&[1.0, 1.0, 1.0, 2.0, 2.0, 2.0], 2).unwrap(),
            [1.0, 2.0, 2.0, 4.0]
        );
        engine.stop.store(true, Ordering::Relaxed);
        assert!(engine.run(&[1.0; 3], 1).is_err());
    }
}
