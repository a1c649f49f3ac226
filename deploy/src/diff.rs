//! Comparison of two classifiers on the same images: answers, logits, accuracy. Opens no model.

use data::metrics::{McNemar, mcnemar};
use data::{Sample, Scores};
use pixels::Unreadable;

use crate::classifier::Classifier;
use crate::error::{Error, Result};
use crate::eval::{EvalOptions, Evaluation, evaluate};

/// What two classifiers say of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// The image, relative to the data's root.
    pub path: String,
    /// Its class, where the data's classes are the models'.
    pub label: Option<String>,
    /// The first one's answer.
    pub first: Answer,
    /// The second one's.
    pub second: Answer,
    /// The largest difference of a logit.
    pub drift: f32,
}

/// An answer.
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

/// How right each of the two is.
#[derive(Debug, Clone)]
pub struct Accuracy {
    /// Of the first one.
    pub first: Scores,
    /// Of the second one.
    pub second: Scores,
    /// Whether one is right more often than the other, beyond chance.
    pub mcnemar: McNemar,
}

/// What [`diff`] found.
#[derive(Debug, Clone)]
pub struct Diff {
    /// One for each image that could be read.
    pub pairs: Vec<Pair>,
    /// How right the two are, where the data's classes are theirs.
    pub accuracy: Option<Accuracy>,
    /// The largest difference between two logits of the same class and image.
    pub max_drift: f32,
    /// The mean difference.
    pub mean_drift: f32,
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

/// Runs both on `samples`, each with its own preprocessing, and compares them. Logits are compared class
/// by class, by name, over the classes that both know.
///
/// `classes` are the names that the labels stand for; `None` where the labels say nothing to these
/// models: then answers are compared, and not scored.
///
/// ```no_run
/// use deploy::eval::EvalOptions;
///
/// let [first, second] = ["a.onnx", "b.onnx"].map(deploy::Classifier::open);
/// let dataset = deploy::data::Dataset::open("photos".as_ref(), 0)?;
/// let options = EvalOptions::default();
/// let diff =
///     deploy::diff::diff(&first?, &second?, &dataset.test, Some(&dataset.classes), &options)?;
/// for flip in diff.flips() {
///     println!("{}: {} became {}", flip.path, flip.first.class, flip.second.class);
/// }
/// # Ok::<(), deploy::Error>(())
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
    let common = common(first, second)?;
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
                let any = classifier.classes().get(..1).unwrap_or_default();
                evaluate(classifier, &samples, any, &options)
            }
        }
    };
    let (a, b) = (run(first, 0)?, run(second, samples.len())?);
    Ok(joined(a, b, &common, classes.is_some()))
}

/// Indices of the same class in the first one's logits and in the second one's.
fn common(first: &Classifier, second: &Classifier) -> Result<Vec<(usize, usize)>> {
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

fn joined(a: Evaluation, b: Evaluation, common: &[(usize, usize)], labelled: bool) -> Diff {
    let (mut pairs, mut unreadable) = (Vec::with_capacity(a.predictions.len()), a.unreadable);
    let (mut max_drift, mut sum, mut largest_logit) = (0.0_f32, 0.0_f64, 0.0_f32);
    let rows = |logits: &[f32], count: usize| logits.len() / count.max(1);
    let (width_a, width_b) = (
        rows(&a.logits, a.predictions.len()),
        rows(&b.logits, b.predictions.len()),
    );
    let (mut only_first, mut only_second) = (0, 0);
    // Both are in the order of the samples; an image may be unreadable for one preprocessing alone.
    let mut others = b
        .predictions
        .iter()
        .zip(b.logits.chunks_exact(width_b.max(1)))
        .peekable();
    for (one, row_a) in a
        .predictions
        .iter()
        .zip(a.logits.chunks_exact(width_a.max(1)))
    {
        let Some((other, row_b)) = others.next_if(|(other, _)| other.path == one.path) else {
            continue;
        };
        let mut drift = 0.0_f32;
        for (first, second) in common {
            let off = (row_a[*first] - row_b[*second]).abs();
            // A NaN is the largest difference of all.
            drift = if off.is_nan() {
                f32::INFINITY
            } else {
                drift.max(off)
            };
            sum += f64::from(off);
            largest_logit = largest_logit.max(row_a[*first].abs());
        }
        max_drift = max_drift.max(drift);
        let right = (one.predicted == one.label, other.predicted == other.label);
        only_first += u64::from(right == (true, false));
        only_second += u64::from(right == (false, true));
        let answer = |prediction: &data::Prediction| Answer {
            class: prediction.predicted.clone(),
            probability: prediction.probability,
        };
        pairs.push(Pair {
            path: one.path.clone(),
            label: labelled.then(|| one.label.clone()),
            first: answer(one),
            second: answer(other),
            drift,
        });
    }
    let compared = (pairs.len() * common.len()).max(1) as f64;
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
        max_drift,
        mean_drift: (sum / compared) as f32,
        largest_logit,
        unreadable,
    }
}
