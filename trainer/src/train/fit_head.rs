//! Training of a backbone's classification layer to its minimum, on the features of all images at once.
//!
//! Of a frozen backbone it stands beside the loop and gives the same result: a network, checkpoints and one row of
//! the history. A backbone that is fine-tuned begins with such a layer.

use std::time::Instant;

use super::{
    Begun, Checkpoints, Ended, EpochScore, HeadFit, Observer, Phase, Progress, Solver, State,
    TrainOptions, Trained, begin_or_resume, report, saved, validate,
};
use crate::error::{Error, Result};
use crate::evaluate;
use crate::examples::{Batching, Examples, Purpose};
use crate::features::Features;
use crate::head;
use crate::interrupt::Interrupt;
use crate::model::Model;
use crate::recipe::SaveKind;
use crate::training_set::TrainingSet;

/// Fits the classification layer of a frozen network to the features in `data`.
///
/// There is nothing to save before the minimum is found: an interrupted fit begins anew.
pub(super) fn fit_head(
    mut model: Model,
    data: &TrainingSet,
    options: &TrainOptions,
    mut checkpoints: Checkpoints<'_>,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Trained> {
    let Begun {
        optimizer,
        mut state,
        average,
    } = begin_or_resume(&mut model, data, options, &mut checkpoints)?;
    if state.ended(options).is_none() {
        let (Examples::Features(train), Solver::Lbfgs { penalty }) = (&data.train, options.solver)
        else {
            unreachable!("a recipe has this solver with cached features alone")
        };
        observer.epoch_started(state.epoch, options.epochs);
        let examples = train.features();
        let fitting = (penalty, options, data.batching.seed);
        let fit = fit_layer(&mut model, examples, fitting, observer, interrupt)?;
        let scored = model.valid();
        let score = |examples: &Examples, observer: &mut dyn Observer| {
            let scored = (&scored, options.objective.of_validation());
            let score = validate(scored, examples, state.epoch, observer, interrupt)?;
            score.ok_or_else(|| interrupt.error())
        };
        // On the images as they are: their loss is comparable to that of the validation images.
        let originals = data.train.rebatched(Purpose::Evaluation, &data.batching);
        let train = score(&originals, &mut ())?;
        let val = score(&data.val, observer)?;
        let seconds = fit.seconds;
        state.train = Progress { seconds, ..train };
        state.head = Some(fit.fit);
        state.end_epoch(&val, options);
        // L-BFGS has no learning rate.
        state.rows.iter_mut().for_each(|row| row.lr = 0.0);
        // Both are kept: there is one result.
        let epoch = saved(&model, &average, &optimizer, &state);
        checkpoints.save_epoch(&epoch, SaveKind::Best, true)?;
        observer.epoch_done(state.last_row(), true);
    }
    Ok(Trained {
        network: model.valid().network,
        epoch: state.epoch - 1,
        ended: Ended::Finished,
        rows: state.rows,
        head: state.head,
        fine_tuned: None,
    })
}

/// Fits the classification layer of a backbone that is about to be fine-tuned, on the features of the training images
/// as they are, and scores it on the validation images: the network then is the frozen backbone with this layer.
pub(super) fn fit_head_of_backbone(
    (model, state): (&mut Model, &mut State),
    data: &TrainingSet,
    options: &TrainOptions,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<()> {
    let originals = data.train.rebatched(Purpose::Evaluation, &data.batching);
    let features = features(
        &model.valid(),
        &originals,
        &data.batching,
        observer,
        interrupt,
    )?;
    let fitting = (None, options, data.batching.seed);
    let fit = fit_layer(model, &features, fitting, observer, interrupt)?;
    state.head = Some(fit.fit);
    let scored = (&model.valid(), options.objective.of_validation());
    let score = validate(scored, &data.val, 0, &mut (), interrupt)?;
    let score = score.ok_or_else(|| interrupt.error())?;
    state.frozen = Some(EpochScore {
        epoch: 0,
        val_loss: score.loss(),
        val_accuracy: score.accuracy(),
    });
    Ok(())
}

/// The features of images, or the distances of pairs, by the network itself.
fn features(
    model: &Model,
    examples: &Examples,
    batching: &Batching,
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Features> {
    let mut progress = Progress::default();
    evaluate::features(model, examples, batching, &mut |images, step, done| {
        (progress.step, progress.images) = (step, done as u64);
        observer.step(&report(Phase::Features, 0, images, &progress));
        interrupt.check()
    })
}

/// A fitted layer, which the network has, with how it was found.
struct Fitted {
    fit: HeadFit,
    seconds: f64,
}

/// Puts the classification layer that fits the features best into the network.
fn fit_layer(
    model: &mut Model,
    features: &Features,
    (penalty, options, seed): (Option<f64>, &TrainOptions, u64),
    observer: &mut dyn Observer,
    interrupt: &Interrupt,
) -> Result<Fitted> {
    let started = Instant::now();
    if let Some(margin) = options.objective.margin {
        let (scale, fit) = head::fit_scale(features, margin);
        let seconds = started.elapsed().as_secs_f64();
        observer.head_fitted(&fit, seconds);
        let (weight, bias) = (vec![-scale as f32], vec![(margin / 2.0) as f32]);
        model.network = model.network.clone().with_head(weight, bias)?;
        return Ok(Fitted { fit, seconds });
    }
    let weights = &options.objective.class_weights;
    let is_verifier = model.network.distance().is_some();
    let num_classes = model.network.num_classes().max(2);
    let (mut head, fit) = head::fit(
        features,
        num_classes,
        weights,
        penalty,
        seed,
        interrupt.flag(),
    );
    interrupt.check()?;
    if !head.is_finite() {
        return Err(Error::refused_with_hint(
            "the features of the backbone are too large for a classification layer in single precision",
            "take another backbone, or check its preprocessing",
        ));
    }
    if is_verifier {
        head = head.into_one_logit();
    }
    let seconds = started.elapsed().as_secs_f64();
    observer.head_fitted(&fit, seconds);
    model.network = model.network.clone().with_head(head.weight, head.bias)?;
    Ok(Fitted { fit, seconds })
}
