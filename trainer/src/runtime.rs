//! ONNX Runtime for this process: found, or installed on first need, and named in the log.

use std::path::Path;

use deploy::runtime::{self, InstallOptions, Search};

use crate::cli::MachineArgs;
use crate::error::Result;
use crate::printer::Printer;

/// Finds ONNX Runtime, installs it when it is nowhere and `--offline` does not forbid it, and
/// loads it.
pub fn ensure(machine: &MachineArgs, cache: &Path, printer: &Printer) -> Result<()> {
    let search = Search { explicit: machine.runtime.clone(), cache: cache.to_path_buf() };
    let found = match runtime::find(&search) {
        Ok(found) => found,
        Err(error) if error.is_runtime_missing() && !machine.offline => {
            printer.log("installing ONNX Runtime into the cache folder (once)");
            let bar = printer.byte_bar("ONNX Runtime");
            let installed = runtime::install(&InstallOptions {
                cache: cache.to_path_buf(),
                from: None,
                progress: &|text| bar.set_message(text.to_string()),
            });
            bar.finish_and_clear();
            installed?
        }
        Err(error) => return Err(error.into()),
    };
    printer.log(format!(
        "ONNX Runtime {} from `{}` ({})",
        found.version,
        found.path.display(),
        found.source
    ));
    Ok(runtime::load(&found)?)
}
