//! `trainer fit`: the line of rooms from a recipe to a verified file and its test accuracy.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use data::audit::{Audit, Depth};
use data::{Dataset, Preprocess, Scores, Split};
use models::Network;

use super::report;
use crate::calibrate::Calibration;
use crate::cli::{FitArgs, MachineArgs};
use crate::error::{Error, Result};
use crate::export::{self, Exported, Label};
use crate::fault::ExitStatus;
use crate::fit::{self, Backbone, Checkpoint, Ended, FitOptions, OptimizerOptions, Outcome, Room};
use crate::folds::Division;
use crate::live::{Log, Opening, Ui, Watchers};
use crate::printer::Printer;
use crate::recipe::{DeviceKind, Recipe, Settings};
use crate::report::{Pictures, Record};
use crate::run_dir::RunDir;
use crate::stage::Machine;
use crate::summary::{self, Summary};
use crate::{command_line, runtime, source};

mod calibration;
mod closing;
mod folds;
mod interrupt;
mod seeds;
mod stock;
mod trials;

use closing::{Closing, Kept};
use stock::Stock;
use trials::Trials;

/// What is to be done: a recipe, the run to go on with, and who watches.
struct Plan {
    recipe: Recipe,
    resume: Option<RunDir>,
    runs: PathBuf,
    name: Option<String>,
    ui: Option<Ui>,
    logs: Vec<Log>,
}

/// Trains, exports, verifies, evaluates.
pub fn run(args: &FitArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let started = Instant::now();
    let settings = settings(args)?;
    let printer = &Ui::printer(settings.ui, printer);
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
    let audit = look_over(&dataset, printer);
    let network = machine.network(recipe, dataset.classes.len())?;
    let preprocess = source::preprocess(network.input_size())?;
    let resume = checkpoint(&plan, &network, printer)?;
    let looked_over = (&dataset, &audit);
    let (stop, stock) = open_stock(&machine, recipe, looked_over, (&network, &preprocess))?;
    let run = open_run(&plan, &dataset)?;
    summary::save(&run.audit(), &audit)?;
    let interrupted = || Error::Interrupted {
        run: run.path().to_path_buf(),
    };
    let mut stock = stock.ok_or_else(interrupted)?;
    announce(&run, &dataset, &stock, &network, printer);

    let backbone = backbone(&machine, recipe, (&network, &stock), &run)?;
    let trials = Trials {
        machine: &machine,
        recipe,
        classes: &dataset.classes,
        preprocess: &preprocess,
        backbone: backbone.as_ref(),
        run: &run,
        stop: &stop,
    };
    let (outcome, calibration) = train(&trials, &plan, network, &stock, resume.as_ref())?;
    if recipe.seeds.is_none() {
        stock.end_training();
    }
    let closing = Closing {
        machine: &machine,
        recipe,
        dataset: &dataset,
        network: &outcome.network,
    };
    let kept = closing.by_features(&mut stock, &stop);
    if matches!(kept, Kept::Stopped) {
        return Err(interrupted().into());
    }
    let trained = (&outcome, calibration.as_ref());
    let mut label = label(trained, recipe, looked_over, &stock, &preprocess)?;
    closing.note(&kept, &mut label.provenance);
    let images = stock.verification_images(&label.preprocess)?;
    let mut exported = export::export(&outcome.network, label, &images, &run.model())?;
    summary::save(&run.verify(), &exported.agreement)?;
    printer.log(summary::agreement(&exported.agreement));
    let (by, scores) = closing.scores(&run, &stock, kept, &mut exported)?;
    let split = closing.split();
    let text = summary::report(split, by, &scores);
    let summary = summarise(&run, &outcome, &exported, (split, scores), started);
    summary::save(&run.summary(), &summary)?;
    if exported.agreement.verified {
        run.mark_latest()?;
    }
    if let Some(target) = &args.json {
        printer.json(target, &summary)?;
    }
    let mut written = page(&run, &dataset);
    // Last: a reader such as `head` may have had enough, and the files are written by then.
    printer.result(text);
    if recipe.seeds.is_some() {
        trials.repeat(&outcome.network, &dataset, &mut stock, split)?;
        written = page(&run, &dataset);
    }
    report::tell(&run, written, printer);
    Ok(conclude(&run, &exported, printer))
}

/// Flags over file.
fn settings(args: &FitArgs) -> Result<Settings> {
    let file = args.config.as_deref().map(Settings::open).transpose()?;
    Ok(args.settings.clone().or(file.unwrap_or_default()))
}

/// What is trained on, and the flag that Ctrl-C sets from then on; no stock when it was set
/// already. Decoding pictures ends at Ctrl-C at once, since it leaves nothing to save.
fn open_stock(
    machine: &Machine<'_>,
    recipe: &Recipe,
    (dataset, audit): (&Dataset, &Audit),
    (network, preprocess): (&Network, &Preprocess),
) -> anyhow::Result<(Arc<AtomicBool>, Option<Stock>)> {
    if Stock::is_features(recipe, network) {
        let stop = interrupt::on_ctrl_c(machine.printer)?;
        let stock = Stock::features(
            machine,
            recipe,
            (dataset, audit),
            (network, preprocess),
            &stop,
        )?;
        return Ok((stop, stock));
    }
    let stock = Stock::pictures(machine, recipe, dataset, preprocess)?;
    Ok((interrupt::on_ctrl_c(machine.printer)?, Some(stock)))
}

/// Opens the data and finds ONNX Runtime: before hours of training, not after them, and what may
/// be refused at once before what takes time (installing the one, drawing the other).
fn open_data(machine: &Machine<'_>, plan: &Plan, place: &MachineArgs) -> Result<Dataset> {
    let open = || {
        let dataset = machine.dataset(&plan.recipe, plan.resume.as_ref())?;
        dataset.check_trainable()?;
        if let Some(folds) = plan.recipe.folds {
            let samples = [&dataset.train[..], &dataset.val].concat();
            Division::new(&samples, &dataset.classes, folds, plan.recipe.seed)?;
        }
        Ok(dataset)
    };
    let ensure = || runtime::ensure(place, &machine.cache, machine.printer);
    if plan.recipe.data == data::catalog::INSECTS {
        ensure()?;
        return open();
    }
    let dataset = open()?;
    ensure()?;
    Ok(dataset)
}

/// The audit without pixels: `fit` reads the bytes of every file for the data set's fingerprint
/// anyway. Of test images no pixel is decoded before the end, so near duplicates are left to
/// `trainer audit`.
fn look_over(dataset: &Dataset, printer: &Printer) -> Audit {
    let [train, val, test] = [&dataset.train, &dataset.val, &dataset.test].map(Vec::len);
    let bar = printer.image_bar("reading", (train + val + test) as u64);
    let audit = Audit::of(dataset, &[], Depth::Files, &|done| {
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let (line, leaks) = super::audit::brief(&audit);
    printer.log(line);
    if let Some(leaks) = leaks {
        printer.warn(leaks);
    }
    audit
}

/// Flags over file over defaults; or the resumed run's own recipe.
fn plan(args: &FitArgs, settings: Settings, cache: &Path) -> Result<Plan> {
    let Settings { name, ui, log, .. } = settings.clone();
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
        ui,
        logs: log.unwrap_or_default(),
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
    command_line::record(&run.command())?;
    Ok(run)
}

fn announce(run: &RunDir, dataset: &Dataset, stock: &Stock, network: &Network, printer: &Printer) {
    let [num_train, num_val] = stock.num_images();
    let (all, trainable) = network.num_parameters();
    printer.log(format!(
        "{}: {} classes ({}), {num_train} train, {num_val} val, {} test",
        printer.bold(&run.path().display().to_string()),
        dataset.classes.len(),
        abridged(&dataset.classes),
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

/// ONNX Runtime for the frozen part of a network that sees pictures: on the CPU it is faster than
/// Burn; a GPU is faster where it is.
fn backbone(
    machine: &Machine<'_>,
    recipe: &Recipe,
    (network, stock): (&Network, &Stock),
    run: &RunDir,
) -> Result<Option<Backbone>> {
    match (stock, recipe.device) {
        (Stock::Pictures { .. }, DeviceKind::Cpu) => {
            Backbone::open(network, run.path(), machine.threads)
        }
        _ => Ok(None),
    }
}

/// Cross-validates if asked to, trains, calibrates. The network that comes out is calibrated; the
/// checkpoints are as trained.
fn train(
    trials: &Trials<'_>,
    plan: &Plan,
    network: Network,
    stock: &Stock,
    resume: Option<&Checkpoint>,
) -> Result<(Outcome, Option<Calibration>)> {
    let Trials {
        machine, recipe, ..
    } = *trials;
    if let Some(count) = recipe.folds {
        trials.cross_validate(count, &stock.pool(), &network)?;
    }
    let [train, val] = stock.feeds();
    let room = Room {
        backbone: trials.backbone,
        train,
        val,
        classes: trials.classes,
        run: Some(trials.run),
        stop: trials.stop,
    };
    let size = (stock.num_images(), train.num_batches());
    let opening = Opening {
        resumed: plan.resume.is_some(),
        ..Opening::new(trials.run, recipe.epochs, size, resume)
    };
    let mut watch = Watchers::open(
        (plan.ui, &plan.logs),
        &opening,
        machine.printer,
        trials.stop,
    );
    let (fresh, options) = (network.clone(), fit_options(recipe));
    let mut outcome = fit::fit(network, &room, &options, resume, &mut watch)?;
    drop(watch);
    match outcome.ended {
        Ended::Interrupted => return Err(trials.interrupted()),
        Ended::EarlyStopped => machine
            .printer
            .log("stopped early: no better epoch for a while"),
        Ended::Finished => {}
    }
    let images = [&stock.pool(), &stock.validation()];
    let calibration = trials.calibrate(&mut outcome, &fresh, images)?;
    Calibration::save(calibration.as_ref(), trials.run)?;
    if let Some(calibration) = &calibration {
        machine.printer.log(calibration.line());
    }
    Ok((outcome, calibration))
}

/// The checkpoint to go on from; one of another backbone is refused before any work.
fn checkpoint(plan: &Plan, network: &Network, printer: &Printer) -> Result<Option<Checkpoint>> {
    let Some(run) = &plan.resume else {
        return Ok(None);
    };
    if !run.last().is_file() {
        printer.log("no checkpoint yet: the run starts from its beginning");
        return Ok(None);
    }
    let checkpoint = Checkpoint::open(&run.last())?;
    checkpoint.check_backbone(network)?;
    Ok(Some(checkpoint))
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

/// What the card will say.
fn label(
    (outcome, calibration): (&Outcome, Option<&Calibration>),
    recipe: &Recipe,
    (dataset, audit): (&Dataset, &Audit),
    stock: &Stock,
    preprocess: &Preprocess,
) -> Result<Label> {
    // Files that were hashed already are not read again.
    let fingerprint = dataset.fingerprint_with(&|path| audit.hash(path))?;
    let sha256 = outcome.network.backbone_sha256();
    let mut provenance = export::provenance(recipe, dataset, fingerprint, sha256)?;
    if let Some(row) = outcome.rows.iter().find(|row| row.epoch == outcome.epoch) {
        let [_, count] = stock.num_images();
        let accuracy = row.val_accuracy / 100.0;
        export::note(&mut provenance, Split::Val, accuracy, count as u64);
    }
    if let Some(calibration) = calibration {
        calibration.note(&mut provenance);
    }
    Ok(Label {
        classes: dataset.classes.clone(),
        preprocess: preprocess.clone(),
        provenance,
    })
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

/// Writes the run's page, for [`report::tell`].
fn page(run: &RunDir, dataset: &Dataset) -> Result<Vec<String>> {
    let pictures = Pictures::new(Some(dataset.root.clone()));
    crate::report::write(Record::open(run)?, &pictures)
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
