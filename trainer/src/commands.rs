//! The commands: typed arguments in, an exit status out.

use clap::CommandFactory;

use crate::cli::{Cli, Command};
use crate::fault::ExitStatus;
use crate::printer::Printer;

pub mod audit;
pub mod augment;
pub mod eval;
pub mod export;
pub mod fetch;
pub mod fit;
pub mod inspect;

/// Carries out what was typed.
pub fn run(cli: Cli) -> anyhow::Result<ExitStatus> {
    let printer = |json: Option<&std::path::PathBuf>| {
        Printer::new(cli.quiet, json.map(std::path::PathBuf::as_path))
    };
    match cli.command {
        Command::Fit(args) => {
            let printer = printer(args.json.as_ref());
            fit::run(&args, &printer)
        }
        Command::Eval(args) => eval::run(&args, &printer(args.json.as_ref())),
        Command::Export(args) => export::run(&args, &printer(None)),
        Command::Inspect(args) => inspect::run(&args, &printer(None)),
        Command::Audit(args) => audit::run(&args, &printer(args.json.as_ref())),
        Command::Augment(args) => augment::run(&args, &printer(None)),
        Command::Fetch(args) => fetch::run(&args, &printer(None)),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "trainer", &mut text);
            printer(None).bytes(&text)?;
            Ok(ExitStatus::True)
        }
    }
}
