//! What Python hands over for an image: a path, the bytes of a file, or pixels.

use std::path::PathBuf;

use deploy::image::{DynamicImage, ImageBuffer};
use deploy::{Classifier, Error, ImageRef, decode};
use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::error::argument;

/// One image.
pub(crate) enum Input {
    /// A file.
    Path(PathBuf),
    /// The content of a file.
    Bytes(PyBackedBytes),
    /// Pixels, copied: Python may change its array while the model runs.
    Pixels(DynamicImage),
}

impl Input {
    /// Reads `str`, `os.PathLike`, `bytes`, or a buffer of pixels: `u8` of shape `[H, W]`, `[H, W, 1]`, `[H, W, 3]`
    /// or `[H, W, 4]`, or `u16` of shape `[H, W]`.
    ///
    /// # Errors
    /// `ArgumentError` for anything else.
    pub(crate) fn extract(item: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = item.cast::<PyBytes>() {
            return Ok(Self::Bytes(PyBackedBytes::from(bytes.clone())));
        }
        if let Ok(path) = item.extract::<PathBuf>() {
            return Ok(Self::Path(path));
        }
        if let Ok(pixels) = PyBuffer::<u8>::get(item) {
            return bytes_to_image(item.py(), &pixels);
        }
        if let Ok(pixels) = PyBuffer::<u16>::get(item) {
            return words_to_image(item.py(), &pixels);
        }
        let kind = item.get_type();
        let text =
            format!("an image is a path, bytes, a PIL image or an array of uint8, not {kind}");
        Err(argument(item.py(), text))
    }

    /// The numbers that the model takes, `[C, H, W]`.
    pub(crate) fn prepare(&self, classifier: &Classifier) -> Result<Vec<f32>, Error> {
        let color = classifier.preprocess().color();
        match self {
            Self::Path(path) => {
                classifier.prepare(&decode::open_as(path, color, classifier.limits())?)
            }
            Self::Bytes(bytes) => {
                classifier.prepare(&decode::decode_as(bytes, color, classifier.limits())?)
            }
            Self::Pixels(image) => {
                let alpha = match color.has_alpha() {
                    true => decode::alpha(image),
                    false => None,
                };
                classifier.prepare(ImageRef {
                    rgb: &*decode::to_rgb(image)?,
                    alpha: alpha.as_ref(),
                })
            }
        }
    }
}

fn bytes_to_image(py: Python<'_>, pixels: &PyBuffer<u8>) -> PyResult<Input> {
    let raw = pixels.to_vec(py)?;
    let size = |n: usize| u32::try_from(n).unwrap_or(0);
    let image = match *pixels.shape() {
        [h, w] | [h, w, 1] => {
            ImageBuffer::from_raw(size(w), size(h), raw).map(DynamicImage::ImageLuma8)
        }
        [h, w, 3] => ImageBuffer::from_raw(size(w), size(h), raw).map(DynamicImage::ImageRgb8),
        [h, w, 4] => ImageBuffer::from_raw(size(w), size(h), raw).map(DynamicImage::ImageRgba8),
        _ => None,
    };
    checked(py, image, pixels.shape())
}

fn words_to_image(py: Python<'_>, pixels: &PyBuffer<u16>) -> PyResult<Input> {
    let raw = pixels.to_vec(py)?;
    let size = |n: usize| u32::try_from(n).unwrap_or(0);
    let image = match *pixels.shape() {
        [h, w] => ImageBuffer::from_raw(size(w), size(h), raw).map(DynamicImage::ImageLuma16),
        _ => None,
    };
    checked(py, image, pixels.shape())
}

fn checked(py: Python<'_>, image: Option<DynamicImage>, shape: &[usize]) -> PyResult<Input> {
    match image {
        Some(image) if image.width() > 0 && image.height() > 0 => Ok(Input::Pixels(image)),
        _ => Err(argument(
            py,
            format!(
                "an array of shape {shape:?} is no image\n  expected: uint8 [H, W], [H, W, 3] or [H, W, 4], or uint16 [H, W]"
            ),
        )),
    }
}
