//! `trainer export`: a run's checkpoint as a verified file, again.

use console::{ExitStatus, Printer};
use data::Split;

use crate::cli::{ExportArgs, Which};
use crate::export::{self, Label};
use crate::recipe::Recipe;
use crate::run_dir::RunDir;
use crate::stage::{self, Machine};
use crate::{calibrate, runtime, source, summary};

/// Writes and verifies it.
pub fn run(args: &ExportArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let cache = data::cache::dir(args.machine.cache.as_deref())?;
    let run = RunDir::open(&args.runs, &args.run)?;
    let recipe = Recipe::open(&run.config())?;
    let threads = source::threads(args.threads);
    runtime::ensure(&args.machine, &cache, printer)?;
    let machine = Machine {
        cache,
        offline: args.machine.offline,
        threads,
        printer,
    };
    let (network, state) = machine.restore(&recipe, &run.checkpoint(args.checkpoint))?;
    let (network, calibration) = calibrate::restored(&run, network, &state, printer)?;
    let preprocess = source::preprocess(network.input_size())?;
    let dataset = machine.dataset(&recipe, Some(&run))?;
    let samples = stage::samples(&dataset, Split::Val)?;
    let images = machine.images(samples, "val", recipe.strict_images, recipe.memory.0)?;
    let count = images.samples().len() as u64;
    let get = |place| images.get(place);
    let images = stage::verification_images(images.samples().len(), &preprocess, get)?;
    let fingerprint = dataset.fingerprint()?;
    let sha256 = network.backbone_sha256();
    let mut provenance = export::provenance(&recipe, &dataset, fingerprint, sha256)?;
    // In the middle of an epoch the network is no longer the one that was validated.
    if let (0, Some(row)) = (state.train.step, state.rows.last()) {
        export::note(&mut provenance, Split::Val, row.val_accuracy / 100.0, count);
    }
    if let Some(calibration) = calibration {
        calibration.note(&mut provenance);
    }
    let label = Label {
        classes: state.classes,
        preprocess,
        provenance,
    };
    let out = args.out.clone().unwrap_or_else(|| run.model());
    let exported = export::export(&network, label, &images, &out)?;
    if args.out.is_none() {
        summary::save(&run.verify(), &exported.agreement)?;
    }
    printer.log(summary::agreement(&exported.agreement));
    let word = if exported.agreement.verified {
        "verified"
    } else {
        "not verified"
    };
    printer.result(format!(
        "{} {}",
        printer.bold(word),
        exported.path.display()
    ))?;
    Ok(if exported.agreement.verified {
        ExitStatus::Success
    } else {
        ExitStatus::CheckFailed
    })
}

impl RunDir {
    /// The file of a checkpoint; a run that keeps the last alone has no best.
    pub fn checkpoint(&self, which: Which) -> std::path::PathBuf {
        match which {
            Which::Best if self.best().is_file() => self.best(),
            Which::Best | Which::Last => self.last(),
        }
    }
}
