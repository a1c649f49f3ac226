//! The command line of the `deploy` library: parse, carry out, say how it went.

mod bench;
mod cli;
mod cli_error;
mod commands;
mod converted;
mod export;
mod source;

use std::process::ExitCode;

use clap::Parser;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    deploy::runtime::disable_telemetry();
    let result = commands::run(cli::Cli::parse());
    console::exit_code(&result, cli_error::hint)
}
