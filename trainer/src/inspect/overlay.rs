//! A heat over the photo that it is about, with its scale beside it.

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
    let (width, height) = photo.dimensions();
    let peak = heat.peak().max(0.0);
    let fine = heat.resized(width as usize, height as usize);
    let part = |value: f32| if peak > 0.0 { value / peak } else { 0.0 };
    let mut covered = imageops::grayscale_with_type::<Rgb<u8>, _>(photo);
    for (pixel, value) in covered.pixels_mut().zip(&fine.values) {
        let colour = viridis(part(*value));
        for (photo, heat) in pixel.0.iter_mut().zip(colour.0) {
            *photo = (HEAT * f32::from(heat) + (1.0 - HEAT) * f32::from(*photo)).round() as u8;
        }
    }
    let (photo, covered) = (enlarged(photo, PANEL_PX), enlarged(&covered, PANEL_PX));
    let (width, height) = photo.dimensions();
    let bar_left = 3 * GAP_PX + 2 * width;
    let mut canvas =
        RgbImage::from_pixel(bar_left + BAR_PX + NUMBERS_PX, 2 * GAP_PX + height, PAPER);
    for (panel, left) in [(&photo, GAP_PX), (&covered, 2 * GAP_PX + width)] {
        imageops::replace(&mut canvas, panel, left.into(), GAP_PX.into());
    }
    for y in 0..height {
        let colour = viridis(1.0 - y as f32 / (height - 1).max(1) as f32);
        (0..BAR_PX).for_each(|x| canvas.put_pixel(bar_left + x, GAP_PX + y, colour));
    }
    let left = bar_left + BAR_PX + 6;
    let marks = [(0.0, height), (0.5, height / 2), (1.0, 0)];
    for (part, down) in marks
        .into_iter()
        .filter(|(part, _)| peak > 0.0 || *part == 0.0)
    {
        let middle = (GAP_PX + down).clamp(GAP_PX + TEXT_PX / 2, GAP_PX + height - TEXT_PX / 2);
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

    use super::{PAPER, overlay};
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
}
