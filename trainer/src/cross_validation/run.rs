//! `fit --folds K`: cross-validation before the run's own training.

use data::Prediction;

use super::{held_out_logits, score_folds, suspects};
use crate::calibrate::{self, calibrate};
use crate::context::TrainingContext;
use crate::error::Result;
use crate::evaluate::logits;
use crate::examples::{Examples, Purpose};
use crate::kfold::KFold;
use crate::live::train_in_folder;
use crate::model::Model;
use crate::output_files::save_json;
use crate::recipe::Recipe;
use crate::run_dir::RunDir;
use crate::train::{Checkpoints, TrainOptions, train};
use crate::training_set::TrainingSet;

/// Suspects that are listed on the terminal.
const LISTED: usize = 5;

/// Trains, calibrates and scores the folds, if the recipe asks for any, as the run itself will be. Writes
/// `folds.json` and `suspects.csv` and prints a summary.
///
/// A training on images has a run folder of its own, from which it continues after an interruption.
pub fn cross_validate(
    untrained: &Model,
    data: &TrainingSet,
    recipe: &Recipe,
    run: &RunDir,
    context: &TrainingContext<'_>,
) -> Result<()> {
    let Some(count) = recipe.folds else {
        return Ok(());
    };
    let (pool, printer) = (data.pool(), context.printer);
    let kfold = KFold::new(pool.samples(), &data.classes, count, recipe.seed)?;
    let mut parts = vec![];
    for number in 0..count {
        context.interrupt.check()?;
        let fold = kfold.fold(number);
        let data = data.for_fold(&pool, &fold);
        let model = untrained.rebuild(recipe, context)?;
        let mut trained = if let Examples::Features(_) = pool {
            let options = TrainOptions::from(recipe);
            let checkpoints = Checkpoints::in_memory();
            train(
                model,
                &data,
                &options,
                checkpoints,
                &mut (),
                &context.interrupt,
            )?
        } else {
            printer.log(format!("fold {} of {count}", number + 1));
            let folder = run.part("folds", &format!("{}-of-{count}", number + 1))?;
            train_in_folder(&folder, model, &data, recipe, context)?
        };
        let calibration = calibrate(&trained, untrained, &data, recipe, context)?;
        trained.network = calibrate::apply(calibration.as_ref(), trained.network);
        let held_out = pool.select(&fold.held_out, Purpose::Evaluation, &data.batching);
        parts.push(logits(&trained.network, &held_out, context)?);
    }
    let held_out = kfold.gather(parts);
    let scores = score_folds(&kfold, &held_out);
    // Regression needs features. Of images there are the answers of the folds' own networks alone.
    let answers = match &pool {
        Examples::Features(loader) => {
            let num_classes = data.classes.len();
            held_out_logits(
                loader.features(),
                num_classes,
                &kfold,
                context.interrupt.flag(),
            )
        }
        Examples::Images(_) => held_out,
    };
    context.interrupt.check()?;
    let suspects = suspects(pool.samples(), &data.classes, &answers);
    save_json(&run.folds(), &scores)?;
    data::metrics::write_predictions(&run.suspects(), &suspects)?;
    printer.result(scores.text())?;
    printer.result(suspects_text(run, &suspects))?;
    Ok(())
}

fn suspects_text(run: &RunDir, suspects: &[Prediction]) -> String {
    let file = run.suspects();
    let mut text = format!(
        "{} images whose label the others contradict: `{}`",
        suspects.len(),
        file.display()
    );
    for suspect in suspects.iter().take(LISTED) {
        text += &format!(
            "\n  {}  {}, or {} ({:.1} %)",
            suspect.path,
            suspect.label,
            suspect.predicted,
            100.0 * suspect.probability
        );
    }
    text
}
