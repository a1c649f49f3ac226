//! `trainer audit`: what is wrong or odd with a data set, before anyone trains on it.

use console::{ExitStatus, Printer};
use data::audit::{Audit, Depth, Kind, Severity};
use data::{Dataset, Split};

use crate::cli::AuditArgs;
use crate::{context, resolve};

mod text;

pub(super) use text::brief;

/// Looks at every file and says what was found; an error among it is exit code 1.
pub fn run(args: &AuditArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    context::bound_threads(args.threads);
    let cache = data::cache::dir(args.cache.as_deref())?;
    let name = crate::recipe::data_name(&args.data, &cache)?;
    let path = resolve::data_path(&name, &cache, printer)?;
    let (dataset, splits) = Dataset::open_unchecked(&path, args.seed)?;
    for note in &dataset.notes {
        printer.log(note);
    }
    let count: usize = Split::ALL
        .into_iter()
        .map(|split| dataset.samples(split).len())
        .sum();
    if count == 0 {
        return Err(data::Error::no_images(&path).into());
    }
    let bar = printer.image_bar("looking at", count as u64);
    let audit = Audit::run(&dataset, &splits, Depth::Pixels, &|done| {
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    if let Some(target) = &args.json {
        printer.json(target, &audit)?;
    }
    printer.result(text::report(&audit))?;
    let fails = |kind| !(args.allow_leak && kind == Kind::Leak);
    let mut errors = audit
        .findings
        .iter()
        .filter(|f| f.severity == Severity::Error);
    Ok(if errors.any(|finding| fails(finding.kind)) {
        ExitStatus::CheckFailed
    } else {
        ExitStatus::Success
    })
}
