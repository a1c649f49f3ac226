//! Input of a classifier: one image in any of the forms in which programs hold it.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use image::DynamicImage;
use pixels::{Frame, Nv12, Pixels};

use super::Classifier;
use crate::error::{Error, Result};

/// An image for a [`Classifier`].
///
/// ```
/// use classifold::{Input, Pixels, PixelFormat};
/// let file = Input::from(std::path::Path::new("bee.jpg"));
/// let bytes = Input::from(&b"\xff\xd8\xff"[..]);
/// let frame = Pixels { bytes: &[0; 12], width: 2, height: 2, row_stride: 6, format: PixelFormat::Rgb8 };
/// assert!(matches!([file, bytes, frame.into()], [Input::Path(_), Input::Bytes(_), Input::Frame(_)]));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Input<'a> {
    /// An image file.
    Path(Cow<'a, Path>),
    /// The bytes of an image file.
    Bytes(Cow<'a, [u8]>),
    /// A decoded image.
    Image(&'a DynamicImage),
    /// Pixels that someone else owns.
    Frame(Frame<'a>),
    /// The numbers that the model takes, from [`Classifier::prepare`] or elsewhere.
    Prepared(Cow<'a, [f32]>),
}

impl<'a> From<&'a Path> for Input<'a> {
    fn from(path: &'a Path) -> Self {
        Self::Path(path.into())
    }
}

impl<'a> From<&'a PathBuf> for Input<'a> {
    fn from(path: &'a PathBuf) -> Self {
        Self::Path(path.into())
    }
}

impl From<PathBuf> for Input<'_> {
    fn from(path: PathBuf) -> Self {
        Self::Path(path.into())
    }
}

impl<'a> From<&'a [u8]> for Input<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<Vec<u8>> for Input<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl<'a> From<&'a DynamicImage> for Input<'a> {
    fn from(image: &'a DynamicImage) -> Self {
        Self::Image(image)
    }
}

impl<'a> From<Frame<'a>> for Input<'a> {
    fn from(frame: Frame<'a>) -> Self {
        Self::Frame(frame)
    }
}

impl<'a> From<Pixels<'a>> for Input<'a> {
    fn from(pixels: Pixels<'a>) -> Self {
        Self::Frame(pixels.into())
    }
}

impl<'a> From<Nv12<'a>> for Input<'a> {
    fn from(frame: Nv12<'a>) -> Self {
        Self::Frame(frame.into())
    }
}

impl Classifier {
    /// First stage for an image in any form: the numbers that the model takes, `[C, H, W]` or `[H, W, C]`
    /// ([`pixels::Preprocess::output_shape`]).
    ///
    /// # Errors
    /// The image cannot be read or decoded, or has too few bytes or numbers.
    pub fn prepare_input<'a>(&self, input: impl Into<Input<'a>>) -> Result<Vec<f32>> {
        match input.into() {
            Input::Path(path) => self.prepare(&self.open_image(&path)?),
            Input::Bytes(bytes) => self.prepare(&self.decode(&bytes)?),
            Input::Image(image) => self.prepare_pixels(image),
            Input::Frame(frame) => {
                span!("prepare");
                Ok(self.preprocess.apply_frame(frame)?)
            }
            Input::Prepared(numbers) => {
                let expected = self.preprocess.output_len();
                if numbers.len() != expected {
                    return Err(Error::input_length(1, expected, numbers.len()));
                }
                Ok(numbers.into_owned())
            }
        }
    }
}
