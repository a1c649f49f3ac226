//! `trainer export` of a verifier's run: its file again, or its encoder alone.

use console::ExitStatus;
use data::Split;

use super::conclude;
use crate::cli::ExportArgs;
use crate::context::TrainingContext;
use crate::dataset::{self, DecodeOptions};
use crate::evaluate;
use crate::examples::{Batching, Purpose};
use crate::export::{self, CardFields};
use crate::output_files::save_json;
use crate::recipe::Recipe;
use crate::restore::restore;
use crate::run_dir::RunDir;
use crate::training_set::verification_pairs;

pub(super) fn run(
    args: &ExportArgs,
    run: &RunDir,
    recipe: &Recipe,
    context: &TrainingContext<'_>,
) -> anyhow::Result<ExitStatus> {
    let restored = restore(run, args.checkpoint, recipe, context)?;
    let pairs = dataset::open_pairs(recipe, Some(run), context)?;
    let preprocess = &restored.preprocess.preprocess;
    let options = DecodeOptions {
        budget_bytes: recipe.memory.0,
        strict: recipe.strict_images,
        color: preprocess.color(),
    };
    let samples = dataset::samples(&pairs.images, Split::Val)?;
    let images = dataset::decode(samples, "val", options, context)?;
    let (_, readable) = pairs.readable(Split::Val, images.samples());
    let batching = Batching::plain(recipe.batch, preprocess.clone(), context.threads);
    let val = batching.pairs(images, readable.into(), Purpose::Evaluation);
    // That of the checkpoint: another one may need another threshold.
    let (decision, _) = evaluate::decide(&restored.network, &val, &batching, context)?;
    let (images, fingerprint) = (&pairs.images, pairs.images.fingerprint());
    let network = &restored.network;
    let card = CardFields::new(network, restored.preprocess, recipe, images, fingerprint)?
        .of_verifier(&pairs, decision);
    let examples = verification_pairs(&pairs, &card.preprocess)?;
    let exported = match &args.encoder {
        Some(out) => export::export_encoder(network, card, &examples, out)?,
        None => {
            let out = args.out.clone().unwrap_or_else(|| run.model());
            export::export_verifier(network, card, &examples, &out)?
        }
    };
    // `verify.json` is about the run's own file.
    if args.out.is_none() && args.encoder.is_none() {
        save_json(&run.verify(), &exported.agreement)?;
    }
    conclude(&exported, context.printer)
}
