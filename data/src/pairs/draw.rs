//! Draw of pairs from a folder for each identity: seeded and balanced.

use super::{
    Flaw, FlawKind, Pair, PairKind, PairOptions, Pairs, is_forged, leak, leaked_identities,
    open_identities, shown,
};
use crate::{Dataset, Error, Result, Sample, Split};
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// Draws of a partner that may fail, for each pair: another identity's images may all be taken.
const TRIES: usize = 20;

/// Images of one identity, by their indices in the split.
#[derive(Default)]
struct Identity {
    own: Vec<usize>,
    forged: Vec<usize>,
}

pub(super) fn open(source: &Path, options: &PairOptions) -> Result<Pairs> {
    let mut pairs = drawn(source, options)?;
    let leaked = leaked_identities(&pairs.images);
    if !leaked.is_empty() {
        let leaked: Vec<&str> = leaked.iter().map(|(name, _)| *name).collect();
        return Err(leak(source, &leaked));
    }
    let (single, count) = single_images(&pairs);
    if single.len() == count {
        return Err(Error::with_hint(
            format!("`{}`: every identity has one image only", source.display()),
            "a pair of the same identity needs two images in its folder",
        ));
    }
    if let Some(first) = single.first() {
        let of = single.len();
        pairs.images.notes.push(format!(
            "{of} of {count} identities have fewer than two images of their own, first `{first}`: they are \
             paired with others alone"
        ));
    }
    Ok(pairs)
}

/// As [`open`], with the flaws of the folders in place of errors.
pub(super) fn open_unchecked(source: &Path, options: &PairOptions) -> Result<(Pairs, Vec<Flaw>)> {
    let pairs = drawn(source, options)?;
    let mut flaws: Vec<Flaw> = leaked_identities(&pairs.images)
        .into_iter()
        .map(|(name, splits)| {
            let splits: Vec<&str> = splits.iter().map(|split| split.name()).collect();
            let message = format!("the identity `{name}` is in {}", splits.join(" and "));
            let images = pairs
                .images
                .all()
                .filter(|sample| pairs.images.classes[sample.label as usize] == *name);
            let paths = images.map(|sample| sample.relative.clone()).collect();
            Flaw::of_data(FlawKind::SeveralSplits, message, paths)
        })
        .collect();
    let (single, count) = single_images(&pairs);
    if !single.is_empty() {
        let message = format!(
            "{} of {count} identities have fewer than two images of their own: {}",
            single.len(),
            shown(&single)
        );
        flaws.push(Flaw::of_data(FlawKind::SingleImage, message, Vec::new()));
    }
    Ok((pairs, flaws))
}

fn drawn(source: &Path, options: &PairOptions) -> Result<Pairs> {
    let images = open_identities(source, options.seed)?;
    Ok(of_images(images, options))
}

/// Draws the pairs of every split.
pub(super) fn of_images(images: Dataset, options: &PairOptions) -> Pairs {
    let draw = |split| (split, draw(images.samples(split), options));
    Pairs {
        pairs: Split::ALL.map(draw).into(),
        images,
    }
}

/// The identities with fewer than two images of their own, and the number of all.
fn single_images(pairs: &Pairs) -> (Vec<String>, usize) {
    let (mut single, mut all) = (Vec::new(), HashSet::new());
    for split in Split::ALL {
        for (label, identity) in identities(pairs.images.samples(split)) {
            all.insert(label);
            if identity.own.len() < 2 {
                single.push(pairs.images.classes[label as usize].clone());
            }
        }
    }
    (single, all.len())
}

fn identities(samples: &[Sample]) -> BTreeMap<u32, Identity> {
    let mut identities: BTreeMap<u32, Identity> = BTreeMap::new();
    for (index, sample) in samples.iter().enumerate() {
        let identity = identities.entry(sample.label).or_default();
        match is_forged(&sample.relative) {
            true => identity.forged.push(index),
            false => identity.own.push(index),
        }
    }
    identities
}

/// Pairs of one split: of each identity some of its own images and as many with others, half of them with its
/// forgeries, where it has any.
fn draw(samples: &[Sample], options: &PairOptions) -> Vec<Pair> {
    let identities = identities(samples);
    let labels: Vec<u32> = identities.keys().copied().collect();
    let mut taken = HashSet::new();
    let mut pairs = Vec::new();
    for (label, identity) in &identities {
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        // A stream per identity: another one's images do not change this one's pairs.
        rng.set_stream(u64::from(*label));
        let own = &identity.own;
        let all = own.iter().enumerate();
        let mut same: Vec<(usize, usize)> = all
            .flat_map(|(i, a)| own[i + 1..].iter().map(move |b| (*a, *b)))
            .collect();
        same.shuffle(&mut rng);
        same.truncate(options.per_identity);
        let count = same.len();
        let with_forged = own
            .iter()
            .flat_map(|a| identity.forged.iter().map(move |b| (*a, *b)));
        let mut forged: Vec<(usize, usize)> = with_forged.collect();
        forged.shuffle(&mut rng);
        forged.truncate(count / 2);
        let mut different = Vec::new();
        for _ in 0..TRIES * count {
            if labels.len() < 2 || different.len() + forged.len() == count {
                break;
            }
            let other = &identities[&labels[rng.random_range(0..labels.len() as u64) as usize]];
            if std::ptr::eq(other, identity) || other.own.is_empty() {
                continue;
            }
            let pick = |images: &[usize], rng: &mut ChaCha8Rng| {
                images[rng.random_range(0..images.len() as u64) as usize]
            };
            let (a, b) = (pick(own, &mut rng), pick(&other.own, &mut rng));
            if taken.insert((a.min(b), a.max(b))) {
                different.push((a, b));
            }
        }
        let kinds = [
            (PairKind::Same, same),
            (PairKind::Forged, forged),
            (PairKind::Different, different),
        ];
        for (kind, list) in kinds {
            pairs.extend(list.into_iter().map(|(a, b)| Pair { a, b, kind }));
        }
    }
    pairs
}
