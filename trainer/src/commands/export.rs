//! `trainer export`: a run's checkpoint as a verified file, again.

mod pairs;

use console::{ExitStatus, Printer};
use data::{Dataset, Split};

use crate::cli::ExportArgs;
use crate::context::TrainingContext;
use crate::dataset::{self, DecodeOptions};
use crate::error::Error;
use crate::examples::{Batching, Purpose};
use crate::export::{self, CardFields, Exported};
use crate::golden_images;
use crate::output_files::save_json;
use crate::recipe::Recipe;
use crate::resolve;
use crate::restore::{Restored, restore};
use crate::run_dir::RunDir;
use crate::run_table;
use crate::training_set::verification_images;

pub fn run(args: &ExportArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let run = resolve::run(&args.runs, &args.run, printer)?;
    let mut recipe = Recipe::open(&run.config())?;
    let machine = &args.machine;
    let context = TrainingContext {
        runtime: machine.runtime.clone(),
        offline: machine.offline,
        ..TrainingContext::new(machine.cache.as_deref(), args.threads, printer)?
    };
    if let Some(data) = &args.data {
        recipe.data = crate::recipe::data_name(data, &context.cache)?;
    }
    context.ensure_runtime()?;
    if recipe.is_pairs() {
        return pairs::run(args, &run, &recipe, &context);
    }
    if args.encoder.is_some() {
        return Err(Error::refused_with_hint(
            format!(
                "the run `{}` is a classifier's: it has no encoder",
                run.path().display()
            ),
            "`--encoder` is for runs of `trainer fit --task pairs`; leave it out",
        )
        .into());
    }
    let restored = restore(&run, args.checkpoint, &recipe, &context)?;
    let VerificationData {
        dataset,
        fingerprint,
        count,
        images,
    } = VerificationData::open(&run, &recipe, &restored, &context)?;
    let state = restored.state;
    // In the middle of an epoch the network is no longer the one that was validated.
    let row = state.rows.last().filter(|_| state.train.step == 0);
    let accuracy = row.map(|row| row.val_accuracy / 100.0);
    let card = CardFields {
        classes: state.classes,
        ..CardFields::new(
            &restored.network,
            restored.preprocess,
            &recipe,
            &dataset,
            fingerprint,
        )?
    }
    .with_validation(accuracy, count, restored.calibration.as_ref());
    let out = args.out.clone().unwrap_or_else(|| run.model());
    let exported = export::export(&restored.network, card, &images, &out)?;
    // `verify.json` is about the run's own file.
    if args.out.is_none() {
        save_json(&run.verify(), &exported.agreement)?;
    }
    conclude(&exported, printer)
}

/// What a file is verified with, and what its card says of the data.
struct VerificationData {
    dataset: Dataset,
    fingerprint: String,
    /// The number of validation images.
    count: usize,
    /// Prepared, `[C, H, W]` each.
    images: Vec<Vec<f32>>,
}

impl VerificationData {
    /// The validation images of a run; drawn ones where a table of features is all there is.
    fn open(
        run: &RunDir,
        recipe: &Recipe,
        restored: &Restored,
        context: &TrainingContext<'_>,
    ) -> Result<Self, Error> {
        let steps = &restored.preprocess.preprocess;
        if let Some((dataset, features)) = run_table::open(run, recipe, restored, context)? {
            let fingerprint = features.audit(&dataset).fingerprint;
            return Ok(Self {
                fingerprint: fingerprint.expect("an audit of features has one"),
                count: features.features(Split::Val).samples().len(),
                images: golden_images::prepared(steps)?,
                dataset,
            });
        }
        let dataset = dataset::open(recipe, Some(run), context)?;
        let options = DecodeOptions {
            budget_bytes: recipe.memory.0,
            strict: recipe.strict_images,
            color: steps.color(),
        };
        let samples = dataset::samples(&dataset, Split::Val)?;
        let images = dataset::decode(samples, "val", options, context)?;
        let count = images.samples().len();
        let val = Batching::plain(recipe.batch, steps.clone(), context.threads)
            .images(images, Purpose::Evaluation);
        Ok(Self {
            fingerprint: dataset.fingerprint(),
            count,
            images: verification_images(&val, steps)?,
            dataset,
        })
    }
}

/// The last lines: whether the file computes what was trained, and where it is.
fn conclude(exported: &Exported, printer: &Printer) -> anyhow::Result<ExitStatus> {
    printer.log(exported.agreement.line());
    let (word, status) = match exported.agreement.verified {
        true => ("verified", ExitStatus::Success),
        false => ("not verified", ExitStatus::CheckFailed),
    };
    let path = exported.path.display();
    printer.result(format!("{} {path}", printer.bold(word)))?;
    Ok(status)
}
