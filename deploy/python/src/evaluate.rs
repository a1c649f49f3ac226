//! `classifold._native.evaluate`: scores of a model on labelled images, as `deploy eval` has them.

use std::path::PathBuf;

use deploy::Error;
use deploy::data::{Dataset, Split};
use deploy::eval::{EvalOptions, evaluate as evaluate_samples};
use pyo3::prelude::*;

use crate::classifier::{Classifier, floats};
use crate::error::{argument, exception};

/// Scores as JSON; `(path, true class, predicted class, probability)` of each image; logits `float32 [N, K]`; files
/// that could not be read, with the reason.
#[pyfunction]
#[expect(clippy::type_complexity, reason = "a tuple of Python's")]
pub(crate) fn evaluate<'py>(
    py: Python<'py>,
    classifier: &Classifier,
    data: PathBuf,
    split: &str,
) -> PyResult<(
    String,
    Vec<(String, String, String, f64)>,
    Bound<'py, pyo3::types::PyByteArray>,
    Vec<(PathBuf, String)>,
)> {
    let split = match split {
        "train" => Split::Train,
        "val" => Split::Val,
        "test" => Split::Test,
        other => {
            return Err(argument(
                py,
                format!("split `{other}` is none of train, val, test"),
            ));
        }
    };
    let inner = classifier.inner();
    let result = py.detach(|| -> Result<_, Error> {
        // As at training: images without a split are divided by the run's seed.
        let seed = inner.model().map_or(0, deploy::Model::seed);
        let dataset = Dataset::open(&data, seed)?;
        let options = EvalOptions {
            batch: inner.preferred_batch(),
            threads: Some(classifier.threads()),
            ..EvalOptions::default()
        };
        evaluate_samples(inner, dataset.samples(split), &dataset.classes, &options)
    });
    let evaluation = result.map_err(|error| exception(py, &error))?;
    let scores = serde_json::to_string(&evaluation.scores)
        .map_err(|error| pyo3::exceptions::PyValueError::new_err(error.to_string()))?;
    let predictions = evaluation.predictions.into_iter();
    Ok((
        scores,
        predictions
            .map(|p| (p.path, p.label, p.predicted, p.probability))
            .collect(),
        floats(py, &evaluation.logits),
        evaluation
            .unreadable
            .into_iter()
            .map(|u| (u.path, u.reason))
            .collect(),
    ))
}
