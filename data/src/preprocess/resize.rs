//! Pillow's resize, to the last bit: two passes, 8-bit in between, 22-bit fixed-point weights.
//!
//! The arithmetic is that of Pillow's `Resample.c` (`precompute_coeffs`,
//! `ImagingResampleHorizontal_8bpc`, `ImagingResampleVertical_8bpc`), with a window so that a crop
//! costs only what it keeps.

use image::RgbImage;
use serde::{Deserialize, Serialize};

/// No side of a resized picture is longer.
pub(super) const MAX_SIDE: u32 = 65_536;

/// Fraction bits of a weight: 32 minus 8 for the pixel and 2 for overshoot.
const BITS: u32 = 22;
const HALF: i32 = 1 << (BITS - 1);

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

/// Resizes `image` and cuts the window out.
///
/// ```
/// use data::preprocess::{Filter, Resize, Window, resize};
/// let window = Window { x: 1, y: 0, width: 2, height: 4 };
/// let to = Resize { size: (4, 4), window, filter: Filter::Bilinear, antialias: true };
/// let gray = data::RgbImage::from_pixel(9, 9, [7, 7, 7].into());
/// assert_eq!(resize(&gray, &to), data::RgbImage::from_pixel(2, 4, [7, 7, 7].into()));
/// ```
#[must_use]
pub fn resize(image: &RgbImage, to: &Resize) -> RgbImage {
    let mut out = RgbImage::new(to.window.width, to.window.height);
    with_passes(image, to, &mut out, run);
    out
}

fn with_passes(image: &RgbImage, to: &Resize, out: &mut RgbImage, run: fn(&Passes<'_>, &mut [u8])) {
    let window = to.window;
    let columns = Range::inside(window.x, window.width, to.size.0);
    let rows = Range::inside(window.y, window.height, to.size.1);
    let (width, height) = image.dimensions();
    if columns.count == 0 || rows.count == 0 || width == 0 || height == 0 {
        return;
    }
    let out_stride = window.width as usize * 3;
    let passes = Passes {
        source: image.as_raw(),
        stride: width as usize * 3,
        horizontal: &Weights::new(width, to.size.0, columns, to),
        vertical: &Weights::new(height, to.size.1, rows, to),
        vertical_first: vertical_first((width, height), to.size),
        out_stride,
    };
    let out: &mut [u8] = out;
    run(
        &passes,
        &mut out[rows.before * out_stride + columns.before * 3..],
    );
}

/// Which pass comes first, and so which one's rounding the other sees: since Pillow 13 the vertical
/// one where it takes off most (Pillow 12 and older began horizontally always). Found by trying,
/// on 19,000 random sizes without exception.
fn vertical_first((width, height): (u32, u32), (to_width, to_height): (u32, u32)) -> bool {
    let [width, height, to_width, to_height] = [width, height, to_width, to_height].map(i64::from);
    to_height < height && 2 * (width - to_width) < height - to_height
}

/// Which output pixels along one side are computed.
#[derive(Clone, Copy, Debug)]
struct Range {
    /// Filled pixels in front of them.
    before: usize,
    /// The first, in the whole resized picture.
    first: usize,
    count: usize,
}

impl Range {
    fn inside(start: i64, length: u32, whole: u32) -> Self {
        let first = start.clamp(0, whole.into());
        let end = (start + i64::from(length)).clamp(first, whole.into());
        Self {
            before: (first - start) as usize,
            first: first as usize,
            count: (end - first) as usize,
        }
    }
}

/// For every output pixel along one side: the first input pixel, and the weights from there on.
struct Weights {
    starts: Vec<usize>,
    /// `taps` per output pixel, zeros at the end.
    values: Vec<i32>,
    taps: usize,
}

impl Weights {
    fn new(from: u32, to: u32, range: Range, resize: &Resize) -> Self {
        let scale = f64::from(from) / f64::from(to);
        if from == to || resize.filter == Filter::Nearest {
            return Self::picked(from as usize, scale, range);
        }
        let (filter, widen) = (
            resize.filter,
            if resize.antialias {
                scale.max(1.0)
            } else {
                1.0
            },
        );
        let support = filter.support() * widen;
        let mut all: Vec<(usize, Vec<i32>)> = Vec::with_capacity(range.count);
        for x in range.first..range.first + range.count {
            let center = (x as f64 + 0.5) * scale;
            // `as usize` cuts off below zero and towards zero, as C does after its `max(0)`.
            let start = (center - support + 0.5) as usize;
            let end = ((center + support + 0.5) as usize).min(from as usize);
            let weights: Vec<f64> = (start..end)
                .map(|i| filter.weight((i as f64 - center + 0.5) * (1.0 / widen)))
                .collect();
            all.push((start, fixed(&weights)));
        }
        let taps = all
            .iter()
            .map(|(_, weights)| weights.len())
            .max()
            .unwrap_or(0);
        let mut values = vec![0; taps * all.len()];
        for (place, (_, weights)) in values.chunks_exact_mut(taps.max(1)).zip(&all) {
            place[..weights.len()].copy_from_slice(weights);
        }
        // Every start leaves room for all the taps, the unused of which weigh nothing.
        let mut starts = Vec::with_capacity(all.len());
        for (place, (start, _)) in values.chunks_exact_mut(taps.max(1)).zip(&all) {
            let fitting = (*start).min(from as usize - taps.min(from as usize));
            place.rotate_right(*start - fitting);
            starts.push(fitting);
        }
        Self {
            starts,
            values,
            taps,
        }
    }

    /// One input pixel per output pixel.
    fn picked(from: usize, scale: f64, range: Range) -> Self {
        // Pillow adds up the step, with its rounding errors.
        let mut at = scale * 0.5;
        let picks = (0..range.first + range.count).map(|_| {
            let pick = (at as usize).min(from - 1);
            at += scale;
            pick
        });
        Self {
            starts: picks.skip(range.first).collect(),
            values: vec![1 << BITS; range.count],
            taps: 1,
        }
    }

    /// The input pixels that are needed.
    fn span(&self) -> std::ops::Range<usize> {
        let first = self.starts.iter().copied().min().unwrap_or(0);
        first..self.starts.iter().copied().max().unwrap_or(0) + self.taps
    }

    fn of(&self, index: usize) -> (usize, &[i32]) {
        (
            self.starts[index],
            &self.values[index * self.taps..][..self.taps],
        )
    }
}

/// Weights that sum to one, in fixed point, rounded away from zero at halves.
fn fixed(weights: &[f64]) -> Vec<i32> {
    let mut sum = 0.0;
    for weight in weights {
        sum += weight;
    }
    let fix = |&weight: &f64| {
        let weight = if sum == 0.0 { weight } else { weight / sum };
        (weight * f64::from(1 << BITS)).round() as i32
    };
    weights.iter().map(fix).collect()
}

/// Both passes over a picture; `out` begins at the window's first pixel inside the picture.
struct Passes<'a> {
    source: &'a [u8],
    /// Bytes per row of the source.
    stride: usize,
    horizontal: &'a Weights,
    vertical: &'a Weights,
    vertical_first: bool,
    /// Bytes per row of the result.
    out_stride: usize,
}

fn run(passes: &Passes<'_>, out: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        #[expect(unsafe_code, reason = "the same code, compiled for AVX2")]
        // SAFETY: the processor was just asked whether it has AVX2.
        unsafe {
            run_avx2(passes, out);
        }
        return;
    }
    run_inline(passes, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2(passes: &Passes<'_>, out: &mut [u8]) {
    run_inline(passes, out);
}

/// One pass into a strip that holds what the other pass needs, then the other.
#[inline(always)]
fn run_inline(passes: &Passes<'_>, out: &mut [u8]) {
    let Passes {
        source,
        stride,
        horizontal,
        vertical,
        vertical_first,
        out_stride,
    } = *passes;
    let (width, height) = (horizontal.starts.len(), vertical.starts.len());
    let (columns, rows) = (horizontal.span(), vertical.span());
    let mut wide = Vec::new();
    if vertical_first {
        let from = columns.start * 3;
        let mut strip = vec![0; columns.len() * 3];
        for y in 0..height {
            let (start, weights) = vertical.of(y);
            down(
                &source[start * stride + from..],
                stride,
                weights,
                &mut strip,
            );
            widen(&strip, &mut wide);
            across(
                &wide,
                horizontal,
                columns.start,
                &mut out[y * out_stride..][..width * 3],
            );
        }
        return;
    }
    let row_bytes = width * 3;
    let mut strip = vec![0; rows.len() * row_bytes];
    for (row, target) in source
        .chunks_exact(stride)
        .skip(rows.start)
        .zip(strip.chunks_exact_mut(row_bytes))
    {
        widen(row, &mut wide);
        across(&wide, horizontal, 0, target);
    }
    for y in 0..height {
        let (start, weights) = vertical.of(y);
        let above = (start - rows.start) * row_bytes;
        down(
            &strip[above..],
            row_bytes,
            weights,
            &mut out[y * out_stride..][..row_bytes],
        );
    }
}

/// Four bytes per pixel, so that a pixel is one load.
#[inline(always)]
fn widen(row: &[u8], wide: &mut Vec<[u8; 4]>) {
    wide.clear();
    wide.extend(row.as_chunks().0.iter().map(|&[r, g, b]| [r, g, b, 0]));
}

/// One row, horizontally; `first` is the column of its first pixel.
#[inline(always)]
fn across(row: &[[u8; 4]], weights: &Weights, first: usize, target: &mut [u8]) {
    for (index, target) in target.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (start, weights) = weights.of(index);
        let mut sums = [HALF; 4];
        for (pixel, &weight) in row[start - first..][..weights.len()].iter().zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(pixel) {
                *sum += i32::from(value) * weight;
            }
        }
        let [r, g, b, _] = sums.map(clip);
        *target = [r, g, b];
    }
}

/// Weighted sum of rows that begin `stride` bytes apart.
#[inline(always)]
fn down(rows: &[u8], stride: usize, weights: &[i32], target: &mut [u8]) {
    /// Sums that stay in registers.
    const LANES: usize = 32;
    let (chunks, rest) = target.as_chunks_mut::<LANES>();
    let tail = chunks.len() * LANES;
    for (index, target) in chunks.iter_mut().enumerate() {
        let mut sums = [HALF; LANES];
        for (row, &weight) in rows.chunks(stride).zip(weights) {
            let Some(values) = row[index * LANES..].first_chunk::<LANES>() else {
                continue;
            };
            for (sum, &value) in sums.iter_mut().zip(values) {
                *sum += i32::from(value) * weight;
            }
        }
        *target = sums.map(clip);
    }
    for (offset, target) in rest.iter_mut().enumerate() {
        let mut sum = HALF;
        for (row, &weight) in rows.chunks(stride).zip(weights) {
            sum += i32::from(row[tail + offset]) * weight;
        }
        *target = clip(sum);
    }
}

#[inline(always)]
fn clip(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both compilations of the passes give the same bytes.
    #[test]
    fn with_and_without_avx2() {
        let picture =
            RgbImage::from_fn(61, 83, |x, y| [x * 4, y * 3, x * y].map(|v| v as u8).into());
        for size in [(20, 30), (90, 40), (33, 120)] {
            let window = centered(size, size);
            let to = Resize {
                size,
                window,
                filter: Filter::Bicubic,
                antialias: true,
            };
            let fast = resize(&picture, &to);
            let mut plain = RgbImage::new(size.0, size.1);
            with_passes(&picture, &to, &mut plain, run_inline);
            assert_eq!(fast, plain);
        }
    }

    #[test]
    fn without_antialias_a_smaller_picture_samples() {
        let stripes = RgbImage::from_fn(64, 4, |x, _| [if x % 4 == 0 { 255 } else { 0 }; 3].into());
        let shrink = |antialias| {
            let window = centered((16, 4), (16, 4));
            let to = Resize {
                size: (16, 4),
                window,
                filter: Filter::Bilinear,
                antialias,
            };
            resize(&stripes, &to).get_pixel(8, 2)[0]
        };
        assert_eq!(shrink(false), 0);
        assert!((50..80).contains(&shrink(true)));
    }
}
