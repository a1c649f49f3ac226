//! `trainer fit`: the pipeline from a recipe to a verified file and its scores.

mod pairs;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use console::{ExitStatus, Printer};
use data::audit::Audit;
use data::{Dataset, Preprocess, Split};
use fs_err as fs;
use models::Network;
use report::run_files::{Calibration, Summary, TrainingSummary};
use serde::Serialize;

use super::report::{log_page, write_page};
use crate::calibrate::{self, calibrate, save_calibration};
use crate::cli::FitArgs;
use crate::context::{TrainingContext, bound_threads};
use crate::cross_validation::cross_validate;
use crate::error::{Error, Result};
use crate::export::{CardFields, Exported, export};
use crate::features::ImportedFeatures;
use crate::final_evaluation::{ScoredAnswers, evaluate_features, evaluate_file, features_agree};
use crate::interrupt::Interrupt;
use crate::live::{self, Observers, RunInfo};
use crate::model::Model;
use crate::output_files::{file_name, save_json};
use crate::preprocessing::InputPreprocess;
use crate::recipe::{AUTO, FineTune, Log, Recipe, RunArgs, Settings, Ui, Views};
use crate::run_dir::RunDir;
use crate::seeds::repeat_with_seeds;
use crate::train::{Checkpoint, Checkpoints, Ended, FineTuning, TrainOptions, Trained, train};
use crate::training_set::{TrainingSet, images_to_verify};
use crate::{backbone, command_line, dataset, device, evaluate, probe, resolve};

/// Arguments of `fit`, resolved: the recipe, the run to resume, and what observes it.
struct Plan {
    recipe: Recipe,
    resume: Option<RunDir>,
    runs: PathBuf,
    name: Option<String>,
    ui: Ui,
    logs: Vec<Log>,
}

pub fn run(args: &FitArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let mut settings = Settings::merge(&args.settings, args.config.as_deref())?;
    let printer = &live::printer(settings.run.ui, printer);
    let machine = settings.machine.clone();
    let cache = data::cache::dir(machine.cache.as_deref())?;
    let context = |recipe: &Recipe| TrainingContext {
        cache: cache.clone(),
        runtime: machine.runtime.clone(),
        offline: machine.offline,
        provider: recipe.provider.0,
        threads: bound_threads(recipe.threads),
        printer,
        interrupt: Interrupt::default(),
    };
    if args.resume.is_none() && settings.recipe.backbone.as_deref() == Some(AUTO) {
        if settings.recipe.is_pairs() {
            return Err(Error::Setting {
                flag: "backbone",
                value: AUTO.into(),
                reason: "a probe knows classifiers alone: name a backbone with `--task pairs`"
                    .into(),
            }
            .into());
        }
        let context = context(&settings.recipe);
        choose_backbone(&mut settings, &context)?;
    }
    let plan = plan(args, settings, &cache, printer)?;
    // A device that this build or the machine lacks is refused before any work.
    device::announce(&plan.recipe, printer)?;
    let context = context(&plan.recipe);
    match plan.recipe.is_pairs() {
        true => pairs::fit(plan, args.json.as_deref(), &context),
        false => fit(plan, args.json.as_deref(), &context),
    }
}

/// The pipeline, from values to values.
fn fit(
    mut plan: Plan,
    json: Option<&Path>,
    context: &TrainingContext<'_>,
) -> anyhow::Result<ExitStatus> {
    let (started, printer) = (Instant::now(), context.printer);
    // Before the run folder is created: a backbone that cannot be imported leaves nothing behind.
    let (dataset, audit, table) = open_data(&plan, context)?;
    let preprocess = input_preprocess(&plan, context)?;
    let steps = &preprocess.preprocess;
    let (images, num_classes) = (preprocess.images(), dataset.classes.len());
    let untrained = Model::build(&plan.recipe, images, num_classes, context)?;
    plan.recipe = with_learning_rate(plan.recipe, &untrained.network, printer);
    let (plan, recipe) = (&plan, &plan.recipe);
    // The custom ResNet has no other than its own.
    if recipe.backbone.is_some() || recipe.preprocess.is_some() {
        preprocess.log(printer);
    }
    let network = &untrained.network;
    check_table(table.as_ref(), network, steps)?;
    backbone::prove_on(&dataset, network, steps, printer)?;
    let resumed = resumed_checkpoint(plan, network, printer)?;
    let run = open_run(plan, &dataset, &audit, &preprocess)?;
    // From here on Ctrl-C saves. Before, there is nothing to save and it ends the process.
    context.interrupt.watch(run.path(), printer)?;
    let data = match table {
        Some(table) => TrainingSet::of_table(&dataset, table, steps, recipe, context),
        None => TrainingSet::open(&dataset, &audit, network, steps, recipe, context),
    };
    let mut data = data.map_err(|error| discard_run(plan, &run, error))?;
    announce(&run, &data_line(&dataset, &data), network, context, recipe);

    cross_validate(&untrained, &data, recipe, &run, context)?;
    let mut trained = train_run(plan, &run, untrained.clone(), &data, resumed, context)?;
    let calibration = calibrate(&trained, &untrained, &data, recipe, context)?;
    trained.network = calibrate::apply(calibration.as_ref(), trained.network);
    save_calibration(calibration.as_ref(), &run)?;
    log_calibration(calibration.as_ref(), printer);
    // Decoded training images are most of the memory, and the export needs some of it.
    if recipe.seeds.is_none() {
        data.release_training_images();
    }

    // Before the export, so that the file is written once, with these scores on its card.
    let by_features = evaluate_features(&trained.network, &mut data, &dataset, recipe, context)?;
    let fingerprint = audit
        .fingerprint
        .clone()
        .expect("an audit that was run has one");
    let mut card = CardFields::new(&trained.network, preprocess, recipe, &dataset, fingerprint)?
        .with_validation(
            trained.val_accuracy(),
            data.num_examples()[1],
            calibration.as_ref(),
        );
    if let Some(scored) = &by_features {
        card = card.with_score(scored.answers.split, &scored.scores);
    }
    let images = images_to_verify(&data, &card.preprocess)?;
    let mut exported = export(&trained.network, card, &images, &run.model())?;
    save_json(&run.verify(), &exported.agreement)?;
    printer.log(exported.agreement.line());
    let network = &trained.network;
    let scored = match by_features {
        // Scores by features are the file's scores only where the file computes the same logits.
        Some(scored) if features_agree(&exported, network, &data, context)? => scored,
        _ => evaluate_file(&mut exported, &dataset, recipe, context)?,
    };
    scored.answers.write(&run.predictions())?;

    let leaks = audit.leaked(&dataset);
    let summary = summarise(&run, &trained, &exported, &scored, leaks, (recipe, started));
    save_summary(&summary, summary.training.verified, &run, json, printer)?;
    let mut page = write_page(&run, &dataset.root);
    // Last: a reader such as `head` may have had enough, and the files are written by then.
    printer.result(evaluate::scores_text(
        summary.split,
        scored.computed_by,
        &summary.scores,
    ))?;
    if let Some(warning) = data::metrics::worse_than_majority(&summary.scores) {
        printer.warn(warning);
    }
    if recipe.seeds.is_some() {
        repeat_with_seeds(network, &dataset, &mut data, recipe, &run, context)?;
        page = write_page(&run, &dataset.root);
    }
    log_page(&run, page, printer);
    let next = next_commands(&run, &exported);
    let status = conclude(&run, &exported, &next, printer)?;
    let of_tuning = summary.training.warning().into_iter();
    for warning in of_tuning.chain(summary.leak_warning()) {
        printer.warn(warning);
    }
    Ok(status)
}

/// The labelled images of a run with their audit, and their features where a table has them. Those of a resumed run must
/// be its own.
fn open_data(
    plan: &Plan,
    context: &TrainingContext<'_>,
) -> Result<(Dataset, Audit, Option<ImportedFeatures>)> {
    let printer = context.printer;
    let (dataset, table) = dataset::open_for_training(&plan.recipe, plan.resume.as_ref(), context)?;
    let audit = match &table {
        Some(table) => table.audit(&dataset),
        None => dataset::audit(&dataset, printer),
    };
    log_audit(&audit, printer);
    check_same_data(plan, &dataset, &audit, printer)?;
    Ok((dataset, audit, table))
}

/// Refuses features that are not those of the network's backbone.
fn check_table(
    table: Option<&ImportedFeatures>,
    network: &Network,
    preprocess: &Preprocess,
) -> Result<()> {
    match (table, network.backbone()) {
        (Some(table), Some(backbone)) => table.check(backbone, preprocess),
        _ => Ok(()),
    }
}

/// Puts a backbone in place of `auto`. A resumed run has its own.
pub(super) fn choose_backbone(
    settings: &mut Settings,
    context: &TrainingContext<'_>,
) -> Result<()> {
    let recipe = &mut settings.recipe;
    // Bad flags are refused before any work.
    let checked = recipe.clone().resolve(&context.cache)?;
    let recipe_of_probe = Recipe {
        views: Some(Views::ORIGINAL),
        fine_tune: FineTune::Off,
        seeds: None,
        folds: None,
        ..checked
    };
    recipe.backbone = Some(probe::choose(&recipe_of_probe, context)?);
    Ok(())
}

/// The recipe of a new run, or that of the resumed one with what was typed.
fn plan(args: &FitArgs, settings: Settings, cache: &Path, printer: &Printer) -> Result<Plan> {
    let RunArgs {
        runs,
        name,
        ui,
        log,
    } = settings.run;
    let (recipe, resume) = match &args.resume {
        Some(run) => {
            let run = resolve::run(&runs, run, printer)?;
            // A resumed run cannot be renamed.
            if let Some(name) = name.as_ref().filter(|name| **name != run.name()) {
                return Err(Error::ResumeChanges {
                    flag: "name".into(),
                    expected: run.name(),
                    found: name.clone(),
                });
            }
            let recipe = Recipe::open(&run.config())?;
            (recipe.resumed(&args.settings, cache)?, Some(run))
        }
        None => {
            if let Some(name) = &name {
                RunDir::check_new(&runs, name)?;
            }
            (settings.recipe.resolve(cache)?, None)
        }
    };
    Ok(Plan {
        recipe,
        resume,
        runs,
        name,
        ui,
        logs: log,
    })
}

/// Logs what an audit found in one line.
fn log_audit(audit: &Audit, printer: &Printer) {
    let (line, leaks) = report::audit_line(audit);
    printer.log(line);
    if let Some(leaks) = leaks {
        printer.warn(leaks);
    }
}

/// Refuses to resume a run with data other than its own, wherever that lies now.
fn check_same_data(plan: &Plan, dataset: &Dataset, audit: &Audit, printer: &Printer) -> Result<()> {
    let Some(run) = &plan.resume else {
        return Ok(());
    };
    let own: Option<Audit> = match run.audit().is_file() {
        true => Some(serde_json::from_slice(&fs::read(run.audit())?)?),
        false => None,
    };
    let Some(own) = own.and_then(|own| own.fingerprint) else {
        printer.warn(
            "the run has no fingerprint of its data: whether the data is the same is not known",
        );
        return Ok(());
    };
    if audit.fingerprint.as_ref() == Some(&own) {
        return Ok(());
    }
    Err(Error::refused_with_hint(
        format!(
            "the images in `{}` are not those that the run began with: some have another content",
            dataset.root.display()
        ),
        "name the folder of the run's own images with `--data DIR`, or start a new run",
    ))
}

/// The recipe with the learning rate that suits its network, unless it has one.
fn with_learning_rate(recipe: Recipe, network: &Network, printer: &Printer) -> Recipe {
    let is_folded = recipe.is_fine_tuned() && network.num_batch_norms() == 0;
    let is_asked_for = recipe.lr.is_some();
    let recipe = recipe.with_lr_for(is_folded);
    if is_folded && !is_asked_for {
        printer.log(format!(
            "the backbone has no batch norms, or has them folded into its convolutions: it is fine-tuned at a \
             learning rate of {:.0e}",
            recipe.lr()
        ));
    }
    recipe
}

/// The preprocessing of a new run's images, or that of the resumed one.
fn input_preprocess(plan: &Plan, context: &TrainingContext<'_>) -> Result<InputPreprocess> {
    match &plan.resume {
        Some(run) => InputPreprocess::of_run(run, &plan.recipe, context),
        None => InputPreprocess::decide(&plan.recipe, context),
    }
}

/// The checkpoint to resume; one of another backbone is refused before any work.
fn resumed_checkpoint(
    plan: &Plan,
    network: &Network,
    printer: &Printer,
) -> Result<Option<Checkpoint>> {
    let Some(run) = &plan.resume else {
        return Ok(None);
    };
    let checkpoint = Checkpoint::open_if_any(&run.last())?;
    match &checkpoint {
        Some(checkpoint) => checkpoint.check_backbone(network)?,
        None => printer.log("no checkpoint yet: the run starts from its beginning"),
    }
    Ok(checkpoint)
}

/// Creates the run folder, or opens the resumed one, and writes what is known already.
fn open_run(
    plan: &Plan,
    dataset: &Dataset,
    audit: &Audit,
    preprocess: &InputPreprocess,
) -> Result<RunDir> {
    let run = match &plan.resume {
        Some(run) => run.clone(),
        None => {
            let run = RunDir::create(&plan.runs, plan.name.as_deref())?;
            dataset.write_list(&run.split())?;
            // Before the configuration makes the folder a run: one without this file is of an earlier release.
            preprocess.save(&run)?;
            run
        }
    };
    // Also when resuming: a changed setting, such as more epochs, is part of the run from now on.
    data::write::atomically(&run.config(), plan.recipe.to_toml()?.as_bytes())?;
    command_line::append_command(&run.command())?;
    save_json(&run.audit(), audit)?;
    Ok(run)
}

/// Removes the folder of a new run that cannot begin: there is nothing to resume.
fn discard_run(plan: &Plan, run: &RunDir, error: Error) -> Error {
    if plan.resume.is_none() && !matches!(error, Error::Interrupted { .. }) {
        // The error that ended the run is worth more than one of its removal.
        fs::remove_dir_all(run.path()).unwrap_or_default();
    }
    error
}

fn data_line(dataset: &Dataset, data: &TrainingSet) -> String {
    let [num_train, num_val] = data.num_examples();
    format!(
        "{} classes ({}), {num_train} train, {num_val} val, {} test",
        dataset.classes.len(),
        abridged(&dataset.classes),
        dataset.test.len(),
    )
}

fn announce(
    run: &RunDir,
    data: &str,
    network: &Network,
    context: &TrainingContext<'_>,
    recipe: &Recipe,
) {
    let printer = context.printer;
    let (all, trainable) = num_parameters(network, recipe);
    let folder = run.path().display().to_string();
    printer.log(format!("{}: {data}", printer.bold(&folder)));
    printer.log(format!(
        "{}: {all} parameters, {trainable} trained",
        network.name()
    ));
}

/// Numbers of all parameters and of those that training changes.
fn num_parameters(network: &Network, recipe: &Recipe) -> (usize, usize) {
    let (all, trained) = network.num_parameters();
    match FineTuning::of(recipe) {
        // A fine-tuning that ended with the frozen backbone has trained its last layer alone.
        Some(fine_tuning) if !network.is_frozen() => (all, fine_tuning.num_trained(network)),
        _ => (all, trained),
    }
}

fn abridged(classes: &[String]) -> String {
    match classes {
        [first, second, .., last] if classes.len() > 6 => format!("{first}, {second}, ..., {last}"),
        _ => classes.join(", "),
    }
}

/// Trains the run's own network with its observers.
fn train_run(
    plan: &Plan,
    run: &RunDir,
    untrained: Model,
    data: &TrainingSet,
    resumed: Option<Checkpoint>,
    context: &TrainingContext<'_>,
) -> Result<Trained> {
    let (printer, interrupt) = (context.printer, &context.interrupt);
    let options = TrainOptions::from(&plan.recipe);
    let info = RunInfo {
        resumed: plan.resume.is_some(),
        ..RunInfo::new(run, options.epochs, data, resumed.as_ref())
    };
    let mut observers = Observers::open(plan.ui, &plan.logs, &info, printer, interrupt);
    let checkpoints = Checkpoints::in_folder(run, resumed);
    let trained = train(
        untrained,
        data,
        &options,
        checkpoints,
        &mut observers,
        interrupt,
    )?;
    drop(observers);
    if let Some(fine_tuned) = &trained.fine_tuned {
        printer.log(fine_tuned.line());
    }
    if trained.ended == Ended::EarlyStopped {
        printer.log("stopped early: no better epoch for a while");
    }
    Ok(trained)
}

fn log_calibration(calibration: Option<&Calibration>, printer: &Printer) {
    if let Some(calibration) = calibration {
        printer.log(calibration.line());
    }
}

fn summarise(
    run: &RunDir,
    trained: &Trained,
    exported: &Exported,
    scored: &ScoredAnswers,
    leaks: BTreeMap<Split, usize>,
    (recipe, started): (&Recipe, Instant),
) -> Summary {
    Summary {
        training: summarise_training(run, trained, exported, (recipe, started)),
        split: scored.answers.split,
        leaks,
        scores: scored.scores.clone(),
    }
}

/// What is told of every task.
fn summarise_training(
    run: &RunDir,
    trained: &Trained,
    exported: &Exported,
    (recipe, started): (&Recipe, Instant),
) -> TrainingSummary {
    let (parameters, trainable_parameters) = num_parameters(&trained.network, recipe);
    TrainingSummary {
        run: run.name(),
        model: file_name(&exported.path),
        verified: exported.agreement.verified,
        network: trained.network.name(),
        parameters,
        trainable_parameters,
        epochs: trained.rows.len(),
        epoch: trained.epoch,
        ended: ended_text(trained.ended).into(),
        val_accuracy: trained.val_accuracy(),
        seconds: started.elapsed().as_secs_f64(),
        head: trained.head.clone(),
        fine_tuned: trained.fine_tuned.clone(),
    }
}

fn ended_text(ended: Ended) -> &'static str {
    match ended {
        Ended::EarlyStopped => "early-stopped",
        Ended::Finished | Ended::Interrupted => "finished",
    }
}

/// Writes `summary.json`, makes a verified run the latest, and writes what `--json` asks for.
fn save_summary(
    summary: &impl Serialize,
    is_verified: bool,
    run: &RunDir,
    json: Option<&Path>,
    printer: &Printer,
) -> anyhow::Result<()> {
    save_json(&run.summary(), summary)?;
    // `deploy` runs the latest by default: it must not be a file that failed its verification.
    if is_verified {
        run.mark_latest()?;
    }
    match json {
        Some(target) => printer.json(target, summary),
        None => Ok(()),
    }
}

fn next_commands(run: &RunDir, exported: &Exported) -> String {
    let model = exported.path.display();
    format!(
        "deploy predict --model {model} IMAGE\n      \
         deploy eval --model {model} --data DIR\n      \
         trainer eval {}",
        run.path().display()
    )
}

/// The last lines: where the file is and what to type next.
fn conclude(
    run: &RunDir,
    exported: &Exported,
    next: &str,
    printer: &Printer,
) -> io::Result<ExitStatus> {
    let model = &exported.path;
    if !exported.agreement.verified {
        printer.warn(format!(
            "`{}` does not compute what was trained; see `{}`",
            model.display(),
            run.verify().display()
        ));
        return Ok(ExitStatus::CheckFailed);
    }
    let model = model.display();
    printer.result(format!("{} {model}", printer.bold("verified")))?;
    printer.log(format!("next: {next}"));
    Ok(ExitStatus::Success)
}
