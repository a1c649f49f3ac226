//! Contact sheet: images side by side in one image.

use image::{RgbImage, imageops};

const GAP_PX: u32 = 4;

/// Arranges images in rows of `columns` on white, each in a cell of the largest image's size.
///
/// ```
/// let tile = classifold_data::RgbImage::new(10, 8);
/// let sheet = classifold_data::augment::contact_sheet(&[tile.clone(), tile.clone(), tile], 2);
/// assert_eq!(sheet.dimensions(), (2 * 14 + 4, 2 * 12 + 4));
/// ```
#[must_use]
pub fn contact_sheet(images: &[RgbImage], columns: usize) -> RgbImage {
    let columns = columns.clamp(1, images.len().max(1)) as u32;
    let rows = (images.len() as u32).div_ceil(columns);
    let cell_width = images.iter().map(RgbImage::width).max().unwrap_or(0) + GAP_PX;
    let cell_height = images.iter().map(RgbImage::height).max().unwrap_or(0) + GAP_PX;
    let mut sheet = RgbImage::from_pixel(
        columns * cell_width + GAP_PX,
        rows * cell_height + GAP_PX,
        image::Rgb([255; 3]),
    );
    for (i, image) in (0u32..).zip(images) {
        let left = (i % columns) * cell_width + GAP_PX;
        let top = (i / columns) * cell_height + GAP_PX;
        imageops::replace(&mut sheet, image, left.into(), top.into());
    }
    sheet
}

#[cfg(test)]
mod tests {
    use super::contact_sheet;
    use image::{Rgb, RgbImage};

    #[test]
    fn images_lie_in_rows_on_white() {
        let tile = |v: u8| RgbImage::from_pixel(6, 4, Rgb([v; 3]));
        let sheet = contact_sheet(&[tile(10), tile(20), tile(30)], 2);
        assert_eq!(sheet.get_pixel(4, 4)[0], 10);
        assert_eq!(sheet.get_pixel(14, 4)[0], 20);
        assert_eq!(sheet.get_pixel(4, 12)[0], 30);
        assert_eq!(sheet.get_pixel(14, 12)[0], 255);
        assert_eq!(contact_sheet(&[], 3).dimensions(), (8, 4));
    }
}
