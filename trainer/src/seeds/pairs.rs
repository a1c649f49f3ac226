//! `fit --task pairs --seeds N`: repeats a verifier's training with other seeds, on the pairs of the first.
//!
//! As for classifiers, the others have run folders of their own, `seeds/SEED`, which `trainer export` accepts.

use std::collections::BTreeMap;

use data::Pairs;
use data::metrics::VerificationScores;
use data::pairs::CLASSES;
use fs_err as fs;
use models::Network;
use report::run_files::{MeanDeviation, PairSeedScore, PairSeeds, UnstablePair};

use crate::context::TrainingContext;
use crate::error::{Error, Result};
use crate::final_evaluation::scored_split;
use crate::live::train_in_folder;
use crate::model::Model;
use crate::output_files::save_json;
use crate::pair_evaluation::EvaluationPairs;
use crate::recipe::Recipe;
use crate::run_dir::RunDir;
use crate::training_set::TrainingSet;

/// A seed's scores, and whether it says that the images of each pair are the same.
struct SeedResult {
    seed: u64,
    scores: VerificationScores,
    answers: Vec<bool>,
}

/// Trains with the seeds after the run's own, if the recipe asks for any. Scores all of them on the pairs that the run is
/// scored on, each at the threshold of its own validation, writes `seeds.json` and prints it. `first` is the run's own
/// network, as exported.
pub fn repeat_pairs_with_seeds(
    first: &Network,
    pairs: &Pairs,
    data: &mut TrainingSet,
    recipe: &Recipe,
    run: &RunDir,
    context: &TrainingContext<'_>,
) -> Result<()> {
    let Some(count) = recipe.seeds else {
        return Ok(());
    };
    let split = scored_split(&pairs.images, recipe);
    let examples = data.pair_evaluation(pairs, split, recipe, context)?;
    let evaluation = EvaluationPairs::new(pairs, split, examples);
    let score = |seed: u64, network: &Network| {
        let (scores, answers) = evaluation.score(network, data, context)?;
        Ok::<_, Error>(SeedResult {
            seed,
            scores,
            answers,
        })
    };
    let mut results = vec![score(recipe.seed, first)?];
    for seed in recipe.seed + 1..recipe.seed + count as u64 {
        context.interrupt.check()?;
        let number = results.len() + 1;
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
        pairs.images.write_list(&folder.split())?;
        pairs.write_list(&folder.pairs())?;
        fs::copy(run.preprocess(), folder.preprocess())?;
        data::write::atomically(&folder.config(), recipe.to_toml()?.as_bytes())?;
        let untrained = Model::from(first.clone()).rebuild(&recipe, context)?;
        let examples = data.with_seed(seed);
        let trained = train_in_folder(&folder, untrained, &examples, &recipe, context)?;
        results.push(score(seed, &trained.network)?);
    }
    let seeds = summarise(&evaluation, &results);
    save_json(&run.seeds(), &seeds)?;
    context.printer.result(seeds.text())?;
    Ok(())
}

fn summarise(evaluation: &EvaluationPairs<'_>, results: &[SeedResult]) -> PairSeeds {
    let seeds: Vec<PairSeedScore> = results
        .iter()
        .map(|SeedResult { seed, scores, .. }| PairSeedScore {
            seed: *seed,
            auc: scores.auc,
            equal_error_rate: scores.equal_error_rate,
            accuracy: scores.accuracy,
            threshold: scores.threshold,
        })
        .collect();
    let over = |figure: fn(&PairSeedScore) -> f64| {
        MeanDeviation::of(&seeds.iter().map(figure).collect::<Vec<_>>())
    };
    PairSeeds {
        task: "pairs".into(),
        auc: over(|seed| seed.auc),
        equal_error_rate: over(|seed| seed.equal_error_rate),
        accuracy: over(|seed| seed.accuracy),
        split: evaluation.split,
        count: evaluation.readable.len(),
        unstable: unstable(evaluation, results),
        seeds,
    }
}

/// The pairs on which the seeds disagree; those with the least agreement first.
fn unstable(evaluation: &EvaluationPairs<'_>, results: &[SeedResult]) -> Vec<UnstablePair> {
    let answers = |index: usize| {
        let mut answers = BTreeMap::<String, usize>::new();
        for result in results {
            let name = CLASSES[usize::from(result.answers[index])];
            *answers.entry(name.into()).or_default() += 1;
        }
        answers
    };
    let pairs = evaluation.readable.iter().enumerate();
    let mut unstable: Vec<UnstablePair> = pairs
        .map(|(index, pair)| {
            let [a, b] = evaluation.pairs.images_of(evaluation.split, pair);
            UnstablePair {
                path_a: a.relative.clone(),
                path_b: b.relative.clone(),
                label: pair.kind,
                answers: answers(index),
            }
        })
        .filter(|pair| pair.answers.len() > 1)
        .collect();
    // By the number of seeds that give the more frequent answer: the fewer, the less stable.
    unstable.sort_by_key(|pair| pair.answers.values().max().copied());
    unstable
}
