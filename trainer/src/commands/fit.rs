//! `trainer fit`: the line of rooms from a recipe to a verified file and its test accuracy.

use std::path::{Path, PathBuf};
use std::time::Instant;

use data::{Dataset, Preprocess, Scores, Split};
use models::Network;

use crate::cli::{FitArgs, MachineArgs};
use crate::error::{Error, Result};
use crate::export::{self, Exported, Label};
use crate::fault::ExitStatus;
use crate::fit::{self, Backbone, Checkpoint, Ended, FitOptions, OptimizerOptions, Outcome, Room};
use crate::printer::Printer;
use crate::recipe::{DeviceKind, Recipe, Settings};
use crate::run_dir::RunDir;
use crate::stage::{self, Machine, Pictures};
use crate::summary::{self, Summary};
use crate::{runtime, source};

mod interrupt;
mod progress;

/// What is to be done: a recipe, and the run to go on with.
struct Plan {
    recipe: Recipe,
    resume: Option<RunDir>,
    runs: PathBuf,
    name: Option<String>,
}

/// Trains, exports, verifies, evaluates.
pub fn run(args: &FitArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let started = Instant::now();
    let file = args
        .config
        .as_deref()
        .map(Settings::open)
        .transpose()?
        .unwrap_or_default();
    let settings = args.settings.clone().or(file);
    let place = settings.machine();
    let cache = data::cache::dir(place.cache.as_deref())?;
    let plan = plan(args, settings, &cache)?;
    let recipe = &plan.recipe;
    let threads = source::threads(recipe.threads);
    source::device(recipe.device)?;
    let machine = Machine {
        cache,
        offline: place.offline,
        threads,
        printer,
    };

    let dataset = open_data(&machine, &plan, &place)?;
    let network = machine.network(recipe, dataset.classes.len())?;
    let preprocess = source::preprocess(network.input_size())?;
    let pictures = machine.pictures(recipe, dataset)?;
    let run = open_run(&plan, &pictures.dataset)?;
    announce(&run, &pictures, &network, printer);

    let outcome = train(&machine, &plan, &run, network, &pictures, &preprocess)?;
    if outcome.ended == Ended::Interrupted {
        return Err(Error::Interrupted {
            run: run.path().to_path_buf(),
        }
        .into());
    }
    let exported = export(&outcome, recipe, &pictures, preprocess, &run.model())?;
    summary::save(&run.verify(), &exported.agreement)?;
    printer.log(summary::agreement(&exported.agreement));
    let (split, scores) = score(&machine, &exported.path, recipe, &pictures.dataset)?;
    export::add_score(&exported.path, split, &scores)?;
    let text = summary::report(split, "ONNX Runtime", &scores);
    let summary = summarise(&run, &outcome, &exported, (split, scores), started);
    summary::save(&run.summary(), &summary)?;
    if exported.agreement.verified {
        run.mark_latest()?;
    }
    if let Some(target) = &args.json {
        printer.json(target, &summary)?;
    }
    // Last: a reader such as `head` may have had enough, and the files are written by then.
    printer.result(text);
    Ok(conclude(&run, &exported, printer))
}

/// Opens the data and finds ONNX Runtime: before hours of training, not after them, and what may
/// be refused at once before what takes time (installing the one, drawing the other).
fn open_data(machine: &Machine<'_>, plan: &Plan, place: &MachineArgs) -> Result<Dataset> {
    let open = || {
        let dataset = machine.dataset(&plan.recipe, plan.resume.as_ref())?;
        dataset.check_trainable()?;
        Ok(dataset)
    };
    let ensure = || runtime::ensure(place, &machine.cache, machine.printer);
    if plan.recipe.data == source::INSECTS {
        ensure()?;
        return open();
    }
    let dataset = open()?;
    ensure()?;
    Ok(dataset)
}

/// Flags over file over defaults; or the resumed run's own recipe.
fn plan(args: &FitArgs, settings: Settings, cache: &Path) -> Result<Plan> {
    let Settings { name, .. } = settings.clone();
    let runs = settings.runs().to_path_buf();
    let data = settings
        .data
        .as_deref()
        .map(|name| source::data_name(name, cache))
        .transpose()?;
    let settings = Settings { data, ..settings };
    let (recipe, resume) = match &args.resume {
        Some(run) => {
            let run = RunDir::open(&runs, run)?;
            if let Some(name) = name.as_ref().filter(|name| **name != run.name()) {
                let (expected, found) = (run.name(), name.clone());
                return Err(Error::ResumeChanges {
                    flag: "name".into(),
                    expected,
                    found,
                });
            }
            (Recipe::open(&run.config())?.resumed(settings)?, Some(run))
        }
        None => {
            if let Some(name) = &name {
                RunDir::check_new(&runs, name)?;
            }
            (settings.resolve()?, None)
        }
    };
    Ok(Plan {
        recipe,
        resume,
        runs,
        name,
    })
}

/// Makes the run folder, or takes the resumed one, and writes what is known already.
fn open_run(plan: &Plan, dataset: &Dataset) -> Result<RunDir> {
    let run = match &plan.resume {
        Some(run) => run.clone(),
        None => {
            let run = RunDir::create(&plan.runs, plan.name.as_deref())?;
            dataset.write_list(&run.split())?;
            run
        }
    };
    data::write::atomically(&run.config(), plan.recipe.to_toml()?.as_bytes())?;
    Ok(run)
}

fn announce(run: &RunDir, pictures: &Pictures, network: &Network, printer: &Printer) {
    let dataset = &pictures.dataset;
    let (all, trainable) = network.num_parameters();
    printer.log(format!(
        "{}: {} classes ({}), {} train, {} val, {} test",
        printer.bold(&run.path().display().to_string()),
        dataset.classes.len(),
        abridged(&dataset.classes),
        pictures.train.samples().len(),
        pictures.val.samples().len(),
        dataset.test.len(),
    ));
    printer.log(format!(
        "{}: {all} parameters, {trainable} trained",
        network.name()
    ));
}

fn abridged(classes: &[String]) -> String {
    match classes {
        [first, second, .., last] if classes.len() > 6 => format!("{first}, {second}, ..., {last}"),
        _ => classes.join(", "),
    }
}

fn train(
    machine: &Machine<'_>,
    plan: &Plan,
    run: &RunDir,
    network: Network,
    pictures: &Pictures,
    preprocess: &Preprocess,
) -> anyhow::Result<Outcome> {
    let recipe = &plan.recipe;
    let train = machine.train_loader(recipe, &pictures.train, preprocess);
    let val = machine.val_loader(recipe, &pictures.val, preprocess);
    let resume = match &plan.resume {
        Some(run) if run.last().is_file() => Some(Checkpoint::open(&run.last())?),
        Some(_) => {
            machine
                .printer
                .log("no checkpoint yet: the run starts from its beginning");
            None
        }
        None => None,
    };
    // A GPU is faster where it is; on the CPU, ONNX Runtime is faster than Burn.
    let backbone = match recipe.device {
        DeviceKind::Cpu => Backbone::open(&network, run.path(), machine.threads)?,
        _ => None,
    };
    let stop = interrupt::on_ctrl_c()?;
    let room = Room {
        backbone: backbone.as_ref(),
        train: &train,
        val: &val,
        classes: &pictures.dataset.classes,
        run,
        stop: &stop,
    };
    let images = [&pictures.train, &pictures.val].map(|images| images.samples().len());
    let mut watch = progress::Watcher::new(machine.printer, recipe.epochs, images);
    let options = fit_options(recipe);
    let outcome = fit::fit(network, &room, &options, resume.as_ref(), &mut watch)?;
    if outcome.ended == Ended::EarlyStopped {
        machine
            .printer
            .log("stopped early: no better epoch for a while");
    }
    Ok(outcome)
}

fn fit_options(recipe: &Recipe) -> FitOptions {
    FitOptions {
        epochs: recipe.epochs,
        lr: recipe.lr,
        optimizer: OptimizerOptions {
            kind: recipe.optimizer,
            weight_decay: recipe.weight_decay,
            momentum: recipe.momentum,
        },
        scheduler: recipe.scheduler,
        early_stop: recipe.early_stop,
        save: recipe.save,
        best_by: recipe.best_by,
    }
}

fn export(
    outcome: &Outcome,
    recipe: &Recipe,
    pictures: &Pictures,
    preprocess: Preprocess,
    out: &Path,
) -> Result<Exported> {
    let images = stage::verification_images(&pictures.val, &preprocess)?;
    let classes = pictures.dataset.classes.clone();
    let mut provenance =
        export::provenance(recipe, &pictures.dataset, outcome.network.backbone_sha256())?;
    if let Some(row) = outcome.rows.iter().find(|row| row.epoch == outcome.epoch) {
        let count = pictures.val.samples().len() as u64;
        export::note(&mut provenance, Split::Val, row.val_accuracy / 100.0, count);
    }
    let label = Label {
        classes,
        preprocess,
        provenance,
    };
    export::export(&outcome.network, label, &images, out)
}

/// The exported file through ONNX Runtime, once: on the test images, or on the validation images
/// with `--no-test` and where there are none.
fn score(
    machine: &Machine<'_>,
    model: &Path,
    recipe: &Recipe,
    dataset: &Dataset,
) -> Result<(Split, Scores)> {
    let split = if recipe.no_test || dataset.test.is_empty() {
        Split::Val
    } else {
        Split::Test
    };
    let samples = dataset.samples(split);
    let bar = machine
        .printer
        .image_bar("evaluating", samples.len() as u64);
    let classifier = deploy::Classifier::builder(model)
        .threads(machine.threads)
        .open()?;
    let options = deploy::eval::EvalOptions {
        batch: recipe.batch,
        threads: Some(machine.threads),
        strict: recipe.strict_images,
        progress: &|done| bar.set_position(done as u64),
    };
    let evaluation = deploy::eval::evaluate(&classifier, samples, &dataset.classes, &options);
    bar.finish_and_clear();
    let evaluation = evaluation?;
    for file in &evaluation.unreadable {
        machine.printer.warn(format!(
            "left out `{}`: {}",
            file.path.display(),
            file.reason
        ));
    }
    Ok((split, evaluation.scores))
}

fn summarise(
    run: &RunDir,
    outcome: &Outcome,
    exported: &Exported,
    (split, scores): (Split, Scores),
    started: Instant,
) -> Summary {
    let (parameters, trainable_parameters) = outcome.network.num_parameters();
    let best = outcome.rows.iter().find(|row| row.epoch == outcome.epoch);
    Summary {
        run: run.name(),
        model: file_name(&exported.path),
        verified: exported.agreement.verified,
        network: outcome.network.name(),
        parameters,
        trainable_parameters,
        epochs: outcome.rows.len(),
        epoch: outcome.epoch,
        ended: match outcome.ended {
            Ended::EarlyStopped => "early-stopped",
            Ended::Finished | Ended::Interrupted => "finished",
        },
        val_accuracy: best.map_or(f64::NAN, |row| row.val_accuracy / 100.0),
        seconds: started.elapsed().as_secs_f64(),
        split,
        scores,
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The last lines: where the file is and what to type next.
fn conclude(run: &RunDir, exported: &Exported, printer: &Printer) -> ExitStatus {
    let model: PathBuf = exported.path.clone();
    if !exported.agreement.verified {
        printer.warn(format!(
            "`{}` does not compute what was trained; see `{}`",
            model.display(),
            run.verify().display()
        ));
        return ExitStatus::False;
    }
    let model = model.display();
    printer.result(format!("{} {model}", printer.bold("verified")));
    printer.log(format!(
        "next: deploy predict --model {model} IMAGE\n      \
         deploy eval --model {model} --data DIR\n      \
         trainer eval {}",
        run.path().display()
    ));
    ExitStatus::True
}
