//! The geometric steps: resize, crop, pad. Knows nothing of numbers after the pixels.

use image::{Rgb, RgbImage};

use super::resize::{self, Filter, Resize, Resizer};
use super::{Color, Preprocess, Step, grammar, to_tensor};
use crate::decoded_image::opaque;
use crate::{DecodedImage, Error, Frame, ImageRef, Kind, Result};

/// Colours before the geometric steps.
#[derive(Clone, Copy)]
enum Plane<'a> {
    Image(&'a RgbImage),
    /// Checked.
    Frame(Frame<'a>),
}

impl Plane<'_> {
    fn dimensions(self) -> (u32, u32) {
        match self {
            Self::Image(image) => image.dimensions(),
            Self::Frame(frame) => frame.dimensions(),
        }
    }
}

/// Resizes, crops and pads into `out`. Returns `false`, with `out` undefined, when the image stays as it is.
pub(super) fn geometry(
    preprocess: &Preprocess,
    image: ImageRef<'_>,
    resizer: &mut Resizer,
    out: &mut DecodedImage,
) -> Result<bool> {
    let color = preprocess.color();
    let canvas = |fill: &[u8]| canvas_colour(color, fill);
    let colours = Plane::Image(image.rgb);
    let changed = plane_geometry(preprocess, colours, &canvas, resizer, &mut out.rgb)?;
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
        alpha_geometry(preprocess, alpha, resizer, out)?;
    }
    Ok(changed)
}

/// [`geometry`] of a frame, whose pixels are in `out` in any case.
pub(super) fn frame_geometry(
    preprocess: &Preprocess,
    frame: Frame<'_>,
    resizer: &mut Resizer,
    out: &mut DecodedImage,
) -> Result<()> {
    frame.check()?;
    let color = preprocess.color();
    let canvas = |fill: &[u8]| canvas_colour(color, fill);
    let colours = Plane::Frame(frame);
    let changed = plane_geometry(preprocess, colours, &canvas, resizer, &mut out.rgb)?;
    if !changed {
        out.rgb = frame.to_rgb()?;
    }
    if color.has_alpha() {
        let (width, height) = frame.dimensions();
        let opaque = || RgbImage::from_pixel(width, height, Rgb([255; 3]));
        let alpha = frame.alpha().unwrap_or_else(opaque);
        if changed {
            alpha_geometry(preprocess, &alpha, resizer, out)?;
        } else {
            out.alpha = Some(alpha);
        }
    }
    Ok(())
}

fn alpha_geometry(
    preprocess: &Preprocess,
    alpha: &RgbImage,
    resizer: &mut Resizer,
    out: &mut DecodedImage,
) -> Result<()> {
    let canvas = |fill: &[u8]| Rgb([fill[3]; 3]);
    let out = out.alpha.get_or_insert_default();
    plane_geometry(preprocess, Plane::Image(alpha), &canvas, resizer, out)?;
    Ok(())
}

/// [`geometry`] of the colours, or of alpha; `canvas` gives the colour of a fill.
fn plane_geometry(
    preprocess: &Preprocess,
    plane: Plane<'_>,
    canvas: &dyn Fn(&[u8]) -> Rgb<u8>,
    resizer: &mut Resizer,
    out: &mut RgbImage,
) -> Result<bool> {
    let is_gray = preprocess.color() == Color::Gray;
    let mut changed = false;
    if let Plane::Image(image) = plane
        && is_gray
    {
        *out = to_gray(image);
        changed = true;
    }
    let mut steps = preprocess.steps.iter().peekable();
    while let Some(step) = steps.next() {
        let from = if changed {
            out.dimensions()
        } else {
            plane.dimensions()
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
                *out = match plane {
                    _ if changed => pad(out, size, fill),
                    Plane::Image(image) => pad(image, size, fill),
                    Plane::Frame(frame) if is_gray => pad(&to_gray(&frame.to_rgb()?), size, fill),
                    Plane::Frame(frame) => pad(&frame.to_rgb()?, size, fill),
                };
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
        match plane {
            _ if changed => resizer.resize(&std::mem::take(out), &resize, out),
            Plane::Image(image) => resizer.resize(image, &resize, out),
            Plane::Frame(frame) => resizer.resize_frame(frame, is_gray, &resize, out),
        }
        changed = true;
    }
    Ok(changed)
}

/// Refuses an image that has become too large.
pub(super) fn check_pixels((width, height): (u32, u32)) -> Result<()> {
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
        return Err(Error::Invalid {
            kind: Kind::Image,
            message: format!(
                "preprocessing: an image of {width} x {height} pixels cannot become {} x {}",
                size.0, size.1
            ),
            hint: None,
        });
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
