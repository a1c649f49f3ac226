//! `deploy runtime`: the ONNX Runtime library.

use std::path::{Path, PathBuf};

use console::{ExitStatus, Printer, printer};
use deploy::Provider;
use deploy::runtime::{self, GpuOptions, InstallOptions, RuntimeLibrary, Search, Source};

use crate::cli::{InstallArgs, Installed, LocationArgs, RuntimeCommand};
use crate::cli_error::CliError;
use crate::source;

pub(crate) fn run(command: &RuntimeCommand, printer: &Printer) -> anyhow::Result<ExitStatus> {
    match command {
        RuntimeCommand::Install(args) => install(args, printer)?,
        RuntimeCommand::List(args) => list(args)?,
        RuntimeCommand::Path(args) => {
            printer::line(&runtime::find(&search(args)?)?.path.display().to_string())?;
        }
    }
    Ok(ExitStatus::Success)
}

fn search(args: &LocationArgs) -> anyhow::Result<Search> {
    Ok(Search::from_env(
        args.runtime.clone(),
        args.cache.as_deref(),
    ))
}

fn install(args: &InstallArgs, printer: &Printer) -> anyhow::Result<()> {
    let cache = source::cache(args.cache.cache.as_deref())?;
    let progress = |line: &str| printer.log(line);
    let from = args.from.as_deref().map(Path::new);
    if args.cuda.is_some() && args.what != Installed::Cuda {
        return Err(CliError::flag_elsewhere("--cuda", "deploy runtime install cuda").into());
    }
    match args.what {
        Installed::Cpu => {
            let found = install_cpu(args, cache, &progress)?;
            printer::line(&found.to_string())?;
        }
        Installed::Cuda => {
            let options = GpuOptions {
                cache,
                from: from.map(Path::to_owned),
                cuda: args.cuda,
            };
            let found = runtime::install_gpu(&options, &progress)?;
            printer::line(&found.to_string())?;
        }
        Installed::Openvino | Installed::TensorrtRtx => {
            let provider = match args.what {
                Installed::Openvino => Provider::openvino(),
                _ => Provider::TensorRtRtx { device: 0 },
            };
            let found = runtime::install_plugin(provider, &cache, from, &progress)?;
            printer::line(&found.to_string())?;
        }
        Installed::Tensorrt => {
            let found = runtime::install_tensorrt(&cache, from, &progress)?;
            printer::line(&found.to_string())?;
        }
    }
    Ok(())
}

fn install_cpu(
    args: &InstallArgs,
    cache: PathBuf,
    progress: &dyn Fn(&str),
) -> anyhow::Result<RuntimeLibrary> {
    let in_cache = Search {
        cache: Some(cache.clone()),
        ..Search::default()
    };
    match runtime::find(&in_cache) {
        // A build with CUDA runs on the CPU too, but is not what was asked for.
        Ok(found) if args.from.is_none() && !found.gpu => {
            progress("already installed");
            Ok(found)
        }
        _ => {
            let options = InstallOptions {
                cache,
                from: args.from.clone(),
            };
            Ok(runtime::install(&options, progress)?)
        }
    }
}

fn list(args: &LocationArgs) -> anyhow::Result<()> {
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
    // TensorRT and plugins have no mark: they are used with a runtime, not in place of one.
    let cache = search.cache.as_deref().unwrap_or("".as_ref());
    if let Some(found) = runtime::tensorrt(cache) {
        printer::line(&format!("  {found}"))?;
    }
    for found in runtime::plugins(cache) {
        printer::line(&format!("  {found}"))?;
    }
    match used {
        Ok(found) if found.source != Source::Cache => printer::line(&format!("* {found}"))?,
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
