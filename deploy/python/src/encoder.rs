//! `classifold._native.Encoder`: many images to features, without Python's lock.

use deploy::Model;
use pyo3::prelude::*;
use pyo3::types::PyByteArray;

use crate::classifier::{Options, answer, extract, floats, model_file, subject};
use crate::error::{exception, text};

/// A model without its classification layer.
#[pyclass(frozen)]
pub(crate) struct Encoder {
    inner: deploy::Encoder,
    threads: usize,
}

#[pymethods]
impl Encoder {
    /// Opens a model of a path or of bytes.
    #[new]
    fn new(py: Python<'_>, model: &Bound<'_, PyAny>, options: Options) -> PyResult<Self> {
        let file = model_file(py, model)?;
        let threads = options.num_threads();
        let opened =
            py.detach(|| deploy::Encoder::from_file(&file, options.builder(file.clone())?));
        Ok(Self {
            inner: opened.map_err(|error| exception(py, &error))?,
            threads,
        })
    }

    /// Number of features.
    #[getter]
    fn width(&self) -> usize {
        self.inner.width()
    }

    /// What the features depend on besides the image: the column `backbone` of tables.
    #[getter]
    fn backbone(&self) -> String {
        self.inner.origin().to_string()
    }

    /// Features of each image, `float32 [N, D]`, and for each image its error, as subject and text. The row of an image
    /// with an error is NaN.
    #[expect(clippy::type_complexity, reason = "a tuple of Python's")]
    fn run<'py>(
        &self,
        py: Python<'py>,
        images: Vec<Bound<'py, PyAny>>,
        normalize: bool,
    ) -> PyResult<(Bound<'py, PyByteArray>, Vec<Option<(&'static str, String)>>)> {
        let inputs = extract(&images)?;
        let answers = py
            .detach(|| answer(self.inner.encoder(), self.threads, &inputs))
            .map_err(|error| exception(py, &error))?;
        let (mut rows, mut errors) = (Vec::new(), Vec::with_capacity(answers.len()));
        for answer in answers {
            errors.push(match answer {
                Ok(features) => {
                    rows.extend(match normalize {
                        true => deploy::Encoder::normalized(features),
                        false => features,
                    });
                    None
                }
                Err(error) => {
                    rows.resize(rows.len() + self.width(), f32::NAN);
                    Some((subject(&error), text(&error)))
                }
            });
        }
        Ok((floats(py, &rows), errors))
    }
}

/// Whether a model, a path or bytes, is a backbone that was cut: it has features and no classes.
#[pyfunction]
pub(crate) fn is_cut_backbone(py: Python<'_>, model: &Bound<'_, PyAny>) -> PyResult<bool> {
    let file = model_file(py, model)?;
    let model = py.detach(|| Model::from_file(&file));
    let model = model.map_err(|error| exception(py, &error))?;
    Ok(model.is_cut_backbone())
}
