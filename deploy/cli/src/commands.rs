//! One function per command: typed arguments in, an exit status out.

mod bench;
mod cache;
mod card;
mod check;
mod convert;
mod cut;
mod diff;
mod doctor;
mod embed;
mod eval;
mod info;
mod predict;
mod runtime;
mod score;
mod tune;

use clap::CommandFactory;
use console::{ExitStatus, Printer, Verbosity, printer};
use tracing_subscriber::filter::LevelFilter;

use crate::cli::{Cli, Command};

/// Carries out a command line.
pub(crate) fn run(cli: Cli) -> anyhow::Result<ExitStatus> {
    let printer = Printer::new(if cli.quiet {
        Verbosity::Results
    } else {
        Verbosity::Everything
    });
    if cli.verbose {
        let subscriber = tracing_subscriber::fmt().with_writer(std::io::stderr);
        subscriber.with_max_level(LevelFilter::INFO).init();
    }
    match cli.command {
        Command::Eval(args) => eval::run(&args, &printer),
        Command::Predict(args) => predict::run(&args, &printer),
        Command::Score(args) => score::run(&args, &printer),
        Command::Embed(args) => embed::embed(&args, &printer),
        Command::Cut(args) => cut::run(&args, &printer),
        Command::Search(args) => embed::search(&args, &printer),
        Command::Bench(args) => bench::run(&args, &printer),
        Command::Tune(args) => tune::run(&args, &printer),
        Command::Info(args) => info::run(&args, &printer),
        Command::Check(args) => check::run(&args, &printer),
        Command::Convert(args) => convert::run(&args, &printer),
        Command::Diff(args) => diff::run(&args, &printer),
        Command::Card(command) => card::run(&command, &printer),
        Command::Cache(command) => cache::run(&command, &printer),
        Command::Runtime(command) => runtime::run(&command, &printer),
        Command::Doctor(args) => doctor::run(&args, &printer),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "deploy", &mut text);
            printer::bytes(&text)?;
            Ok(ExitStatus::Success)
        }
    }
}
