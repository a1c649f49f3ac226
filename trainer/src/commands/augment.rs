//! `trainer augment`: a contact sheet; each row is a picture as validation sees it, then seven
//! times as training does.

use std::io::Cursor;

use anyhow::Context;
use data::augment::contact_sheet;
use data::{Dataset, Limits, Preprocess, Sample};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::cli::AugmentArgs;
use crate::fault::ExitStatus;
use crate::printer::Printer;
use crate::source;

const COLUMNS: usize = 8;

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
    let mut tiles = Vec::with_capacity(COLUMNS * chosen.len());
    for (row, sample) in (0u64..).zip(&chosen) {
        let picture = data::decode::open(&sample.path, &Limits::default())?;
        let plain = Preprocess::imagenet().geometry(&picture)?;
        // As the loader does it: what has no crop of its own varies the prepared picture.
        let from = if augment.has_crop() { &picture } else { &plain };
        let mut rng = ChaCha8Rng::seed_from_u64(args.seed.wrapping_add(row));
        let varied: Vec<_> = (1..COLUMNS)
            .map(|_| augment.apply(from, plain.dimensions(), &mut rng))
            .collect();
        tiles.push(plain);
        tiles.extend(varied);
    }
    let sheet = contact_sheet(&tiles, COLUMNS);
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
