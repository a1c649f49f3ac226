//! `trainer audit`: leaks, duplicates, unusual files and imbalance of a data set.

use std::path::Path;

use console::{ExitStatus, Printer};
use data::audit::{Audit, Depth, Kind, Severity};
use data::folder::SplitClasses;
use data::{Dataset, PairOptions, Pairs, catalog};
use report::Thumbnails;

use crate::cli::AuditArgs;
use crate::recipe::Task;
use crate::{context, dataset, resolve};

/// Audits every file; the exit code is 1 where a finding is an error.
pub fn run(args: &AuditArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    context::bound_threads(args.threads);
    let cache = data::cache::dir(args.cache.as_deref())?;
    let default = match args.task {
        Task::Classify => catalog::INSECTS,
        Task::Pairs => catalog::SIGNATURES,
    };
    let name = crate::recipe::data_name(args.data.as_deref().unwrap_or(default), &cache)?;
    let path = resolve::data_path(&name, &cache, printer)?;
    let (dataset, audit) = match args.task {
        Task::Classify => {
            let (dataset, splits) = Dataset::open_unchecked(&path, args.seed)?;
            let audit = look_at(&dataset, &splits, &path, printer)?;
            (dataset, audit)
        }
        Task::Pairs => {
            let options = PairOptions {
                seed: args.seed,
                ..PairOptions::default()
            };
            let (pairs, flaws) = Pairs::open_unchecked(&path, &options)?;
            let audit = look_at(&pairs.images, &[], &path, printer)?;
            let audit = audit.of_pairs(&pairs, &flaws);
            (pairs.images, audit)
        }
    };
    if let Some(target) = &args.json {
        printer.json(target, &audit)?;
    }
    if let Some(target) = &args.html {
        let thumbnails = Thumbnails::new(Some(dataset.root.clone()));
        let name = path.file_name().unwrap_or(path.as_os_str());
        let page = report::audit_page(&audit, &name.to_string_lossy(), &thumbnails);
        data::write::atomically(target, page.as_bytes())?;
    }
    printer.result(report::audit_text(&audit))?;
    let fails = |kind| !(args.allow_leak && kind == Kind::Leak);
    let mut errors = audit
        .findings
        .iter()
        .filter(|f| f.severity == Severity::Error);
    Ok(ExitStatus::from_check(
        !errors.any(|finding| fails(finding.kind)),
    ))
}

/// Audits every file, with its pixels.
fn look_at(
    dataset: &Dataset,
    splits: &[SplitClasses],
    path: &Path,
    printer: &Printer,
) -> data::Result<Audit> {
    for note in &dataset.notes {
        printer.log(note);
    }
    let count = dataset::num_images(dataset);
    if count == 0 {
        return Err(data::Error::no_images(path));
    }
    let bar = printer.image_bar("looking at", count as u64);
    let audit = Audit::run(dataset, splits, Depth::Pixels, &|done| {
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    Ok(audit)
}
