//! `trainer fit --task pairs`: the pipeline of a verifier. What it shares with that of a classifier is there.

use std::path::Path;
use std::time::Instant;

use console::ExitStatus;
use data::{Pairs, Split};
use deploy::eval::{EvalOptions, PairEvaluation, evaluate_pairs};
use deploy::{ClassifierBuilder, Verifier};
use onnx::ModelFile;
use report::run_files::PairSummary;

use super::{
    Plan, announce, check_same_data, conclude, discard_run, input_preprocess, log_audit, log_page,
    open_run, resumed_checkpoint, save_summary, summarise_training, train_run, with_learning_rate,
    write_page,
};
use crate::context::TrainingContext;
use crate::cross_validation::cross_validate_pairs;
use crate::dataset::{self, warn_left_out};
use crate::error::Result;
use crate::export::{CardFields, Exported, export_verifier};
use crate::final_evaluation::scored_split;
use crate::model::Model;
use crate::output_files::save_json;
use crate::recipe::Recipe;
use crate::seeds::repeat_pairs_with_seeds;
use crate::training_set::{TrainingSet, verification_pairs};
use crate::{backbone, evaluate};

/// The pipeline, from values to values.
pub(super) fn fit(
    mut plan: Plan,
    json: Option<&Path>,
    context: &TrainingContext<'_>,
) -> anyhow::Result<ExitStatus> {
    let (started, printer) = (Instant::now(), context.printer);
    let pairs = dataset::open_pairs(&plan.recipe, plan.resume.as_ref(), context)?;
    let audit = dataset::audit(&pairs.images, printer).of_pairs(&pairs, &[]);
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
    let mut data = TrainingSet::of_pairs(&pairs, &audit, network, &steps, recipe, context)
        .map_err(|error| discard_run(plan, &run, error))?;
    announce(&run, &data_line(&pairs, &data), network, context, recipe);

    cross_validate_pairs(&untrained, &pairs, &mut data, recipe, &run, context)?;
    let trained = train_run(plan, &run, untrained.clone(), &data, resumed, context)?;
    let network = &trained.network;
    let (decision, validation) = evaluate::decide(network, &data.val, &data.batching, context)?;
    let answers = data.val_pairs.iter().copied().zip(validation);
    let of_file = (decision.kind, decision.threshold);
    pairs.write_answers(&run.val_predictions(), Split::Val, answers, of_file)?;
    let fingerprint = audit.fingerprint.expect("an audit that was run has one");
    let images = &pairs.images;
    let card = CardFields::new(network, preprocess, recipe, images, fingerprint)?
        .of_verifier(&pairs, decision);
    let examples = verification_pairs(&pairs, &card.preprocess)?;
    let mut exported = export_verifier(network, card, &examples, &run.model())?;
    save_json(&run.verify(), &exported.agreement)?;
    printer.log(exported.agreement.line());
    let split = scored_split(&pairs.images, recipe);
    let evaluation = evaluate_file(&exported, &pairs, split, recipe, context)?;
    exported.add_verification(split, &evaluation.scores)?;
    evaluation.write_csv(&run.predictions(), &pairs, split)?;

    let summary = PairSummary {
        task: "pairs".into(),
        training: summarise_training(&run, &trained, &exported, (recipe, started)),
        split,
        scores: evaluation.scores,
    };
    let training = &summary.training;
    save_summary(&summary, training.verified, &run, json, printer)?;
    let mut page = write_page(&run, &pairs.images.root);
    // Last: a reader such as `head` may have had enough, and the files are written by then.
    let table = summary.scores.table();
    printer.result(format!("{split} pairs, ONNX Runtime\n{table}"))?;
    if recipe.seeds.is_some() {
        repeat_pairs_with_seeds(network, &pairs, &mut data, recipe, &run, context)?;
        page = write_page(&run, &pairs.images.root);
    }
    log_page(&run, page, printer);
    let model = exported.path.display();
    let next =
        format!("deploy predict --model {model} --pair A B\n      deploy eval --model {model}");
    let status = conclude(&run, &exported, &next, printer)?;
    if let Some(warning) = training.warning() {
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
