//! `fit --task pairs --folds K`: cross-validation of a verifier over identities, before the run's own training.

use data::{Pairs, Split};
use report::run_files::{MeanDeviation, PairFoldScore, PairFolds};

use crate::context::TrainingContext;
use crate::error::Result;
use crate::examples::Examples;
use crate::live::train_in_folder;
use crate::model::Model;
use crate::output_files::save_json;
use crate::pair_evaluation::EvaluationPairs;
use crate::recipe::Recipe;
use crate::run_dir::RunDir;
use crate::train::{Checkpoints, TrainOptions, train};
use crate::training_set::TrainingSet;

/// Trains the folds, if the recipe asks for any, as the run itself will be: each on other identities than it is scored on,
/// at the threshold of its own validation. Writes `folds.json` and prints it.
///
/// A training on images has a run folder of its own, from which it continues after an interruption.
pub fn cross_validate_pairs(
    untrained: &Model,
    pairs: &Pairs,
    data: &mut TrainingSet,
    recipe: &Recipe,
    run: &RunDir,
    context: &TrainingContext<'_>,
) -> Result<()> {
    let Some(count) = recipe.folds else {
        return Ok(());
    };
    let mut per_fold = vec![];
    let folds = pairs.folds(count, &recipe.pair_options())?;
    for (fold, number) in folds.iter().zip(1..) {
        context.interrupt.check()?;
        context.printer.log(format!("fold {number} of {count}"));
        let (examples, held_out) = data.for_pair_fold(fold, recipe, context)?;
        let model = untrained.rebuild(recipe, context)?;
        let trained = if let Examples::Features(_) = examples.train {
            let options = TrainOptions::from(recipe);
            let checkpoints = Checkpoints::in_memory();
            let interrupt = &context.interrupt;
            train(model, &examples, &options, checkpoints, &mut (), interrupt)?
        } else {
            let folder = run.part("folds", &format!("{number}-of-{count}"))?;
            train_in_folder(&folder, model, &examples, recipe, context)?
        };
        let held_out = EvaluationPairs::new(fold, Split::Test, held_out);
        let (scores, _) = held_out.score(&trained.network, &examples, context)?;
        per_fold.push(PairFoldScore {
            fold: number,
            count: held_out.readable.len(),
            identities: scores.num_identities,
            auc: scores.auc,
            equal_error_rate: scores.equal_error_rate,
            accuracy: scores.accuracy,
        });
    }
    let folds = summarise(per_fold);
    save_json(&run.folds(), &folds)?;
    context.printer.result(folds.text())?;
    Ok(())
}

fn summarise(per_fold: Vec<PairFoldScore>) -> PairFolds {
    let over = |figure: fn(&PairFoldScore) -> f64| {
        MeanDeviation::of(&per_fold.iter().map(figure).collect::<Vec<_>>())
    };
    PairFolds {
        task: "pairs".into(),
        folds: per_fold.len(),
        count: per_fold.iter().map(|fold| fold.count).sum(),
        identities: per_fold.iter().map(|fold| fold.identities).sum(),
        auc: over(|fold| fold.auc),
        equal_error_rate: over(|fold| fold.equal_error_rate),
        accuracy: over(|fold| fold.accuracy),
        per_fold,
    }
}
