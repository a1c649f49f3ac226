//! Scores a classifier on labelled images. Every thread takes a batch of files all the way: decode,
//! prepare, run the model; no thread waits for another while images remain.
//!
//! Why no thread of its own for the model? Where the model computes on the same cores, work that is
//! handed on makes one thread wait for the other, and nothing is gained; where it computes elsewhere
//! (a GPU), other threads decode while one waits for it.

mod worker;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

pub use data::Unreadable;
use data::{Sample, Scores, Tally};
use worker::{Done, Work};

use crate::classifier::Classifier;
use crate::error::{Error, Result};

/// How an evaluation runs.
#[derive(Clone, Copy)]
pub struct EvalOptions<'a> {
    /// Images per run of the model; [`Classifier::good_batch`] knows a good number.
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

/// What an evaluation found.
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
    /// Reading, decoding and preparing: the threads' time for it, divided by their number.
    pub prepare_seconds: f64,
    /// In the model: the time of its runs, divided by how many go on at once.
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
    pub fn wrong(&self) -> impl Iterator<Item = &data::Prediction> {
        self.predictions
            .iter()
            .filter(|prediction| prediction.predicted != prediction.label)
    }
}

/// Classifies `samples`, whose labels are places in `classes`, and scores the answers. Classes are
/// matched by name; the model may know more of them.
///
/// ```no_run
/// use deploy::eval::{EvalOptions, evaluate};
///
/// let classifier = deploy::Classifier::open("model.onnx")?;
/// let dataset = data::Dataset::open("photos".as_ref(), 0)?;
/// let options = EvalOptions::default();
/// let evaluation = evaluate(&classifier, &dataset.test, &dataset.classes, &options)?;
/// println!("{:.1} %", 100.0 * evaluation.scores.accuracy);
/// # Ok::<(), deploy::Error>(())
/// ```
///
/// # Errors
/// [`Error::ClassesDiffer`]; [`Error::Unreadable`] when strict; [`data::Error::TooManyUnreadable`] above 5 %;
/// [`Error::NoImages`]; the model stops.
pub fn evaluate(
    classifier: &Classifier,
    samples: &[Sample],
    classes: &[String],
    options: &EvalOptions<'_>,
) -> Result<Evaluation> {
    let labels = match_classes(classifier, classes)?;
    if samples.is_empty() {
        return Err(Error::NoImages);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let batch = options.batch.max(1);
    let batches = samples.len().div_ceil(batch);
    let threads = options.threads.unwrap_or(cores).clamp(1, batches);
    let work = Work::new(classifier, samples, batch);
    let start = Instant::now();
    let mut run = Run::new(classifier, samples, labels, options);
    std::thread::scope(|scope| {
        let (send, receive) = sync_channel(2 * threads);
        for _ in 0..threads {
            let (send, work) = (send.clone(), &work);
            scope.spawn(move || work.all(&send));
        }
        drop(send);
        let result = run.collect(receive);
        work.stop();
        result
    })?;
    run.finish(start.elapsed(), threads)
}

/// The collecting side of an evaluation.
struct Run<'a> {
    classifier: &'a Classifier,
    samples: &'a [Sample],
    /// Label of the data → class of the model.
    labels: Vec<u32>,
    options: &'a EvalOptions<'a>,
    tally: Tally,
    predictions: Vec<data::Prediction>,
    logits: Vec<f32>,
    unreadable: Vec<Unreadable>,
    in_prepare: Duration,
    in_session: Duration,
}

impl<'a> Run<'a> {
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
            in_prepare: Duration::ZERO,
            in_session: Duration::ZERO,
        }
    }

    /// Takes the batches in order.
    fn collect(&mut self, receive: Receiver<(usize, Result<Done>)>) -> Result<()> {
        let (mut waiting, mut due) = (BTreeMap::new(), 0);
        for (index, done) in receive {
            waiting.insert(index, done);
            while let Some(done) = waiting.remove(&due) {
                self.add(done?)?;
                due += 1;
            }
        }
        Ok(())
    }

    fn leave_out(&mut self, at: usize, reason: String) -> Result<()> {
        let path = self.samples[at].path.clone();
        if self.options.strict {
            return Err(Error::Unreadable { path, reason });
        }
        self.unreadable.push(Unreadable { path, reason });
        Ok(())
    }

    fn add(&mut self, done: Done) -> Result<()> {
        for (at, reason) in done.unreadable {
            self.leave_out(at, reason)?;
        }
        self.in_prepare += done.in_prepare;
        self.in_session += done.in_session;
        let classes = self.classifier.classes();
        for (row, at) in done.logits.chunks_exact(classes.len()).zip(done.members) {
            let sample = &self.samples[at];
            let label = self.labels[sample.label as usize];
            let predicted = self.tally.add(row, label) as usize;
            self.logits.extend_from_slice(row);
            self.predictions.push(data::Prediction {
                path: sample.relative.clone(),
                label: classes[label as usize].clone(),
                predicted: classes[predicted].clone(),
                probability: Tally::probabilities(row)[predicted],
            });
        }
        (self.options.progress)(self.predictions.len() + self.unreadable.len());
        Ok(())
    }

    fn finish(self, took: Duration, threads: usize) -> Result<Evaluation> {
        data::unreadable::check(&self.unreadable, self.samples.len())?;
        let count = self.predictions.len() as f64;
        let at_once = threads.min(self.classifier.num_sessions()).max(1);
        let seconds = took.as_secs_f64();
        let prepare_seconds = self.in_prepare.as_secs_f64() / threads as f64;
        let session_seconds = self.in_session.as_secs_f64() / at_once as f64;
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

/// For each class of the data, its place among the model's.
fn match_classes(classifier: &Classifier, classes: &[String]) -> Result<Vec<u32>> {
    let known = classifier.classes();
    let place = |name: &String| known.iter().position(|k| k == name).map(|at| at as u32);
    classes
        .iter()
        .map(place)
        .collect::<Option<Vec<u32>>>()
        .ok_or_else(|| Error::ClassesDiffer {
            path: classifier.path().to_owned(),
            expected: known.to_vec(),
            found: classes.to_vec(),
        })
}
