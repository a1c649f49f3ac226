//! The command line of the `deploy` library: parse, carry out, say how it went.

mod cli;
mod cli_error;
mod commands;
mod converted;
mod export;
mod parquet_table;
mod source;

use std::process::ExitCode;

use clap::Parser;

// Memory is reused by the allocator, not by a pool of our own: with the system's, page faults on freed and
// refetched buffers were a third of a training step.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    #[expect(unsafe_code, reason = "setting an environment variable")]
    // SAFETY: the first statement of `main`: no thread has started.
    unsafe {
        deploy::runtime::disable_telemetry();
    }
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return console::usage_exit_code(error.print(), error.use_stderr()),
    };
    let result = commands::run(cli);
    console::exit_code(&result, cli_error::hint)
}
