//! `trainer augment`: a contact sheet of augmented images.

use std::io::Cursor;

use anyhow::Context;
use console::{ExitStatus, Printer};
use data::{Dataset, Preprocess};
use report::contact_sheet::{self, ContactSheet};

use crate::cli::AugmentArgs;
use crate::error::Error;
use crate::resolve;

/// Images in a row: the original and seven augmented ones.
const COLUMNS: usize = 8;

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
