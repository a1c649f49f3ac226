//! `trainer fit --task pairs`: the pipeline of a verifier. What it shares with that of a classifier is there.

use std::path::Path;
use std::time::Instant;

use console::ExitStatus;
use data::metrics::VerificationScores;
use data::{Pairs, Split};
use deploy::eval::{EvalOptions, PairEvaluation, evaluate_pairs};
use deploy::{ClassifierBuilder, Verifier};
use onnx::ModelFile;
use report::run_files::{FineTuned, HeadFit};
use serde::Serialize;

use super::{
    Plan, announce, check_same_data, conclude, discard_run, ended_text, input_preprocess,
    log_audit, num_parameters, open_run, resumed_checkpoint, save_summary, train_run,
    with_learning_rate,
};
use crate::context::TrainingContext;
use crate::dataset::{self, warn_left_out};
use crate::error::Result;
use crate::examples::Purpose;
use crate::export::{CardFields, Exported, export_verifier};
use crate::final_evaluation::scored_split;
use crate::model::Model;
use crate::output_files::{file_name, save_json};
use crate::pair_score::{Decision, PairScore};
use crate::recipe::Recipe;
use crate::train::Trained;
use crate::training_set::{TrainingSet, verification_pairs};
use crate::{backbone, evaluate};

/// Result of a run: `summary.json`, and what `fit --json` writes.
#[derive(Serialize)]
struct PairSummary<'a> {
    run: String,
    task: &'static str,
    /// The exported file, relative to the run folder.
    model: String,
    /// Whether ONNX Runtime agrees with Burn on it.
    verified: bool,
    network: String,
    parameters: usize,
    trainable_parameters: usize,
    epochs: usize,
    /// The exported epoch, counted from 1.
    epoch: usize,
    ended: &'static str,
    /// Validation accuracy of the exported epoch at a probability of a half, or at half the margin, in `[0, 1]`.
    val_accuracy: Option<f64>,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<&'a HeadFit>,
    /// What fine-tuning changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    fine_tuned: Option<&'a FineTuned>,
    /// The split of the scores: `test`, or `val` with `--no-test`.
    split: Split,
    /// Scores of the exported file through ONNX Runtime.
    #[serde(flatten)]
    scores: &'a VerificationScores,
}

/// The pipeline, from values to values.
pub(super) fn fit(
    mut plan: Plan,
    json: Option<&Path>,
    context: &TrainingContext<'_>,
) -> anyhow::Result<ExitStatus> {
    let (started, printer) = (Instant::now(), context.printer);
    let pairs = dataset::open_pairs(&plan.recipe, plan.resume.as_ref(), context)?;
    let audit = dataset::audit(&pairs.images, printer).of_identities();
    log_audit(&audit, printer);
    check_same_data(&plan, &pairs.images, &audit, printer)?;
    let preprocess = input_preprocess(&plan, context)?;
    let (steps, images) = (preprocess.preprocess.clone(), preprocess.images());
    let untrained = Model::build(&plan.recipe, images, plan.recipe.pair_head(), context)?;
    plan.recipe = with_learning_rate(plan.recipe, &untrained.network, printer);
    let (plan, recipe) = (&plan, &plan.recipe);
    if recipe.backbone.is_some() || recipe.preprocess.is_some() {
        preprocess.log(printer);
    }
    backbone::prove_on(&pairs.images, &untrained.network, &steps, printer)?;
    let resumed = resumed_checkpoint(plan, &untrained.network, printer)?;
    let run = open_run(plan, &pairs.images, &audit, &preprocess)?;
    if plan.resume.is_none() {
        pairs.write_list(&run.pairs())?;
    }
    // From here on Ctrl-C saves. Before, there is nothing to save and it ends the process.
    context.interrupt.watch(run.path(), printer)?;
    let network = &untrained.network;
    let data = TrainingSet::of_pairs(&pairs, &audit, network, &steps, recipe, context)
        .map_err(|error| discard_run(plan, &run, error))?;
    announce(&run, &data_line(&pairs, &data), network, context, recipe);

    let trained = train_run(plan, &run, untrained.clone(), &data, resumed, context)?;
    let decision = decision(&trained, &data, context)?;
    let fingerprint = audit.fingerprint.clone();
    let fingerprint = fingerprint.expect("an audit that was run has one");
    let images = &pairs.images;
    let card = CardFields::new(&trained.network, preprocess, recipe, images, fingerprint)?
        .of_verifier(&pairs, decision);
    let examples = verification_pairs(&pairs, &card.preprocess)?;
    let mut exported = export_verifier(&trained.network, card, &examples, &run.model())?;
    save_json(&run.verify(), &exported.agreement)?;
    printer.log(exported.agreement.line());
    let split = scored_split(&pairs.images, recipe);
    let evaluation = evaluate_file(&exported, &pairs, split, recipe, context)?;
    exported.add_verification(split, &evaluation.scores)?;
    evaluation.write_csv(&run.predictions(), &pairs, split)?;

    let (parameters, trainable_parameters) = num_parameters(&trained.network, recipe);
    let summary = PairSummary {
        run: run.name(),
        task: "pairs",
        model: file_name(&exported.path),
        verified: exported.agreement.verified,
        network: trained.network.name(),
        parameters,
        trainable_parameters,
        epochs: trained.rows.len(),
        epoch: trained.epoch,
        ended: ended_text(trained.ended),
        val_accuracy: trained.val_accuracy(),
        seconds: started.elapsed().as_secs_f64(),
        head: trained.head.as_ref(),
        fine_tuned: trained.fine_tuned.as_ref(),
        split,
        scores: &evaluation.scores,
    };
    save_summary(&summary, summary.verified, &run, json, printer)?;
    // Last: a reader such as `head` may have had enough, and the files are written by then.
    let table = evaluation.scores.table();
    printer.result(format!("{split} pairs, ONNX Runtime\n{table}"))?;
    let model = exported.path.display();
    let next =
        format!("deploy predict --model {model} --pair A B\n      deploy eval --model {model}");
    let status = conclude(&run, &exported, &next, printer)?;
    if let Some(warning) = trained.fine_tuned.as_ref().and_then(FineTuned::warning) {
        printer.warn(warning);
    }
    Ok(status)
}

fn data_line(pairs: &Pairs, data: &TrainingSet) -> String {
    let [num_train, num_val] = data.num_examples();
    format!(
        "{} identities, {num_train} train, {num_val} val, {} test pairs",
        pairs.identities().len(),
        pairs.of(Split::Test).len()
    )
}

/// The threshold of the equal error rate on the validation pairs.
fn decision(
    trained: &Trained,
    data: &TrainingSet,
    context: &TrainingContext<'_>,
) -> Result<Decision> {
    let val = data.val.rebatched(Purpose::Evaluation, &data.batching);
    let logits = evaluate::pair_logits(&trained.network, &val, &data.batching, context)?;
    let same: Vec<bool> = val.labels().into_iter().map(|label| label == 1).collect();
    let decision = PairScore::of(&trained.network)?.decision(&logits, &same);
    Ok(decision.expect("pairs of both answers were checked"))
}

/// Scores an exported file through ONNX Runtime.
fn evaluate_file(
    exported: &Exported,
    pairs: &Pairs,
    split: Split,
    recipe: &Recipe,
    context: &TrainingContext<'_>,
) -> Result<PairEvaluation> {
    let samples = pairs.images.samples(split);
    let bar = context
        .printer
        .image_bar("evaluating", samples.len() as u64);
    let settings = ClassifierBuilder::default()
        .provider(context.provider)
        .parallel(context.threads);
    let verifier = Verifier::from_file(&ModelFile::open(&exported.path)?, settings)?;
    let options = EvalOptions {
        batch: verifier.encoder().preferred_batch(),
        threads: Some(context.threads),
        strict: recipe.strict_images,
        progress: &|done| bar.set_position(done as u64),
    };
    let evaluation = evaluate_pairs(&verifier, samples, pairs.of(split), &options);
    bar.finish_and_clear();
    let evaluation = evaluation?;
    warn_left_out(&evaluation.unreadable, context.printer);
    Ok(evaluation)
}
