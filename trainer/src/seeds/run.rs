//! `fit --seeds N`: repeats the run's training with other seeds.
//!
//! The split stays that of the first seed: all are trained, validated and scored on the same images. What
//! differs is what the seed decides: initial weights, order and augmentation. The others have run folders of
//! their own, `seeds/SEED`, which `trainer eval` and `trainer export` accept.

use data::Dataset;
use fs_err as fs;
use models::Network;

use super::score_seeds;
use crate::calibrate::{self, calibrate};
use crate::context::TrainingContext;
use crate::error::Result;
use crate::evaluate::logits;
use crate::final_evaluation::scored_split;
use crate::live::train_in_folder;
use crate::model::Model;
use crate::output_files::save_json;
use crate::recipe::Recipe;
use crate::run_dir::RunDir;
use crate::training_set::TrainingSet;

/// Trains with the seeds after the run's own, if the recipe asks for any. Scores all of them on the images
/// that the run is scored on, writes `seeds.json` and prints it. `first` is the run's own network, as
/// exported.
pub fn repeat_with_seeds(
    first: &Network,
    dataset: &Dataset,
    data: &mut TrainingSet,
    recipe: &Recipe,
    run: &RunDir,
    context: &TrainingContext<'_>,
) -> Result<()> {
    let Some(count) = recipe.seeds else {
        return Ok(());
    };
    let split = scored_split(dataset, recipe);
    let scored = data.evaluation(dataset, split, recipe, context)?;
    let mut runs = vec![(recipe.seed, logits(first, &scored, context)?)];
    for seed in recipe.seed + 1..recipe.seed + count as u64 {
        context.interrupt.check()?;
        let number = runs.len() + 1;
        context
            .printer
            .log(format!("seed {seed} ({number} of {count})"));
        let recipe = Recipe {
            seed,
            // The run of one more seed repeats neither seeds nor folds.
            seeds: None,
            folds: None,
            ..recipe.clone()
        };
        let folder = run.part("seeds", &seed.to_string())?;
        dataset.write_list(&folder.split())?;
        fs::copy(run.preprocess(), folder.preprocess())?;
        let untrained = Model::from(first.clone()).rebuild(&recipe, context)?;
        let network = train_seed(untrained, &data.with_seed(seed), &recipe, &folder, context)?;
        runs.push((seed, logits(&network, &scored, context)?));
    }
    let seeds = score_seeds(split, scored.samples(), &data.classes, &runs);
    save_json(&run.seeds(), &seeds)?;
    context.printer.result(seeds.text())?;
    Ok(())
}

/// The network of one more seed, calibrated.
fn train_seed(
    untrained: Model,
    data: &TrainingSet,
    recipe: &Recipe,
    folder: &RunDir,
    context: &TrainingContext<'_>,
) -> Result<Network> {
    data::write::atomically(&folder.config(), recipe.to_toml()?.as_bytes())?;
    let trained = train_in_folder(folder, untrained.clone(), data, recipe, context)?;
    let calibration = calibrate(&trained, &untrained, data, recipe, context)?;
    calibrate::save_calibration(calibration.as_ref(), folder)?;
    Ok(calibrate::apply(calibration.as_ref(), trained.network))
}
