//! What a run trains on: decoded pictures, or the kept features of a frozen backbone.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use data::audit::Audit;
use data::images::Images;
use data::loader::Loader;
use data::{Dataset, Limits, Preprocess, Sample, Split, Tally};
use models::Network;

use super::closing::Scored;
use crate::answers::{Answer, Answers};
use crate::error::{Error, Result};
use crate::features::{Cupboard, Extractor, Found, Options, RowBatch, RowLoader, Rows, View};
use crate::fit::{Feed, step};
use crate::printer::Printer;
use crate::recipe::{Recipe, Views};
use crate::stage::{self, Machine};

/// What a run trains on.
pub(super) enum Stock {
    /// Pictures, from which every step computes anew.
    Pictures {
        train: Loader,
        val: Loader,
        val_images: Arc<Images>,
    },
    /// What the frozen part makes of them.
    Features(Box<Features>),
}

/// Rows, and what makes more of them.
pub(super) struct Features {
    pub(super) extractor: Extractor,
    pub(super) train: RowLoader,
    pub(super) val: RowLoader,
}

impl Recipe {
    /// The views whose features are computed once; none where every epoch has its own.
    fn kept_views(&self) -> Option<Vec<View>> {
        let Some(Views::Kept(count)) = self.views else {
            return None;
        };
        // Without augmentation there is one way to look at a picture.
        let count = if self.augment.ops.is_empty() {
            1
        } else {
            count
        };
        Some(View::first(count, &self.augment))
    }
}

impl Stock {
    /// Whether [`Stock::features`] is the one to open.
    pub(super) fn is_features(recipe: &Recipe, network: &Network) -> bool {
        network.is_frozen() && recipe.kept_views().is_some()
    }

    /// Decodes the pictures.
    pub(super) fn pictures(
        machine: &Machine<'_>,
        recipe: &Recipe,
        dataset: &Dataset,
        preprocess: &Preprocess,
    ) -> Result<Self> {
        let [train, val_images] = machine.pictures(recipe, dataset)?;
        Ok(Self::Pictures {
            train: machine.train_loader(recipe, &train, preprocess),
            val: machine.val_loader(recipe, &val_images, preprocess),
            val_images,
        })
    }

    /// Finds or computes the features; `None` when `stop` was set meanwhile.
    pub(super) fn features(
        machine: &Machine<'_>,
        recipe: &Recipe,
        (dataset, audit): (&Dataset, &Audit),
        (network, preprocess): (&Network, &Preprocess),
        stop: &AtomicBool,
    ) -> Result<Option<Self>> {
        let options = Options {
            cupboard: Cupboard::new(&machine.cache, recipe.feature_cache.0),
            device: recipe.device,
            threads: machine.threads,
            memory_bytes: recipe.memory.0,
            strict: recipe.strict_images,
        };
        let mut extractor = Extractor::new(network, preprocess, options);
        let views = recipe.kept_views().unwrap_or_default();
        let num_val_views = if recipe.augment_val { views.len() } else { 1 };
        let parts = [
            (&dataset.train, "train", &views[..]),
            (&dataset.val, "val", &views[..num_val_views]),
        ];
        let mut rows = vec![];
        for (samples, what, views) in parts {
            extractor.know(samples, &|path| audit.hash(path));
            match look(
                &mut extractor,
                samples,
                (what, views),
                stop,
                machine.printer,
            )? {
                Some(found) => rows.push(found),
                None => return Ok(None),
            }
        }
        let (Some(val), Some(train)) = (rows.pop(), rows.pop()) else {
            return Ok(None);
        };
        Ok(Some(Self::Features(Box::new(Features {
            extractor,
            train: RowLoader::new(train, recipe.batch, Some(recipe.seed)),
            val: RowLoader::new(val, recipe.batch, None),
        }))))
    }

    /// Lets go of the training pictures, which are most of the memory; training is over.
    pub(super) fn end_training(&mut self) {
        if let Self::Pictures { train, val, .. } = self {
            *train = val.clone();
        }
    }

    /// Training and validation.
    pub(super) fn feeds(&self) -> [Feed<'_>; 2] {
        match self {
            Self::Pictures { train, val, .. } => [Feed::Pictures(train), Feed::Pictures(val)],
            Self::Features(features) => [&features.train, &features.val].map(Feed::Features),
        }
    }

    /// The readable training and validation images.
    pub(super) fn num_images(&self) -> [usize; 2] {
        match self {
            Self::Pictures { train, val, .. } => [train, val].map(Loader::num_images),
            Self::Features(features) => {
                [&features.train, &features.val].map(|loader| loader.rows().samples().len())
            }
        }
    }

    /// Real images that the file is verified with, each `[3, H, W]`.
    pub(super) fn verification_images(&self, preprocess: &Preprocess) -> Result<Vec<Vec<f32>>> {
        let [_, available] = self.num_images();
        match self {
            Self::Pictures { val_images, .. } => {
                stage::verification_images(available, preprocess, |place| val_images.get(place))
            }
            Self::Features(features) => {
                let samples = features.val.rows().samples();
                stage::verification_images(available, preprocess, |place| {
                    Ok(data::decode::open(
                        &samples[place].path,
                        &Limits::default(),
                    )?)
                })
            }
        }
    }
}

impl Features {
    /// Whether the kept features of the verification images give the logits that Burn computed
    /// from their pixels: a last guard against features of another time.
    pub(super) fn hold(&self, network: &Network, logits: &[Vec<f32>]) -> Result<bool> {
        let rows = self.val.rows();
        let places = stage::spread(rows.samples().len());
        let found = classify(network, &rows.plain(places))?;
        Ok(crate::verify::same(logits, found))
    }

    /// Scores of a split by its features; `None` when `stop` was set meanwhile.
    pub(super) fn score(
        &mut self,
        network: &Network,
        dataset: &Dataset,
        split: Split,
        stop: &AtomicBool,
        printer: &Printer,
    ) -> Result<Option<Scored>> {
        let of_test;
        let rows = if split == Split::Val {
            self.val.rows()
        } else {
            let samples = dataset.samples(split);
            let what = (&*split.to_string(), &[View::Plain][..]);
            match look(&mut self.extractor, samples, what, stop, printer)? {
                Some(found) => of_test = found,
                None => return Ok(None),
            }
            &of_test
        };
        let mut tally = Tally::new(dataset.classes.clone());
        let batch = rows.plain(0..rows.samples().len());
        let mut answers = vec![];
        for (logits, sample) in classify(network, &batch)?.iter().zip(rows.samples()) {
            tally.add(logits, sample.label);
            answers.push(Answer::new(&sample.relative, sample.label as usize, logits));
        }
        let answers = Answers {
            split,
            classes: dataset.classes.clone(),
            rows: answers,
        };
        let scores = tally.scores();
        Ok(Some(Scored { scores, answers }))
    }
}

/// Logits of rows: the classification layer alone.
pub(super) fn classify(network: &Network, batch: &RowBatch) -> Result<Vec<Vec<f32>>> {
    let features = step::rows(batch, &step::device(network));
    let logits = step::read(network.classify(features))?;
    let num_classes = network.num_classes();
    Ok(logits
        .chunks_exact(num_classes)
        .map(<[f32]>::to_vec)
        .collect())
}

/// Finds or computes rows, says how many of each, and lists what was left out.
pub(super) fn look(
    extractor: &mut Extractor,
    samples: &[Sample],
    (what, views): (&str, &[View]),
    stop: &AtomicBool,
    printer: &Printer,
) -> Result<Option<Rows>> {
    let mut bar = None;
    let found = extractor.rows(samples, views, stop, &mut |done, missing| {
        let new = || printer.image_bar(&format!("features of {what}"), missing as u64);
        bar.get_or_insert_with(new).set_position(done as u64);
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let Some(found) = found? else {
        return Ok(None);
    };
    for file in &found.unreadable {
        let path = file.path.display();
        printer.warn(format!("left out `{path}`: {}", file.reason));
    }
    if let Some(error) = &found.unkept {
        printer.warn(format!("features are not kept for later: {}", chain(error)));
    }
    printer.log(summary(what, &found));
    Ok(Some(found.rows))
}

/// An error and what caused it, in one line.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

fn summary(what: &str, found: &Found) -> String {
    let rows = &found.rows;
    let views = match rows.num_views() {
        1 => "1 view".to_owned(),
        count => format!("{count} views"),
    };
    let computed = match found.computed {
        0 => "none computed".to_owned(),
        count => {
            let (seconds, rate) = (found.seconds, count as f64 / found.seconds);
            format!("{count} computed in {seconds:.1} s, {rate:.0}/s")
        }
    };
    format!(
        "features of {what}: {views} of {} images, {} kept from before, {computed}",
        rows.samples().len(),
        found.cached,
    )
}
