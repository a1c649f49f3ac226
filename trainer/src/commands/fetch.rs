//! `trainer fetch`: a public data set or weights into the cache folder.

use console::{ExitStatus, Printer};
use data::catalog;
use data::fetch::{self, FetchOptions};

use crate::cli::FetchArgs;
use crate::named_backbones;

pub fn run(args: &FetchArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let cache = data::cache::dir(args.cache.as_deref())?;
    let name = args.what.as_str();
    let bar = printer.byte_bar(name);
    let options = FetchOptions {
        cache,
        from: args.from.clone(),
        sha256: args.sha256.clone(),
        progress: &|done, total| {
            bar.set_length(total.unwrap_or(done));
            bar.set_position(done);
        },
    };
    let (fetched, flag) = match catalog::backbone(name) {
        Some(backbone) => (named_backbones::fetch(backbone, &options), "backbone"),
        // The only data set that clap lets through.
        None => (fetch::hymenoptera(&options).map_err(Into::into), "data"),
    };
    bar.finish_and_clear();
    let path = fetched?;
    printer.result(format!("{}", path.display()))?;
    printer.log(format!("next: trainer fit --{flag} {name}"));
    Ok(ExitStatus::Success)
}
