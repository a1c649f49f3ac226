//! The binary `trainer`.

use std::process::ExitCode;

use clap::Parser;
use trainer::{cli::Cli, cli_error, commands};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Freed memory stays with the process. The next training step takes as much again, and the kernel clears every page
/// that it hands out: that was a quarter of the time of a step. `MIMALLOC_PURGE_DELAY` in the environment takes precedence.
#[cfg(feature = "mimalloc")]
#[expect(unsafe_code, reason = "mimalloc is a C library")]
fn keep_freed_memory() {
    use std::ffi::{c_int, c_long};

    /// Milliseconds until freed memory is given back; -1 is never. The number is the same in mimalloc 2 and 3.
    const PURGE_DELAY: c_int = 15;
    unsafe extern "C" {
        fn mi_option_set_default(option: c_int, value: c_long);
    }
    // SAFETY: the function has this signature in `mimalloc.h`, and no thread has started.
    unsafe { mi_option_set_default(PURGE_DELAY, -1) }
}

fn main() -> ExitCode {
    #[expect(unsafe_code, reason = "setting an environment variable")]
    // SAFETY: the first statement of `main`: no thread has started.
    unsafe {
        deploy::runtime::disable_telemetry();
    }
    #[cfg(feature = "mimalloc")]
    keep_freed_memory();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return console::usage_exit_code(error.print(), error.use_stderr()),
    };
    let result = commands::run(cli);
    console::exit_code(&result, cli_error::hint)
}
