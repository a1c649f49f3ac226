//! `trainer augment`: a contact sheet; each row is a picture as validation sees it, then seven
//! times as training does.

use std::io::Cursor;

use anyhow::Context;
use data::{Dataset, Limits, Preprocess, RgbImage, Sample};
use image::imageops;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::cli::AugmentArgs;
use crate::fault::ExitStatus;
use crate::printer::Printer;
use crate::source;

const COLUMNS: u32 = 8;
const TILE_PX: u32 = 224;
const GAP_PX: u32 = 4;

/// Draws the sheet.
pub fn run(args: &AugmentArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let cache = data::cache::dir(args.cache.as_deref())?;
    let name = source::data_name(&args.data, &cache)?;
    let dataset = Dataset::open(&source::data_path(&name, &cache, printer)?, args.seed)?;
    let samples = [&dataset.train, &dataset.val, &dataset.test]
        .into_iter()
        .find(|samples| !samples.is_empty())
        .with_context(|| format!("`{name}` has no images"))?;
    let augment = args.augment.clone().unwrap_or_default();
    let chosen = spread(samples, args.count as usize);
    let mut sheet = RgbImage::from_pixel(
        COLUMNS * (TILE_PX + GAP_PX) + GAP_PX,
        chosen.len() as u32 * (TILE_PX + GAP_PX) + GAP_PX,
        image::Rgb([255; 3]),
    );
    for (row, sample) in chosen.iter().enumerate() {
        let picture = data::decode::open(&sample.path, &Limits::default())?;
        let mut rng = ChaCha8Rng::seed_from_u64(args.seed.wrapping_add(row as u64));
        for column in 0..COLUMNS {
            let tile = match column {
                0 => Preprocess::imagenet().geometry(&picture)?,
                _ => augment.apply(&picture, (TILE_PX, TILE_PX), &mut rng),
            };
            let at = |index: u32| i64::from(index * (TILE_PX + GAP_PX) + GAP_PX);
            imageops::replace(&mut sheet, &tile, at(column), at(row as u32));
        }
    }
    let mut bytes = Cursor::new(Vec::new());
    sheet.write_to(&mut bytes, image::ImageFormat::Png)?;
    data::write::atomically(&args.out, bytes.get_ref())?;
    printer.log(format!("augmentation: {augment}"));
    printer.result(format!(
        "wrote `{}`: {} pictures",
        args.out.display(),
        chosen.len()
    ));
    Ok(ExitStatus::True)
}

/// `count` samples, evenly spread, so that every class has its share.
fn spread(samples: &[Sample], count: usize) -> Vec<&Sample> {
    let count = count.min(samples.len());
    (0..count)
        .filter_map(|index| samples.get(index * samples.len() / count))
        .collect()
}
