//! Decoded image: red, green and blue with 8 bits each and, for a network of four channels, alpha.

use image::{Rgb, RgbImage};

/// Pixels of an image.
///
/// ```
/// use classifold_pixels::{DecodedImage, Preprocess, RgbImage};
/// // Without alpha an image is opaque, also for a network that takes alpha.
/// let image = DecodedImage::from(RgbImage::from_pixel(1, 1, [7, 8, 9].into()));
/// let preprocess: Preprocess = "decode(rgba, exif)|center_crop(1)".parse()?;
/// assert_eq!(preprocess.apply(&image)?, [7.0, 8.0, 9.0, 255.0]);
/// # Ok::<(), classifold_pixels::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecodedImage {
    /// Red, green and blue, not multiplied by alpha.
    pub rgb: RgbImage,
    /// Alpha of every pixel, in the size of `rgb`; without it they are opaque. It is repeated in three channels:
    /// whatever moves the pixels of an RGB image moves those of alpha by the same code.
    pub alpha: Option<RgbImage>,
}

/// A [`DecodedImage`] on loan, or an [`RgbImage`], which is opaque.
#[derive(Clone, Copy, Debug)]
pub struct ImageRef<'a> {
    /// As [`DecodedImage::rgb`].
    pub rgb: &'a RgbImage,
    /// As [`DecodedImage::alpha`].
    pub alpha: Option<&'a RgbImage>,
}

impl DecodedImage {
    /// The same change of colours and alpha.
    #[must_use]
    pub(crate) fn map(self, change: impl Fn(RgbImage) -> RgbImage) -> Self {
        Self {
            rgb: change(self.rgb),
            alpha: self.alpha.map(change),
        }
    }

    /// Size in memory.
    #[must_use]
    pub fn num_bytes(&self) -> usize {
        let alpha = self.alpha.as_ref().map_or(0, |alpha| alpha.as_raw().len());
        self.rgb.as_raw().len() + alpha
    }
}

impl From<RgbImage> for DecodedImage {
    fn from(rgb: RgbImage) -> Self {
        Self { rgb, alpha: None }
    }
}

impl ImageRef<'_> {
    /// A copy of the pixels.
    #[must_use]
    pub fn to_image(self) -> DecodedImage {
        DecodedImage {
            rgb: self.rgb.clone(),
            alpha: self.alpha.cloned(),
        }
    }
}

impl<'a> From<&'a RgbImage> for ImageRef<'a> {
    fn from(rgb: &'a RgbImage) -> Self {
        Self { rgb, alpha: None }
    }
}

impl<'a> From<&'a DecodedImage> for ImageRef<'a> {
    fn from(image: &'a DecodedImage) -> Self {
        Self {
            rgb: &image.rgb,
            alpha: image.alpha.as_ref(),
        }
    }
}

/// Alpha of an image without transparency.
pub(crate) fn opaque(rgb: &RgbImage) -> RgbImage {
    RgbImage::from_pixel(rgb.width(), rgb.height(), Rgb([255; 3]))
}
