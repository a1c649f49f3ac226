//! The commands: typed arguments in, an exit status out.

use clap::CommandFactory;
use console::{ExitStatus, Interrupted, Printer, Verbosity, printer};

use crate::cli::{Cli, Command};
use crate::error::Error;

pub mod audit;
pub mod augment;
pub mod backbones;
pub mod eval;
pub mod export;
pub mod fetch;
pub mod find_lr;
pub mod fit;
pub mod import;
pub mod inspect;
pub mod plot;
pub mod probe;
pub mod report;
pub mod runs;

pub fn run(cli: Cli) -> anyhow::Result<ExitStatus> {
    let printer = Printer::new(if cli.quiet {
        Verbosity::Warnings
    } else {
        Verbosity::Everything
    });
    let result = match cli.command {
        Command::Fit(args) => fit::run(&args, &printer.with_outputs(&[args.json.as_deref()])),
        Command::Probe(args) => probe::run(&args, &printer.with_outputs(&[args.json.as_deref()])),
        Command::FindLr(args) => {
            find_lr::run(&args, &printer.with_outputs(&[args.json.as_deref()]))
        }
        Command::Eval(args) => eval::run(
            &args,
            &printer.with_outputs(&[args.json.as_deref(), args.csv.as_deref()]),
        ),
        Command::Export(args) => export::run(&args, &printer),
        Command::Inspect(args) => inspect::run(&args, &printer),
        Command::Audit(args) => audit::run(
            &args,
            &printer.with_outputs(&[args.json.as_deref(), args.html.as_deref()]),
        ),
        Command::Augment(args) => augment::run(&args, &printer.with_outputs(&[Some(&args.out)])),
        Command::Backbones(args) => {
            backbones::run(&args, &printer.with_outputs(&[args.json.as_deref()]))
        }
        Command::Fetch(args) => fetch::run(&args, &printer),
        Command::Import(args) => import::run(&args, &printer),
        Command::Runs(args) => runs::run(&args, &printer.with_outputs(&[args.json.as_deref()])),
        Command::Report(args) => report::run(&args, &printer.with_outputs(&[args.out.as_deref()])),
        Command::Plot(args) => plot::run(&args, &printer),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "trainer", &mut text);
            printer::bytes(&text)?;
            Ok(ExitStatus::Success)
        }
    };
    result.map_err(as_interruption)
}

/// A run that the user stopped ended as was asked: that is no error.
fn as_interruption(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<Error>() {
        Some(Error::Interrupted { run: Some(run) }) => {
            let text = format!("continue with `trainer fit --resume {}`", run.display());
            Interrupted(text).into()
        }
        _ => error,
    }
}
