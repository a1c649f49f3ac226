//! Final evaluation of a run: the exported file on the test images, or on the validation images with
//! `--no-test` and where there are no test images.

use data::{Dataset, Scores, Split};
use deploy::Provider;
use models::Network;
use report::{Answer, Answers};

use crate::context::TrainingContext;
use crate::dataset::warn_left_out;
use crate::error::Result;
use crate::evaluate::{evaluate, logits};
use crate::examples::Purpose;
use crate::export::Exported;
use crate::recipe::Recipe;
use crate::training_set::{TrainingSet, verified_indices};
use crate::verify;

/// How many times farther features of a GPU may be off.
const GPU_TOLERANCE: f64 = 10.0;

/// Scores, and the answers that they count.
pub struct ScoredAnswers {
    pub scores: Scores,
    pub answers: Answers,
    /// What computed them, for people.
    pub computed_by: &'static str,
}

/// Scores a network by the cached features that it was trained on; none where it was trained on images.
///
/// These scores go onto the card of the file that is written next, so that it need not be written twice.
pub fn evaluate_features(
    network: &Network,
    data: &mut TrainingSet,
    dataset: &Dataset,
    recipe: &Recipe,
    context: &TrainingContext<'_>,
) -> Result<Option<ScoredAnswers>> {
    if !data.is_features() {
        return Ok(None);
    }
    let split = scored_split(dataset, recipe);
    let examples = data.evaluation(dataset, split, recipe, context)?;
    let evaluation = evaluate(network, &examples, &dataset.classes, &mut |_| {})?;
    let rows = examples.samples().iter().zip(&evaluation.logits);
    let answer = |(sample, logits): (&data::Sample, &Vec<f32>)| {
        Answer::new(&sample.relative, sample.label as usize, logits)
    };
    Ok(Some(ScoredAnswers {
        scores: evaluation.scores,
        answers: Answers {
            split,
            classes: dataset.classes.clone(),
            rows: rows.map(answer).collect(),
        },
        computed_by: "features by ONNX Runtime",
    }))
}

/// The split that a run is scored on.
pub fn scored_split(dataset: &Dataset, recipe: &Recipe) -> Split {
    if recipe.no_test || dataset.test.is_empty() {
        Split::Val
    } else {
        Split::Test
    }
}

/// Whether scores by features are those of an exported file: it is verified, and the features of the verification images
/// give the logits that the network computes from their pixels. This is the last guard against features that are not this
/// backbone's, of which it warns. Where a table of features is all there is, there are no other scores.
pub fn features_agree(
    exported: &Exported,
    network: &Network,
    data: &TrainingSet,
    context: &TrainingContext<'_>,
) -> Result<bool> {
    if !data.has_images() {
        context.printer.log(
            "the images of the table are not here: the file is verified with drawn images, and its scores are those of the \
             table's features",
        );
        return Ok(true);
    }
    if !exported.agreement.verified {
        return Ok(false);
    }
    let indices = verified_indices(data.val.samples().len());
    let examples = data
        .val
        .select(&indices, Purpose::Evaluation, &data.batching);
    let mut reference = exported.reference.clone();
    if context.provider != Provider::Cpu {
        // The reference is computed on the CPU; a GPU sums in another order.
        reference.tolerance *= GPU_TOLERANCE;
    }
    let agree = verify::is_same(&reference, logits(network, &examples, context)?);
    if !agree {
        let cure = match data.table() {
            Some(table) => format!(
                "compute `{}` again with the cut of this backbone",
                table.display()
            ),
            None => {
                "remove `features` in the cache folder (`deploy cache dir`) and train again".into()
            }
        };
        context.printer.warn(format!(
            "the features that were trained on are not this backbone's: {cure}"
        ));
    }
    Ok(agree)
}

/// Scores an exported file through ONNX Runtime, and puts the accuracy on its card.
pub fn evaluate_file(
    exported: &mut Exported,
    dataset: &Dataset,
    recipe: &Recipe,
    context: &TrainingContext<'_>,
) -> Result<ScoredAnswers> {
    let (split, strict) = (scored_split(dataset, recipe), recipe.strict_images);
    let (printer, threads) = (context.printer, context.threads);
    let samples = dataset.samples(split);
    let bar = printer.image_bar("evaluating", samples.len() as u64);
    let classifier = deploy::Classifier::builder(&exported.path)
        .provider(context.provider)
        .parallel(threads)
        .open()?;
    let options = deploy::eval::EvalOptions {
        batch: classifier.preferred_batch(),
        threads: Some(threads),
        strict,
        progress: &|done| bar.set_position(done as u64),
    };
    let evaluation = deploy::eval::evaluate(&classifier, samples, &dataset.classes, &options);
    bar.finish_and_clear();
    let evaluation = evaluation?;
    warn_left_out(&evaluation.unreadable, printer);
    let classes = classifier.classes().to_vec();
    let rows = evaluation.logits.chunks_exact(classes.len().max(1));
    let answer = |(prediction, logits): (&data::Prediction, &[f32])| {
        // The file's order of classes, which need not be the data set's.
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
    exported.add_score(split, &evaluation.scores)?;
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
