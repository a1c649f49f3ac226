//! Kernels and feature maps as small pictures side by side. Knows no graph.

use data::RgbImage;
use data::augment::contact_sheet;
use data::preprocess::Color;
use deploy::Tap;
use image::Rgb;
use image::imageops::{self, FilterType};

use super::attention::Maps;

/// Tiles in a row, and rows of feature maps.
pub const COLUMNS: usize = 8;
/// Tiles are enlarged by whole numbers to about this side.
const TILE_PX: u32 = 112;

/// A colour of the map viridis, perceptually uniform and safe for the colour-blind; `value` in
/// `[0, 1]`.
pub fn viridis(value: f32) -> Rgb<u8> {
    let colour = colorous::VIRIDIS.eval_continuous(f64::from(value.clamp(0.0, 1.0)));
    Rgb([colour.r, colour.g, colour.b])
}

/// The first 64 channels in rows of 8, each from its own least number (dark) to its greatest
/// (bright).
pub fn feature_maps(maps: &Maps<'_>) -> RgbImage {
    let tile = |plane: &[f32]| {
        let range = Range::of(plane);
        tile([maps.height, maps.width], |at| {
            viridis(range.place(plane[at]))
        })
    };
    let planes = maps.planes().take(COLUMNS * COLUMNS);
    sheet(&planes.map(tile).collect::<Vec<_>>())
}

/// A first layer's kernels as pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernels {
    /// Every kernel in the colours of the picture's channels; none for gray pictures.
    pub colour: Option<RgbImage>,
    /// The kernels of one channel after the other, with the channel's letter or `gray`.
    pub channels: Vec<(&'static str, RgbImage)>,
}

/// Draws a first layer's weight `[out, in, h, w]`, which sees pictures of channels `color`: none
/// where `in` is another number. Every kernel goes from its least to its greatest weight, over its
/// channels together, as torchvision's `make_grid(normalize=True, scale_each=True)`.
pub fn kernels(weight: &Tap, color: Color) -> Option<Kernels> {
    let &[_, channels, height, width] = weight.dims.as_slice() else {
        return None;
    };
    let size = height * width;
    if channels != color.channels() || size == 0 {
        return None;
    }
    let names: &[&str] = match color {
        Color::Gray => &["gray"],
        Color::Rgb | Color::Bgr => &["r", "g", "b"],
    };
    // The place of red, green and blue among the channels.
    let place = |channel: usize| match color {
        Color::Bgr => 2 - channel,
        Color::Rgb | Color::Gray => channel,
    };
    let draw = |pixel: &dyn Fn(&dyn Fn(usize) -> u8) -> Rgb<u8>| {
        let tile = |kernel: &[f32]| {
            let range = Range::of(kernel);
            tile([height, width], |at| {
                pixel(&|channel| range.byte(kernel[place(channel) * size + at]))
            })
        };
        let kernels = weight.numbers.chunks_exact(channels * size);
        sheet(&kernels.map(tile).collect::<Vec<_>>())
    };
    let colour = draw(&|byte| Rgb([0, 1, 2].map(byte)));
    let gray = |(channel, name): (usize, &&'static str)| {
        let sheet = draw(&|byte| Rgb([byte(channel); 3]));
        (*name, sheet)
    };
    Some(Kernels {
        colour: (channels == 3).then_some(colour),
        channels: names.iter().enumerate().map(gray).collect(),
    })
}

/// From the least number to the greatest.
struct Range {
    low: f32,
    high: f32,
}

impl Range {
    fn of(numbers: &[f32]) -> Range {
        Range {
            low: numbers.iter().copied().fold(f32::INFINITY, f32::min),
            high: numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max),
        }
    }

    /// In `[0, 1]`; 0 where all numbers are the same.
    fn place(&self, value: f32) -> f32 {
        let width = self.high - self.low;
        if width > 0.0 {
            (value - self.low) / width
        } else {
            0.0
        }
    }

    fn byte(&self, value: f32) -> u8 {
        (self.place(value) * 255.0).round() as u8
    }
}

fn tile([height, width]: [usize; 2], pixel: impl Fn(usize) -> Rgb<u8>) -> RgbImage {
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        pixel(y as usize * width + x as usize)
    })
}

/// Tiles of one size in rows of 8, enlarged without smoothing.
fn sheet(tiles: &[RgbImage]) -> RgbImage {
    let enlarged: Vec<RgbImage> = tiles.iter().map(|tile| enlarged(tile, TILE_PX)).collect();
    contact_sheet(&enlarged, COLUMNS)
}

/// A picture whose pixels are squares, as large as fit into `side` pixels.
pub(super) fn enlarged(picture: &RgbImage, side: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    let times = (side / width.max(height).max(1)).max(1);
    imageops::resize(picture, times * width, times * height, FilterType::Nearest)
}
