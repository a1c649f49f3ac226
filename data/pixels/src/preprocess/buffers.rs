//! Reused memory and tables for preprocessing many images in one thread.

use super::geometry::{frame_geometry, geometry};
use super::resize::Resizer;
use super::to_tensor::ToTensor;
use super::{Preprocess, check_sizes};
use crate::{DecodedImage, Frame, ImageRef, Result};

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
    resized: DecodedImage,
}

impl PreprocessBuffers {
    /// Buffers for one thread.
    #[must_use]
    pub fn new(preprocess: &Preprocess) -> Self {
        Self {
            preprocess: preprocess.clone(),
            to_tensor: ToTensor::new(preprocess),
            resizer: Resizer::default(),
            resized: DecodedImage::default(),
        }
    }

    /// As [`Preprocess::apply`], written into `out`.
    ///
    /// # Errors
    /// As [`Preprocess::geometry`] and [`Preprocess::tensor_into`].
    pub fn apply_into<'a>(
        &mut self,
        image: impl Into<ImageRef<'a>>,
        out: &mut [f32],
    ) -> Result<()> {
        let (steps, image) = (&self.preprocess, image.into());
        let changed = geometry(steps, image, &mut self.resizer, &mut self.resized)?;
        let resized = ImageRef::from(&self.resized);
        self.tensor_into(if changed { resized } else { image }, out)
    }

    /// As [`Preprocess::apply_frame`], written into `out`.
    ///
    /// # Errors
    /// As [`Preprocess::apply_frame`]; `out` has another length.
    pub fn apply_frame_into<'a>(
        &mut self,
        frame: impl Into<Frame<'a>>,
        out: &mut [f32],
    ) -> Result<()> {
        let steps = &self.preprocess;
        frame_geometry(steps, frame.into(), &mut self.resizer, &mut self.resized)?;
        self.tensor_into(&self.resized, out)
    }

    /// As [`Preprocess::tensor_into`].
    ///
    /// # Errors
    /// As [`Preprocess::tensor_into`].
    pub fn tensor_into<'a>(&self, image: impl Into<ImageRef<'a>>, out: &mut [f32]) -> Result<()> {
        let image = image.into();
        check_sizes(&self.preprocess, image, out)?;
        self.to_tensor.write(image, out);
        Ok(())
    }

    /// As [`Preprocess::geometry`].
    ///
    /// # Errors
    /// As [`Preprocess::geometry`].
    pub fn geometry<'a>(&mut self, image: impl Into<ImageRef<'a>>) -> Result<DecodedImage> {
        let (steps, image) = (&self.preprocess, image.into());
        let changed = geometry(steps, image, &mut self.resizer, &mut self.resized)?;
        Ok(if changed {
            std::mem::take(&mut self.resized)
        } else {
            image.to_image()
        })
    }
}
