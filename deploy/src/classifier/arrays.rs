//! Arrays of `ndarray`: prepared images and logits, for programs that hold their data in them.

use ndarray::{Array2, ArrayD, ArrayViewD};

use super::{Classifier, Input};
use crate::error::{Error, Result};

impl Classifier {
    /// First stage as an array `[1, C, H, W]` or `[1, H, W, C]`, for programs that run the session themselves.
    ///
    /// # Errors
    /// As [`Classifier::prepare_input`].
    pub fn prepare_array<'a>(&self, input: impl Into<Input<'a>>) -> Result<ArrayD<f32>> {
        let [a, b, c] = self.preprocess.output_shape();
        let prepared = self.prepare_input(input)?;
        let array = ArrayD::from_shape_vec(vec![1, a, b, c], prepared);
        array.map_err(|error| Error::run(format!("the image has another shape: {error}")))
    }

    /// The logits `[N, K]` of prepared images `[N, C, H, W]` or `[N, H, W, C]`, in any layout in memory.
    ///
    /// # Errors
    /// The array has another shape; as [`Classifier::logits`].
    pub fn logits_array(&self, prepared: ArrayViewD<'_, f32>) -> Result<Array2<f32>> {
        let shape = self.preprocess.output_shape();
        let batch = match prepared.shape() {
            [batch, image @ ..] if image == shape => *batch,
            found => return Err(Error::array_shape(&shape, found)),
        };
        let contiguous = prepared.as_standard_layout();
        let numbers = contiguous.as_slice().unwrap_or_default();
        let logits = self.logits(numbers, batch)?;
        rows(logits, self.classes.len())
    }
}

/// Numbers of several images as `[N, width]`.
pub(crate) fn rows(numbers: Vec<f32>, width: usize) -> Result<Array2<f32>> {
    let count = numbers.len() / width.max(1);
    let array = Array2::from_shape_vec((count, width), numbers);
    array.map_err(|error| Error::run(format!("the model gives another shape: {error}")))
}
