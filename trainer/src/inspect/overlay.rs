//! Heats over the photos that they are about, with their scale beside them.

use console::chart::text_mask;
use console::numbers::short;
use data::RgbImage;
use image::{Rgb, imageops};

use super::attention::Heat;
use super::tiles::{enlarged, viridis};

/// Photo and overlay are enlarged by whole numbers to about this side.
const PANEL_PX: u32 = 448;
const GAP_PX: u32 = 16;
const BAR_PX: u32 = 20;
const TEXT_PX: u32 = 18;
/// Room for numbers such as `0.0123`.
const NUMBERS_PX: u32 = 72;
const PAPER: Rgb<u8> = Rgb([255; 3]);
const INK: Rgb<u8> = Rgb([64; 3]);
/// How much of a pixel is heat; the rest is the photo in gray.
const HEAT: f32 = 0.6;

/// The photo as the network saw it, the heat over it in gray, and the colours' scale from 0 to the
/// heat's peak. What is below zero has the colour of zero.
pub fn overlay(photo: &RgbImage, heat: &Heat) -> RgbImage {
    let peak = heat.peak().max(0.0);
    sheet(&[[photo.clone(), covered(photo, heat, peak)]], peak)
}

/// Two photos of one size side by side, and their heats over them below, on one scale.
pub fn pair_overlay(photos: [&RgbImage; 2], heats: [&Heat; 2]) -> RgbImage {
    let peak = heats[0].peak().max(heats[1].peak()).max(0.0);
    let below = [0, 1].map(|side| covered(photos[side], heats[side], peak));
    sheet(&[photos.map(Clone::clone), below], peak)
}

/// The heat over the photo in gray; `peak` has the last colour of the scale.
fn covered(photo: &RgbImage, heat: &Heat, peak: f32) -> RgbImage {
    let (width, height) = photo.dimensions();
    let fine = heat.resized(width as usize, height as usize);
    let part = |value: f32| if peak > 0.0 { value / peak } else { 0.0 };
    let mut covered = imageops::grayscale_with_type::<Rgb<u8>, _>(photo);
    for (pixel, value) in covered.pixels_mut().zip(&fine.values) {
        let colour = viridis(part(*value));
        for (photo, heat) in pixel.0.iter_mut().zip(colour.0) {
            *photo = (HEAT * f32::from(heat) + (1.0 - HEAT) * f32::from(*photo)).round() as u8;
        }
    }
    covered
}

/// Rows of two images of one size, with the scale from 0 to `peak` beside the last row.
fn sheet(rows: &[[RgbImage; 2]], peak: f32) -> RgbImage {
    let rows: Vec<[RgbImage; 2]> = rows
        .iter()
        .map(|row| [0, 1].map(|side| enlarged(&row[side], PANEL_PX)))
        .collect();
    let (width, height) = rows[0][0].dimensions();
    let bar_left = 3 * GAP_PX + 2 * width;
    let num_rows = rows.len() as u32;
    let top = |row: u32| GAP_PX + row * (height + GAP_PX);
    let mut canvas = RgbImage::from_pixel(bar_left + BAR_PX + NUMBERS_PX, top(num_rows), PAPER);
    for (row, images) in (0..).zip(&rows) {
        for (image, left) in images.iter().zip([GAP_PX, 2 * GAP_PX + width]) {
            imageops::replace(&mut canvas, image, left.into(), top(row).into());
        }
    }
    let first = top(num_rows - 1);
    for y in 0..height {
        let colour = viridis(1.0 - y as f32 / (height - 1).max(1) as f32);
        (0..BAR_PX).for_each(|x| canvas.put_pixel(bar_left + x, first + y, colour));
    }
    let left = bar_left + BAR_PX + 6;
    let marks = [(0.0, height), (0.5, height / 2), (1.0, 0)];
    for (part, down) in marks
        .into_iter()
        .filter(|(part, _)| peak > 0.0 || *part == 0.0)
    {
        let middle = (first + down).clamp(first + TEXT_PX / 2, first + height - TEXT_PX / 2);
        write(&mut canvas, &short(part * peak), left, middle - TEXT_PX / 2);
    }
    canvas
}

/// Writes a line whose upper left corner is given.
pub fn write(canvas: &mut RgbImage, text: &str, left: u32, top: u32) {
    let Some(mask) = text_mask(text, TEXT_PX) else {
        return;
    };
    for (index, cover) in mask.coverage.iter().enumerate() {
        let (x, y) = (index as u32 % mask.width, index as u32 / mask.width);
        let Some(pixel) = canvas.get_pixel_mut_checked(left + x, top + y) else {
            continue;
        };
        let cover = f32::from(*cover) / 255.0;
        for (paper, ink) in pixel.0.iter_mut().zip(INK.0) {
            let mixed = cover * f32::from(ink) + (1.0 - cover) * f32::from(*paper);
            *paper = mixed.round() as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use data::RgbImage;
    use image::Rgb;

    use super::{PAPER, overlay, pair_overlay};
    use crate::inspect::attention::Heat;

    #[test]
    fn the_photo_stays_whole_and_the_peak_is_the_brightest() {
        let photo = RgbImage::from_pixel(40, 30, Rgb([10, 200, 90]));
        let heat = Heat {
            width: 2,
            height: 1,
            values: vec![-1.0, 3.0],
        };
        let picture = overlay(&photo, &heat);
        // 448 / 40 = 11 times.
        let (width, height) = (11 * 40, 11 * 30);
        assert_eq!(picture.height(), height + 32);
        assert_eq!(picture.get_pixel(16, 16), photo.get_pixel(0, 0));
        assert_eq!(picture.get_pixel(0, 0), &PAPER);
        let sum = |x: u32| -> u32 {
            let pixel = picture.get_pixel(32 + width + x, 100);
            pixel.0.iter().map(|v| u32::from(*v)).sum()
        };
        assert!(sum(width - 1) > sum(width / 2) && sum(width / 2) > sum(0));
        let nothing = Heat {
            width: 1,
            height: 1,
            values: vec![0.0],
        };
        assert_eq!(overlay(&photo, &nothing).dimensions(), picture.dimensions());
    }

    #[test]
    fn the_heats_of_a_pair_have_one_scale() {
        let photos = [10, 200].map(|gray| RgbImage::from_pixel(40, 30, Rgb([gray; 3])));
        let heat = |value: f32| Heat {
            width: 1,
            height: 1,
            values: vec![value],
        };
        let picture = pair_overlay([&photos[0], &photos[1]], [&heat(1.0), &heat(4.0)]);
        let (width, height) = (11 * 40, 11 * 30);
        assert_eq!(picture.height(), 2 * height + 3 * 16);
        assert_eq!(picture.get_pixel(16, 16), photos[0].get_pixel(0, 0));
        assert_eq!(picture.get_pixel(32 + width, 16), photos[1].get_pixel(0, 0));
        let below = |left: u32| picture.get_pixel(left, height + 40).0;
        // A quarter of the scale is blue, its end yellow, over dark and light gray.
        let mixed = |value: f32, gray: f32| {
            let heat = crate::inspect::tiles::viridis(value).0;
            heat.map(|heat| (0.6 * f32::from(heat) + 0.4 * gray).round() as u8)
        };
        assert_eq!(below(20), mixed(0.25, 10.0));
        assert_eq!(below(40 + width), mixed(1.0, 200.0));
    }
}
