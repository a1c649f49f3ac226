//! Probe of backbones: how good a classification layer on their features is, and what an image costs.
//!
//! Each is measured as `fit` would use it: a layer at its minimum on cached features, on the same folds of the training
//! and validation images. Test images stay untouched. It prints nothing but its progress.

use std::sync::Arc;
use std::time::Instant;

use data::metrics::negative_log_likelihood;
use data::{Audit, Dataset};
use deploy::Session;
use fs_err as fs;
use models::Backbone;
use onnx::ModelFile;
use report::run_files::MeanInterval;
use serde::Serialize;

use crate::backbone::{self, session_options};
use crate::calibrate::mean_and_error;
use crate::context::TrainingContext;
use crate::cross_validation::score_folds;
use crate::dataset;
use crate::error::{Error, Result};
use crate::examples::Examples;
use crate::features::Features;
use crate::head;
use crate::kfold::{HeldOut, KFold};
use crate::model::Model;
use crate::preprocessing::InputPreprocess;
use crate::recipe::Recipe;
use crate::resolve;
use crate::training_set::{TrainingSet, verification_images};

/// Folds that `--backbone auto` draws.
const FOLDS: usize = 5;
/// Timed runs of each backbone, in turns: what slows the machine down for a while slows all of them.
const ROUNDS: usize = 15;
/// Runs before them, which are not timed.
const WARM_UP: usize = 2;

/// Probed backbones, and the one that is recommended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Probe {
    /// Number of images, each held out once.
    pub count: usize,
    pub folds: usize,
    /// The fastest first.
    pub backbones: Vec<Probed>,
    /// Name of the recommended one.
    pub recommended: String,
    /// Why, in one sentence.
    pub reason: String,
}

/// A probed backbone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Probed {
    /// As it was typed.
    pub name: String,
    pub sha256: String,
    /// Share of right answers on held-out images, `[0, 1]`.
    pub accuracy: MeanInterval,
    /// Negative log-likelihood of held-out images, in nats.
    pub loss: MeanInterval,
    /// Time of one image on one thread, the median.
    pub milliseconds: f64,
    /// Size of the file.
    pub bytes: u64,
    /// Width of its features.
    pub features: usize,
    /// Licence of the weights, where it is known.
    pub licence: Option<String>,
    /// The loss of each held-out image.
    #[serde(skip)]
    pub losses: Vec<f64>,
}

/// What is measured of a backbone before its time.
struct Scored {
    probed: Probed,
    backbone: Arc<Backbone>,
    /// A prepared image.
    image: Vec<f32>,
}

/// Probes backbones, names or ONNX files, on the data of a recipe.
///
/// # Errors
/// When the data cannot be trained on or is too small for folds, or a backbone cannot be used.
pub fn probe(names: &[String], recipe: &Recipe, context: &TrainingContext<'_>) -> Result<Probe> {
    let folds = recipe.folds.unwrap_or(FOLDS);
    let recipe = &Recipe {
        // Before any feature is computed: `open_for_training` refuses data that is too small for them.
        folds: Some(folds),
        ..recipe.clone()
    };
    let (dataset, _) = dataset::open_for_training(recipe, None, context)?;
    let audit = dataset::audit(&dataset, context.printer);
    let mut scored = vec![];
    for name in names {
        context.printer.log(format!("backbone {name}"));
        let recipe = Recipe {
            backbone: Some(name.clone()),
            ..recipe.clone()
        };
        scored.push(score(name, &dataset, &audit, &recipe, context)?);
    }
    let times = milliseconds(&scored)?;
    let mut backbones: Vec<Probed> = scored.into_iter().map(|scored| scored.probed).collect();
    for (backbone, time) in backbones.iter_mut().zip(times) {
        backbone.milliseconds = time;
    }
    backbones.sort_by(|a, b| a.milliseconds.total_cmp(&b.milliseconds));
    let (recommended, reason) = recommend(&backbones, folds);
    Ok(Probe {
        count: backbones[0].losses.len(),
        folds,
        recommended,
        reason,
        backbones,
    })
}

/// The backbone that `--backbone auto` stands for: the recommended one of those that have a name and are in the cache.
pub fn choose(recipe: &Recipe, context: &TrainingContext<'_>) -> Result<String> {
    let names = resolve::cached_backbones(&context.cache);
    match names.as_slice() {
        [] => Err(Error::refused_with_hint(
            "`--backbone auto` chooses among the backbones in the cache, and there is none",
            "fetch some, such as `trainer fetch efficientnet-lite0`, or name one with `--backbone`",
        )),
        [name] => {
            context.printer.log(format!(
                "--backbone auto: {name}, the only one in the cache"
            ));
            Ok(name.clone())
        }
        names => {
            let probe = probe(names, recipe, context).map_err(|error| match error {
                Error::Setting { reason, .. } => Error::refused_with_hint(
                    format!("`--backbone auto` cannot choose: {reason}"),
                    format!("name one of {} with `--backbone`", names.join(", ")),
                ),
                error => error,
            })?;
            context.printer.log(format!(
                "--backbone auto, of {}: {}",
                names.join(", "),
                probe.reason
            ));
            Ok(probe.recommended)
        }
    }
}

/// Scores a backbone on the held-out images of all folds.
fn score(
    name: &str,
    dataset: &Dataset,
    audit: &Audit,
    recipe: &Recipe,
    context: &TrainingContext<'_>,
) -> Result<Scored> {
    let preprocess = InputPreprocess::decide(recipe, context)?;
    let steps = &preprocess.preprocess;
    let (images, num_classes) = (preprocess.images(), dataset.classes.len());
    let network = Model::build(recipe, images, num_classes, context)?.network;
    preprocess.log(context.printer);
    let backbone = network.backbone();
    let backbone = Arc::clone(backbone.expect("the recipe has a frozen backbone"));
    backbone::prove_on(dataset, &network, steps, context.printer)?;
    let data = TrainingSet::open(dataset, audit, &network, steps, recipe, context)?;
    let Examples::Features(pool) = data.pool() else {
        unreachable!("a recipe without views of its own keeps its features")
    };
    let (features, folds) = (pool.features(), recipe.folds.unwrap_or(FOLDS));
    let kfold = KFold::new(features.samples(), &data.classes, folds, recipe.seed)?;
    let held_out = held_out_logits(features, &kfold, &data, context)?;
    let rows = held_out.logits.iter().zip(&held_out.labels);
    let losses = rows.map(|(row, label)| negative_log_likelihood(row, *label));
    let scores = score_folds(&kfold, &held_out);
    let images = verification_images(&data.val, &data.batching.preprocess)?;
    Ok(Scored {
        probed: Probed {
            name: name.to_owned(),
            sha256: backbone.file.sha256.clone(),
            accuracy: scores.accuracy,
            loss: scores.loss,
            milliseconds: 0.0,
            bytes: fs::metadata(&backbone.file.path)?.len(),
            features: backbone.width,
            licence: preprocess.backbone_licence,
            losses: losses.collect(),
        },
        backbone,
        image: images.into_iter().next().expect("a split has an image"),
    })
}

/// Logits of every image by a layer that was fitted to the other folds, its penalty chosen within them.
fn held_out_logits(
    features: &Features,
    kfold: &KFold,
    data: &TrainingSet,
    context: &TrainingContext<'_>,
) -> Result<HeldOut> {
    let (num_classes, seed) = (data.classes.len(), data.batching.seed);
    let mut parts = vec![];
    for fold in 0..kfold.folds() {
        let fold = kfold.fold(fold);
        let others = features.select(&[fold.train, fold.val].concat(), 1);
        let stop = context.interrupt.flag();
        let (head, _) = head::fit(&others, num_classes, &[], None, seed, stop);
        context.interrupt.check()?;
        let logits = fold
            .held_out
            .iter()
            .map(|i| head.logits(features.row(0, *i)));
        parts.push(logits.collect());
    }
    Ok(kfold.gather(parts))
}

/// The median time of an image on one thread, for each backbone.
fn milliseconds(scored: &[Scored]) -> Result<Vec<f64>> {
    let open = |scored: &Scored| -> Result<Session> {
        let backbone = &scored.backbone;
        let document = backbone.file.features(backbone.takes_any_batch)?;
        let file = ModelFile::from_bytes(document.to_bytes())?;
        let options = session_options(backbone.image_shape, 1);
        Ok(Session::from_file(&file, &options)?)
    };
    let mut sessions: Vec<Session> = scored.iter().map(open).collect::<Result<_>>()?;
    let mut times = vec![vec![]; scored.len()];
    for round in 0..WARM_UP + ROUNDS {
        for ((session, scored), times) in sessions.iter_mut().zip(scored).zip(&mut times) {
            let started = Instant::now();
            session.run(&scored.image, 1)?;
            if round >= WARM_UP {
                times.push(1e3 * started.elapsed().as_secs_f64());
            }
        }
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    Ok(times.into_iter().map(median).collect())
}

/// The fastest whose log loss is within one standard error of the least, and why. `backbones` are sorted by time.
///
/// The difference is paired by image, and its error corrected for folds that share their training images, as
/// `score_folds` has it.
fn recommend(backbones: &[Probed], folds: usize) -> (String, String) {
    let best = backbones
        .iter()
        .min_by(|a, b| a.loss.mean.total_cmp(&b.loss.mean))
        .expect("at least one backbone is probed");
    let folds = folds as f64;
    let correction = 1.0 + folds / (folds - 1.0);
    let difference = |backbone: &Probed| {
        let pairs = backbone.losses.iter().zip(&best.losses);
        let (mean, error) = mean_and_error(&pairs.map(|(a, b)| a - b).collect::<Vec<_>>());
        (mean, error * correction.sqrt())
    };
    let is_equal = |backbone: &&Probed| {
        let (mean, error) = difference(backbone);
        mean <= error
    };
    let chosen = backbones.iter().find(is_equal).unwrap_or(best);
    let name = &chosen.name;
    let reason = if chosen.name != best.name {
        let (mean, error) = difference(chosen);
        let time = chosen.milliseconds / best.milliseconds;
        format!(
            "take {name}: its log loss is {mean:.3} above that of {} (standard error {error:.3}), in {time:.2} of \
             the time",
            best.name
        )
    } else if backbones.len() == 1 {
        format!("take {name}: no other was probed")
    } else if backbones[0].name == best.name {
        format!("take {name}: it has the least log loss and is the fastest")
    } else {
        format!(
            "take {name}: it has the least log loss, by more than a standard error before every faster one"
        )
    };
    (name.clone(), reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probed(name: &str, milliseconds: f64, losses: &[f64]) -> Probed {
        let (mean, _) = mean_and_error(losses);
        let loss = MeanInterval {
            mean,
            interval: [mean; 2],
        };
        Probed {
            name: name.into(),
            sha256: String::new(),
            accuracy: loss,
            loss,
            milliseconds,
            bytes: 0,
            features: 0,
            licence: None,
            losses: losses.to_vec(),
        }
    }

    #[test]
    fn the_fastest_within_one_standard_error_of_the_best_is_recommended() {
        let best = probed("best", 9.0, &[0.1, 0.3, 0.2, 0.4]);
        // The same differences, paired: their error is small although the losses vary.
        let worse = probed("worse", 1.0, &[0.2, 0.4, 0.31, 0.5]);
        // On some images better, on others worse. By hand: differences 0.2, -0.1, 0.2, -0.2, whose standard error is
        // 0.1031; 1.5 times that with five folds.
        let equal = probed("equal", 3.0, &[0.3, 0.2, 0.4, 0.2]);
        let recommended = |backbones: &[&Probed]| {
            recommend(
                &backbones.iter().map(|b| (*b).clone()).collect::<Vec<_>>(),
                5,
            )
        };
        let (name, reason) = recommended(&[&worse, &equal, &best]);
        assert_eq!(name, "equal");
        assert_eq!(
            reason,
            "take equal: its log loss is 0.025 above that of best (standard error 0.155), in 0.33 of the time"
        );
        let (name, reason) = recommended(&[&worse, &best]);
        assert_eq!(name, "best");
        assert!(reason.contains("before every faster one"), "{reason}");
        let (_, reason) = recommended(&[&best, &probed("slow", 10.0, &[1.0, 2.0, 1.0, 1.0])]);
        assert!(reason.contains("is the fastest"), "{reason}");
        assert!(recommended(&[&best]).1.contains("no other"));
    }
}
