//! ONNX Runtime for this process: found, or installed on first need, and named in the log.

use std::path::Path;

use deploy::runtime::{self, Search};

use crate::cli::MachineArgs;
use crate::error::Result;
use crate::printer::Printer;

/// Finds ONNX Runtime, installs it when it is nowhere and `--offline` does not forbid it, and
/// loads it.
pub fn ensure(machine: &MachineArgs, cache: &Path, printer: &Printer) -> Result<()> {
    let search = Search::from_env(machine.runtime.clone(), cache);
    let found = runtime::ensure(&search, &|line| printer.log(line), !machine.offline)
        .map_err(deploy::Error::from)?;
    printer.log(found.to_string());
    Ok(runtime::load(&found)?)
}
