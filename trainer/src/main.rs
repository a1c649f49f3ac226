//! The binary `trainer`.

use std::process::ExitCode;

use clap::Parser;
use trainer::{cli::Cli, cli_error, commands};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // First of all: the environment may only change while there are no threads.
    deploy::runtime::disable_telemetry();
    let result = commands::run(Cli::parse());
    console::exit_code(&result, cli_error::hint)
}
