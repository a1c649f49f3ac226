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
pub(super) fn centered((width, height): (u32, u32), (crop_width, crop_height): (u32, u32)) -> Window {
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
#[must_use]
pub fn resize(image: &RgbImage, to: &Resize) -> RgbImage {
    let window = to.window;
    let mut out = RgbImage::new(window.width, window.height);
    let (columns, rows) = (
        Range::inside(window.x, window.width, to.size.0),
        Range::inside(window.y, window.height, to.size.1),
    );
    if columns.count == 0 || rows.count == 0 || image.width() == 0 || image.height() == 0 {
        return out;
    }
    let horizontal = Weights::new(image.width(), to.size.0, columns, to);
    let vertical = Weights::new(image.height(), to.size.1, rows, to);
    let passes = Passes {
        source: image.as_raw(),
        stride: image.width() as usize * 3,
        horizontal: &horizontal,
        vertical: &vertical,
        target_start: rows.before * window.width as usize * 3 + columns.before * 3,
        target_stride: window.width as usize * 3,
    };
    run(&passes, &mut out);
    out
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
        let (filter, widen) = (resize.filter, if resize.antialias { scale.max(1.0) } else { 1.0 });
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
        let taps = all.iter().map(|(_, weights)| weights.len()).max().unwrap_or(0);
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
        Self { starts, values, taps }
    }

    /// One input pixel per output pixel.
    fn picked(from: usize, scale: f64, range: Range) -> Self {
        let pick = |x: usize| (((x as f64 + 0.5) * scale) as usize).min(from - 1);
        Self {
            starts: (range.first..range.first + range.count).map(pick).collect(),
            values: vec![1 << BITS; range.count],
            taps: 1,
        }
    }

    fn of(&self, index: usize) -> (usize, &[i32]) {
        (self.starts[index], &self.values[index * self.taps..][..self.taps])
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

struct Passes<'a> {
    source: &'a [u8],
    /// Bytes per row.
    stride: usize,
    horizontal: &'a Weights,
    vertical: &'a Weights,
    target_start: usize,
    target_stride: usize,
}

fn run(passes: &Passes<'_>, out: &mut [u8]) {
    both(passes, out);
}

/// Horizontally into a strip of the rows that are needed, then vertically.
#[inline(always)]
fn both(passes: &Passes<'_>, out: &mut [u8]) {
    let (horizontal, vertical) = (passes.horizontal, passes.vertical);
    let width = horizontal.starts.len() * 3;
    let first = vertical.starts.iter().copied().min().unwrap_or(0);
    let last = vertical.starts.iter().copied().max().unwrap_or(0) + vertical.taps;
    let mut strip = vec![0; (last - first) * width];
    for (row, target) in (first..last).zip(strip.chunks_exact_mut(width)) {
        across(&passes.source[row * passes.stride..][..passes.stride], horizontal, target);
    }
    for index in 0..vertical.starts.len() {
        let (start, weights) = vertical.of(index);
        let rows = &strip[(start - first) * width..][..weights.len() * width];
        let at = passes.target_start + index * passes.target_stride;
        down(rows, weights, &mut out[at..][..width]);
    }
}

/// One row, horizontally.
#[inline(always)]
fn across(row: &[u8], weights: &Weights, target: &mut [u8]) {
    let pixels: &[[u8; 3]] = row.as_chunks().0;
    for (index, target) in target.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (start, weights) = weights.of(index);
        let mut sums = [HALF; 3];
        for (pixel, &weight) in pixels[start..][..weights.len()].iter().zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(pixel) {
                *sum += i32::from(value) * weight;
            }
        }
        *target = sums.map(clip);
    }
}

/// Weighted sum of rows that lie one after the other.
#[inline(always)]
fn down(rows: &[u8], weights: &[i32], target: &mut [u8]) {
    /// Sums that stay in registers.
    const LANES: usize = 32;
    let width = target.len();
    let (chunks, rest) = target.as_chunks_mut::<LANES>();
    let tail = chunks.len() * LANES;
    for (index, target) in chunks.iter_mut().enumerate() {
        let mut sums = [HALF; LANES];
        for (row, &weight) in rows.chunks_exact(width).zip(weights) {
            let Some(values) = row[index * LANES..].first_chunk::<LANES>() else { continue };
            for (sum, &value) in sums.iter_mut().zip(values) {
                *sum += i32::from(value) * weight;
            }
        }
        *target = sums.map(clip);
    }
    for (offset, target) in rest.iter_mut().enumerate() {
        let mut sum = HALF;
        for (row, &weight) in rows.chunks_exact(width).zip(weights) {
            sum += i32::from(row[tail + offset]) * weight;
        }
        *target = clip(sum);
    }
}

#[inline(always)]
fn clip(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}
