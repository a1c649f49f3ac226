//! A contact sheet of augmented pictures: each row is a picture as validation sees it, then some
//! times as training does.

use data::augment::{self, Augment};
use data::{Limits, Preprocess, RgbImage, Sample};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rayon::prelude::*;

use crate::error::Result;

/// Pictures of `samples`, one row of `columns` each.
///
/// # Errors
/// When a picture cannot be read.
pub fn contact_sheet(
    samples: &[&Sample],
    augment: &Augment,
    preprocess: &Preprocess,
    (columns, seed): (usize, u64),
) -> Result<RgbImage> {
    let row = |(row, sample): (usize, &&Sample)| -> Result<Vec<RgbImage>> {
        let picture = data::decode::open(&sample.path, &Limits::default())?;
        let plain = preprocess.geometry(&picture)?;
        // As the loader does it: what has no crop of its own varies the prepared picture.
        let from = if augment.has_crop() { &picture } else { &plain };
        let mut rng = ChaCha8Rng::seed_from_u64(seed.wrapping_add(row as u64));
        let varied: Vec<_> = (1..columns)
            .map(|_| augment.apply(from, plain.dimensions(), &mut rng))
            .collect();
        Ok([plain].into_iter().chain(varied).collect())
    };
    let rows: Result<Vec<Vec<RgbImage>>> = samples.par_iter().enumerate().map(row).collect();
    Ok(augment::contact_sheet(&rows?.concat(), columns))
}

/// `count` samples, evenly spread, so that every class has its share.
pub fn spread(samples: &[Sample], count: usize) -> Vec<&Sample> {
    let count = count.min(samples.len());
    (0..count)
        .filter_map(|index| samples.get(index * samples.len() / count))
        .collect()
}
