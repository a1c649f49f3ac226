//! Reused memory and tables for preprocessing many images in one thread.

use super::resize::Resizer;
use super::to_tensor::ToTensor;
use super::{Preprocess, check_sizes, geometry};
use crate::Result;
use image::RgbImage;

/// Preprocesses one image after the other with the results of [`Preprocess::apply`].
///
/// ```
/// use classifold_pixels::preprocess::{PreprocessBuffers, Preprocess};
/// let preprocess = Preprocess::imagenet();
/// let (mut buffers, mut out) = (PreprocessBuffers::new(&preprocess), vec![0.0; preprocess.output_len()]);
/// for side in [300, 200] {
///     let image = classifold_pixels::RgbImage::new(side, 250);
///     buffers.apply_into(&image, &mut out)?;
///     assert_eq!(out, preprocess.apply(&image)?);
/// }
/// # Ok::<(), classifold_pixels::Error>(())
/// ```
#[derive(Debug)]
pub struct PreprocessBuffers {
    preprocess: Preprocess,
    to_tensor: ToTensor,
    resizer: Resizer,
    /// The resized image.
    resized: RgbImage,
}

impl PreprocessBuffers {
    /// Buffers for one thread.
    #[must_use]
    pub fn new(preprocess: &Preprocess) -> Self {
        Self {
            preprocess: preprocess.clone(),
            to_tensor: ToTensor::new(preprocess),
            resizer: Resizer::default(),
            resized: RgbImage::default(),
        }
    }

    /// As [`Preprocess::apply`], written into `out`.
    ///
    /// # Errors
    /// As [`Preprocess::geometry`] and [`Preprocess::tensor_into`].
    pub fn apply_into(&mut self, image: &RgbImage, out: &mut [f32]) -> Result<()> {
        let steps = &self.preprocess;
        let changed = geometry(steps, image, &mut self.resizer, &mut self.resized)?;
        self.tensor_into(if changed { &self.resized } else { image }, out)
    }

    /// As [`Preprocess::tensor_into`].
    ///
    /// # Errors
    /// As [`Preprocess::tensor_into`].
    pub fn tensor_into(&self, image: &RgbImage, out: &mut [f32]) -> Result<()> {
        check_sizes(&self.preprocess, image, out)?;
        self.to_tensor.write(image, out);
        Ok(())
    }

    /// As [`Preprocess::geometry`].
    ///
    /// # Errors
    /// As [`Preprocess::geometry`].
    pub fn geometry(&mut self, image: &RgbImage) -> Result<RgbImage> {
        let steps = &self.preprocess;
        let changed = geometry(steps, image, &mut self.resizer, &mut self.resized)?;
        Ok(if changed {
            std::mem::take(&mut self.resized)
        } else {
            image.clone()
        })
    }
}
