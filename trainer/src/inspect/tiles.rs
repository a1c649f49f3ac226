//! Kernels and feature maps as tiles in one image. It knows no graph.

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

/// Colours of the colour map. With white for the gaps they are 256, as many as one byte per pixel holds.
const STEPS: usize = 255;

/// A colour of the map viridis, perceptually uniform and safe for the colour-blind; `value` in
/// `[0, 1]`.
pub fn viridis(value: f32) -> Rgb<u8> {
    let step = value.clamp(0.0, 1.0) * (STEPS - 1) as f32;
    let colour = colorous::VIRIDIS.eval_rational(step.round() as usize, STEPS);
    Rgb([colour.r, colour.g, colour.b])
}

/// The first 64 channels in rows of 8, each from its own least number (dark) to its greatest
/// (bright).
pub fn feature_maps(maps: &Maps<'_>) -> RgbImage {
    let tile = |plane: &[f32]| {
        let range = Range::from_numbers(plane);
        tile([maps.height, maps.width], |at| {
            viridis(range.normalized(plane[at]))
        })
    };
    let planes = maps.planes().take(COLUMNS * COLUMNS);
    sheet(&planes.map(tile).collect::<Vec<_>>())
}

/// Kernels of a first layer as images.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernels {
    /// Every kernel in the colours of the image's channels; none for gray images.
    pub colour: Option<RgbImage>,
    /// The kernels of one channel after the other, with the channel's letter, `alpha` or `gray`.
    pub channels: Vec<(&'static str, RgbImage)>,
}

/// Draws a first layer's weight `[out, in, h, w]`, which takes images of channels `color`: none
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
    // In the order of the file's channels.
    let names: &[&str] = match color {
        Color::Rgb => &["r", "g", "b"],
        Color::Bgr => &["b", "g", "r"],
        Color::Gray => &["gray"],
        Color::Rgba => &["r", "g", "b", "alpha"],
    };
    let draw = |rgb: [usize; 3]| {
        let kernels = weight.numbers.chunks_exact(channels * size);
        let kernel = |kernel: &[f32]| {
            let range = Range::from_numbers(kernel);
            tile([height, width], |at| {
                Rgb(rgb.map(|index| range.byte(kernel[index * size + at])))
            })
        };
        sheet(&kernels.map(kernel).collect::<Vec<_>>())
    };
    let index = |name: &str| names.iter().position(|own| *own == name);
    let colours = [index("r"), index("g"), index("b")];
    let order = ["r", "g", "b", "alpha", "gray"].into_iter();
    Some(Kernels {
        colour: match colours {
            [Some(r), Some(g), Some(b)] => Some(draw([r, g, b])),
            _ => None,
        },
        channels: order
            .filter_map(|name| Some((name, draw([index(name)?; 3]))))
            .collect(),
    })
}

/// From the least number to the greatest.
struct Range {
    low: f32,
    high: f32,
}

impl Range {
    fn from_numbers(numbers: &[f32]) -> Range {
        Range {
            low: numbers.iter().copied().fold(f32::INFINITY, f32::min),
            high: numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max),
        }
    }

    /// In `[0, 1]`; near 0 where all numbers are nearly the same, as torchvision has it: the noise
    /// of dead kernels is not blown up.
    fn normalized(&self, value: f32) -> f32 {
        (value - self.low) / (self.high - self.low).max(1e-5)
    }

    fn byte(&self, value: f32) -> u8 {
        (self.normalized(value) * 255.0).round() as u8
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

/// An image enlarged by a whole number, so that its pixels stay squares, to at most `side` pixels.
pub(super) fn enlarged(image: &RgbImage, side: u32) -> RgbImage {
    let (width, height) = image.dimensions();
    let times = (side / width.max(height).max(1)).max(1);
    imageops::resize(image, times * width, times * height, FilterType::Nearest)
}

#[cfg(test)]
mod tests {
    use data::preprocess::Color;
    use deploy::Tap;
    use image::Rgb;

    use super::{feature_maps, kernels, viridis};
    use crate::inspect::attention::Maps;

    const PAPER: Rgb<u8> = Rgb([255; 3]);

    fn weight(dims: &[usize], numbers: &[f32]) -> Tap {
        Tap {
            name: "w".into(),
            dims: dims.to_vec(),
            numbers: numbers.to_vec(),
        }
    }

    #[test]
    fn viridis_goes_from_violet_to_yellow() {
        assert_eq!(viridis(0.0), Rgb([68, 1, 84]));
        assert_eq!(viridis(1.0), Rgb([253, 231, 37]));
        assert_eq!(viridis(7.0), viridis(1.0));
    }

    #[test]
    fn every_channel_has_its_own_range_and_64_are_shown() {
        // 70 channels of 2 x 3, all but the first in the range [c, c + 5]; the first is flat.
        let numbers: Vec<f32> = (0..70)
            .flat_map(|c| (0..6).map(move |i| if c == 0 { 9.0 } else { (c + i) as f32 }))
            .collect();
        let maps = Maps {
            channels: 70,
            height: 2,
            width: 3,
            numbers: &numbers,
        };
        let sheet = feature_maps(&maps);
        // 112 / 3 = 37 times; 8 tiles and 9 gaps of 4.
        let (wide, high) = (3 * 37 + 4, 2 * 37 + 4);
        assert_eq!(sheet.dimensions(), (8 * wide + 4, 8 * high + 4));
        let at = |column: u32, row: u32, x: u32, y: u32| {
            *sheet.get_pixel(column * wide + 4 + x, row * high + 4 + y)
        };
        assert_eq!(at(0, 0, 110, 73), viridis(0.0));
        for (column, row) in [(1, 0), (7, 7)] {
            assert_eq!(at(column, row, 0, 0), viridis(0.0));
            assert_eq!(at(column, row, 110, 0), viridis(0.4));
            assert_eq!(at(column, row, 110, 73), viridis(1.0));
        }
        assert_eq!(*sheet.get_pixel(2, 2), PAPER);
    }

    #[test]
    fn kernels_have_one_range_over_their_channels_and_the_images_colours() {
        // Two kernels of 1 x 2; the second is a hundredth of the first.
        let first = [0.0, 10.0, 5.0, 5.0, 2.5, 10.0];
        let both: Vec<f32> = first
            .iter()
            .chain(&first.map(|w| w / 100.0))
            .copied()
            .collect();
        let found = kernels(&weight(&[2, 3, 1, 2], &both), Color::Rgb).unwrap();
        let colour = found.colour.unwrap();
        for left in [4, 4 + 112 + 4] {
            assert_eq!(*colour.get_pixel(left, 4), Rgb([0, 128, 64]));
            assert_eq!(*colour.get_pixel(left + 111, 4), Rgb([255, 128, 255]));
        }
        let names: Vec<_> = found.channels.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["r", "g", "b"]);
        assert_eq!(*found.channels[2].1.get_pixel(4, 4), Rgb([64; 3]));
        let swapped = kernels(&weight(&[2, 3, 1, 2], &both), Color::Bgr).unwrap();
        assert_eq!(*swapped.colour.unwrap().get_pixel(4, 4), Rgb([64, 128, 0]));
        assert_eq!(*swapped.channels[0].1.get_pixel(4, 4), Rgb([64; 3]));
    }

    #[test]
    fn alpha_has_images_of_its_own_in_the_range_of_all_channels() {
        let found = kernels(&weight(&[1, 4, 1, 1], &[0.0, 5.0, 10.0, 20.0]), Color::Rgba).unwrap();
        assert_eq!(*found.colour.unwrap().get_pixel(4, 4), Rgb([0, 64, 128]));
        let names: Vec<_> = found.channels.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["r", "g", "b", "alpha"]);
        assert_eq!(*found.channels[3].1.get_pixel(4, 4), Rgb([255; 3]));
    }

    #[test]
    fn dead_kernels_stay_dark() {
        let dead = kernels(&weight(&[1, 1, 1, 2], &[0.0, 1e-9]), Color::Gray).unwrap();
        assert_eq!(*dead.channels[0].1.get_pixel(4 + 111, 4), Rgb([0; 3]));
    }

    #[test]
    fn gray_kernels_have_no_colour_and_others_are_refused() {
        let gray = kernels(&weight(&[1, 1, 1, 2], &[-1.0, 1.0]), Color::Gray).unwrap();
        assert_eq!((gray.colour, gray.channels.len()), (None, 1));
        assert_eq!(gray.channels[0].0, "gray");
        assert_eq!(kernels(&weight(&[1, 4, 1, 1], &[0.0; 4]), Color::Rgb), None);
        assert_eq!(kernels(&weight(&[4], &[0.0; 4]), Color::Rgb), None);
    }
}
