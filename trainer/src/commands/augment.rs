//! `trainer augment`: a contact sheet of augmented images.

use std::io::Cursor;

use anyhow::Context;
use console::{ExitStatus, Printer};
use data::augment::Augment;
use data::{Dataset, Preprocess, RgbImage};
use image::imageops;
use report::contact_sheet::{self, ContactSheet};

use crate::cli::AugmentArgs;
use crate::error::Error;
use crate::inspect::overlay;
use crate::resolve;

/// Images in a row: the original and seven augmented ones.
const COLUMNS: usize = 8;
/// Height of the legend above the images, and the margin of its text.
const LEGEND_PX: u32 = 40;
const MARGIN_PX: u32 = 8;

pub fn run(args: &AugmentArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let cache = data::cache::dir(args.cache.as_deref())?;
    let name = crate::recipe::data_name(&args.data, &cache)?;
    let dataset = Dataset::open(&resolve::data_path(&name, &cache, printer)?, args.seed)?;
    let samples = [&dataset.train, &dataset.val, &dataset.test]
        .into_iter()
        .find(|samples| !samples.is_empty())
        .with_context(|| format!("`{name}` has no images"))?;
    let augment = args.augment.clone().unwrap_or_default();
    let chosen = contact_sheet::spread(samples, args.count as usize);
    let sheet = ContactSheet {
        augment: &augment,
        preprocess: &Preprocess::imagenet(),
        columns: COLUMNS,
        seed: args.seed,
    };
    let sheet = sheet.draw(&chosen).map_err(Error::from)?;
    let sheet = with_legend(&sheet, &augment);
    let mut bytes = Cursor::new(Vec::new());
    sheet.write_to(&mut bytes, image::ImageFormat::Png)?;
    data::write::atomically(&args.out, bytes.get_ref())?;
    printer.log(format!("augmentation: {augment}"));
    printer.result(format!(
        "wrote `{}`: {} images",
        args.out.display(),
        chosen.len()
    ))?;
    Ok(ExitStatus::Success)
}

/// Says above the columns what they show.
fn with_legend(sheet: &RgbImage, augment: &Augment) -> RgbImage {
    let (width, height) = sheet.dimensions();
    let mut canvas = RgbImage::from_pixel(width, height + LEGEND_PX, image::Rgb([255; 3]));
    imageops::replace(&mut canvas, sheet, 0, LEGEND_PX.into());
    overlay::write(&mut canvas, "as it is", MARGIN_PX, MARGIN_PX);
    let second_column = width / COLUMNS as u32;
    let text = format!("as training sees it: {augment}");
    overlay::write(&mut canvas, &text, second_column + MARGIN_PX, MARGIN_PX);
    canvas
}

#[cfg(test)]
mod tests {
    use data::RgbImage;
    use data::augment::Augment;

    use super::{LEGEND_PX, with_legend};

    #[test]
    fn the_columns_are_named_above_the_images() {
        let sheet = RgbImage::from_pixel(800, 60, image::Rgb([9, 90, 9]));
        let named = with_legend(&sheet, &Augment::default());
        assert_eq!(named.dimensions(), (800, 60 + LEGEND_PX));
        assert_eq!(named.get_pixel(0, LEGEND_PX), sheet.get_pixel(0, 0));
        let has_ink = |from: u32, to: u32| {
            let mut band = (from..to).flat_map(|x| (0..LEGEND_PX).map(move |y| (x, y)));
            band.any(|(x, y)| named.get_pixel(x, y).0 != [255; 3])
        };
        assert!(has_ink(0, 100) && has_ink(100, 400));
    }
}
