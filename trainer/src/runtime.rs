//! ONNX Runtime for this process: found, or installed when first needed, and named in the log.

use std::path::{Path, PathBuf};

use console::Printer;
use deploy::Provider;
use deploy::runtime::{self, Search};

use crate::error::Result;

/// Finds ONNX Runtime (`library` first), installs it when it is nowhere and `offline` does not forbid
/// it, and loads it. A provider whose GPU or libraries are missing is an error.
pub fn ensure(
    library: Option<PathBuf>,
    provider: Provider,
    cache: &Path,
    offline: bool,
    printer: &Printer,
) -> Result<()> {
    let search = Search {
        provider,
        ..Search::from_env(library, Some(cache))
    };
    let found = runtime::ensure(&search, &|line| printer.log(line), !offline)
        .map_err(deploy::Error::from)?;
    printer.log(found.to_string());
    runtime::load(&found)?;
    Ok(runtime::require(provider)?)
}
