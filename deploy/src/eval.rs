//! Scores a classifier on labelled images: decoding and preprocessing in worker threads, a bounded queue,
//! batches through the model, all at the same time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use data::{Sample, Scores, Tally};

use crate::classifier::Classifier;
use crate::error::{Error, Result, chain};

/// More unreadable images than this share are an error.
const MAX_UNREADABLE: f64 = 0.05;

/// How an evaluation runs.
#[derive(Clone, Copy)]
pub struct EvalOptions<'a> {
    /// Images per run of the model.
    pub batch: usize,
    /// Threads that decode and prepare; `None` is one per core.
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

/// An image that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The image.
    pub path: PathBuf,
    /// Why it cannot be read.
    pub reason: String,
}

/// What an evaluation found.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// Accuracy, loss, confusion matrix, per class.
    pub scores: Scores,
    /// One per image, in the order given.
    pub predictions: Vec<data::Prediction>,
    /// Images that were left out.
    pub unreadable: Vec<Unreadable>,
    /// From the first file read to the last prediction.
    pub seconds: f64,
    /// In the model alone.
    pub session_seconds: f64,
    /// Images per second, end to end.
    pub images_per_second: f64,
    /// Images per second of the model alone.
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
/// [`Error::ClassesDiffer`]; [`Error::Unreadable`] when strict, [`Error::TooManyUnreadable`] above 5 %;
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
    let threads = options.threads.unwrap_or(cores).clamp(1, samples.len());
    let batch = options.batch.max(1);
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let start = Instant::now();
    let mut run = Run::new(classifier, samples, labels, options);
    std::thread::scope(|scope| {
        let (send, receive) = sync_channel(2 * batch.max(threads));
        for _ in 0..threads {
            let send = send.clone();
            let (next, stop) = (&next, &stop);
            scope.spawn(move || prepare(classifier, samples, next, stop, &send));
        }
        drop(send);
        let result = run.consume(receive, batch);
        stop.store(true, Ordering::Relaxed);
        result
    })?;
    run.finish(start.elapsed())
}

/// What a worker hands on: an image's place, and its numbers or why there are none.
type Prepared = (usize, std::result::Result<Vec<f32>, String>);

/// A worker: takes the next image until there is none, or nobody waits for it.
fn prepare(
    classifier: &Classifier,
    samples: &[Sample],
    next: &AtomicUsize,
    stop: &AtomicBool,
    send: &SyncSender<Prepared>,
) {
    while !stop.load(Ordering::Relaxed) {
        let at = next.fetch_add(1, Ordering::Relaxed);
        let Some(sample) = samples.get(at) else {
            return;
        };
        let image = data::decode::open(&sample.path, classifier.limits()).map_err(Error::from);
        let prepared = image
            .and_then(|image| classifier.prepare(&image))
            .map_err(|e| chain(&e));
        if send.send((at, prepared)).is_err() {
            return;
        }
    }
}

/// The consuming side of an evaluation.
struct Run<'a> {
    classifier: &'a Classifier,
    samples: &'a [Sample],
    /// Label of the data → class of the model.
    labels: Vec<u32>,
    options: &'a EvalOptions<'a>,
    tally: Tally,
    predictions: Vec<data::Prediction>,
    unreadable: Vec<Unreadable>,
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
            unreadable: Vec::new(),
            in_session: Duration::ZERO,
        }
    }

    /// Puts the images in order and runs them in batches.
    fn consume(&mut self, receive: Receiver<Prepared>, batch: usize) -> Result<()> {
        let mut waiting = BTreeMap::new();
        let mut due = 0;
        let mut numbers = Vec::with_capacity(batch * self.classifier.preprocess().output_len());
        let mut members = Vec::with_capacity(batch);
        for (at, prepared) in receive {
            waiting.insert(at, prepared);
            while let Some(prepared) = waiting.remove(&due) {
                match prepared {
                    Ok(image) => {
                        numbers.extend(image);
                        members.push(due);
                    }
                    Err(reason) => self.leave_out(due, reason)?,
                }
                due += 1;
                if members.len() == batch {
                    self.run(&numbers, &members)?;
                    numbers.clear();
                    members.clear();
                }
            }
        }
        if members.is_empty() {
            Ok(())
        } else {
            self.run(&numbers, &members)
        }
    }

    fn leave_out(&mut self, at: usize, reason: String) -> Result<()> {
        let path = self.samples[at].path.clone();
        if self.options.strict {
            return Err(Error::Unreadable { path, reason });
        }
        self.unreadable.push(Unreadable { path, reason });
        Ok(())
    }

    fn run(&mut self, numbers: &[f32], members: &[usize]) -> Result<()> {
        let start = Instant::now();
        let logits = self.classifier.logits(numbers, members.len())?;
        self.in_session += start.elapsed();
        let classes = self.classifier.classes();
        for (row, at) in logits.chunks_exact(classes.len()).zip(members) {
            let sample = &self.samples[*at];
            let label = self.labels[sample.label as usize];
            let predicted = self.tally.add(row, label) as usize;
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

    fn finish(self, took: Duration) -> Result<Evaluation> {
        let share = self.unreadable.len() as f64 / self.samples.len() as f64;
        if let Some(first) = self.unreadable.first()
            && (share > MAX_UNREADABLE || self.predictions.is_empty())
        {
            return Err(Error::TooManyUnreadable {
                unreadable: self.unreadable.len(),
                total: self.samples.len(),
                first: first.path.clone(),
                reason: first.reason.clone(),
            });
        }
        let count = self.predictions.len() as f64;
        let (seconds, session_seconds) = (took.as_secs_f64(), self.in_session.as_secs_f64());
        Ok(Evaluation {
            scores: self.tally.scores(),
            predictions: self.predictions,
            unreadable: self.unreadable,
            seconds,
            session_seconds,
            images_per_second: count / seconds.max(f64::MIN_POSITIVE),
            session_images_per_second: count / session_seconds.max(f64::MIN_POSITIVE),
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
