//! Training set of pairs of images: of a frozen backbone an example is how far the features of the two images are apart,
//! computed once.

use std::collections::HashSet;
use std::sync::Arc;

use data::audit::Audit;
use data::images::Images;
use data::{Pair, Pairs, Preprocess, Split};
use models::{Distance, Network};

use super::{FeatureSource, TrainingSet, batching, cached_views, decode_both, extract, extractor};
use crate::context::TrainingContext;
use crate::error::{Error, Result};
use crate::examples::{Batching, Examples, Purpose};
use crate::features::{Extractor, Features, View};
use crate::recipe::Recipe;

/// Examples of pairs, and which pairs they are: those whose images can be read.
pub type PairExamples = (Examples, Vec<Pair>);

impl TrainingSet {
    /// As [`open`](Self::open), of pairs of images.
    pub fn of_pairs(
        pairs: &Pairs,
        audit: &Audit,
        network: &Network,
        preprocess: &Preprocess,
        recipe: &Recipe,
        context: &TrainingContext<'_>,
    ) -> Result<Self> {
        let batching = batching(recipe, preprocess, context);
        let images = &pairs.images;
        let extractor = extractor(images, audit, network, (preprocess, recipe), context);
        let (both, extractor) = match (cached_views(recipe), extractor) {
            (Some(views), Some(mut extractor)) => {
                let both = [
                    (Split::Train, Purpose::Training),
                    (Split::Val, Purpose::Validation),
                ];
                let both = both.map(|(split, purpose)| {
                    let views = views_for(purpose, &views, &batching);
                    let distance = recipe.distance.into();
                    let found = distances(&mut extractor, pairs, split, views, distance, context)?;
                    Ok::<_, Error>((batching.features(Arc::new(found.0), purpose), found.1))
                });
                (both, Some(extractor))
            }
            _ => {
                let [train, val] = decode_both(images, &batching, recipe, context)?;
                let both = [
                    (train, Split::Train, Purpose::Training),
                    (val, Split::Val, Purpose::Validation),
                ];
                let both = both.map(|(images, split, purpose)| {
                    Ok::<_, Error>(of_images(images, (pairs, split), purpose, &batching))
                });
                (both, None)
            }
        };
        let [train, val] = both;
        Ok(Self::with_pairs(train?, val?, batching, extractor))
    }

    /// The pairs of any split, batched for evaluation: those at hand, or else decoded or computed now.
    pub fn pair_evaluation(
        &mut self,
        pairs: &Pairs,
        split: Split,
        recipe: &Recipe,
        context: &TrainingContext<'_>,
    ) -> Result<PairExamples> {
        let purpose = Purpose::Evaluation;
        if split == Split::Val {
            let val = self.val.rebatched(purpose, &self.batching);
            return Ok((val, self.val_pairs.clone()));
        }
        let images = self.evaluation(&pairs.images, split, recipe, context)?;
        Ok(match &images {
            Examples::Images(loader) => {
                let images = Arc::clone(loader.images());
                of_images(images, (pairs, split), purpose, &self.batching)
            }
            Examples::Features(loader) => {
                let (own, moved) = pairs.readable(split, loader.features().samples());
                let distances = loader.features().distances(&moved, recipe.distance.into());
                (self.batching.features(Arc::new(distances), purpose), own)
            }
        })
    }

    /// What a fold of the identities ([`Pairs::folds`]) trains on, and its held-out pairs, batched for evaluation. Images
    /// are not decoded again.
    pub fn for_pair_fold(
        &mut self,
        fold: &Pairs,
        recipe: &Recipe,
        context: &TrainingContext<'_>,
    ) -> Result<(TrainingSet, PairExamples)> {
        let pool = match (&self.train, &self.val) {
            (Examples::Images(train), Examples::Images(val)) => {
                Some(train.images().join(val.images()))
            }
            _ => None,
        };
        let batching = &self.batching;
        let mut extractor = match &mut self.source {
            Some(FeatureSource::Extractor(extractor)) => Some(extractor),
            _ => None,
        };
        let mut examples = |split: Split, purpose: Purpose| match (&pool, &mut extractor) {
            (None, Some(extractor)) => {
                let views = cached_views(recipe).expect("features are of cached views");
                let views = views_for(purpose, &views, batching);
                let distance = recipe.distance.into();
                let (found, own) = distances(extractor, fold, split, views, distance, context)?;
                Ok::<_, Error>((batching.features(Arc::new(found), purpose), own))
            }
            (pool, _) => {
                let pool = pool.as_ref().expect("what are no features are images");
                let images = Arc::new(pool.select(&indices(pool, fold, split)));
                Ok(of_images(images, (fold, split), purpose, batching))
            }
        };
        let train = examples(Split::Train, Purpose::Training)?;
        let val = examples(Split::Val, Purpose::Validation)?;
        let held_out = examples(Split::Test, Purpose::Evaluation)?;
        let data = Self::with_pairs(train, val, self.batching.clone(), None);
        Ok((data, held_out))
    }

    fn with_pairs(
        (train, _): PairExamples,
        (val, val_pairs): PairExamples,
        batching: Batching,
        extractor: Option<Extractor>,
    ) -> Self {
        let classes = data::pairs::CLASSES.map(str::to_owned).to_vec();
        Self {
            val_pairs,
            source: extractor.map(|extractor| FeatureSource::Extractor(Box::new(extractor))),
            ..Self::new(classes, train, val, batching)
        }
    }
}

/// The indices, in a pool of decoded images, of those of a split.
fn indices(pool: &Images, pairs: &Pairs, split: Split) -> Vec<usize> {
    let samples = pairs.images.samples(split).iter();
    let wanted: HashSet<&str> = samples.map(|sample| sample.relative.as_str()).collect();
    let pool = pool.samples().iter().enumerate();
    pool.filter(|(_, sample)| wanted.contains(sample.relative.as_str()))
        .map(|(index, _)| index)
        .collect()
}

/// Pairs of decoded images.
fn of_images(
    images: Arc<Images>,
    (pairs, split): (&Pairs, Split),
    purpose: Purpose,
    batching: &Batching,
) -> PairExamples {
    let (own, moved) = pairs.readable(split, images.samples());
    (batching.pairs(images, moved.into(), purpose), own)
}

/// Validation pairs are of augmented images with `--augment-val` alone.
fn views_for<'a>(purpose: Purpose, views: &'a [View], batching: &Batching) -> &'a [View] {
    let has_all = match purpose {
        Purpose::Training => true,
        Purpose::Validation => batching.augment_val,
        Purpose::Evaluation => false,
    };
    if has_all { views } else { &views[..1] }
}

/// How far the features of the images of pairs are apart, and which pairs these are.
fn distances(
    extractor: &mut Extractor,
    pairs: &Pairs,
    split: Split,
    views: &[View],
    distance: Distance,
    context: &TrainingContext<'_>,
) -> Result<(Features, Vec<Pair>)> {
    let features = extract(extractor, &pairs.images, split, views, context)?;
    let (own, moved) = pairs.readable(split, features.samples());
    Ok((features.distances(&moved, distance), own))
}
