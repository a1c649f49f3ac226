//! A thread's own means to prepare pictures: tables computed once, memory used again and again.

use super::resize::Resizer;
use super::tail::Tail;
use super::{Preprocess, check_sizes, geometry};
use crate::Result;
use image::RgbImage;

/// Prepares one picture after the other, as [`Preprocess::apply`] does.
///
/// ```
/// use pixels::preprocess::{Preparer, Preprocess};
/// let preprocess = Preprocess::imagenet();
/// let (mut preparer, mut out) = (Preparer::new(&preprocess), vec![0.0; preprocess.output_len()]);
/// for side in [300, 200] {
///     let picture = pixels::RgbImage::new(side, 250);
///     preparer.apply_into(&picture, &mut out)?;
///     assert_eq!(out, preprocess.apply(&picture)?);
/// }
/// # Ok::<(), pixels::Error>(())
/// ```
#[derive(Debug)]
pub struct Preparer {
    preprocess: Preprocess,
    tail: Tail,
    resizer: Resizer,
    /// The picture in the making.
    picture: RgbImage,
}

impl Preparer {
    /// For one thread's use.
    #[must_use]
    pub fn new(preprocess: &Preprocess) -> Self {
        Self {
            preprocess: preprocess.clone(),
            tail: Tail::new(preprocess),
            resizer: Resizer::default(),
            picture: RgbImage::default(),
        }
    }

    /// From a decoded picture to the network's input, written into `out`.
    ///
    /// # Errors
    /// As [`Preprocess::geometry`] and [`Preprocess::tensor_into`].
    pub fn apply_into(&mut self, image: &RgbImage, out: &mut [f32]) -> Result<()> {
        let steps = &self.preprocess;
        let made = geometry(steps, image, &mut self.resizer, &mut self.picture)?;
        self.tensor_into(if made { &self.picture } else { image }, out)
    }

    /// As [`Preprocess::tensor_into`].
    ///
    /// # Errors
    /// As [`Preprocess::tensor_into`].
    pub fn tensor_into(&self, image: &RgbImage, out: &mut [f32]) -> Result<()> {
        check_sizes(&self.preprocess, image, out)?;
        self.tail.write(image, out);
        Ok(())
    }

    /// As [`Preprocess::geometry`].
    ///
    /// # Errors
    /// As [`Preprocess::geometry`].
    pub fn geometry(&mut self, image: &RgbImage) -> Result<RgbImage> {
        let steps = &self.preprocess;
        let changed = geometry(steps, image, &mut self.resizer, &mut self.picture)?;
        Ok(if changed {
            std::mem::take(&mut self.picture)
        } else {
            image.clone()
        })
    }
}
