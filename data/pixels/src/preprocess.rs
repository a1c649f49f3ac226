//! Preprocessing: from a decoded image to a network's input. The only implementation in this project.
//!
//! Every resized pixel equals Pillow's and torchvision's. The same steps are read and written as one line
//! of text ([`Display`], [`FromStr`](std::str::FromStr)) and as JSON, for the model card.

mod buffers;
mod grammar;
mod resize;
mod to_tensor;

use crate::decoded_image::opaque;
use crate::{DecodedImage, Error, ImageRef, Result};
use image::{Rgb, RgbImage};
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::iter;

pub use buffers::PreprocessBuffers;
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

/// Resizes, crops and pads into `out`. Returns `false`, with `out` undefined, when the image stays as it is.
fn geometry(
    preprocess: &Preprocess,
    image: ImageRef<'_>,
    resizer: &mut Resizer,
    out: &mut DecodedImage,
) -> Result<bool> {
    let color = preprocess.color();
    let canvas = |fill: &[u8]| canvas_colour(color, fill);
    let changed = plane_geometry(preprocess, image.rgb, &canvas, resizer, &mut out.rgb)?;
    if changed && color.has_alpha() {
        let whole;
        let alpha = match image.alpha {
            Some(alpha) => alpha,
            None => {
                // Not left out: what a crop adds beyond the edges is transparent.
                whole = opaque(image.rgb);
                &whole
            }
        };
        let canvas = |fill: &[u8]| Rgb([fill[3]; 3]);
        let out = out.alpha.get_or_insert_default();
        plane_geometry(preprocess, alpha, &canvas, resizer, out)?;
    }
    Ok(changed)
}

/// [`geometry`] of the colours, or of alpha; `canvas` gives the colour of a fill.
fn plane_geometry(
    preprocess: &Preprocess,
    image: &RgbImage,
    canvas: &dyn Fn(&[u8]) -> Rgb<u8>,
    resizer: &mut Resizer,
    out: &mut RgbImage,
) -> Result<bool> {
    let mut changed = preprocess.color() == Color::Gray;
    if changed {
        *out = to_gray(image);
    }
    let mut steps = preprocess.steps.iter().peekable();
    while let Some(step) = steps.next() {
        let from = if changed {
            out.dimensions()
        } else {
            image.dimensions()
        };
        if let Step::Pad {
            height,
            width,
            fill,
        } = step
        {
            let fill = canvas(fill);
            let size = (from.0.max(*width), from.1.max(*height));
            check_pixels(size)?;
            if size != from {
                *out = pad(if changed { out } else { image }, size, fill);
                changed = true;
            }
            continue;
        }
        let Some(mut resize) = resize_of(step, from)? else {
            continue;
        };
        // A crop after a resize becomes the window of the resize: pixels outside it are never computed.
        if !matches!(step, Step::CenterCrop { .. })
            && let Some(&&Step::CenterCrop {
                height,
                width,
                floor,
            }) = steps.peek()
        {
            resize.window = resize::centered(resize.size, (width, height), floor);
            steps.next();
        }
        check_pixels((resize.window.width, resize.window.height))?;
        if changed {
            resizer.resize(&std::mem::take(out), &resize, out);
        } else {
            resizer.resize(image, &resize, out);
        }
        changed = true;
    }
    Ok(changed)
}

/// Refuses an image that has become too large.
fn check_pixels((width, height): (u32, u32)) -> Result<()> {
    if u64::from(width) * u64::from(height) <= resize::MAX_PIXELS {
        return Ok(());
    }
    let reason = format!("an image would become {width} x {height}, more than 8192 x 8192");
    Err(grammar::bad_steps(&reason))
}

/// The image on a canvas of `size`, at least its own. An odd margin has its larger half right and below, as in
/// torchvision.
fn pad(image: &RgbImage, size: (u32, u32), fill: Rgb<u8>) -> RgbImage {
    let mut canvas = RgbImage::from_pixel(size.0, size.1, fill);
    let [left, top] = [size.0 - image.width(), size.1 - image.height()].map(|margin| margin / 2);
    image::imageops::replace(&mut canvas, image, left.into(), top.into());
    canvas
}

/// A fill in the order of the network's channels as the RGB that geometry works on.
fn canvas_colour(color: Color, fill: &[u8]) -> Rgb<u8> {
    match (color, fill) {
        (Color::Rgb, &[r, g, b]) | (Color::Bgr, &[b, g, r]) | (Color::Rgba, &[r, g, b, _]) => {
            Rgb([r, g, b])
        }
        (_, fill) => Rgb([fill[0]; 3]),
    }
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
        message: format!("preprocessing: {what} is {found}, expected {expected}"),
        hint: None,
    }
}

/// The resize that a geometric step means for an image of size `(width, height)`.
fn resize_of(step: &Step, (width, height): (u32, u32)) -> Result<Option<Resize>> {
    let (size, filter, antialias) = match *step {
        Step::ResizeShort {
            size,
            filter,
            antialias,
        } => (shorter_side((width, height), size), filter, antialias),
        Step::ResizeLong {
            size,
            filter,
            antialias,
        } => (longer_side((width, height), size), filter, antialias),
        Step::Resize {
            height,
            width,
            filter,
            antialias,
        } => ((width, height), filter, antialias),
        Step::CenterCrop {
            height: h,
            width: w,
            floor,
        } => {
            let window = resize::centered((width, height), (w, h), floor);
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
    // At most 2^28 pixels: bounds the work on an image that is extremely long and narrow.
    let pixels = u64::from(size.0) * u64::from(size.1);
    if pixels == 0 || pixels > u64::from(resize::MAX_SIDE) * 4096 || width == 0 || height == 0 {
        return Err(grammar::bad_steps(&format!(
            "an image of {width} x {height} pixels cannot become {} x {}",
            size.0, size.1
        )));
    }
    let window = resize::centered(size, size, false);
    Ok(Some(Resize {
        size,
        window,
        filter,
        antialias,
    }))
}

/// Size after torchvision's `Resize(size)`: the longer side is `int(size * long / short)`.
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

/// Size after timm's `ResizeKeepRatio(size, longest=1)`: each side divided by `long / size`, in double precision.
fn longer_side((width, height): (u32, u32), size: u32) -> (u32, u32) {
    let ratio = f64::from(width.max(height)) / f64::from(size);
    let side = |side: u32| (f64::from(side) / ratio).round_ties_even() as u32;
    (side(width), side(height))
}

/// PIL's mode `L`, repeated in three channels.
fn to_gray(image: &RgbImage) -> RgbImage {
    let mut gray = image.clone();
    for pixel in gray.pixels_mut() {
        *pixel = Rgb([to_tensor::luma(pixel.0); 3]);
    }
    gray
}

#[cfg(test)]
mod tests;
