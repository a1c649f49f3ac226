//! Contact sheet of augmented images: each row is an image as validation sees it, then some times as training
//! does.

use data::augment::{self, Augment};
use data::{Limits, Preprocess, RgbImage, Sample};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rayon::prelude::*;

use crate::error::Result;

/// How a contact sheet is drawn.
#[derive(Clone, Copy, Debug)]
pub struct ContactSheet<'a> {
    /// Augmentation of all images but the first of each row.
    pub augment: &'a Augment,
    /// Determines the size of the images.
    pub preprocess: &'a Preprocess,
    pub columns: usize,
    pub seed: u64,
}

impl ContactSheet<'_> {
    /// Draws one row per sample.
    pub fn draw(&self, samples: &[&Sample]) -> Result<RgbImage> {
        let rows = samples.par_iter().enumerate();
        let rows: Result<Vec<Vec<RgbImage>>> =
            rows.map(|(row, sample)| self.row(row, sample)).collect();
        Ok(augment::contact_sheet(&rows?.concat(), self.columns))
    }

    fn row(&self, row: usize, sample: &Sample) -> Result<Vec<RgbImage>> {
        let color = self.preprocess.color();
        let image = data::decode::open_as(&sample.path, color, &Limits::default())?;
        let original = self.preprocess.geometry(&image)?;
        // As the loader does: without a crop of its own, augmentation works on the preprocessed crop.
        let source = match self.augment.has_crop() {
            true => &image,
            false => &original,
        };
        // A generator per row: rows are drawn in parallel, in any order.
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed.wrapping_add(row as u64));
        let augmented = (1..self.columns)
            .map(|_| {
                self.augment
                    .apply(source, self.preprocess.size(), &mut rng)
                    .rgb
            })
            .collect();
        Ok([vec![original.rgb], augmented].concat())
    }
}

/// `count` samples, evenly spread, so that every class has its share.
pub fn spread(samples: &[Sample], count: usize) -> Vec<&Sample> {
    let count = count.min(samples.len());
    (0..count)
        .filter_map(|index| samples.get(index * samples.len() / count))
        .collect()
}
