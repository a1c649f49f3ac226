//! Folds of identities: each identity is held out once, with pairs among those that are held out together.

use super::{PairOptions, Pairs, draw};
use crate::split::train_val_counts;
use crate::{Dataset, Error, Result, Sample, Split};
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use std::collections::BTreeSet;

/// Identities of a split: with fewer, there is no pair of two, though one with forgeries has pairs of both answers.
const FEWEST: usize = 2;

pub(super) fn folds(pairs: &Pairs, count: usize, options: &PairOptions) -> Result<Vec<Pairs>> {
    let images = &pairs.images;
    let samples: Vec<&Sample> = images.train.iter().chain(&images.val).collect();
    let labels: BTreeSet<u32> = samples.iter().map(|sample| sample.label).collect();
    let mut labels: Vec<u32> = labels.into_iter().collect();
    labels.shuffle(&mut ChaCha8Rng::seed_from_u64(options.seed));
    let too_few = || {
        Error::with_hint(
            format!(
                "`{}` has {} identities for training and validation, too few for {count} folds",
                images.root.display(),
                labels.len()
            ),
            "take fewer folds: what is held out, validation and training need two identities each, one of them with two \
             images",
        )
    };
    let fold = |fold: usize| {
        let is_held_out = |turn: usize| turn % count == fold;
        let turns = labels.iter().enumerate();
        let (test, others): (Vec<_>, Vec<_>) = turns.partition(|(turn, _)| is_held_out(*turn));
        let num_val = train_val_counts(others.len())[1].max(FEWEST);
        let identities = |turns: &[(usize, &u32)]| -> BTreeSet<u32> {
            turns.iter().map(|(_, label)| **label).collect()
        };
        let (val, train) = others.split_at_checked(num_val).ok_or_else(too_few)?;
        let [train, val, test] = [train, val, test.as_slice()].map(identities);
        let of = |identities: &BTreeSet<u32>| -> Vec<Sample> {
            let samples = samples.iter().copied();
            samples
                .filter(|sample| identities.contains(&sample.label))
                .cloned()
                .collect()
        };
        let pairs = draw::of_images(
            Dataset {
                root: images.root.clone(),
                classes: images.classes.clone(),
                train: of(&train),
                val: of(&val),
                test: of(&test),
                left_out: Vec::new(),
                notes: Vec::new(),
            },
            options,
        );
        let num_identities = [train, val, test].map(|identities| identities.len());
        let is_enough = num_identities.iter().all(|count| *count >= FEWEST);
        let has_both = |split: &Split| pairs.has_both_answers(*split);
        if is_enough && Split::ALL.iter().all(has_both) {
            Ok(pairs)
        } else {
            Err(too_few())
        }
    };
    (0..count).map(fold).collect()
}
