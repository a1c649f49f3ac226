//! Training set of a run, with its validation examples: decoded images, or the features of a frozen backbone. It knows no
//! loop.

mod pairs;

use std::path::Path;
use std::sync::Arc;

use data::audit::Audit;
use data::images::Images;
use data::loader::Order;
use data::{Dataset, Limits, Pair, Pairs, Preprocess, Sample, Split};
use models::Network;
use rayon::prelude::*;

use crate::context::TrainingContext;
use crate::dataset::{self, DecodeOptions};
use crate::error::{Error, Result};
use crate::examples::{Batching, Examples, Purpose};
use crate::features::{
    Extracted, Extractor, ExtractorOptions, FeatureCache, Features, ImportedFeatures, View,
};
use crate::golden_images;
use crate::kfold::Fold;
use crate::recipe::{Recipe, SamplingKind, Views};

pub use pairs::PairExamples;

/// Real images that an exported file is verified with.
const VERIFIED_IMAGES: usize = 16;

/// Training and validation examples of a network.
pub struct TrainingSet {
    /// Class names in output order.
    pub classes: Vec<String>,
    pub train: Examples,
    pub val: Examples,
    /// The validation pairs, in the order of the examples; none of classifiers.
    pub val_pairs: Vec<Pair>,
    /// How both are made into batches.
    pub batching: Batching,
    /// Features of more images, where the network is trained on features.
    source: Option<FeatureSource>,
}

/// Where features come from.
enum FeatureSource {
    Extractor(Box<Extractor>),
    Table(ImportedFeatures),
}

impl TrainingSet {
    /// A training set of examples that are batched already, `batching` as the training examples are.
    pub fn new(classes: Vec<String>, train: Examples, val: Examples, batching: Batching) -> Self {
        Self {
            classes,
            train,
            val,
            val_pairs: Vec::new(),
            batching,
            source: None,
        }
    }

    /// Decodes the images of a data set, or finds or computes their features where the network's backbone is
    /// frozen and sees an image in the same views in every epoch.
    pub fn open(
        dataset: &Dataset,
        audit: &Audit,
        network: &Network,
        preprocess: &Preprocess,
        recipe: &Recipe,
        context: &TrainingContext<'_>,
    ) -> Result<Self> {
        let batching = batching(recipe, preprocess, context);
        let extractor = extractor(dataset, audit, network, (preprocess, recipe), context);
        let data = match (cached_views(recipe), extractor) {
            (Some(views), Some(extractor)) => {
                Self::from_features(dataset, &views, extractor, batching, context)
            }
            _ => Self::from_images(dataset, batching, recipe, context),
        }?;
        data.log_class_weights(recipe, context)?;
        Ok(data)
    }

    /// As [`open`](Self::open), of the features of a table.
    pub fn of_table(
        dataset: &Dataset,
        table: ImportedFeatures,
        preprocess: &Preprocess,
        recipe: &Recipe,
        context: &TrainingContext<'_>,
    ) -> Result<Self> {
        let batching = batching(recipe, preprocess, context);
        let [train, val] = [Split::Train, Split::Val].map(|split| {
            let features = table.features(split);
            context.printer.log(format!(
                "features of {split}: {} images, all from `{}`",
                features.samples().len(),
                table.path().display()
            ));
            features
        });
        let data = Self {
            source: Some(FeatureSource::Table(table)),
            ..Self::new(
                dataset.classes.clone(),
                batching.features(train, Purpose::Training),
                batching.features(val, Purpose::Validation),
                batching,
            )
        };
        data.log_class_weights(recipe, context)?;
        Ok(data)
    }

    fn log_class_weights(&self, recipe: &Recipe, context: &TrainingContext<'_>) -> Result<()> {
        let weights = &recipe.class_weights.0;
        let weights = weights.weights(&self.classes, &self.train.labels())?;
        if let Some(line) = class_weights_line(&self.classes, &weights) {
            context.printer.log(line);
        }
        Ok(())
    }

    fn from_images(
        dataset: &Dataset,
        batching: Batching,
        recipe: &Recipe,
        context: &TrainingContext<'_>,
    ) -> Result<Self> {
        let [train, val] = decode_both(dataset, &batching, recipe, context)?;
        Ok(Self::new(
            dataset.classes.clone(),
            batching.images(train, Purpose::Training),
            batching.images(val, Purpose::Validation),
            batching,
        ))
    }

    fn from_features(
        dataset: &Dataset,
        views: &[View],
        mut extractor: Extractor,
        batching: Batching,
        context: &TrainingContext<'_>,
    ) -> Result<Self> {
        // Validation images are augmented with `--augment-val` alone.
        let val_views = if batching.augment_val {
            views
        } else {
            &views[..1]
        };
        let train = extract(&mut extractor, dataset, Split::Train, views, context)?;
        let val = extract(&mut extractor, dataset, Split::Val, val_views, context)?;
        Ok(Self {
            classes: dataset.classes.clone(),
            train: batching.features(Arc::new(train), Purpose::Training),
            val: batching.features(Arc::new(val), Purpose::Validation),
            val_pairs: Vec::new(),
            batching,
            source: Some(FeatureSource::Extractor(Box::new(extractor))),
        })
    }

    /// Whether the network is trained on features of its frozen backbone.
    pub fn is_features(&self) -> bool {
        self.source.is_some()
    }

    /// The table that the features are from, if they are from one.
    pub fn table(&self) -> Option<&Path> {
        match &self.source {
            Some(FeatureSource::Table(table)) => Some(table.path()),
            _ => None,
        }
    }

    /// Whether the images that an exported file is verified with are here. Those of a table may be elsewhere.
    pub fn has_images(&self) -> bool {
        self.table().is_none() || are_here(self.val.samples())
    }

    /// Numbers of training and validation examples: images, or pairs.
    pub fn num_examples(&self) -> [usize; 2] {
        [&self.train, &self.val].map(|examples| examples.labels().len())
    }

    /// Training and validation examples together, in this order, batched for evaluation: what folds are
    /// drawn from.
    pub fn pool(&self) -> Examples {
        match (&self.train, &self.val) {
            (Examples::Images(train), Examples::Images(val)) => {
                let images = train.images().join(val.images());
                self.batching.images(Arc::new(images), Purpose::Evaluation)
            }
            (Examples::Features(train), Examples::Features(val)) => {
                let features = train.features().join(val.features());
                self.batching
                    .features(Arc::new(features), Purpose::Evaluation)
            }
            _ => unreachable!("both splits are opened in the same way"),
        }
    }

    /// The training set of a fold of [`pool`](Self::pool).
    pub fn for_fold(&self, pool: &Examples, fold: &Fold) -> TrainingSet {
        let select = |indices: &[usize], purpose| pool.select(indices, purpose, &self.batching);
        Self::new(
            self.classes.clone(),
            select(&fold.train, Purpose::Training),
            select(&fold.val, Purpose::Validation),
            self.batching.clone(),
        )
    }

    /// The same examples in the order and the augmentation of another seed.
    pub fn with_seed(&self, seed: u64) -> TrainingSet {
        let batching = Batching {
            seed,
            ..self.batching.clone()
        };
        Self::new(
            self.classes.clone(),
            self.train.rebatched(Purpose::Training, &batching),
            self.val.rebatched(Purpose::Validation, &batching),
            batching,
        )
    }

    /// The examples of any split, batched for evaluation: those at hand, or else decoded or computed now.
    pub fn evaluation(
        &mut self,
        dataset: &Dataset,
        split: Split,
        recipe: &Recipe,
        context: &TrainingContext<'_>,
    ) -> Result<Examples> {
        if split == Split::Val {
            return Ok(self.val.rebatched(Purpose::Evaluation, &self.batching));
        }
        match &mut self.source {
            Some(FeatureSource::Table(table)) => {
                let features = table.features(split);
                Ok(self.batching.features(features, Purpose::Evaluation))
            }
            Some(FeatureSource::Extractor(extractor)) => {
                let features = extract(extractor, dataset, split, &[View::Original], context)?;
                Ok(self
                    .batching
                    .features(Arc::new(features), Purpose::Evaluation))
            }
            None => {
                let options = DecodeOptions {
                    budget_bytes: recipe.memory.0,
                    strict: recipe.strict_images,
                    color: self.batching.preprocess.color(),
                };
                let samples = dataset.samples(split);
                let images = dataset::decode(samples, &split.to_string(), options, context)?;
                Ok(self.batching.images(images, Purpose::Evaluation))
            }
        }
    }

    /// Releases the training images, which are most of the memory, once training is over.
    pub fn release_training_images(&mut self) {
        if let Examples::Images(_) = self.train {
            self.train = self.val.clone();
        }
    }
}

/// How the examples of a recipe are made into batches.
fn batching(recipe: &Recipe, preprocess: &Preprocess, context: &TrainingContext<'_>) -> Batching {
    Batching {
        batch: recipe.batch,
        order: match recipe.sampling {
            SamplingKind::Shuffled => Order::Shuffled,
            SamplingKind::Balanced => Order::Balanced,
        },
        seed: recipe.seed,
        augment: Some(recipe.augment.clone()).filter(|augment| !augment.ops.is_empty()),
        augment_val: recipe.augment_val,
        preprocess: preprocess.clone(),
        threads: context.threads,
    }
}

/// Computes the features of a frozen backbone; none of other networks.
fn extractor(
    dataset: &Dataset,
    audit: &Audit,
    network: &Network,
    (preprocess, recipe): (&Preprocess, &Recipe),
    context: &TrainingContext<'_>,
) -> Option<Extractor> {
    let options = ExtractorOptions {
        cache: FeatureCache::new(&context.cache, recipe.feature_cache.0),
        provider: context.provider,
        threads: context.threads,
        memory_bytes: recipe.memory.0,
        strict: recipe.strict_images,
    };
    let mut extractor = Extractor::new(network.backbone()?, preprocess, options);
    for samples in [&dataset.train, &dataset.val] {
        extractor.add_hashes(samples, &|path| audit.hash(path));
    }
    Some(extractor)
}

/// The decoded training and validation images, which share the memory in proportion to their numbers.
fn decode_both(
    dataset: &Dataset,
    batching: &Batching,
    recipe: &Recipe,
    context: &TrainingContext<'_>,
) -> Result<[Arc<Images>; 2]> {
    let num_images = (dataset.train.len() + dataset.val.len()).max(1);
    let decode = |split: Split| {
        let samples = dataset.samples(split);
        // In 128 bits: bytes times images may exceed 64.
        let budget = u128::from(recipe.memory.0) * samples.len() as u128 / num_images as u128;
        let options = DecodeOptions {
            budget_bytes: budget as u64,
            strict: recipe.strict_images,
            color: batching.preprocess.color(),
        };
        dataset::decode(samples, &split.to_string(), options, context)
    };
    Ok([decode(Split::Train)?, decode(Split::Val)?])
}

/// The views whose features are computed once; none where every epoch has its own.
fn cached_views(recipe: &Recipe) -> Option<Vec<View>> {
    let Some(Views::Kept(count)) = recipe.views else {
        return None;
    };
    // Without augmentation there is one view of an image.
    let count = if recipe.augment.ops.is_empty() {
        1
    } else {
        count
    };
    Some(View::first(count, &recipe.augment))
}

/// The class weights, or of many the least and the largest; nothing where all count the same.
fn class_weights_line(classes: &[String], weights: &[f64]) -> Option<String> {
    let pairs: Vec<String> = classes
        .iter()
        .zip(weights)
        .map(|(class, weight)| format!("{class} {weight:.2}"))
        .collect();
    let by_weight = |a: &usize, b: &usize| weights[*a].total_cmp(&weights[*b]);
    let least = (0..pairs.len()).min_by(by_weight)?;
    let largest = (0..pairs.len()).max_by(by_weight)?;
    Some(match pairs.len() {
        ..=6 => format!("class weights: {}", pairs.join(", ")),
        _ => format!("class weights: from {} to {}", pairs[least], pairs[largest]),
    })
}

/// Finds or computes features, logs how many of each, and lists what was left out.
fn extract(
    extractor: &mut Extractor,
    dataset: &Dataset,
    split: Split,
    views: &[View],
    context: &TrainingContext<'_>,
) -> Result<Features> {
    let printer = context.printer;
    let mut bar = None;
    let samples = dataset.samples(split);
    let extracted = extractor.extract(samples, views, &context.interrupt, &mut |done, missing| {
        let new = || printer.image_bar(&format!("features of {split}"), missing as u64);
        // No bar where all features are in the cache.
        bar.get_or_insert_with(new).set_position(done as u64);
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let extracted = extracted?;
    dataset::warn_left_out(&extracted.unreadable, printer);
    if let Some(error) = &extracted.cache_error {
        printer.warn(format!(
            "features are not kept for later: {}",
            with_causes(error)
        ));
    }
    printer.log(extraction_line(split, &extracted));
    Ok(extracted.features)
}

/// An error and what caused it, in one line.
fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

fn extraction_line(split: Split, extracted: &Extracted) -> String {
    let features = &extracted.features;
    let views = match features.num_views() {
        1 => "1 view".to_owned(),
        count => format!("{count} views"),
    };
    let computed = match extracted.num_computed {
        0 => "none computed".to_owned(),
        count => {
            let (seconds, rate) = (extracted.seconds, count as f64 / extracted.seconds);
            format!("{count} computed in {seconds:.1} s, {rate:.0}/s")
        }
    };
    format!(
        "features of {split}: {views} of {} images, {} from the cache, {computed}",
        features.samples().len(),
        extracted.num_cached,
    )
}

/// Which of `available` images a file is verified with: 16 of them, evenly spread.
pub fn verified_indices(available: usize) -> Vec<usize> {
    let count = available.min(VERIFIED_IMAGES);
    (0..count).map(|index| index * available / count).collect()
}

/// Whether the images that a file is verified with can be read.
pub fn are_here(samples: &[Sample]) -> bool {
    let mut indices = verified_indices(samples.len()).into_iter();
    indices.all(|index| samples[index].path.is_file())
}

/// Real pairs for the verification of an exported verifier, each image `[3, H, W]`.
pub fn verification_pairs(pairs: &Pairs, preprocess: &Preprocess) -> Result<Vec<[Vec<f32>; 2]>> {
    let val = pairs.of(Split::Val);
    let prepare = |sample: &Sample| {
        let image = data::decode::open_as(&sample.path, preprocess.color(), &Limits::default())?;
        Ok::<_, Error>(preprocess.apply(&image)?)
    };
    let pair = |index: usize| {
        let [a, b] = pairs.images_of(Split::Val, &val[index]);
        Ok([prepare(a)?, prepare(b)?])
    };
    verified_indices(val.len())
        .into_par_iter()
        .map(pair)
        .collect()
}

/// Images for the verification of an exported file, each `[3, H, W]`: real ones, or drawn ones where a table of features is
/// all there is.
pub fn images_to_verify(data: &TrainingSet, preprocess: &Preprocess) -> Result<Vec<Vec<f32>>> {
    match data.has_images() {
        true => verification_images(&data.val, preprocess),
        false => golden_images::prepared(preprocess),
    }
}

/// Real images for the verification of an exported file, each `[3, H, W]`.
pub fn verification_images(examples: &Examples, preprocess: &Preprocess) -> Result<Vec<Vec<f32>>> {
    let color = preprocess.color();
    let prepare = |index| Ok(preprocess.apply(&*examples.image(index, color)?)?);
    verified_indices(examples.samples().len())
        .into_par_iter()
        .map(prepare)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::class_weights_line;

    #[test]
    fn class_weights_are_named_or_of_many_their_range() {
        let names = |count: usize| (0..count).map(|i| format!("c{i}")).collect::<Vec<_>>();
        let line = |weights: &[f64]| class_weights_line(&names(weights.len()), weights);
        assert_eq!(class_weights_line(&names(2), &[]), None);
        let two = line(&[0.5, 3.0]).unwrap();
        assert_eq!(two, "class weights: c0 0.50, c1 3.00");
        let many = line(&[1.0, 2.0, 0.25, 1.0, 1.0, 7.5, 1.0]).unwrap();
        assert_eq!(many, "class weights: from c2 0.25 to c5 7.50");
    }
}
