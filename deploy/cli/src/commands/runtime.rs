//! `deploy runtime`: the ONNX Runtime library.

use deploy::runtime::{self, InstallOptions, Search, Source};

use crate::cli::{InstallArgs, PlaceArgs, RuntimeCommand};
use crate::fault::ExitStatus;
use crate::printer::{self, Printer};
use crate::source;

pub(crate) fn run(command: &RuntimeCommand, printer: &Printer) -> anyhow::Result<ExitStatus> {
    match command {
        RuntimeCommand::Install(args) => install(args, printer)?,
        RuntimeCommand::List(args) => list(args)?,
        RuntimeCommand::Path(args) => {
            printer::line(&runtime::find(&search(args)?)?.path.display().to_string())?;
        }
    }
    Ok(ExitStatus::True)
}

fn search(args: &PlaceArgs) -> anyhow::Result<Search> {
    let cache = source::cache(args.cache.as_deref())?;
    Ok(Search::from_env(args.runtime.clone(), &cache))
}

fn install(args: &InstallArgs, printer: &Printer) -> anyhow::Result<()> {
    let cache = source::cache(args.cache.cache.as_deref())?;
    let there = Search {
        cache: Some(cache.clone()),
        ..Search::default()
    };
    let found = match runtime::find(&there) {
        Ok(found) if args.from.is_none() => {
            printer.log("installed already");
            found
        }
        _ => {
            let options = InstallOptions {
                cache,
                from: args.from.clone(),
            };
            runtime::install(&options, &|line| printer.log(line))?
        }
    };
    printer::line(&found.to_string())?;
    Ok(())
}

fn list(args: &PlaceArgs) -> anyhow::Result<()> {
    let search = search(args)?;
    let used = runtime::find(&search);
    let installed = runtime::list(search.cache.as_deref().unwrap_or("".as_ref()));
    let used_path = used.as_ref().ok().map(|found| found.path.clone());
    for found in &installed {
        let mark = if used_path.as_ref() == Some(&found.path) {
            "*"
        } else {
            " "
        };
        printer::line(&format!("{mark} {found}"))?;
    }
    match used {
        Ok(found) if found.source != Source::Cache => printer::line(&format!("* {found}"))?,
        Ok(_) => {}
        Err(error) if installed.is_empty() => return Err(error.into()),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
