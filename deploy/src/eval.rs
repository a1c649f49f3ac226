//! Evaluation: scores of a classifier on labelled images. Knows no provider and prints nothing.
//!
//! Each thread takes a batch of files all the way: decode, prepare, run the model. There is no queue between
//! decoding and the session: on one set of cores every hand-over lets a thread wait, and a thread that does all
//! of it with a session of its own never waits. Where a GPU computes, other threads decode meanwhile.

mod pairs;
mod worker;

pub use pairs::{PairEvaluation, evaluate_pairs};

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use data::{Sample, Scores, Tally, class_names};
use pixels::Unreadable;
use worker::{BatchQueue, BatchResult};

use crate::classifier::Classifier;
use crate::error::{Error, Result};

/// Options of an evaluation.
#[derive(Clone, Copy)]
pub struct EvalOptions<'a> {
    /// Images per run of the model; see [`Classifier::preferred_batch`].
    pub batch: usize,
    /// Threads that decode, prepare and run the model; `None` is one per core.
    pub threads: Option<usize>,
    /// Whether an unreadable image is an error.
    pub strict: bool,
    /// Called with the number of images done so far.
    pub progress: &'a dyn Fn(usize),
}

impl Default for EvalOptions<'_> {
    fn default() -> Self {
        Self {
            batch: 32,
            threads: None,
            strict: false,
            progress: &|_| {},
        }
    }
}

impl std::fmt::Debug for EvalOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EvalOptions")
            .field("batch", &self.batch)
            .field("threads", &self.threads)
            .field("strict", &self.strict)
            .finish_non_exhaustive()
    }
}

/// Result of an evaluation.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// Accuracy, loss, confusion matrix, per class.
    pub scores: Scores,
    /// One per image, in the order given.
    pub predictions: Vec<data::Prediction>,
    /// Logits `[N, K]` of the predictions, in the model's class order.
    pub logits: Vec<f32>,
    /// Images that were left out.
    pub unreadable: Vec<Unreadable>,
    /// From the first file read to the last prediction.
    pub seconds: f64,
    /// Time for reading, decoding and preparing: the sum over the threads, divided by their number.
    pub prepare_seconds: f64,
    /// Time in the model: the sum over its runs, divided by the number of sessions.
    pub session_seconds: f64,
    /// Images per second, end to end.
    pub images_per_second: f64,
    /// Images per second of `prepare_seconds`.
    pub prepare_images_per_second: f64,
    /// Images per second of `session_seconds`.
    pub session_images_per_second: f64,
}

impl Evaluation {
    /// The misclassified images.
    pub fn misclassified(&self) -> impl Iterator<Item = &data::Prediction> {
        self.predictions
            .iter()
            .filter(|prediction| prediction.predicted != prediction.label)
    }
}

/// Classifies `samples`, whose labels are indices in `classes`, and scores the answers. Classes are
/// matched by name; the model may know more of them.
///
/// ```no_run
/// use classifold::eval::{EvalOptions, evaluate};
///
/// let classifier = classifold::Classifier::open("model.onnx")?;
/// let dataset = classifold::data::Dataset::open("photos".as_ref(), 0)?;
/// let options = EvalOptions::default();
/// let evaluation = evaluate(&classifier, &dataset.test, &dataset.classes, &options)?;
/// println!("{:.1} %", 100.0 * evaluation.scores.accuracy);
/// # Ok::<(), classifold::Error>(())
/// ```
///
/// # Errors
/// The data has classes that the model does not know; there are no images; one cannot be read (strict), or
/// more than 5 %; the model stops, or its answer to an image is not finite.
pub fn evaluate(
    classifier: &Classifier,
    samples: &[Sample],
    classes: &[String],
    options: &EvalOptions<'_>,
) -> Result<Evaluation> {
    let labels = match_classes(classifier, classes)?;
    if samples.is_empty() {
        return Err(Error::no_images());
    }
    let start = Instant::now();
    let mut collector = Collector::new(classifier, samples, labels, options);
    let threads = run_batches(classifier, samples, options, &mut |result| {
        collector.add(result)
    })?;
    collector.finish(start.elapsed(), threads)
}

/// Runs the model on all images, in threads, and hands its results over in the order of the batches: scores are sums,
/// and their bits must not depend on the threads. Returns the number of threads.
fn run_batches(
    classifier: &Classifier,
    samples: &[Sample],
    options: &EvalOptions<'_>,
    add: &mut dyn FnMut(BatchResult) -> Result<()>,
) -> Result<usize> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let batch = options.batch.max(1);
    let batches = samples.len().div_ceil(batch);
    let threads = options.threads.unwrap_or(cores).clamp(1, batches);
    let queue = BatchQueue::new(classifier, samples, batch);
    std::thread::scope(|scope| {
        // Bounded, so that threads do not run far ahead of a slow batch.
        let (send, receive) = sync_channel(2 * threads);
        for _ in 0..threads {
            let (send, queue) = (send.clone(), &queue);
            scope.spawn(move || queue.work(&send));
        }
        drop(send);
        let result = in_order(receive, add);
        queue.stop();
        result
    })?;
    Ok(threads)
}

fn in_order(
    receive: Receiver<(usize, Result<BatchResult>)>,
    add: &mut dyn FnMut(BatchResult) -> Result<()>,
) -> Result<()> {
    let (mut waiting, mut next) = (BTreeMap::new(), 0);
    for (index, result) in receive {
        waiting.insert(index, result);
        while let Some(result) = waiting.remove(&next) {
            add(result?)?;
            next += 1;
        }
    }
    Ok(())
}

/// Collects the results of the threads in the order of the batches.
struct Collector<'a> {
    classifier: &'a Classifier,
    samples: &'a [Sample],
    /// Label of the data → class of the model.
    labels: Vec<u32>,
    options: &'a EvalOptions<'a>,
    tally: Tally,
    predictions: Vec<data::Prediction>,
    logits: Vec<f32>,
    unreadable: Vec<Unreadable>,
    prepare_time: Duration,
    session_time: Duration,
}

impl<'a> Collector<'a> {
    fn new(
        classifier: &'a Classifier,
        samples: &'a [Sample],
        labels: Vec<u32>,
        options: &'a EvalOptions<'a>,
    ) -> Self {
        Self {
            classifier,
            samples,
            labels,
            options,
            tally: Tally::new(classifier.classes().to_vec()),
            predictions: Vec::with_capacity(samples.len()),
            logits: Vec::with_capacity(samples.len() * classifier.classes().len()),
            unreadable: Vec::new(),
            prepare_time: Duration::ZERO,
            session_time: Duration::ZERO,
        }
    }

    fn leave_out(&mut self, index: usize, reason: String) -> Result<()> {
        let path = self.samples[index].path.clone();
        if self.options.strict {
            return Err(Error::unreadable(&path, &reason));
        }
        self.unreadable.push(Unreadable { path, reason });
        Ok(())
    }

    fn add(&mut self, result: BatchResult) -> Result<()> {
        for (index, reason) in result.unreadable {
            self.leave_out(index, reason)?;
        }
        self.prepare_time += result.prepare_time;
        self.session_time += result.session_time;
        let classes = self.classifier.classes();
        let rows = result.logits.chunks_exact(classes.len());
        for (row, index) in rows.zip(result.readable) {
            let sample = &self.samples[index];
            let label = self.labels[sample.label as usize];
            let probabilities = self.classifier.probabilities(row);
            let probabilities =
                probabilities.map_err(|error| error.about(sample.path.display()))?;
            let predicted = self.tally.add(row, label) as usize;
            self.logits.extend_from_slice(row);
            self.predictions.push(data::Prediction {
                path: sample.relative.clone(),
                label: classes[label as usize].clone(),
                predicted: classes[predicted].clone(),
                probability: probabilities[predicted],
            });
        }
        (self.options.progress)(self.predictions.len() + self.unreadable.len());
        Ok(())
    }

    fn finish(self, elapsed: Duration, threads: usize) -> Result<Evaluation> {
        data::unreadable::check(&self.unreadable, self.samples.len())?;
        let count = self.predictions.len() as f64;
        let concurrent = threads.min(self.classifier.num_sessions()).max(1);
        let seconds = elapsed.as_secs_f64();
        let prepare_seconds = self.prepare_time.as_secs_f64() / threads as f64;
        let session_seconds = self.session_time.as_secs_f64() / concurrent as f64;
        let rate = |seconds: f64| count / seconds.max(f64::MIN_POSITIVE);
        Ok(Evaluation {
            scores: self.tally.scores(),
            predictions: self.predictions,
            logits: self.logits,
            unreadable: self.unreadable,
            seconds,
            prepare_seconds,
            session_seconds,
            images_per_second: rate(seconds),
            prepare_images_per_second: rate(prepare_seconds),
            session_images_per_second: rate(session_seconds),
        })
    }
}

/// For each class of the data, its index among the model's.
fn match_classes(classifier: &Classifier, classes: &[String]) -> Result<Vec<u32>> {
    let known = classifier.classes();
    let index_of = |name: &String| {
        let index = class_names::position(known, name)
            .ok_or_else(|| Error::classes_differ(classifier.path(), known, classes))?;
        // ImageNet has two classes `crane`: a label cannot say which is meant.
        if class_names::position(&known[index + 1..], name).is_some() {
            return Err(Error::same_class_twice(classifier.path(), name));
        }
        Ok(index as u32)
    };
    classes.iter().map(index_of).collect()
}
