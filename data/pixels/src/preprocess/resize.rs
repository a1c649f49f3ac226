//! Pillow's resize, to the last bit: two passes, 8-bit in between, 22-bit fixed-point weights.
//!
//! The arithmetic is that of Pillow's `Resample.c` (`precompute_coeffs`,
//! `ImagingResampleHorizontal_8bpc`, `ImagingResampleVertical_8bpc`), with a window so that a crop
//! costs only what it keeps.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod passes;
mod plain;
mod weights;

use image::RgbImage;
use passes::{Passes, Strip};
use serde::{Deserialize, Serialize};
use weights::{Range, Weights};

/// Rows that are resized horizontally at a time.
const ROWS: usize = 4;

/// No side of a resized picture is longer.
pub(super) const MAX_SIDE: u32 = 65_536;

/// How pixels are joined when a picture is resized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// The pixel under the centre.
    Nearest,
    /// A triangle.
    Bilinear,
    /// Catmull-Rom's cubic, a = -0.5.
    Bicubic,
    /// A windowed sinc over three lobes.
    Lanczos,
}

impl Filter {
    /// Half the filter's width, in pixels.
    const fn support(self) -> f64 {
        match self {
            Self::Nearest => 0.5,
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        let x = x.abs();
        match self {
            Self::Nearest => f64::from(x <= 0.5),
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic => {
                const A: f64 = -0.5;
                if x < 1.0 {
                    ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
                } else if x < 2.0 {
                    (((x - 5.0) * x + 8.0) * x - 4.0) * A
                } else {
                    0.0
                }
            }
            Self::Lanczos if x < 3.0 => sinc(x) * sinc(x / 3.0),
            Self::Lanczos => 0.0,
        }
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * std::f64::consts::PI;
    x.sin() / x
}

/// A part of a picture; it may reach over the edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Left edge.
    pub x: i64,
    /// Upper edge.
    pub y: i64,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

/// What becomes of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resize {
    /// Width and height of the whole resized picture.
    pub size: (u32, u32),
    /// The part of it that is wanted; black beyond its edges.
    pub window: Window,
    /// How pixels are joined.
    pub filter: Filter,
    /// Whether the filter widens when the picture shrinks.
    pub antialias: bool,
}

/// torchvision's `CenterCrop`: halves round to even, and a smaller picture is filled up evenly.
pub(super) fn centered(
    (width, height): (u32, u32),
    (crop_width, crop_height): (u32, u32),
) -> Window {
    let start = |whole: u32, crop: u32| {
        let (whole, crop) = (i64::from(whole), i64::from(crop));
        if crop > whole {
            -((crop - whole) / 2)
        } else {
            ((whole - crop) as f64 / 2.0).round_ties_even() as i64
        }
    };
    Window {
        x: start(width, crop_width),
        y: start(height, crop_height),
        width: crop_width,
        height: crop_height,
    }
}

/// The part of a picture that is resized, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub struct Part {
    pub left: u32,
    pub top: u32,
    pub width: u32,
    pub height: u32,
}

impl Part {
    /// All of it.
    #[must_use]
    pub fn whole(image: &RgbImage) -> Self {
        Self {
            left: 0,
            top: 0,
            width: image.width(),
            height: image.height(),
        }
    }
}

/// How the result is turned over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mirror {
    /// Left to right.
    pub sides: bool,
    /// Top to bottom.
    pub ends: bool,
}

/// Resizes `image` and cuts the window out.
///
/// ```
/// use pixels::preprocess::{Filter, Resize, Window, resize};
/// let window = Window { x: 1, y: 0, width: 2, height: 4 };
/// let to = Resize { size: (4, 4), window, filter: Filter::Bilinear, antialias: true };
/// let gray = pixels::RgbImage::from_pixel(9, 9, [7, 7, 7].into());
/// assert_eq!(resize(&gray, &to), pixels::RgbImage::from_pixel(2, 4, [7, 7, 7].into()));
/// ```
#[must_use]
pub fn resize(image: &RgbImage, to: &Resize) -> RgbImage {
    let mut out = RgbImage::new(0, 0);
    Resizer::default().resize(image, to, &mut out);
    out
}

/// Resizes pictures one after the other in the same memory.
#[derive(Debug)]
pub struct Resizer {
    horizontal: Weights,
    vertical: Weights,
    strip: Strip,
    /// Whether the code for this kind of processor is used; the result is the same.
    simd: bool,
}

impl Default for Resizer {
    fn default() -> Self {
        Self {
            horizontal: Weights::default(),
            vertical: Weights::default(),
            strip: Strip::default(),
            simd: passes::simd(),
        }
    }
}

impl Resizer {
    /// As [`resize`]; `out` gets its size.
    pub fn resize(&mut self, image: &RgbImage, to: &Resize, out: &mut RgbImage) {
        self.resize_part(image, Part::whole(image), to, Mirror::default(), out);
    }

    /// Resizes a part of a picture as if it were the whole, and turns it over.
    pub fn resize_part(
        &mut self,
        image: &RgbImage,
        part: Part,
        to: &Resize,
        mirror: Mirror,
        out: &mut RgbImage,
    ) {
        let Resize { size, window, .. } = *to;
        let columns = Range::inside(window.x, window.width, size.0, mirror.sides);
        let rows = Range::inside(window.y, window.height, size.1, mirror.ends);
        let nothing = [columns.count, rows.count].contains(&0) || part.width * part.height == 0;
        let covered =
            (columns.count, rows.count) == (window.width as usize, window.height as usize);
        if out.dimensions() != (window.width, window.height) || !covered {
            *out = RgbImage::new(window.width, window.height);
        }
        if nothing {
            return;
        }
        self.horizontal.fill(part.width, size.0, columns, to);
        self.vertical.fill(part.height, size.1, rows, to);
        let stride = image.width() as usize * 3;
        let passes = Passes {
            source: &image.as_raw()[part.top as usize * stride + part.left as usize * 3..],
            stride,
            row_bytes: part.width as usize * 3,
            horizontal: &self.horizontal,
            vertical: &self.vertical,
            vertical_first: vertical_first((part.width, part.height), size),
            simd: self.simd,
        };
        let out_stride = window.width as usize * 3;
        let first = rows.before * out_stride + columns.before * 3;
        let out: &mut [u8] = out;
        passes.run(&mut self.strip, &mut out[first..], out_stride);
    }
}

/// Which pass comes first, and so which one's rounding the other sees: since Pillow 13 the vertical
/// one where it takes off most (Pillow 12 and older began horizontally always). Found by trying,
/// on 19,000 random sizes without exception.
fn vertical_first((width, height): (u32, u32), (to_width, to_height): (u32, u32)) -> bool {
    let [width, height, to_width, to_height] = [width, height, to_width, to_height].map(i64::from);
    to_height < height && 2 * (width - to_width) < height - to_height
}

#[cfg(test)]
mod tests;
