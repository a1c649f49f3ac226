//! The one implementation of preprocessing: what a network sees of a picture.
//!
//! Every resized pixel equals Pillow's and torchvision's. The same steps have a text for people
//! ([`Display`](std::fmt::Display), [`FromStr`](std::str::FromStr)) and a JSON for the model card.

mod grammar;
mod preparer;
mod resize;
mod tail;

use crate::{Error, Result};
use image::{Rgb, RgbImage};
use serde::{Deserialize, Serialize};
use std::fmt::Display;

pub use preparer::Preparer;
pub use resize::{Filter, Mirror, Part, Resize, Resizer, Window, resize};
pub use tail::luma;

/// One step of preprocessing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Bytes to pixels.
    Decode {
        /// Which channels, in which order.
        color: Color,
        /// Whether the picture is turned as EXIF says; anything but `true` is refused.
        exif: bool,
    },
    /// The shorter side becomes `size`, the other follows (rounded down, as torchvision).
    ResizeShort {
        /// In pixels.
        size: u32,
        /// How pixels are joined.
        filter: Filter,
        /// Whether the filter widens when the picture shrinks.
        antialias: bool,
    },
    /// Both sides are given; proportions change.
    Resize {
        /// In pixels.
        height: u32,
        /// In pixels.
        width: u32,
        /// How pixels are joined.
        filter: Filter,
        /// Whether the filter widens when the picture shrinks.
        antialias: bool,
    },
    /// The middle, filled up with black where the picture is smaller.
    CenterCrop {
        /// In pixels.
        height: u32,
        /// In pixels.
        width: u32,
    },
    /// Every value times `factor`; values start in `[0, 255]`.
    Scale {
        /// Such as 1/255.
        factor: f64,
    },
    /// `(value - mean) / std`, one of each per channel, in the order of the channels.
    Normalize {
        /// Subtracted.
        mean: Vec<f32>,
        /// Divided by.
        std: Vec<f32>,
    },
    /// How the numbers lie in memory.
    Layout {
        /// Order of the axes.
        order: Order,
        /// What the network's input holds; results here are `f32` in any case.
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
}

impl Color {
    /// 3, or 1 for gray.
    #[must_use]
    pub const fn channels(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::Gray => 1,
        }
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

/// The steps from a picture to a network's input.
///
/// ```
/// let text = "decode(rgb, exif)|resize_short(256, bilinear, antialias)|center_crop(224)|\
///             scale(1/255)|normalize(imagenet)|layout(nchw, f32)";
/// let preprocess: pixels::Preprocess = text.parse()?;
/// assert_eq!(preprocess, pixels::Preprocess::imagenet());
/// assert_eq!(preprocess.output_shape(), [3, 224, 224]);
/// assert!(preprocess.to_string().contains("mean=[0.485, 0.456, 0.406]"));
/// # Ok::<(), pixels::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Step>", into = "Vec<Step>")]
pub struct Preprocess {
    /// One `decode`, then resizes and crops, then `scale` and `normalize`, then one `layout`.
    steps: Vec<Step>,
}

impl Preprocess {
    /// Checks the steps and joins them.
    ///
    /// # Errors
    /// When a step cannot be honoured, steps are out of order, or the size of the result depends
    /// on the picture.
    pub fn new(steps: Vec<Step>) -> Result<Self> {
        grammar::check(&steps)?;
        Ok(Self { steps })
    }

    /// As torchvision's ResNets were trained: 256, 224, ImageNet's mean and standard deviation.
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
        color.unwrap_or(Color::Rgb)
    }

    /// Order of the axes of the result, and element type of the network's input.
    #[must_use]
    pub fn layout(&self) -> (Order, Dtype) {
        let layout = self.steps.iter().find_map(|step| match step {
            Step::Layout { order, dtype } => Some((*order, *dtype)),
            _ => None,
        });
        layout.unwrap_or((Order::Nchw, Dtype::F32))
    }

    /// Width and height of the result.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        let size = self.steps.iter().rev().find_map(|step| match *step {
            Step::Resize { height, width, .. } | Step::CenterCrop { height, width } => {
                Some((width, height))
            }
            _ => None,
        });
        size.unwrap_or((0, 0))
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

    /// How many numbers one picture becomes.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.output_shape().iter().product()
    }

    /// Resizes and crops, and nothing else.
    ///
    /// A gray preprocessing makes the three channels equal first.
    ///
    /// # Errors
    /// When the picture is so narrow that a side of it would vanish or grow beyond all use.
    ///
    /// ```
    /// let picture = pixels::RgbImage::new(640, 480);
    /// assert_eq!(pixels::Preprocess::imagenet().geometry(&picture)?.dimensions(), (224, 224));
    /// # Ok::<(), pixels::Error>(())
    /// ```
    pub fn geometry(&self, image: &RgbImage) -> Result<RgbImage> {
        let mut out = RgbImage::default();
        let made = geometry(self, image, &mut Resizer::default(), &mut out)?;
        Ok(if made { out } else { image.clone() })
    }

    /// Writes the numbers of a picture that has its final size already.
    ///
    /// # Errors
    /// When the picture or `out` has another size than [`Preprocess::output_shape`].
    ///
    /// ```
    /// let preprocess: pixels::Preprocess = "decode(bgr, exif)|center_crop(1)|layout(nhwc, f32)".parse()?;
    /// let mut out = [0.0; 3];
    /// preprocess.tensor_into(&pixels::RgbImage::from_pixel(1, 1, [1, 2, 3].into()), &mut out)?;
    /// assert_eq!(out, [3.0, 2.0, 1.0]);
    /// # Ok::<(), pixels::Error>(())
    /// ```
    pub fn tensor_into(&self, image: &RgbImage, out: &mut [f32]) -> Result<()> {
        Preparer::new(self).tensor_into(image, out)
    }

    /// From a decoded picture to the network's input, written into `out`. For many pictures, a
    /// [`Preparer`] is faster.
    ///
    /// # Errors
    /// As [`Preprocess::geometry`] and [`Preprocess::tensor_into`].
    pub fn apply_into(&self, image: &RgbImage, out: &mut [f32]) -> Result<()> {
        Preparer::new(self).apply_into(image, out)
    }

    /// From a decoded picture to the network's input.
    ///
    /// # Errors
    /// As [`Preprocess::geometry`].
    ///
    /// ```
    /// let black = pixels::Preprocess::imagenet().apply(&pixels::RgbImage::new(300, 400))?;
    /// assert_eq!(black.len(), 3 * 224 * 224);
    /// assert_eq!(black[0], -0.485_f32 / 0.229);
    /// # Ok::<(), pixels::Error>(())
    /// ```
    pub fn apply(&self, image: &RgbImage) -> Result<Vec<f32>> {
        let mut out = vec![0.0; self.output_len()];
        self.apply_into(image, &mut out)?;
        Ok(out)
    }
}

/// Resizes and crops into `out`; `false`, and `out` means nothing, where there is nothing to do.
fn geometry(
    preprocess: &Preprocess,
    image: &RgbImage,
    resizer: &mut Resizer,
    out: &mut RgbImage,
) -> Result<bool> {
    let mut made = preprocess.color() == Color::Gray;
    if made {
        *out = to_gray(image);
    }
    let mut steps = preprocess.steps.iter().peekable();
    while let Some(step) = steps.next() {
        let from = if made {
            out.dimensions()
        } else {
            image.dimensions()
        };
        let Some(mut resize) = resize_of(step, from)? else {
            continue;
        };
        // A crop that follows is part of the resize: what it throws away is not computed.
        if !matches!(step, Step::CenterCrop { .. })
            && let Some(&&Step::CenterCrop { height, width }) = steps.peek()
        {
            resize.window = resize::centered(resize.size, (width, height));
            steps.next();
        }
        if made {
            resizer.resize(&std::mem::take(out), &resize, out);
        } else {
            resizer.resize(image, &resize, out);
        }
        made = true;
    }
    Ok(made)
}

/// Whether a picture is ready for the tail, and a buffer for what comes of it.
fn check_sizes(preprocess: &Preprocess, image: &RgbImage, out: &[f32]) -> Result<()> {
    if image.dimensions() != preprocess.size() {
        let text = |(width, height): (u32, u32)| format!("{width} x {height}");
        let (found, expected) = (text(image.dimensions()), text(preprocess.size()));
        return Err(wrong_size("the picture", found, expected));
    }
    if out.len() != preprocess.output_len() {
        return Err(wrong_size("the buffer", out.len(), preprocess.output_len()));
    }
    Ok(())
}

fn wrong_size(what: &str, found: impl Display, expected: impl Display) -> Error {
    Error::Invalid {
        message: format!("preprocessing: {what} is {found}, expected {expected}"),
        hint: None,
    }
}

/// The size and window that a geometric step means for a picture of size `(width, height)`.
fn resize_of(step: &Step, (width, height): (u32, u32)) -> Result<Option<Resize>> {
    let (size, filter, antialias) = match *step {
        Step::ResizeShort {
            size,
            filter,
            antialias,
        } => (shorter_side((width, height), size), filter, antialias),
        Step::Resize {
            height,
            width,
            filter,
            antialias,
        } => ((width, height), filter, antialias),
        Step::CenterCrop {
            height: h,
            width: w,
        } => {
            let window = resize::centered((width, height), (w, h));
            let size = (width, height);
            return Ok(Some(Resize {
                size,
                window,
                filter: Filter::Nearest,
                antialias: false,
            }));
        }
        _ => return Ok(None),
    };
    let pixels = u64::from(size.0) * u64::from(size.1);
    if pixels == 0 || pixels > u64::from(resize::MAX_SIDE) * 4096 || width == 0 || height == 0 {
        return Err(grammar::bad_steps(&format!(
            "a picture of {width} x {height} pixels cannot become {} x {}",
            size.0, size.1
        )));
    }
    let window = resize::centered(size, size);
    Ok(Some(Resize {
        size,
        window,
        filter,
        antialias,
    }))
}

/// torchvision's `Resize(size)`: the other side is `int(size * long / short)`.
fn shorter_side((width, height): (u32, u32), size: u32) -> (u32, u32) {
    let long = |long: u32, short: u32| {
        let long = u64::from(size) * u64::from(long) / u64::from(short.max(1));
        u32::try_from(long).unwrap_or(u32::MAX)
    };
    if width <= height {
        (size, long(height, width))
    } else {
        (long(width, height), size)
    }
}

/// PIL's `L`, in all three channels.
fn to_gray(image: &RgbImage) -> RgbImage {
    let mut gray = image.clone();
    for pixel in gray.pixels_mut() {
        *pixel = Rgb([tail::luma(pixel.0); 3]);
    }
    gray
}

#[cfg(test)]
mod tests;
