//! `classifold._native.Classifier`: many images to numbers, without Python's lock.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use deploy::card::OutputKind;
use deploy::onnx::ModelFile;
use deploy::runtime::{self, Search};
use deploy::{ClassifierBuilder, Error, Kind};
use pyo3::prelude::*;
use pyo3::types::PyByteArray;

use crate::error::{argument, exception, text};
use crate::input::Input;

/// An open model.
#[pyclass(frozen)]
pub(crate) struct Classifier {
    inner: deploy::Classifier,
    threads: usize,
}

/// Settings of a classifier, the items of a dict.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Options {
    provider: String,
    precision: String,
    threads: Option<usize>,
    sessions: Option<usize>,
    classes: Option<Vec<String>>,
    preprocess: Option<String>,
    output: Option<String>,
    output_kind: Option<String>,
    runtime: Option<PathBuf>,
}

/// Logits or features, and why an image has none.
pub(crate) type Answer = Result<Vec<f32>, Error>;

#[pymethods]
impl Classifier {
    /// Opens a model of a path or of bytes.
    #[new]
    fn new(py: Python<'_>, model: &Bound<'_, PyAny>, options: Options) -> PyResult<Self> {
        let file = model_file(py, model)?;
        let output_kind = output_kind(py, options.output_kind.as_deref())?;
        let threads = options.num_threads();
        let opened = py.detach(|| {
            let mut builder = options.builder(file)?;
            if let Some(kind) = output_kind {
                builder = builder.output_kind(kind);
            }
            builder.open()
        });
        Ok(Self {
            inner: opened.map_err(|error| exception(py, &error))?,
            threads,
        })
    }

    /// Names of the classes.
    #[getter]
    fn classes(&self) -> Vec<String> {
        self.inner.classes().to_vec()
    }

    /// The preprocessing, as the card writes it.
    #[getter]
    fn preprocess(&self) -> String {
        self.inner.preprocess().to_string()
    }

    /// `[C, H, W]`.
    #[getter]
    fn input_shape(&self) -> Vec<usize> {
        self.inner.preprocess().output_shape().to_vec()
    }

    /// `logits`, `probabilities` or `independent`.
    #[getter]
    fn output_kind(&self) -> &'static str {
        self.inner.output_kind().name()
    }

    /// What was assumed at opening.
    #[getter]
    fn notes(&self) -> Vec<String> {
        self.inner.notes().to_vec()
    }

    /// Keys and values of the card, as they are in the file; none without a card.
    #[getter]
    fn card(&self) -> Option<Vec<(String, String)>> {
        self.inner.card().map(|card| card.to_pairs())
    }

    /// The input of the model for each image: `float32 [N, C, H, W]`.
    fn prepare<'py>(
        &self,
        py: Python<'py>,
        images: Vec<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyByteArray>> {
        let inputs = extract(&images)?;
        let prepared = py.detach(|| {
            let rows = inputs.iter().map(|input| input.prepare(&self.inner));
            rows.collect::<Result<Vec<_>, _>>()
        });
        let prepared = prepared.map_err(|error| exception(py, &error))?;
        Ok(floats(py, &prepared.concat()))
    }

    /// Logits and probabilities of each image, `float32 [N, K]`, and for each image its error, as subject and text. The
    /// row of an image with an error is NaN. One image never spoils another.
    #[expect(clippy::type_complexity, reason = "a tuple of Python's")]
    fn run<'py>(
        &self,
        py: Python<'py>,
        images: Vec<Bound<'py, PyAny>>,
    ) -> PyResult<(
        Bound<'py, PyByteArray>,
        Bound<'py, PyByteArray>,
        Vec<Option<(&'static str, String)>>,
    )> {
        let inputs = extract(&images)?;
        let answers = py
            .detach(|| answer(&self.inner, self.threads, &inputs))
            .map_err(|error| exception(py, &error))?;
        let classes = self.inner.classes().len();
        let (mut logits, mut probabilities) = (Vec::new(), Vec::new());
        let mut errors = Vec::with_capacity(answers.len());
        for answer in answers {
            let answer = answer.and_then(|row| Ok((self.inner.probabilities(&row)?, row)));
            match answer {
                Ok((row_probabilities, row)) => {
                    logits.extend(row);
                    probabilities.extend(row_probabilities.into_iter().map(|p| p as f32));
                    errors.push(None);
                }
                Err(error) => {
                    logits.resize(logits.len() + classes, f32::NAN);
                    probabilities.resize(probabilities.len() + classes, f32::NAN);
                    errors.push(Some((subject(&error), text(&error))));
                }
            }
        }
        Ok((floats(py, &logits), floats(py, &probabilities), errors))
    }
}

impl Classifier {
    pub(crate) fn inner(&self) -> &deploy::Classifier {
        &self.inner
    }

    pub(crate) const fn threads(&self) -> usize {
        self.threads
    }
}

/// Logits of each image, or features where the classifier is an encoder. Threads take batches, as in an evaluation; which
/// images are in a batch does not depend on the threads.
pub(crate) fn answer(
    classifier: &deploy::Classifier,
    threads: usize,
    inputs: &[Input],
) -> Result<Vec<Answer>, Error> {
    let batches: Vec<&[Input]> = inputs.chunks(classifier.preferred_batch()).collect();
    let threads = threads.min(batches.len());
    if threads <= 1 {
        let answers = batches.iter().map(|batch| answer_batch(classifier, batch));
        return Ok(answers
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .flatten()
            .collect());
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(batch) = batches.get(index) else {
                return done;
            };
            done.push((index, answer_batch(classifier, batch)));
        }
    };
    let mut done: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(|worker| match worker.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.flatten().collect()
    });
    done.sort_by_key(|(index, _)| *index);
    let mut answers = Vec::with_capacity(inputs.len());
    for (_, batch) in done {
        answers.extend(batch?);
    }
    Ok(answers)
}

fn answer_batch(classifier: &deploy::Classifier, inputs: &[Input]) -> Result<Vec<Answer>, Error> {
    let mut prepared = Vec::with_capacity(inputs.len() * classifier.preprocess().output_len());
    let mut failed = Vec::with_capacity(inputs.len());
    for input in inputs {
        match input.prepare(classifier) {
            Ok(numbers) => {
                prepared.extend(numbers);
                failed.push(None);
            }
            Err(error) => failed.push(Some(error)),
        }
    }
    let readable = failed.iter().filter(|error| error.is_none()).count();
    let logits = classifier.logits(&prepared, readable)?; // [N, K]
    let mut rows = logits.chunks_exact(classifier.classes().len());
    let answers = failed.into_iter().map(|error| match error {
        Some(error) => Err(error),
        None => Ok(rows.next().map(<[f32]>::to_vec).unwrap_or_default()),
    });
    Ok(answers.collect())
}

impl Options {
    pub(crate) fn num_threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or_else(cores).max(1)
    }

    /// The builder of a classifier, with its ONNX Runtime found. The kind of output is not set.
    pub(crate) fn builder(self, file: ModelFile) -> Result<ClassifierBuilder, Error> {
        let library = runtime::find(&Search::from_env(self.runtime, None))?;
        let sessions = self.sessions.unwrap_or(1).max(1);
        let mut builder = ClassifierBuilder::from_file(file)
            .runtime(library)
            .provider(self.provider.parse()?)
            .precision(self.precision.parse()?)
            .sessions(sessions);
        if let Some(threads) = self.threads {
            builder = builder.threads((threads / sessions).max(1));
        }
        if let Some(classes) = self.classes {
            builder = builder.classes(classes);
        }
        if let Some(preprocess) = self.preprocess {
            builder = builder.preprocess(preprocess.parse()?);
        }
        if let Some(output) = self.output {
            builder = builder.output(output);
        }
        Ok(builder)
    }
}

/// The file of a path or of bytes.
pub(crate) fn model_file(py: Python<'_>, model: &Bound<'_, PyAny>) -> PyResult<ModelFile> {
    let file = match Input::extract(model)? {
        Input::Path(path) => ModelFile::open(&path),
        Input::Bytes(bytes) => ModelFile::from_bytes(bytes.to_vec()),
        Input::Pixels(_) => return Err(argument(py, "a model is a path or bytes")),
    };
    file.map_err(|error| exception(py, &error.into()))
}

fn output_kind(py: Python<'_>, name: Option<&str>) -> PyResult<Option<OutputKind>> {
    let Some(name) = name else { return Ok(None) };
    let known = [
        OutputKind::Logits,
        OutputKind::Probabilities,
        OutputKind::Independent,
    ];
    match known.into_iter().find(|kind| kind.name() == name) {
        Some(kind) => Ok(Some(kind)),
        None => {
            let text =
                format!("output_kind `{name}` is none of logits, probabilities, independent");
            Err(argument(py, text))
        }
    }
}

pub(crate) fn extract(images: &[Bound<'_, PyAny>]) -> PyResult<Vec<Input>> {
    images.iter().map(Input::extract).collect()
}

/// Name of the exception for an image's error.
pub(crate) fn subject(error: &Error) -> &'static str {
    match error.kind() {
        Kind::Model => "ModelError",
        _ => "ImageError",
    }
}

/// `f32` in the machine's order of bytes, which numpy reads.
pub(crate) fn floats<'py>(py: Python<'py>, numbers: &[f32]) -> Bound<'py, PyByteArray> {
    let bytes: Vec<u8> = numbers
        .iter()
        .flat_map(|number| number.to_ne_bytes())
        .collect();
    PyByteArray::new(py, &bytes)
}
