//! Classifier: a model's card joined with the engines that run it, `prepare → run → decide`. Knows no
//! provider.

#[cfg(feature = "ndarray")]
mod arrays;
mod builder;
mod call;
mod input;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use image::DynamicImage;
use machine::Provider;
use onnx::{Activation, ModelFile};
use pixels::card::{OutputKind, golden_images};
use pixels::{Card, DecodedImage, ImageRef, Limits, Preprocess};

use crate::engine::Engine;
use crate::error::{Error, Result, chain};
use crate::model::Model;
use crate::output_kind;
use crate::placement::Placement;
use crate::pool::Pool;
use crate::precision::Precision;
use crate::prediction::{self, Prediction, sigmoid, softmax};

#[cfg(feature = "ndarray")]
pub(crate) use arrays::rows;
pub use builder::ClassifierBuilder;
pub use input::Input;

/// An image classifier, ready to be used from many threads at once.
///
/// ```no_run
/// use classifold::{Classifier, Provider};
///
/// let classifier = Classifier::builder("model.onnx").provider(Provider::Cpu).threads(2).open()?;
/// for (label, probability) in classifier.classify_path("bee.jpg")?.top(2) {
///     println!("{label} {probability:.3}");
/// }
/// # Ok::<(), classifold::Error>(())
/// ```
#[derive(Debug)]
pub struct Classifier {
    path: PathBuf,
    model: Option<Model>,
    precision: Precision,
    classes: Arc<[String]>,
    preprocess: Preprocess,
    output_kind: OutputKind,
    reject_below: Option<f32>,
    limits: Limits,
    output: String,
    num_outputs: usize,
    preferred_batch: usize,
    placement: Option<Placement>,
    notes: Vec<String>,
    pool: Pool,
}

/// Images per run on a CPU: so few of them stay in its caches.
const BATCH_ON_CPU: usize = 8;
/// Images per run that occupy a GPU.
const BATCH_ON_GPU: usize = 32;

/// Images per run of a model that fixes no number, where nothing else is asked for.
pub fn usual_batch(provider: Provider) -> usize {
    match provider.is_on_cpu() {
        true => BATCH_ON_CPU,
        false => BATCH_ON_GPU,
    }
}

impl Classifier {
    /// Opens a model that carries a card, on the CPU, with the ONNX Runtime that is loaded or found in
    /// the usual places.
    ///
    /// # Errors
    /// There is no ONNX Runtime library; whatever is wrong with the file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder(path).open()
    }

    /// As [`Classifier::open`], of a model file's bytes.
    ///
    /// # Errors
    /// As [`Classifier::open`]; the model keeps weights in another file.
    pub fn from_bytes(bytes: impl Into<Arc<[u8]>>) -> Result<Self> {
        ClassifierBuilder::from_file(ModelFile::from_bytes(bytes)?).open()
    }

    /// Builder of a classifier: provider, threads, class names, preprocessing.
    pub fn builder(path: impl AsRef<Path>) -> ClassifierBuilder {
        ClassifierBuilder::new(path.as_ref())
    }

    /// A classifier over engines of any kind; they must all do the same.
    ///
    /// ```
    /// use classifold::engine::FakeEngine;
    /// # use std::time::Duration;
    /// let engine = Box::new(FakeEngine::new(2, Duration::ZERO));
    /// let preprocess = "decode(gray, exif)|resize(2, 2, bilinear, antialias)|layout(nchw, f32)";
    /// let classifier = classifold::Classifier::from_engines(
    ///     vec![engine],
    ///     vec!["dark".into(), "light".into()],
    ///     preprocess.parse()?,
    ///     classifold::card::OutputKind::Logits,
    /// )?;
    /// // The three stages of `classify`:
    /// let prepared = classifier.prepare(&classifold::RgbImage::from_raw(1, 1, vec![9, 9, 9]).unwrap())?;
    /// let logits = classifier.logits(&prepared, 1)?;
    /// assert_eq!(logits, [9.0, 18.0]);
    /// assert_eq!(classifier.decide(&logits)?.label, "light");
    /// # Ok::<(), classifold::Error>(())
    /// ```
    ///
    /// # Errors
    /// Names and outputs do not fit.
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
            precision: Precision::Fp32,
            classes: classes.into(),
            preprocess,
            output_kind,
            reject_below: None,
            limits: Limits::default(),
            output: String::new(),
            num_outputs,
            preferred_batch: BATCH_ON_CPU,
            placement: None,
            notes: Vec::new(),
            pool: Pool::new(engines),
        })
    }

    /// The model file, `(no file)` for engines without one.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Header, card, inputs and outputs of the file, where there is one.
    pub fn model(&self) -> Option<&Model> {
        self.model.as_ref()
    }

    /// The model's card, where it carries one.
    pub fn card(&self) -> Option<&Card> {
        self.model.as_ref().and_then(|model| model.card.as_ref())
    }

    /// The precision in which the model computes: the one asked for, or the file's own where that leaves no choice
    /// ([`Precision::in_file`]).
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The class names, in the order of the output.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The preprocessing of images.
    pub fn preprocess(&self) -> &Preprocess {
        &self.preprocess
    }

    /// Name of the output that is read; empty for engines without a file.
    pub fn output(&self) -> &str {
        &self.output
    }

    /// The meaning of the model's output.
    pub fn output_kind(&self) -> OutputKind {
        self.output_kind
    }

    /// The least probability of an answer, where there is one: the builder's, or the card's.
    pub fn reject_below(&self) -> Option<f32> {
        self.reject_below
    }

    /// The limits on files that are decoded.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Images per run: the model's own number where it is fixed, else the one that suits its provider.
    pub fn preferred_batch(&self) -> usize {
        self.preferred_batch
    }

    /// Number of sessions, each of which serves one thread at a time.
    pub fn num_sessions(&self) -> usize {
        self.pool.size()
    }

    /// Execution providers of the model's nodes; `None` without a session of ONNX Runtime.
    pub fn placement(&self) -> Option<&Placement> {
        self.placement.as_ref()
    }

    /// Notes for people on how the model was opened; see [`crate::Session::notes`].
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// First stage: a decoded image to the numbers that the model takes. A [`pixels::RgbImage`] is opaque, where the
    /// model takes alpha.
    pub fn prepare<'a>(&self, image: impl Into<ImageRef<'a>>) -> Result<Vec<f32>> {
        span!("prepare");
        Ok(self.preprocess.apply(image)?)
    }

    /// Second stage: the model's output as it is, `[batch, num_outputs]`.
    pub fn run(&self, prepared: &[f32], batch: usize) -> Result<Vec<f32>> {
        self.timed(prepared, batch).0
    }

    /// The output of a run, and the time that it took once an engine was free.
    fn timed(&self, prepared: &[f32], batch: usize) -> (Result<Vec<f32>>, Duration) {
        let none = Err(Error::run("there is no engine"));
        let run = |engine: &mut dyn Engine| {
            let start = Instant::now();
            let outputs = engine.run(prepared, batch);
            (outputs, start.elapsed())
        };
        self.pool.with(run).unwrap_or((none, Duration::ZERO))
    }

    /// The second stage with its output as logits, `[batch, K]`, also where the model itself returns probabilities:
    /// their softmax is the probabilities, or the sigmoid of each where the output is
    /// [`OutputKind::Independent`].
    ///
    /// # Errors
    /// The model stops, or what it returns as probabilities is none.
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
        let (outputs, elapsed) = self.timed(prepared, batch);
        Ok((self.to_logits(outputs?)?, elapsed))
    }

    /// Outputs `[batch, num_outputs]` as logits `[batch, K]`.
    fn to_logits(&self, outputs: Vec<f32>) -> Result<Vec<f32>> {
        if self.output_kind == OutputKind::Logits && self.num_outputs == self.classes.len() {
            return Ok(outputs);
        }
        let batch = outputs.len() / self.num_outputs.max(1);
        let mut logits = Vec::with_capacity(batch * self.classes.len());
        let rows = outputs.chunks_exact(self.num_outputs.max(1));
        for (index, row) in rows.enumerate() {
            self.check_probabilities(index, row)?;
            self.row_logits(row, &mut logits);
        }
        Ok(logits)
    }

    /// Third stage: the logits `[K]` of one image to a prediction.
    ///
    /// # Errors
    /// As [`Classifier::probabilities`].
    pub fn decide(&self, logits: &[f32]) -> Result<Prediction> {
        let probabilities = self.probabilities(logits)?;
        let probabilities = probabilities.into_iter().map(|p| p as f32).collect();
        let reject_below = self.reject_below;
        Ok(Prediction::new(
            &self.classes,
            probabilities,
            logits.to_vec(),
            reject_below,
        ))
    }

    /// The probabilities `[K]` of the logits of one image.
    ///
    /// # Errors
    /// There is not one logit for each class, or they are no answer: a NaN, plus infinity, or minus infinity
    /// everywhere. Minus infinity is a class that the model rules out.
    pub fn probabilities(&self, logits: &[f32]) -> Result<Vec<f64>> {
        if logits.len() != self.classes.len() {
            return Err(Error::logits_length(self.classes.len(), logits.len()));
        }
        prediction::check_finite(logits)?;
        Ok(match self.output_kind {
            OutputKind::Independent if self.num_outputs > 1 => sigmoid(logits),
            _ => softmax(logits),
        })
    }

    /// Notes where the golden samples are probabilities, and the card calls them logits.
    fn with_card_checked(mut self) -> Self {
        let golden = self.card().map(|card| card.golden.as_slice());
        let samples = golden.unwrap_or_default().iter();
        let rows: Vec<Vec<f32>> = samples.map(|sample| sample.logits.clone()).collect();
        let is_contradicted = self.output_kind == OutputKind::Logits
            && !rows.is_empty()
            && output_kind::infer(None, &rows).is_ok_and(|i| i.kind != OutputKind::Logits);
        if is_contradicted {
            self.notes.push(
                "its card says logits, but its golden samples are probabilities: if it is wrong, use \
                 `ClassifierBuilder::output_kind`, or write it anew with `deploy card attach`"
                    .to_owned(),
            );
        }
        self
    }

    /// Infers the meaning of the output, in place of the one that was given: from the function that ends the graph
    /// ([`Model::activation`]), and from the numbers for the golden images, which are drawn. A note says what was
    /// assumed and why.
    ///
    /// # Errors
    /// The model stops, or graph and numbers contradict each other.
    pub fn infer_output_kind(mut self, activation: Option<Activation>) -> Result<Self> {
        let mut rows = Vec::new();
        for (_, image) in golden_images::images() {
            rows.push(self.run(&self.prepare(&self.decode(&image)?)?, 1)?);
        }
        let inferred = output_kind::infer(activation, &rows)
            .map_err(|why| Error::output_kind_unclear(&self.path, &why))?;
        let (kind, why) = (inferred.kind.name(), inferred.why);
        self.notes
            .push(format!("its output is read as {kind}: {why}"));
        self.output_kind = inferred.kind;
        Ok(self)
    }

    /// Classifies a decoded image, as [`classify_bytes`](Self::classify_bytes) does a file with the same pixels.
    ///
    /// # Errors
    /// The pixels are floating-point numbers; the model stops.
    pub fn classify(&self, image: &DynamicImage) -> Result<Prediction> {
        self.decide(&self.logits(&self.prepare_pixels(image)?, 1)?)
    }

    /// Classifies an image file.
    ///
    /// # Errors
    /// The file cannot be read or decoded; the model stops, or its answer is not finite.
    pub fn classify_path(&self, path: impl AsRef<Path>) -> Result<Prediction> {
        let path = path.as_ref();
        let logits = self.logits(&self.prepare(&self.open_image(path)?)?, 1)?;
        self.decide(&logits)
            .map_err(|error| error.about(path.display()))
    }

    /// Classifies the bytes of an image file.
    pub fn classify_bytes(&self, bytes: &[u8]) -> Result<Prediction> {
        self.decide(&self.logits(&self.prepare(&self.decode(bytes)?)?, 1)?)
    }

    /// Classifies several decoded images in one run of the model.
    pub fn classify_batch(&self, images: &[DynamicImage]) -> Result<Vec<Prediction>> {
        let mut prepared = Vec::with_capacity(images.len() * self.preprocess.output_len());
        for image in images {
            prepared.extend(self.prepare_pixels(image)?);
        }
        let logits = self.logits(&prepared, images.len())?;
        let rows = logits.chunks_exact(self.classes.len()).enumerate();
        rows.map(|(index, row)| {
            self.decide(row)
                .map_err(|error| error.about(format_args!("image {index} of the batch")))
        })
        .collect()
    }

    fn open_image(&self, path: &Path) -> Result<DecodedImage> {
        span!("decode");
        Ok(pixels::decode::open_as(
            path,
            self.preprocess.color(),
            &self.limits,
        )?)
    }

    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<DecodedImage> {
        span!("decode");
        pixels::decode::decode_as(bytes, self.preprocess.color(), &self.limits)
            .map_err(|e| Error::unreadable(Path::new("(bytes)"), &chain(&e)))
    }

    /// [`prepare`](Self::prepare) of pixels of any kind.
    pub(crate) fn prepare_pixels(&self, image: &DynamicImage) -> Result<Vec<f32>> {
        let alpha = match self.preprocess.color().has_alpha() {
            true => pixels::decode::alpha(image),
            false => None,
        };
        self.prepare(ImageRef {
            rgb: &*pixels::decode::to_rgb(image)?,
            alpha: alpha.as_ref(),
        })
    }

    /// Refuses what the card, the caller or the drawn images call probabilities and is none.
    fn check_probabilities(&self, index: usize, row: &[f32]) -> Result<()> {
        let most = match (self.output_kind, row) {
            (OutputKind::Logits | OutputKind::Distances | OutputKind::Features, _) => return Ok(()),
            // Percentages are divided by their sum.
            (OutputKind::Probabilities, [_, _, ..]) => f32::INFINITY,
            _ => 1.0 + output_kind::TOLERANCE,
        };
        // A NaN passes: `probabilities` refuses it, with better words.
        match row
            .iter()
            .find(|p| **p < -output_kind::TOLERANCE || **p > most)
        {
            Some(p) => Err(Error::not_probabilities(&self.path, index, *p)),
            None => Ok(()),
        }
    }

    /// Appends one row of the output as logits. A single number for two classes is the second class's.
    fn row_logits(&self, row: &[f32], logits: &mut Vec<f32>) {
        // A probability of 0 has no logarithm; softmax of the smallest one is 0 again. Not `f32::max`, which
        // would make a number of a NaN.
        let log = |p: f32| match p < f32::MIN_POSITIVE {
            true => f32::MIN_POSITIVE.ln(),
            false => p.ln(),
        };
        match (self.output_kind, row) {
            (OutputKind::Logits, [z]) if self.classes.len() == 2 => logits.extend([0.0, *z]),
            // No card of a classifier has the last two.
            (OutputKind::Logits | OutputKind::Distances | OutputKind::Features, row) => {
                logits.extend_from_slice(row);
            }
            (_, [p]) if self.classes.len() == 2 => logits.extend([log(1.0 - p), log(*p)]),
            (OutputKind::Independent, row) => {
                logits.extend(row.iter().map(|p| log(*p) - log(1.0 - p)));
            }
            (OutputKind::Probabilities, row) => {
                // The sum is 1, or 100 for percentages: logits of the same file in either form are the same.
                let log_sum = row.iter().sum::<f32>().ln();
                logits.extend(row.iter().map(|p| log(*p) - log_sum));
            }
        }
    }
}

/// One output may stand for two classes (a sigmoid).
fn check_class_count(path: &Path, num_outputs: usize, classes: usize) -> Result<()> {
    if num_outputs == classes && classes > 0 || (num_outputs, classes) == (1, 2) {
        return Ok(());
    }
    let expected = if num_outputs == 1 { 2 } else { num_outputs };
    Err(Error::class_count(path, expected, classes))
}
