//! Preprocessing: from a decoded image to a network's input. The only implementation in this project.
//!
//! Every resized pixel equals Pillow's and torchvision's. The same steps are read and written as one line
//! of text ([`Display`], [`FromStr`](std::str::FromStr)) and as JSON, for the model card.

mod buffers;
mod frame;
mod geometry;
mod grammar;
mod resize;
mod to_tensor;

use crate::{DecodedImage, Error, ImageRef, Kind, Result};
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::iter;

pub use buffers::PreprocessBuffers;
pub use frame::{Frame, Nv12, PixelFormat, Pixels, YuvMatrix, YuvRange};
pub use resize::{Filter, Flip, Region, Resize, Resizer, Window, resize};
pub use to_tensor::luma;

/// One step of preprocessing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Decode the file to pixels.
    Decode {
        /// Channels and their order.
        color: Color,
        /// Whether the EXIF orientation is applied; anything but `true` is refused.
        exif: bool,
    },
    /// Resize so that the shorter side becomes `size`; the other keeps the proportions, rounded down as in
    /// torchvision.
    ResizeShort {
        /// In pixels.
        size: u32,
        /// Interpolation.
        filter: Filter,
        /// Whether the filter widens when the image shrinks.
        antialias: bool,
    },
    /// Resize so that the longer side becomes `size`; the other keeps the proportions, rounded to the nearest
    /// as in timm.
    ResizeLong {
        /// In pixels.
        size: u32,
        /// Interpolation.
        filter: Filter,
        /// Whether the filter widens when the image shrinks.
        antialias: bool,
    },
    /// Resize to exactly this size; the proportions may change.
    Resize {
        /// In pixels.
        height: u32,
        /// In pixels.
        width: u32,
        /// Interpolation.
        filter: Filter,
        /// Whether the filter widens when the image shrinks.
        antialias: bool,
    },
    /// Crop the centre, padded with black where the image is smaller.
    CenterCrop {
        /// In pixels.
        height: u32,
        /// In pixels.
        width: u32,
        /// Whether half a pixel is rounded down, as in transformers, and not to the even number, as in
        /// torchvision.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        floor: bool,
    },
    /// Centre the image on a canvas of at least this size.
    Pad {
        /// In pixels.
        height: u32,
        /// In pixels.
        width: u32,
        /// Colour of the canvas: one number per channel, in the order of the channels.
        fill: Vec<u8>,
    },
    /// Multiply every value by `factor`; values start in `[0, 255]`.
    Scale {
        /// Usually 1/255.
        factor: f64,
    },
    /// `(value - mean) / std`, one of each per channel, in the order of the channels.
    Normalize {
        /// Mean per channel.
        mean: Vec<f32>,
        /// Standard deviation per channel.
        std: Vec<f32>,
    },
    /// Memory layout of the result.
    Layout {
        /// Order of the axes.
        order: Order,
        /// Element type of the network's input; this crate always writes `f32`.
        dtype: Dtype,
    },
}

/// Channels and their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Color {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
    /// One channel, PIL's `L`.
    Gray,
    /// Red, green, blue and alpha. Colours are not multiplied by alpha, and every channel is resized by itself.
    Rgba,
}

impl Color {
    /// 3, 1 for gray, 4 with alpha.
    #[must_use]
    pub const fn channels(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Gray => 1,
            Self::Rgba => 4,
        }
    }

    /// Whether alpha is one of the channels.
    #[must_use]
    pub const fn has_alpha(self) -> bool {
        matches!(self, Self::Rgba)
    }
}

/// Order of the axes in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// `[N, C, H, W]`
    Nchw,
    /// `[N, H, W, C]`
    Nhwc,
}

/// Element type of a network's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// Single precision.
    F32,
    /// Half precision.
    F16,
    /// Bytes.
    U8,
}

/// The steps from an image to a network's input, checked.
///
/// ```
/// let text = "decode(rgb, exif)|resize_short(256, bilinear, antialias)|center_crop(224)|\
///             scale(1/255)|normalize(imagenet)|layout(nchw, f32)";
/// let preprocess: classifold_pixels::Preprocess = text.parse()?;
/// assert_eq!(preprocess, classifold_pixels::Preprocess::imagenet());
/// assert_eq!(preprocess.output_shape(), [3, 224, 224]);
/// assert!(preprocess.to_string().contains("mean=[0.485, 0.456, 0.406]"));
/// # Ok::<(), classifold_pixels::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Step>", into = "Vec<Step>")]
pub struct Preprocess {
    /// One `decode`, then resizes, crops and pads, then `scale` and `normalize`, then one `layout`.
    steps: Vec<Step>,
}

impl Preprocess {
    /// Checks the steps.
    ///
    /// # Errors
    /// A step cannot be honoured, the steps are out of order, or the size of the result depends on the image.
    pub fn new(steps: Vec<Step>) -> Result<Self> {
        grammar::check(&steps)?;
        Ok(Self { steps })
    }

    /// Preprocessing of torchvision's ResNets: shorter side 256, centre crop 224, ImageNet's mean and
    /// standard deviation.
    #[must_use]
    pub fn imagenet() -> Self {
        let (filter, antialias) = (Filter::Bilinear, true);
        Self {
            steps: vec![
                Step::Decode {
                    color: Color::Rgb,
                    exif: true,
                },
                Step::ResizeShort {
                    size: 256,
                    filter,
                    antialias,
                },
                Step::CenterCrop {
                    height: 224,
                    width: 224,
                    floor: false,
                },
                Step::Scale {
                    factor: 1.0 / 255.0,
                },
                Step::Normalize {
                    mean: grammar::IMAGENET_MEAN.to_vec(),
                    std: grammar::IMAGENET_STD.to_vec(),
                },
                Step::Layout {
                    order: Order::Nchw,
                    dtype: Dtype::F32,
                },
            ],
        }
    }

    /// The steps, in order.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The channels of the result.
    #[must_use]
    pub fn color(&self) -> Color {
        let color = self.steps.iter().find_map(|step| match step {
            Step::Decode { color, .. } => Some(*color),
            _ => None,
        });
        color.expect("`grammar::check` demands `decode`")
    }

    /// Order of the axes of the result, and element type of the network's input.
    #[must_use]
    pub fn layout(&self) -> (Order, Dtype) {
        let layout = self.steps.iter().find_map(|step| match step {
            Step::Layout { order, dtype } => Some((*order, *dtype)),
            _ => None,
        });
        layout.expect("`grammar::check` demands `layout`")
    }

    /// The same steps for a network that takes its input in another layout.
    ///
    /// ```
    /// use classifold_pixels::preprocess::{Dtype, Order, Preprocess};
    /// let preprocess = Preprocess::imagenet().with_layout(Order::Nhwc, Dtype::F16);
    /// assert_eq!(preprocess.output_shape(), [224, 224, 3]);
    /// ```
    #[must_use]
    pub fn with_layout(mut self, order: Order, dtype: Dtype) -> Self {
        let last = self.steps.last_mut();
        *last.expect("`grammar::check` demands `layout` at the end") =
            Step::Layout { order, dtype };
        self
    }

    /// Width and height of the result.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        fixed_size(&self.steps).expect("`grammar::check` demands steps that fix the size")
    }

    /// `[C, H, W]`, or `[H, W, C]` for `nhwc`.
    #[must_use]
    pub fn output_shape(&self) -> [usize; 3] {
        let (width, height) = self.size();
        let (channels, height, width) = (self.color().channels(), height as usize, width as usize);
        match self.layout().0 {
            Order::Nchw => [channels, height, width],
            Order::Nhwc => [height, width, channels],
        }
    }

    /// Elements of the result: the product of [`output_shape`](Self::output_shape).
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.output_shape().iter().product()
    }

    /// The geometric steps alone: resizes, crops and pads.
    ///
    /// For a gray network the three channels are made equal first.
    ///
    /// # Errors
    /// The image is so narrow that a side would vanish or exceed the limit.
    ///
    /// ```
    /// let image = classifold_pixels::RgbImage::new(640, 480);
    /// assert_eq!(classifold_pixels::Preprocess::imagenet().geometry(&image)?.rgb.dimensions(), (224, 224));
    /// # Ok::<(), classifold_pixels::Error>(())
    /// ```
    pub fn geometry<'a>(&self, image: impl Into<ImageRef<'a>>) -> Result<DecodedImage> {
        PreprocessBuffers::new(self).geometry(image)
    }

    /// The steps after the geometry: scales, normalises and lays out an image that has its final size.
    ///
    /// # Errors
    /// The image or `out` has another size than [`Preprocess::output_shape`].
    ///
    /// ```
    /// let preprocess: classifold_pixels::Preprocess = "decode(bgr, exif)|center_crop(1)|layout(nhwc, f32)".parse()?;
    /// let mut out = [0.0; 3];
    /// preprocess.tensor_into(&classifold_pixels::RgbImage::from_pixel(1, 1, [1, 2, 3].into()), &mut out)?;
    /// assert_eq!(out, [3.0, 2.0, 1.0]);
    /// # Ok::<(), classifold_pixels::Error>(())
    /// ```
    pub fn tensor_into<'a>(&self, image: impl Into<ImageRef<'a>>, out: &mut [f32]) -> Result<()> {
        PreprocessBuffers::new(self).tensor_into(image, out)
    }

    /// All steps after decoding. For many images, [`PreprocessBuffers::apply_into`] is faster.
    ///
    /// # Errors
    /// As [`Preprocess::geometry`].
    ///
    /// ```
    /// let black = classifold_pixels::Preprocess::imagenet().apply(&classifold_pixels::RgbImage::new(300, 400))?;
    /// assert_eq!(black.len(), 3 * 224 * 224);
    /// assert_eq!(black[0], -0.485_f32 / 0.229);
    /// # Ok::<(), classifold_pixels::Error>(())
    /// ```
    pub fn apply<'a>(&self, image: impl Into<ImageRef<'a>>) -> Result<Vec<f32>> {
        let mut out = vec![0.0; self.output_len()];
        PreprocessBuffers::new(self).apply_into(image, &mut out)?;
        Ok(out)
    }

    /// As [`Preprocess::apply`], of pixels that someone else owns: no copy of the frame is made.
    ///
    /// # Errors
    /// As [`Preprocess::geometry`]; the frame has too few bytes.
    pub fn apply_frame<'a>(&self, frame: impl Into<Frame<'a>>) -> Result<Vec<f32>> {
        let mut out = vec![0.0; self.output_len()];
        PreprocessBuffers::new(self).apply_frame_into(frame, &mut out)?;
        Ok(out)
    }
}

/// Width and height after the steps, where they are the same for every image.
fn fixed_size(steps: &[Step]) -> Option<(u32, u32)> {
    // Least and largest width and height of any image.
    let (mut least, mut largest) = ((1, 1), (u32::MAX, u32::MAX));
    for step in steps {
        (least, largest) = match *step {
            Step::ResizeShort { size, .. } => ((size, size), (u32::MAX, u32::MAX)),
            Step::ResizeLong { size, .. } => ((1, 1), (size, size)),
            Step::Resize { height, width, .. } | Step::CenterCrop { height, width, .. } => {
                ((width, height), (width, height))
            }
            Step::Pad { height, width, .. } => {
                let pad = |side: (u32, u32)| (side.0.max(width), side.1.max(height));
                (pad(least), pad(largest))
            }
            _ => (least, largest),
        };
    }
    (least == largest).then_some(least)
}

/// Checks the size of an image and of the buffer for its tensor.
fn check_sizes(preprocess: &Preprocess, image: ImageRef<'_>, out: &[f32]) -> Result<()> {
    let alpha = image.alpha.map(|alpha| ("its alpha", alpha));
    for (what, plane) in iter::once(("the image", image.rgb)).chain(alpha) {
        if plane.dimensions() != preprocess.size() {
            let text = |(width, height): (u32, u32)| format!("{width} x {height}");
            let (found, expected) = (text(plane.dimensions()), text(preprocess.size()));
            return Err(wrong_size(what, found, expected));
        }
    }
    if out.len() != preprocess.output_len() {
        return Err(wrong_size("the buffer", out.len(), preprocess.output_len()));
    }
    Ok(())
}

fn wrong_size(what: &str, found: impl Display, expected: impl Display) -> Error {
    Error::Invalid {
        kind: Kind::Argument,
        message: format!("preprocessing: {what} is {found}, expected {expected}"),
        hint: None,
    }
}

#[cfg(test)]
mod tests;
