//! Comparison of two classifiers on the same images: answers, logits, accuracy. Opens no model.

use data::metrics::{McNemar, mcnemar};
use data::{Sample, Scores};
use pixels::Unreadable;

use crate::classifier::Classifier;
use crate::error::{Error, Result};
use crate::eval::{EvalOptions, Evaluation, evaluate};
use crate::prediction;

/// Answers of two classifiers to one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// The image, relative to the data's root.
    pub path: String,
    /// Its label, where the labels are classes of the models.
    pub label: Option<String>,
    /// Answer of the first classifier.
    pub first: Answer,
    /// Answer of the second classifier.
    pub second: Answer,
    /// The largest difference between two logits of the same class.
    pub logit_difference: f32,
}

/// The predicted class.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The most probable class.
    pub class: String,
    /// Its probability, `[0, 1]`.
    pub probability: f64,
}

impl Pair {
    /// Whether the answers differ.
    pub fn is_flip(&self) -> bool {
        self.first.class != self.second.class
    }
}

/// Accuracy of both classifiers, and McNemar's test.
#[derive(Debug, Clone)]
pub struct Accuracy {
    /// Scores of the first classifier.
    pub first: Scores,
    /// Scores of the second classifier.
    pub second: Scores,
    /// McNemar's test of the two accuracies.
    pub mcnemar: McNemar,
}

/// Result of [`diff`].
#[derive(Debug, Clone)]
pub struct Diff {
    /// One for each image that could be read.
    pub pairs: Vec<Pair>,
    /// Accuracies, where the labels are classes of the models.
    pub accuracy: Option<Accuracy>,
    /// The largest difference between two logits of the same class and image.
    pub max_logit_difference: f32,
    /// The mean difference.
    pub mean_logit_difference: f32,
    /// The largest |logit| of the first one.
    pub largest_logit: f32,
    /// Images that were left out.
    pub unreadable: Vec<Unreadable>,
}

impl Diff {
    /// The images whose answer differs.
    pub fn flips(&self) -> impl Iterator<Item = &Pair> {
        self.pairs.iter().filter(|pair| pair.is_flip())
    }
}

/// Runs both classifiers on `samples`, each with its own preprocessing, and compares them. Logits are compared
/// class by class, by name, over the classes that both have.
///
/// `classes` are the names of the labels; `None` where they are not classes of these models: then answers are
/// compared, and not scored.
///
/// ```no_run
/// use classifold::eval::EvalOptions;
///
/// let [first, second] = ["a.onnx", "b.onnx"].map(classifold::Classifier::open);
/// let dataset = classifold::data::Dataset::open("photos".as_ref(), 0)?;
/// let options = EvalOptions::default();
/// let diff =
///     classifold::diff::diff(&first?, &second?, &dataset.test, Some(&dataset.classes), &options)?;
/// for flip in diff.flips() {
///     println!("{}: {} became {}", flip.path, flip.first.class, flip.second.class);
/// }
/// # Ok::<(), classifold::Error>(())
/// ```
///
/// # Errors
/// As [`evaluate`]; the two have no class in common.
pub fn diff(
    first: &Classifier,
    second: &Classifier,
    samples: &[Sample],
    classes: Option<&[String]>,
    options: &EvalOptions<'_>,
) -> Result<Diff> {
    let common = common_classes(first, second)?;
    let progress = |before: usize| move |done: usize| (options.progress)(before + done);
    let run = |classifier: &Classifier, before: usize| {
        let options = EvalOptions {
            progress: &progress(before),
            ..*options
        };
        match classes {
            Some(classes) => evaluate(classifier, samples, classes, &options),
            None => {
                let label = |sample: &Sample| Sample {
                    label: 0,
                    ..sample.clone()
                };
                let samples: Vec<Sample> = samples.iter().map(label).collect();
                // `evaluate` needs labels: every image gets the first class, and the scores are dropped.
                let any = classifier.classes().get(..1).unwrap_or_default();
                evaluate(classifier, &samples, any, &options)
            }
        }
    };
    let about = |classifier: &Classifier| {
        let path = classifier.path().to_owned();
        move |error: Error| error.about(path.display())
    };
    let a = run(first, 0).map_err(about(first))?;
    let b = run(second, samples.len()).map_err(about(second))?;
    Ok(compare_rows(a, b, &common, classes.is_some()))
}

/// Compares what two classifiers answered to the same samples, as [`diff`] does.
///
/// # Errors
/// The two have no class in common.
pub fn compare(
    (first, a): (&Classifier, Evaluation),
    (second, b): (&Classifier, Evaluation),
) -> Result<Diff> {
    Ok(compare_rows(a, b, &common_classes(first, second)?, true))
}

/// Indices of the same class in the first one's logits and in the second one's.
fn common_classes(first: &Classifier, second: &Classifier) -> Result<Vec<(usize, usize)>> {
    let index_in_second = |name: &String| second.classes().iter().position(|known| known == name);
    let names = first.classes().iter().enumerate();
    let common: Vec<_> = names
        .filter_map(|(index, name)| Some((index, index_in_second(name)?)))
        .collect();
    if common.is_empty() {
        return Err(Error::classes_differ(
            second.path(),
            second.classes(),
            first.classes(),
        ));
    }
    Ok(common)
}

/// Predictions with their logits, `[K]` each.
fn rows(evaluation: &Evaluation) -> impl Iterator<Item = (&data::Prediction, &[f32])> {
    let width = evaluation.logits.len() / evaluation.predictions.len().max(1);
    let logits = evaluation.logits.chunks_exact(width.max(1));
    evaluation.predictions.iter().zip(logits)
}

fn compare_rows(a: Evaluation, b: Evaluation, common: &[(usize, usize)], labelled: bool) -> Diff {
    let mut pairs = Vec::with_capacity(a.predictions.len());
    let (mut max_difference, mut sum, mut largest_logit) = (0.0_f32, 0.0_f64, 0.0_f32);
    let (mut only_first, mut only_second) = (0, 0);
    // Both are in the order of the samples; an image may be unreadable for one preprocessing alone.
    let mut second_rows = rows(&b).peekable();
    for (first, first_logits) in rows(&a) {
        let matching = second_rows.next_if(|(second, _)| second.path == first.path);
        let Some((second, second_logits)) = matching else {
            continue;
        };
        let mut logit_difference = 0.0_f32;
        for (i, j) in common {
            // Answers have no NaN, but may have a class that only one of the two masks out: infinity.
            let difference = prediction::difference(first_logits[*i], second_logits[*j]);
            sum += f64::from(difference);
            logit_difference = logit_difference.max(difference);
            if first_logits[*i].is_finite() {
                largest_logit = largest_logit.max(first_logits[*i].abs());
            }
        }
        max_difference = max_difference.max(logit_difference);
        let [first_right, second_right] = [first, second].map(|p| p.predicted == p.label);
        only_first += u64::from(first_right && !second_right);
        only_second += u64::from(second_right && !first_right);
        let answer = |prediction: &data::Prediction| Answer {
            class: prediction.predicted.clone(),
            probability: prediction.probability,
        };
        pairs.push(Pair {
            path: first.path.clone(),
            label: labelled.then(|| first.label.clone()),
            first: answer(first),
            second: answer(second),
            logit_difference,
        });
    }
    drop(second_rows);
    let compared = (pairs.len() * common.len()).max(1) as f64;
    let mut unreadable = a.unreadable;
    for file in b.unreadable {
        if !unreadable.contains(&file) {
            unreadable.push(file);
        }
    }
    Diff {
        pairs,
        accuracy: labelled.then(|| Accuracy {
            first: a.scores,
            second: b.scores,
            mcnemar: mcnemar(only_first, only_second),
        }),
        max_logit_difference: max_difference,
        mean_logit_difference: (sum / compared) as f32,
        largest_logit,
        unreadable,
    }
}
