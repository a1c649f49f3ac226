//! The one evaluation at the end of a run: the exported file on the test images, or on the validation images
//! with `--no-test` and where there are none.

use data::{Dataset, Scores, Split};
use models::Network;

use crate::context::TrainingContext;
use crate::error::Result;
use crate::evaluate::{evaluate, logits};
use crate::examples::Purpose;
use crate::export::Exported;
use crate::predictions::{Answer, Answers};
use crate::recipe::{DeviceKind, Recipe};
use crate::training_set::{TrainingSet, verified_indices};
use crate::verify;

/// Scores, and the answers that they count.
pub struct ScoredAnswers {
    /// The scores.
    pub scores: Scores,
    /// The answers, one per image.
    pub answers: Answers,
    /// What computed them, for people.
    pub computed_by: &'static str,
}

/// Scores an exported file and puts the accuracy on its card.
///
/// ONNX Runtime runs the file; where the run was trained on cached features, and the file is verified and
/// agrees with these, the features are enough.
///
/// # Errors
/// When images cannot be read, the file cannot be run or written, or Ctrl-C came.
pub fn evaluate_exported(
    exported: &mut Exported,
    network: &Network,
    data: &mut TrainingSet,
    dataset: &Dataset,
    recipe: &Recipe,
    context: &TrainingContext<'_>,
) -> Result<ScoredAnswers> {
    let split = scored_split(dataset, recipe);
    let by_features = data.is_features()
        && exported.agreement.verified
        && features_agree(data, network, exported, context)?;
    let scored = if by_features {
        let examples = data.evaluation(dataset, split, recipe, context)?;
        let evaluation = evaluate(network, &examples, &dataset.classes, &mut |_| {})?;
        let rows = examples.samples().iter().zip(&evaluation.logits);
        let answer = |(sample, logits): (&data::Sample, &Vec<f32>)| {
            Answer::new(&sample.relative, sample.label as usize, logits)
        };
        ScoredAnswers {
            scores: evaluation.scores,
            answers: Answers {
                split,
                classes: dataset.classes.clone(),
                rows: rows.map(answer).collect(),
            },
            computed_by: match recipe.device {
                DeviceKind::Cpu => "features by ONNX Runtime",
                DeviceKind::Cuda | DeviceKind::Wgpu => "features by Burn",
            },
        }
    } else {
        run_file(exported, dataset, split, recipe.strict_images, context)?
    };
    exported.add_score(split, &scored.scores)?;
    Ok(scored)
}

/// The split that a run is scored on.
pub fn scored_split(dataset: &Dataset, recipe: &Recipe) -> Split {
    if recipe.no_test || dataset.test.is_empty() {
        Split::Val
    } else {
        Split::Test
    }
}

/// Whether the cached features of the verification images give the logits that Burn computed from their
/// pixels: the last guard against features that are not this backbone's. Warns where they do not.
fn features_agree(
    data: &TrainingSet,
    network: &Network,
    exported: &Exported,
    context: &TrainingContext<'_>,
) -> Result<bool> {
    let indices = verified_indices(data.val.samples().len());
    let examples = data
        .val
        .select(&indices, Purpose::Evaluation, &data.batching);
    let found = logits(network, &examples, context)?;
    let agree = verify::is_same(&exported.logits, found);
    if !agree {
        context.printer.warn(
            "the features that were trained on are not this backbone's: remove `features` in \
             the cache folder (`deploy cache dir`) and train again",
        );
    }
    Ok(agree)
}

/// The exported file through ONNX Runtime.
fn run_file(
    exported: &Exported,
    dataset: &Dataset,
    split: Split,
    strict: bool,
    context: &TrainingContext<'_>,
) -> Result<ScoredAnswers> {
    let (printer, threads) = (context.printer, context.threads);
    let samples = dataset.samples(split);
    let bar = printer.image_bar("evaluating", samples.len() as u64);
    let classifier = deploy::Classifier::builder(&exported.path)
        .parallel(threads)
        .open()?;
    let options = deploy::eval::EvalOptions {
        batch: classifier.good_batch(),
        threads: Some(threads),
        strict,
        progress: &|done| bar.set_position(done as u64),
    };
    let evaluation = deploy::eval::evaluate(&classifier, samples, &dataset.classes, &options);
    bar.finish_and_clear();
    let evaluation = evaluation?;
    for file in &evaluation.unreadable {
        let path = file.path.display();
        printer.warn(format!("left out `{path}`: {}", file.reason));
    }
    let classes = classifier.classes().to_vec();
    let rows = evaluation.logits.chunks_exact(classes.len().max(1));
    let answer = |(prediction, logits): (&data::Prediction, &[f32])| {
        let label = classes.iter().position(|class| *class == prediction.label);
        let label = label.expect("`eval` has matched the classes by name");
        Answer::new(&prediction.path, label, logits)
    };
    let rows = evaluation
        .predictions
        .iter()
        .zip(rows)
        .map(answer)
        .collect();
    Ok(ScoredAnswers {
        scores: evaluation.scores,
        answers: Answers {
            split,
            classes,
            rows,
        },
        computed_by: "ONNX Runtime",
    })
}
