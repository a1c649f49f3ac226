//! Joins a model's card with the engines that run it: `prepare → run → decide`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use data::card::OutputKind;
use data::{Card, Limits, Preprocess, RgbImage, Tally};
use image::DynamicImage;

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::model::Model;
use crate::pool::Pool;
use crate::prediction::Prediction;
use crate::provider::Provider;
use crate::runtime::{self, Found};
use crate::session::{Session, SessionOptions};

/// An image classifier, ready to be used from many threads at once.
///
/// ```no_run
/// use deploy::{Classifier, Provider};
///
/// let classifier = Classifier::builder("model.onnx").provider(Provider::Cpu).threads(2).open()?;
/// for (label, probability) in classifier.classify_path("bee.jpg")?.top(2) {
///     println!("{label} {probability:.3}");
/// }
/// # Ok::<(), deploy::Error>(())
/// ```
#[derive(Debug)]
pub struct Classifier {
    path: PathBuf,
    model: Option<Model>,
    classes: Arc<[String]>,
    preprocess: Preprocess,
    output_kind: OutputKind,
    limits: Limits,
    num_outputs: usize,
    good_batch: usize,
    pool: Pool,
}

/// Images per run that a CPU likes: they stay in its caches.
const BATCH_ON_CPU: usize = 8;
/// Images per run that a GPU needs.
const BATCH_ON_GPU: usize = 32;
/// Sessions on a CPU at most: each keeps the weights.
const MAX_SESSIONS: usize = 8;

impl Classifier {
    /// Opens a model that carries a card, on the CPU, with the ONNX Runtime that is loaded or found in
    /// the usual places.
    ///
    /// # Errors
    /// [`Error::NoRuntime`] where there is no library; whatever is wrong with the file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder(path).open()
    }

    /// A classifier made by hand: provider, threads, class names, preprocessing.
    pub fn builder(path: impl AsRef<Path>) -> ClassifierBuilder {
        ClassifierBuilder {
            path: path.as_ref().to_owned(),
            ..ClassifierBuilder::default()
        }
    }

    /// A classifier over engines of any kind; they must all do the same.
    ///
    /// ```
    /// use deploy::engine::FakeEngine;
    /// # use std::time::Duration;
    /// let engine = Box::new(FakeEngine::new(2, Duration::ZERO));
    /// let preprocess = "decode(gray, exif)|resize(2, 2, bilinear, antialias)|layout(nchw, f32)";
    /// let classifier = deploy::Classifier::from_engines(
    ///     vec![engine],
    ///     vec!["dark".into(), "light".into()],
    ///     preprocess.parse()?,
    ///     data::card::OutputKind::Logits,
    /// )?;
    /// // The three stages of `classify`:
    /// let prepared = classifier.prepare(&data::RgbImage::from_raw(1, 1, vec![9, 9, 9]).unwrap())?;
    /// let logits = classifier.logits(&prepared, 1)?;
    /// assert_eq!(logits, [9.0, 18.0]);
    /// assert_eq!(classifier.decide(&logits).label, "light");
    /// # Ok::<(), deploy::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ClassCount`] when names and outputs do not fit.
    pub fn from_engines(
        engines: Vec<Box<dyn Engine>>,
        classes: Vec<String>,
        preprocess: Preprocess,
        output_kind: OutputKind,
    ) -> Result<Self> {
        let path = PathBuf::from("(no file)");
        let num_outputs = engines.first().map_or(0, |engine| engine.num_outputs());
        check_class_count(&path, num_outputs, classes.len())?;
        Ok(Self {
            path,
            model: None,
            classes: classes.into(),
            preprocess,
            output_kind,
            limits: Limits::default(),
            num_outputs,
            good_batch: BATCH_ON_CPU,
            pool: Pool::new(engines),
        })
    }

    /// The model file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says of itself, where there is one.
    pub fn model(&self) -> Option<&Model> {
        self.model.as_ref()
    }

    /// The model's card, where it carries one.
    pub fn card(&self) -> Option<&Card> {
        self.model.as_ref().and_then(|model| model.card.as_ref())
    }

    /// The class names, in the order of the output.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// How images are prepared.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// What the model's output means.
    pub fn output_kind(&self) -> OutputKind {
        self.output_kind
    }

    /// The limits on files that are decoded.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A good number of images per run: the model's own where it is fixed, else what suits that on
    /// which it runs.
    pub fn good_batch(&self) -> usize {
        self.good_batch
    }

    /// How many runs can go on at the same time.
    pub fn num_sessions(&self) -> usize {
        self.pool.size()
    }

    /// First stage: an RGB image to the numbers that the model takes.
    pub fn prepare(&self, image: &RgbImage) -> Result<Vec<f32>> {
        Ok(self.preprocess.apply(image)?)
    }

    /// Second stage: the model's output as it is, `[batch, num_outputs]`.
    pub fn run(&self, prepared: &[f32], batch: usize) -> Result<Vec<f32>> {
        self.timed(prepared, batch).0
    }

    /// A run, and the time that it took once an engine was free.
    fn timed(&self, prepared: &[f32], batch: usize) -> (Result<Vec<f32>>, Duration) {
        let none = Err(Error::Run {
            reason: "there is no engine".to_owned(),
        });
        let run = |engine: &mut dyn Engine| {
            let start = Instant::now();
            let outputs = engine.run(prepared, batch);
            (outputs, start.elapsed())
        };
        self.pool.with(run).unwrap_or((none, Duration::ZERO))
    }

    /// The second stage with its output as logits, `[batch, K]`: their softmax is the probabilities,
    /// whatever the model puts out.
    pub fn logits(&self, prepared: &[f32], batch: usize) -> Result<Vec<f32>> {
        Ok(self.timed_logits(prepared, batch)?.0)
    }

    /// The logits, and the time in the model.
    pub(crate) fn timed_logits(
        &self,
        prepared: &[f32],
        batch: usize,
    ) -> Result<(Vec<f32>, Duration)> {
        if batch == 0 {
            return Ok((Vec::new(), Duration::ZERO));
        }
        let (outputs, took) = self.timed(prepared, batch);
        let outputs = outputs?;
        let rows = outputs.chunks_exact(self.num_outputs.max(1));
        Ok((rows.flat_map(|row| self.row_logits(row)).collect(), took))
    }

    /// Third stage: the logits of one image to a prediction.
    pub fn decide(&self, logits: &[f32]) -> Prediction {
        let probabilities = Tally::probabilities(logits)
            .into_iter()
            .map(|p| p as f32)
            .collect();
        Prediction::new(&self.classes, probabilities)
    }

    /// Classifies a decoded image.
    pub fn classify(&self, image: &DynamicImage) -> Result<Prediction> {
        self.classify_rgb(&image.to_rgb8())
    }

    /// Classifies an image file.
    ///
    /// # Errors
    /// The file cannot be read or decoded; the model stops.
    pub fn classify_path(&self, path: impl AsRef<Path>) -> Result<Prediction> {
        self.classify_rgb(&data::decode::open(path.as_ref(), &self.limits)?)
    }

    /// Classifies the bytes of an image file.
    pub fn classify_bytes(&self, bytes: &[u8]) -> Result<Prediction> {
        self.classify_rgb(&self.decode(bytes)?)
    }

    /// Classifies several decoded images in one run of the model.
    pub fn classify_batch(&self, images: &[DynamicImage]) -> Result<Vec<Prediction>> {
        let mut prepared = Vec::with_capacity(images.len() * self.preprocess.output_len());
        for image in images {
            prepared.extend(self.prepare(&image.to_rgb8())?);
        }
        let logits = self.logits(&prepared, images.len())?;
        Ok(logits
            .chunks_exact(self.classes.len())
            .map(|row| self.decide(row))
            .collect())
    }

    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<RgbImage> {
        let reason = |e: &dyn std::error::Error| crate::error::chain(e);
        data::decode::decode(bytes, &self.limits).map_err(|e| Error::Unreadable {
            path: PathBuf::from("(bytes)"),
            reason: reason(&e),
        })
    }

    fn classify_rgb(&self, image: &RgbImage) -> Result<Prediction> {
        Ok(self.decide(&self.logits(&self.prepare(image)?, 1)?))
    }

    /// One row of the output as logits. One number for two classes is the second one's.
    fn row_logits(&self, row: &[f32]) -> Vec<f32> {
        let log = |p: f32| p.max(f32::MIN_POSITIVE).ln();
        match (self.output_kind, row) {
            (OutputKind::Logits, [z]) if self.classes.len() == 2 => vec![0.0, *z],
            (OutputKind::Logits, row) => row.to_vec(),
            (OutputKind::Probabilities, [p]) if self.classes.len() == 2 => {
                vec![log(1.0 - p), log(*p)]
            }
            (OutputKind::Probabilities, row) => row.iter().copied().map(log).collect(),
        }
    }
}

/// Settings of a [`Classifier`]; see [`Classifier::builder`].
#[derive(Debug, Clone, Default)]
pub struct ClassifierBuilder {
    path: PathBuf,
    model: Option<Model>,
    provider: Provider,
    threads: Option<usize>,
    sessions: Option<usize>,
    classes: Option<Vec<String>>,
    preprocess: Option<Preprocess>,
    output_kind: Option<OutputKind>,
    runtime: Option<Found>,
    cache: Option<PathBuf>,
    limits: Limits,
}

impl ClassifierBuilder {
    /// What computes. It runs on that, or is an error.
    pub fn provider(mut self, provider: Provider) -> Self {
        self.provider = provider;
        self
    }

    /// Threads inside one run of the model; by default one per core.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// How many runs go on at the same time; by default one.
    pub fn sessions(mut self, sessions: usize) -> Self {
        self.sessions = Some(sessions);
        self
    }

    /// For many images at once, on so many threads: on the CPU a session of one thread for each (never
    /// more than 8 sessions, which then have more threads), on a GPU one session. Two threads in a
    /// session of each do more than two together in one.
    pub fn parallel(mut self, threads: usize) -> Self {
        let sessions = threads.clamp(1, MAX_SESSIONS);
        self.sessions = Some(sessions);
        self.threads = Some((threads / sessions).max(1));
        self
    }

    /// What [`Model::open`] read from the file, so that it is not read again.
    pub fn model(mut self, model: Model) -> Self {
        self.model = Some(model);
        self
    }

    /// The class names in the order of the output, in place of the card's.
    pub fn classes(mut self, classes: Vec<String>) -> Self {
        self.classes = Some(classes);
        self
    }

    /// The preprocessing, in place of the card's.
    pub fn preprocess(mut self, preprocess: Preprocess) -> Self {
        self.preprocess = Some(preprocess);
        self
    }

    /// What the output means, in place of what the card says or the graph suggests.
    pub fn output_kind(mut self, output_kind: OutputKind) -> Self {
        self.output_kind = Some(output_kind);
        self
    }

    /// The ONNX Runtime library to load, from [`runtime::find`] or [`runtime::ensure`].
    pub fn runtime(mut self, found: Found) -> Self {
        self.runtime = Some(found);
        self
    }

    /// The cache folder in which to look for ONNX Runtime.
    pub fn cache(mut self, cache: impl AsRef<Path>) -> Self {
        self.cache = Some(cache.as_ref().to_owned());
        self
    }

    /// Limits on files that are decoded.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Opens the model: the file first, ONNX Runtime after.
    ///
    /// # Errors
    /// Whatever is wrong with the file, the settings or the runtime.
    pub fn open(self) -> Result<Classifier> {
        let model = match self.model {
            Some(model) => model,
            None => Model::open(&self.path)?,
        };
        model.check_classifier(&self.path)?;
        let classes = model.classes(&self.path, self.classes)?;
        let preprocess = model.preprocess(&self.path, self.preprocess)?;
        let of_card = model.card.as_ref().map(|card| card.output_kind);
        let output_kind = self.output_kind.or(of_card).unwrap_or(model.guessed_kind);
        match &self.runtime {
            Some(found) => runtime::load(found)?,
            None => runtime::load_default(self.cache)?,
        }
        let on_cpu = self.provider == Provider::Cpu;
        let sessions = match self.sessions {
            Some(sessions) if on_cpu => sessions.max(1),
            _ => 1,
        };
        let options = SessionOptions {
            provider: self.provider,
            threads: self.threads,
            image_shape: Some(preprocess.output_shape()),
            output: model
                .card
                .as_ref()
                .and_then(|card| card.outputs.first().cloned()),
        };
        let engines = engines(&self.path, &options, sessions)?;
        let usual = if on_cpu { BATCH_ON_CPU } else { BATCH_ON_GPU };
        let good_batch = model.fixed_batch().unwrap_or(usual);
        let num_outputs = engines.first().map_or(0, |engine| engine.num_outputs());
        check_class_count(&self.path, num_outputs, classes.len())?;
        Ok(Classifier {
            path: self.path,
            model: Some(model),
            classes: classes.into(),
            preprocess,
            output_kind,
            limits: self.limits,
            num_outputs,
            good_batch,
            pool: Pool::new(engines),
        })
    }
}

/// Opens the sessions, all at the same time.
fn engines(path: &Path, options: &SessionOptions, count: usize) -> Result<Vec<Box<dyn Engine>>> {
    let open = || Session::open(path, options).map(|session| Box::new(session) as Box<dyn Engine>);
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..count).map(|_| scope.spawn(open)).collect();
        let first = open();
        let others = others.into_iter().map(|other| match other.join() {
            Ok(engine) => engine,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        let others: Result<Vec<_>> = others.collect();
        let mut all = vec![first?];
        all.extend(others?);
        Ok(all)
    })
}

/// One output may stand for two classes (a sigmoid).
fn check_class_count(path: &Path, num_outputs: usize, classes: usize) -> Result<()> {
    if num_outputs == classes && classes > 0 || (num_outputs, classes) == (1, 2) {
        return Ok(());
    }
    let expected = if num_outputs == 1 { 2 } else { num_outputs };
    Err(Error::ClassCount {
        path: path.to_owned(),
        expected,
        found: classes,
    })
}
