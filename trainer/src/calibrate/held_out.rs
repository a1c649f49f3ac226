//! Logits of images that a network was not trained on: what its temperature is fitted to.

use report::run_files::Calibration;

use super::fit_temperature;
use crate::context::TrainingContext;
use crate::error::Result;
use crate::evaluate::logits;
use crate::examples::{Examples, Purpose};
use crate::kfold::{HeldOut, KFold};
use crate::model::Model;
use crate::recipe::{Recipe, SaveKind};
use crate::train::{Checkpoints, Solver, TrainOptions, Trained, train};
use crate::training_set::TrainingSet;

/// Folds of the features that the temperature of a frozen network is fitted to.
const FOLDS: usize = 5;

/// Fits a temperature for a trained network; none where the recipe or a single image forbids it.
///
/// A network that is trained on features: every training and validation image is held out once from the
/// training of another last layer, from the weights of `untrained` on. Any other network: the validation
/// images.
pub fn calibrate(
    trained: &Trained,
    untrained: &Model,
    data: &TrainingSet,
    recipe: &Recipe,
    context: &TrainingContext<'_>,
) -> Result<Option<Calibration>> {
    if recipe.no_calibrate || data.val.samples().len() < 2 {
        return Ok(None);
    }
    if let Examples::Features(_) = data.train {
        let pool = data.pool();
        // There may be too few images for folds.
        if let Ok(folds) = KFold::new(pool.samples(), &data.classes, FOLDS, recipe.seed) {
            let solver = match &trained.head {
                // One penalty for all: that of the layer that is calibrated.
                Some(fit) => Solver::Lbfgs {
                    penalty: Some(fit.penalty),
                },
                None => Solver::Loop,
            };
            let options = TrainOptions {
                solver,
                save: SaveKind::Last,
                early_stop: None,
                // The run's own epoch, not each fold's best: logits grow with the epochs, and a temperature
                // fits one epoch.
                last_epoch: Some(trained.epoch),
                ..TrainOptions::from(recipe)
            };
            let held_out = out_of_fold(&pool, &folds, untrained, data, &options, context)?;
            let fitted_on = format!("out-of-fold features, {FOLDS} folds");
            return Ok(Some(fit_temperature(&held_out, fitted_on, trained.epoch)));
        }
    }
    let val = data.val.rebatched(Purpose::Evaluation, &data.batching);
    let held_out = HeldOut {
        logits: logits(&trained.network, &val, context)?,
        labels: val.labels(),
    };
    Ok(Some(fit_temperature(
        &held_out,
        "validation images",
        trained.epoch,
    )))
}

/// The held-out logits of all folds of `pool`, features of a frozen backbone.
fn out_of_fold(
    pool: &Examples,
    folds: &KFold,
    untrained: &Model,
    data: &TrainingSet,
    options: &TrainOptions,
    context: &TrainingContext<'_>,
) -> Result<HeldOut> {
    let mut parts = vec![];
    for number in 0..FOLDS {
        let fold = folds.fold(number);
        let trained = train(
            // Training moves the last layer alone, and a clone has its own.
            untrained.clone(),
            &data.for_fold(pool, &fold),
            options,
            Checkpoints::in_memory(),
            &mut (),
            &context.interrupt,
        )?;
        let held_out = pool.select(&fold.held_out, Purpose::Evaluation, &data.batching);
        parts.push(logits(&trained.network, &held_out, context)?);
    }
    Ok(folds.gather(parts))
}
